"""What was counted, kept in files: for when Redis forgets it while no exporter runs.

Files are written by rename, so one is whole or it is not there. They are not forced to disk: a kill loses nothing, a
power cut of this machine may.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from typing import Final

from limelight.errors import ConfigurationError

from .snapshot_format import Snapshot, UnreadableSnapshot, pack, unpack

_LOCK: Final = "lock"
_log = logging.getLogger(__name__)


class FloorFile:
    """One queue's file.

    Attributes:
        set_aside: How many could not be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._complained = False
        self.set_aside = 0

    def load(self) -> Snapshot | None:
        """What was kept last; None if nothing can be read. One that is unreadable is set aside, loudly."""
        try:
            return unpack(self._path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.error("%s cannot be read: %s", self._path, error.strerror)
            return None
        except UnreadableSnapshot as error:
            _log.error("%s cannot be used (%s); set aside", self._path, error)
            self.set_aside += 1
            self._path.replace(self._path.with_suffix(".unreadable"))
            return None

    def keep(self, snapshot: Snapshot) -> None:
        """Replace what was kept; a disk that refuses is told once and stops nothing."""
        fresh = self._path.with_suffix(".new")
        try:
            fresh.write_bytes(pack(snapshot))
            fresh.replace(self._path)
            self._complained = False
        except OSError as error:
            if not self._complained:
                _log.error("%s cannot be written: %s (trying again)", self._path, error.strerror)
            self._complained = True


class StateFolder:
    """A folder for one exporter's files; another that wants the same one is refused.

    Args:
        path: Made if it is not there.
        group: Exporter group, a part of the files' names.

    Raises:
        ConfigurationError: It cannot be written to, or is in use.
    """

    def __init__(self, path: Path, group: str) -> None:
        self._path, self._group = path, group
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise ConfigurationError(
                f"state folder {path} is in use by another exporter: give each exporter one of its own"
            ) from None
        except OSError as error:
            raise ConfigurationError(f"state folder {path} cannot be used: {error.strerror}") from None

    def file(self, queue: str) -> FloorFile:
        """The file of one queue."""
        return FloorFile(self._path / f"{self._group}@{queue}.snapshot")

    def queues(self, newer_than_seconds: float) -> list[str]:
        """The queues of which something was kept so recently: Redis may have forgotten even their names."""
        prefix, oldest = f"{self._group}@", time.time() - newer_than_seconds
        files = self._path.glob(f"{prefix}*.snapshot")
        return sorted(path.stem.removeprefix(prefix) for path in files if path.stat().st_mtime > oldest)

    def close(self) -> None:
        """Let another exporter have it."""
        os.close(self._lock)
