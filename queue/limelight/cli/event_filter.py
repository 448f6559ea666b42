"""Which events are wanted. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from limelight.errors import ConfigurationError
from limelight.events import EVENT_DEAD, STATUSES, Event


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """What an event must be to be shown; what is empty asks nothing.

    Attributes:
        tasks: Patterns (``send_*``) of which its task must match one.
        statuses: One of these.
        errors: It tells of a failure, or of a task given up.
        ids: Beginnings of ids, one of which must be its task's.
        workers: Patterns of which its worker, its host or ``host/worker`` must match one.
    """

    tasks: tuple[str, ...] = ()
    statuses: frozenset[str] = frozenset()
    errors: bool = False
    ids: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()

    def wants(self, event: Event) -> bool:
        """Whether the event passes."""
        return (
            (not self.statuses or event.status in self.statuses)
            and (not self.errors or event.error or event.status == EVENT_DEAD)
            and (not self.ids or (event.id or "").startswith(self.ids))
            and (not self.tasks or _matches([event.task], self.tasks))
            and (not self.workers or _matches(_places(event), self.workers))
        )


def statuses(texts: Iterable[str]) -> frozenset[str]:
    """Statuses from ``finished`` and ``dead,lost``; raises ConfigurationError for one that there is not."""
    chosen = [word for text in texts for word in text.split(",") if word]
    for status in chosen:
        if status not in STATUSES:
            close = difflib.get_close_matches(status, STATUSES, 1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigurationError(
                f"there is no status {status!r}.{hint} There are: {', '.join(sorted(STATUSES))}"
            )
    return frozenset(chosen)


def _places(event: Event) -> Sequence[str | None]:
    return (event.worker, event.host, f"{event.host}/{event.worker}")


def _matches(values: Sequence[str | None], patterns: Sequence[str]) -> bool:
    return any(value is not None and fnmatchcase(value, pattern) for value in values for pattern in patterns)
