"""A virtual environment for each peer, because their requirements of redis-py exclude each other."""

import subprocess
import sys
import venv
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from queues.contenders import LIMIT, OURS

BENCH: Final = Path(__file__).parents[1]
FOLDER: Final = BENCH.parent / ".bench-venv"
_HERE: Final = {OURS, LIMIT}


class CannotInstall(Exception):
    """An environment could not be made."""


def python(name: str) -> Path:
    """The interpreter that a contender runs in; ours is the one that runs the bench."""
    return Path(sys.executable) if name in _HERE else FOLDER / name / "bin" / "python"


def command(name: str, program: str) -> Path:
    """A program of an environment."""
    return python(name).with_name(program)


def versions(names: Iterable[str]) -> list[str]:
    """The pinned requirements of peers, such as ``huey==3.5.4``."""
    texts = (_requirements(name).read_text(encoding="utf-8") for name in names if name not in _HERE)
    return sorted({line for text in texts for line in text.split() if not line.startswith("redis")})


def ensure(names: Iterable[str], say: Callable[[str], None]) -> None:
    """Make the environments that are missing or whose pinned versions changed; raises CannotInstall."""
    for name in names:
        if name not in _HERE and not _fresh(name):
            say(f"installing {name} in {FOLDER.name}/{name}")
            _make(name)


def _requirements(name: str) -> Path:
    return BENCH / "requirements" / f"{name}.txt"


def _stamp(name: str) -> str:
    return f"{sys.version}\n{_requirements(name).read_text(encoding='utf-8')}"


def _fresh(name: str) -> bool:
    stamp = FOLDER / name / "stamp"
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _stamp(name)


def _make(name: str) -> None:
    venv.EnvBuilder(clear=True, with_pip=True).create(FOLDER / name)
    words = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*words, "-r", str(_requirements(name))], check=False, text=True, stderr=subprocess.PIPE
    )
    if done.returncode:
        raise CannotInstall(f"{name}: pip could not install {_requirements(name)}:\n{done.stderr.strip()}")
    (FOLDER / name / "stamp").write_text(_stamp(name), encoding="utf-8")
