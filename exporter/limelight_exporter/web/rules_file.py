"""Keeps the rules of the web configuration file as it is now; a new version that is bad changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

from limelight.errors import ConfigurationError
from limelight_exporter import catalog
from limelight_exporter.ports import Tally

from .rules import Rules, read_rules

LOOK_SECONDS: Final = 1.0
_Stamp: TypeAlias = tuple[tuple[int, int, int], ...]
_log = logging.getLogger(__name__)


class RulesFile:
    """The rules that hold now. `current` may be read by any thread, one alone calls `refresh`.

    Args:
        path: The file; "" for none, and then everybody is served in plain HTTP.
        tally: Is told whether the file, as it is now, was taken.

    Raises:
        ConfigurationError: The file as it is now cannot be used.
    """

    def __init__(self, path: str = "", tally: Tally | None = None) -> None:
        self._path = path
        self._tally = tally
        self._files: Sequence[Path] = (Path(path),) if path else ()
        self._seen: _Stamp = _stamp(self._files)
        self._wary = False
        self._trouble = ""
        self.current = Rules()
        if path:
            self._take(*read_rules(path))
            self._tell()

    @property
    def watched(self) -> bool:
        """Whether there is a file."""
        return bool(self._path)

    def refresh(self) -> None:
        """Read the file again if it, its certificates or its key changed; a bad one is told once, and not taken.

        What changed since the last look is read once more at the next: it may have been half written.
        """
        stamp = _stamp(self._files)
        changed = stamp != self._seen
        if not (changed or self._wary or self._trouble):
            return
        self._wary, self._seen = changed, stamp
        before = self._trouble
        try:
            self._take(*read_rules(self._path))
            self._trouble = ""
        except ConfigurationError as error:
            self._trouble = str(error)
        self._tell()
        if self._trouble and self._trouble != before:
            _log.error("the new web configuration cannot be used, the one before stays: %s", self._trouble)
        elif not self._trouble and (changed or before):
            _log.info("took the new web configuration of %s", self._path)

    def _take(self, rules: Rules, files: Sequence[Path]) -> None:
        if rules.warning and rules.warning != self.current.warning:
            _log.error("%s", rules.warning)
        self.current = rules
        if tuple(files) != tuple(self._files):
            self._files, self._seen = files, _stamp(files)

    def _tell(self) -> None:
        if self._tally is not None:
            self._tally.set(catalog.WEB_CONFIG_TAKEN, (), int(not self._trouble))


def _stamp(files: Sequence[Path]) -> _Stamp:
    """Tells versions of files apart."""
    return tuple(_one(path) for path in files)


def _one(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except (OSError, ValueError):
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)
