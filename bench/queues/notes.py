"""What tasks write down while they run, and how the bench reads it: files of numbers in shared memory.

Every contender's no-op task notes the clock in the same way, for about 0.2 µs and no trip to Redis, so counting
costs nobody more than another. A process has a file of its own, opened when its first task runs, so forks,
threads and event loops need no care. Clocks are CLOCK_MONOTONIC, which all processes of a machine share.
"""

import itertools
import mmap
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

FOLDER_VARIABLE: Final = "BENCH_NOTES"
CAPACITY: Final = 2_000_000
_CELL_BYTES: Final = 8


class Notes:
    """What this process' tasks write down: records of `width` whole numbers, each in a slot of its own."""

    def __init__(self, name: str, width: int) -> None:
        self._name, self._width = name, width
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def write(self, first: int, *rest: int) -> None:
        """Add a record; `first` must not be 0."""
        cells = self._cells
        if cells is None:
            cells = self._open()
        at = next(self._slots) * self._width
        if rest:
            for offset, number in enumerate(rest, 1):
                cells[at + offset] = number
        cells[at] = first  # last: a reader takes the record once this is there

    def _forget(self) -> None:
        self._cells: memoryview | None = None
        self._slots = itertools.count()
        self._lock = threading.Lock()

    def _open(self) -> memoryview:
        with self._lock:
            if self._cells is None:
                path = Path(os.environ[FOLDER_VARIABLE], f"{self._name}.{os.getpid()}")
                with path.open("xb+") as file:
                    file.truncate(CAPACITY * self._width * _CELL_BYTES)
                    self._cells = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
            return self._cells


_begun, _spans = Notes("begun", 1), Notes("spans", 4)


def note_begin() -> int:
    """What every no-op task does; returns 1, so that there is a result to store."""
    _begun.write(time.monotonic_ns())
    return 1


def note_span(index: int, seconds: float) -> int:
    """What tasks of a mixed load do: sleep (if at all), then note which task ran where from when to when."""
    began = time.monotonic_ns()
    if seconds:
        time.sleep(seconds)
    _spans.write(began, time.monotonic_ns(), index, threading.get_native_id())
    return 1


class Reader:
    """Reads what the tasks of one measurement wrote, while they write.

    Args:
        folder: Where their files are.
        name: ``begun`` (records of one time) or ``spans`` (began, ended, index, thread).
    """

    def __init__(self, folder: Path, name: str = "begun") -> None:
        self._folder, self._name = folder, name
        self._width = {"begun": 1, "spans": 4}[name]
        self._files: dict[Path, memoryview] = {}
        self._read: dict[Path, int] = {}

    def count(self) -> int:
        """How many records there are; cheap enough to ask every few milliseconds."""
        for path in self._folder.glob(f"{self._name}.*"):
            if path not in self._files and path.stat().st_size:
                with path.open("rb") as file:
                    view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
                self._files[path], self._read[path] = memoryview(view).cast("q"), 0
        for path, cells in self._files.items():
            at = self._read[path]
            while cells[at * self._width]:
                at += 1
            self._read[path] = at
        return sum(self._read.values())

    def records(self) -> list[tuple[int, ...]]:
        """All records, by their first number."""
        self.count()
        return sorted(self._all())

    def times(self) -> list[int]:
        """The first numbers of all records, in order: when tasks began."""
        return [record[0] for record in self.records()]

    def _all(self) -> Iterator[tuple[int, ...]]:
        for path, cells in self._files.items():
            for at in range(0, self._read[path] * self._width, self._width):
                yield tuple(cells[at : at + self._width])
