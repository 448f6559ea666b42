"""Write the dashboards' files anew from `boards`; `--check` says which are stale instead, and changes nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from boards.consumers import CONSUMERS
from boards.exporter import EXPORTER
from boards.frame import rendered
from boards.overview import OVERVIEW
from boards.queue import QUEUE
from boards.task import TASK

FOLDER: Final = Path(__file__).parent / "dashboards"
BOARDS: Final = (OVERVIEW, QUEUE, TASK, CONSUMERS, EXPORTER)


def stale() -> Iterator[Path]:
    """Files that are not what the code says; those that it does not know are among them."""
    fresh = {FOLDER / f"{board.uid}.json": rendered(board) for board in BOARDS}
    for path in sorted({*fresh, *FOLDER.glob("*.json")}):
        text = path.read_text(encoding="utf-8") if path.exists() else None
        if text != fresh.get(path):
            yield path


def main() -> int:
    """Write what is stale, or with `--check` name it and return 1."""
    paths = list(stale())
    if "--check" in sys.argv[1:]:
        for path in paths:
            print(f"{path.name} is stale: run make generate")
        return 1 if paths else 0
    FOLDER.mkdir(exist_ok=True)
    for board in BOARDS:
        (FOLDER / f"{board.uid}.json").write_text(rendered(board), encoding="utf-8")
    for path in paths:
        print(f"{path.name} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
