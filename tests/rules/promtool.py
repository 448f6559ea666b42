"""``promtool``, which says whether rules do what their tests say."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from missing import needed


def promtool(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    binary = needed(shutil.which("promtool"), "promtool", "apt install prometheus")
    return subprocess.run(
        [binary, *map(str, words)], cwd=cwd, capture_output=True, text=True, check=False, timeout=280
    )


def failures(files: Sequence[Path], at_once: int = 2) -> Iterator[tuple[Path, str]]:
    """The test files that fail, and what promtool says of them."""
    with ThreadPoolExecutor(at_once) as pool:
        for file, done in zip(
            files, pool.map(lambda file: promtool("test", "rules", file), files), strict=True
        ):
            if done.returncode:
                yield file, done.stdout + done.stderr
