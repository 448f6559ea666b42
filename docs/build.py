"""Build the documentation as a site, from docs/ as it stands: `make docs`; `make docs ARGS=serve` to look at it.

The pages are written to be read in the repository too, so they link to its files. Pages and what they link to are
laid out in .site/pages, where such files lie below `repository/`, and zensical builds from there.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
STAGE: Final = ROOT / ".site"
LINK: Final = re.compile(r"(\[[^\]]*\]\()([^)#\s]+)((?:#[^)]*)?\))")
FENCE: Final = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)

NAVIGATION: Final[dict[str, Sequence[str]]] = {
    "Start": ("index.md", "quick-start.md", "concepts.md", "features.md"),
    "Queue": (
        "tasks.md", "periodic-tasks.md", "hooks-and-signals.md", "consumer.md", "delivery.md", "testing.md",
        "administration.md", "looking.md", "redis.md",
    ),
    "Observe": (
        "events.md", "metrics.md", "exactness.md", "exporter.md", "tracing.md", "tracing-export.md", "dashboards.md",
        "live-page.md", "alerts.md", "drill.md",
    ),
    "Runbooks": ("runbooks/*.md",),
    "Run": ("deployment.md", "kubernetes.md", "scaling.md", "security.md", "compatibility.md"),
    "Migrate": ("migrating-from-huey.md", "migrating-from-celery.md"),
    "Inside": ("architecture.md", "benchmarks.md", "chaos.md", "chaos-exporter.md", "changelog.md"),
    "Decisions": ("adr/*.md",),
}  # fmt: skip
"""Which pages stand where, by name or pattern. One that is named nowhere comes last, under "More"."""


def pages() -> dict[str, str]:
    """All pages of the site by their name, as they are written."""
    found = {
        str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))
    }
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return found | {"changelog.md": changelog.replace("](docs/", "](")}


def navigation(names: Sequence[str]) -> dict[str, list[str]]:
    """The sections with their pages."""
    sections = {
        section: [name for one in chosen for name in names if _is(name, one)]
        for section, chosen in NAVIGATION.items()
    }
    placed = {name for found in sections.values() for name in found}
    sections["More"] = [name for name in names if name not in placed]
    return {section: found for section, found in sections.items() if found}


def _is(name: str, chosen: str) -> bool:
    return Path(name).parent == Path(chosen).parent and Path(name).match(chosen)


def staged(name: str, text: str) -> Iterator[tuple[str, str | Path]]:
    """The page with its links led to where things are on the site, and the files of the repository that it links to."""
    home = DOCS / name if name != "changelog.md" else DOCS / "changelog.md"
    outside: list[Path] = []

    def led(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        path = (home.parent / target).resolve()
        if "://" in target or path.is_relative_to(DOCS):
            return found[0]
        if path == ROOT / "README.md":
            return f"{before}{_up(name)}index.md{after}"
        if path == ROOT / "CHANGELOG.md":
            return f"{before}{_up(name)}changelog.md{after}"
        outside.extend(
            [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())[:1]
        )
        return f"{before}{_up(name)}{_place(outside[-1])}{after}"

    yield name, _outside_of_code(text, lambda part: LINK.sub(led, part))
    yield from ((_place(path), path) for path in outside)


def _outside_of_code(text: str, change: Callable[[str], str]) -> str:
    parts, at = [], 0
    for block in FENCE.finditer(text):
        parts += [change(text[at : block.start()]), block[0]]
        at = block.end()
    return "".join([*parts, change(text[at:])])


def _up(name: str) -> str:
    return "../" * name.count("/")


def _place(path: Path) -> str:
    return f"repository/{path.relative_to(ROOT)}.txt"


def lay_out() -> None:
    """Write what zensical builds from."""
    shutil.rmtree(STAGE, ignore_errors=True)
    written = pages()
    for name, text in written.items():
        for place, content in staged(name, text):
            path = STAGE / "pages" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                shutil.copyfile(content, path)
            else:
                path.write_text(content, encoding="utf-8")
    for path in DOCS.rglob("*"):
        if path.suffix in {".png", ".svg"}:
            target = STAGE / "pages" / path.relative_to(DOCS)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    settings = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    listed = ",\n".join(
        f"  {{ {json.dumps(section)} = {json.dumps(names)} }}"
        for section, names in navigation(list(written)).items()
    )
    (STAGE / "zensical.toml").write_text(
        settings.replace("[project]\n", f"[project]\nnav = [\n{listed},\n]\n", 1)
    )


def main() -> int:
    """Lay out, and build (or serve)."""
    lay_out()
    words = ["serve"] if sys.argv[1:] == ["serve"] else ["build", "--clean", "--strict"]
    zensical = Path(sys.executable).with_name("zensical")
    done = subprocess.run([zensical, *words], cwd=STAGE, check=False)  # noqa: S603
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
