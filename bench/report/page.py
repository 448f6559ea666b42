"""The dated sections of docs/benchmarks.md: written from run files, never by hand."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from report.record import Record
from report.tables import Sheet, sheets

PAGE: Final = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_NEWEST: Final = "<!-- newest run: written by bench/run.py --publish -->"
_END: Final = "<!-- end of run -->"


def section(record: Record, run_file: str, goals: Sheet) -> str:
    """What the page says of a run."""
    about = record.about
    words = (
        about["machine"],
        f"Redis {about['redis']}",
        f"Python {about['python']}",
        f"{about['rounds']} rounds",
    )
    told = (
        f"Limelight {about['commit']}; peers: {', '.join(about['peers']) or 'none'}. "
        f"Load average {about['load'][0]:.2f} before and {about['load'][1]:.2f} after. "
        f"All numbers: [`{run_file}`](../{run_file})."
    )
    lines = [f"## {about['date'][:10]} · {' · '.join(words)}", "", told, ""]
    return "\n".join([*lines, *(sheet.markdown() for sheet in _filled([goals, *sheets(record)]))])


def published(text: str, run_file: str, words: str) -> str:
    """The page with the section of a run file: in its old place if it has one, else as the newest."""
    begin = f"<!-- run {run_file}: written by bench/run.py --publish -->"
    block = f"{begin}\n{words}\n{_END}"
    if begin in text:
        return re.sub(f"{re.escape(begin)}.*?{re.escape(_END)}", lambda _: block, text, flags=re.DOTALL)
    if _NEWEST not in text:
        raise ValueError(f"{PAGE.name} has no line {_NEWEST!r} below which the newest run could stand")
    return text.replace(_NEWEST, f"{_NEWEST}\n\n{block}")


def _filled(tables: Iterable[Sheet]) -> Iterable[Sheet]:
    return (sheet for sheet in tables if sheet.lines)
