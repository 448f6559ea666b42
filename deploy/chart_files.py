"""Copy the rules and dashboards into the chart, which cannot read outside of its folder.

`--check` says what is stale, and changes nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
TARGET: Final = ROOT / "deploy/helm/limelight/files"
SOURCES: Final = {"deploy/prometheus/*.rules.yaml": "", "grafana/dashboards/*.json": "dashboards"}


def wanted() -> dict[Path, bytes]:
    """What the chart's folder should hold."""
    return {
        TARGET / folder / source.name: source.read_bytes()
        for pattern, folder in SOURCES.items()
        for source in ROOT.glob(pattern)
    }


def stale(files: dict[Path, bytes]) -> Iterator[Path]:
    """Files of the folder that are missing, changed, or not wanted any more."""
    there = {path for path in TARGET.rglob("*") if path.is_file()}
    yield from sorted(there - files.keys())
    yield from (path for path, text in files.items() if path not in there or path.read_bytes() != text)


def main() -> int:
    """Copy, or with ``--check`` say what is stale: then 1."""
    files = wanted()
    found = list(stale(files))
    for path in found:
        if "--check" in sys.argv[1:]:
            print(f"{path.relative_to(ROOT)} is stale: run `make generate`")
        elif path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(files[path])
        else:
            path.unlink()
    return 1 if found and "--check" in sys.argv[1:] else 0


if __name__ == "__main__":
    sys.exit(main())
