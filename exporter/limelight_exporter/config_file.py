"""What the file of ``--config-file`` says: which queues, how finely, how much."""

from __future__ import annotations

import itertools
import math
import re
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from .catalog import BUCKETS, ERROR_TYPE_LIMIT, QUEUE_LIMIT, SERIES_LIMIT, TASK_LIMIT
from .yaml_file import Faults, read_text, shaped

MOST_BUCKETS: Final = 50
_PATTERN: Final = re.compile(r"[A-Za-z0-9._*?\[\]!-]{1,200}")


class QueueChoice(msgspec.Struct, frozen=True):
    """Which queues are exported, by patterns as the shell has them (``*``, ``?``, ``[a-z]``).

    Attributes:
        include: One of them must fit.
        exclude: None of them may.
    """

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def takes(self, queue: str) -> bool:
        """Whether a queue is exported."""
        return any(fnmatchcase(queue, pattern) for pattern in self.include) and not any(
            fnmatchcase(queue, pattern) for pattern in self.exclude
        )


class Limits(msgspec.Struct, frozen=True):
    """How much is kept, so that nobody's mistake fills the memory.

    Attributes:
        tasks: Values of ``task`` per queue; later ones are ``_other``.
        error_types: Likewise of ``error_type``.
        series: Label sets per queue; in later ones both are ``_other``.
        queues: Later ones are left out.
    """

    tasks: int = TASK_LIMIT
    error_types: int = ERROR_TYPE_LIMIT
    series: int = SERIES_LIMIT
    queues: int = QUEUE_LIMIT


class FileSettings(msgspec.Struct, frozen=True):
    """The whole file.

    Attributes:
        queues: Which are exported.
        buckets: Upper bounds of all histograms in seconds, rising.
        limits: Of labels and queues.
    """

    queues: QueueChoice = QueueChoice()
    buckets: tuple[float, ...] = BUCKETS
    limits: Limits = Limits()

    @property
    def shared(self) -> str:
        """What all exporters of a group must have alike, in one word."""
        limits = self.limits
        bounds = "/".join(f"{bound:g}" for bound in self.buckets)
        counts = f"tasks={limits.tasks},error_types={limits.error_types},series={limits.series}"
        return f"{counts},buckets={bounds}"


DEFAULTS: Final = FileSettings()


def read_settings(path: str) -> tuple[FileSettings, list[str]]:
    """The settings of a file, and what is wrong with it."""
    faults = Faults(path)
    made = shaped(read_text(path, faults), FileSettings, faults)
    _check_buckets(made.buckets, faults)
    for name in msgspec.structs.asdict(made.limits):
        if not 1 <= getattr(made.limits, name) <= 100_000:
            faults.add(f"limits.{name}", "takes 1 to 100000")
    for name in ("include", "exclude"):
        for pattern in getattr(made.queues, name):
            if not _PATTERN.fullmatch(pattern):
                faults.add(
                    f"queues.{name}", f"{pattern[:80]!r} fits no queue: their names are of A-Z a-z 0-9 . _ -"
                )
    return made, faults.told


def _check_buckets(buckets: tuple[float, ...], faults: Faults) -> None:
    if not 1 <= len(buckets) <= MOST_BUCKETS:
        faults.add(
            "buckets", f"takes 1 to {MOST_BUCKETS} bounds; each is one more series per task and histogram"
        )
    elif not all(math.isfinite(bound) and bound > 0 for bound in buckets):
        faults.add("buckets", "takes seconds above 0; the one without end is there always")
    elif any(low >= high for low, high in itertools.pairwise(buckets)):
        faults.add("buckets", "takes rising bounds, each once")
