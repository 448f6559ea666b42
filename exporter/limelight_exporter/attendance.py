"""Which label values are still heard of, and which are gone: by the stream's own time, so that all exporters agree."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

import msgspec

UNKNOWN_ERROR: Final = "unknown"
"""The type of an error whose event does not name it."""
AWAY_HOURS: Final = 7 * 24
"""A task of which nothing is heard for this long is gone, if a consumer started meanwhile and did not name it."""


class SavedAttendance(msgspec.Struct, frozen=True, kw_only=True):
    """When each value was last heard of, in hours since 1970.

    Attributes:
        hour: The newest event's.
        announced: When a consumer last named its tasks.
    """

    tasks: dict[str, int] = {}
    error_types: dict[str, int] = {}
    hour: int = 0
    announced: int = 0


class Attendance:
    """Hears events, and says whom it has not heard of.

    Args:
        saved: What to go on from.
    """

    def __init__(self, saved: SavedAttendance) -> None:
        self._tasks, self._error_types = dict(saved.tasks), dict(saved.error_types)
        self._hour, self._announced = saved.hour, saved.announced

    def begin(self, hour: int) -> None:
        """The stream has come to this hour; it does not go back."""
        self._hour = max(self._hour, hour)

    def hear(self, label: str, values: Iterable[str]) -> None:
        """Note who is named in events of the hour that has begun."""
        self._of(label).update(dict.fromkeys(values, self._hour))

    def announce(self) -> None:
        """A consumer named its tasks in this hour."""
        self._announced = self._hour

    @property
    def hour(self) -> int:
        """The newest event's."""
        return self._hour

    @property
    def gone(self) -> Mapping[str, frozenset[str]]:
        """Label → values of which nothing was heard for a week; a task not even from a consumer that started since."""
        away = self._hour - AWAY_HOURS
        return {
            "task": _silent_since(self._tasks, min(away, self._announced)),
            "error_type": _silent_since(self._error_types, away),
        }

    def forget(self, label: str, values: Iterable[str]) -> None:
        """Note no longer when these were heard of."""
        heard = self._of(label)
        for value in values:
            heard.pop(value, None)

    def _of(self, label: str) -> dict[str, int]:
        return self._tasks if label == "task" else self._error_types

    def save(self) -> SavedAttendance:
        """A copy of everything."""
        return SavedAttendance(
            tasks=dict(self._tasks), error_types=dict(self._error_types),
            hour=self._hour, announced=self._announced,
        )  # fmt: skip


def names_any(values: Mapping[str, Container[str]], names: Sequence[str], labels: Sequence[str]) -> bool:
    """Whether one of these values stands in a series' labels.

    Args:
        values: Label → values.
        names: The labels of the series.
        labels: Their values, in the same order.
    """
    return bool(values) and any(
        value in values.get(name, ()) for name, value in zip(names, labels, strict=True)
    )


def _silent_since(heard: Mapping[str, int], hour: int) -> frozenset[str]:
    return frozenset(name for name, last in heard.items() if last < hour)
