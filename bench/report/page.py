"""The dated sections of docs/benchmarks.md: written from run files, never by hand."""

import re
from pathlib import Path
from typing import Final

from report.record import Record
from report.tables import Sheet, sheets

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = ROOT / "docs" / "benchmarks.md"
KEPT: Final = ROOT / "bench" / "runs"
NEWEST: Final = "<!-- newest run: written by bench/run.py --publish -->"
_END: Final = "<!-- end of run -->"


def write(run_file: Path, goals: Sheet) -> None:
    """Put a run file that is in the repository on the page, or refresh it there."""
    name = str(run_file.resolve().relative_to(ROOT))
    text = PAGE.read_text(encoding="utf-8")
    words = section(Record.load(run_file), name, goals)
    PAGE.write_text(published(text, name, words), encoding="utf-8")


def section(record: Record, name: str, goals: Sheet) -> str:
    """What the page says of a run, whose file has that path in the repository."""
    about = record.about
    words = (
        about["machine"],
        f"Redis {about['redis']}",
        f"Python {about['python']}",
        f"{about['rounds']} {'round' if about['rounds'] == 1 else 'rounds'}",
    )
    told = (
        f"Limelight {about['commit']}; peers: {', '.join(about['peers']) or 'none'}. "
        f"Load average {about['load']:.2f} when it began. "
        f"All numbers: [`{name}`](../{name})."
    )
    lines = [f"## {about['date'][:10]} · {' · '.join(words)}", "", told, ""]
    return "\n".join([*lines, *(sheet.markdown() for sheet in [goals, *sheets(record)])])


def published(text: str, name: str, words: str) -> str:
    """The page with the section of a run file: in its old place if it has one, else as the newest."""
    begin = f"<!-- run {name}: written by bench/run.py --publish -->"
    block = f"{begin}\n{words}\n{_END}"
    if begin in text:
        return re.sub(f"{re.escape(begin)}.*?{re.escape(_END)}", lambda _: block, text, flags=re.DOTALL)
    if NEWEST not in text:
        raise ValueError(f"{PAGE.name} has no line {NEWEST!r} below which the newest run could stand")
    return text.replace(NEWEST, f"{NEWEST}\n\n{block}")


def runs(text: str) -> list[str]:
    """The paths of the run files that a page shows."""
    return re.findall(r"<!-- run (\S+): written by", text)
