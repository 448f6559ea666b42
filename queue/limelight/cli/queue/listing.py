"""How queues are listed: one row each, those first that need a look. Pure but for the look itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from limelight.cli.text import age, compact, counted, number
from limelight.inspection import QueueView

from .output import FAILED, LATE, RUNNING, Cell, Column

COLUMNS: Final = (
    Column("QUEUE", gives=True),
    Column("READY", right=True),
    Column("OLDEST", right=True),
    Column("RUN", right=True),
    Column("SCHED", right=True),
    Column("DEAD", right=True),
    Column("STATE"),
)
LATE_SECONDS: Final = 60.0
"""A ready task that is older than this is called late."""
SORTS: Final = ("oldest", "ready", "dead", "name")


def ordered(views: Sequence[QueueView], by: str) -> list[QueueView]:
    """The queues in an order of `SORTS`; equals by name."""
    named = sorted(views, key=lambda view: view.name)
    if by == "oldest":
        return sorted(named, key=lambda view: view.oldest_ready or float("inf"))
    if by in {"ready", "dead"}:
        return sorted(named, key=lambda view: getattr(view, by), reverse=True)
    return named


def workers(view: QueueView, now: float) -> tuple[int, int, int]:
    """Of consumers that were heard of lately: how many workers say they are busy, how many there are, in how many."""
    alive = [consumer for consumer in view.consumers if consumer.alive(now)]
    busy = sum(min(consumer.busy, consumer.workers) for consumer in alive)
    return busy, sum(consumer.workers for consumer in alive), len(alive)


def word(view: QueueView, now: float) -> str:
    """A queue in a word: the first that is true, the worst first."""
    _, size, consumers = workers(view, now)
    if view.mismatch:
        return "mismatch"
    if view.paused is not None:
        return "paused"
    if not consumers:
        return "no consumer"
    if view.oldest_ready is not None and now - view.oldest_ready > LATE_SECONDS:
        return "late"
    if view.ready and view.running >= size:
        return "busy"
    return "running" if view.running or view.ready else "idle"


def state(view: QueueView, now: float) -> tuple[str, str]:
    """The word with what belongs to it, and its style."""
    match chosen := word(view, now):
        case "mismatch":
            return f"{counted(abs(view.mismatch), 'task')} in no index", FAILED
        case "paused":
            return f"paused for {compact(max(0.0, now - (view.paused or now)))}", LATE
        case "no consumer":
            return chosen, FAILED if view.ready or view.running else ""
        case "late":
            return chosen, LATE
        case "idle":
            return chosen, ""
    return chosen, RUNNING


def row(view: QueueView, now: float, none: str) -> list[Cell]:
    """One queue; `none` stands where there is nothing."""
    _, size, _ = workers(view, now)
    waits = None if view.oldest_ready is None else now - view.oldest_ready
    return [
        Cell(view.name),
        Cell(number(view.ready)),
        Cell(none if waits is None else age(waits), LATE if waits and waits > LATE_SECONDS else ""),
        Cell(f"{view.running}/{size}" if size else number(view.running), RUNNING if view.running else ""),
        Cell(number(view.scheduled)),
        Cell(number(view.dead), FAILED if view.dead else ""),
        Cell(*state(view, now)),
    ]


def record(view: QueueView, now: float) -> dict[str, Any]:
    """One queue for machines; times are Unix seconds by Redis' clock."""
    busy, size, consumers = workers(view, now)
    return {
        "queue": view.name,
        "ready": view.ready,
        "scheduled": view.scheduled,
        "running": view.running,
        "dead": view.dead,
        "oldest_ready": view.oldest_ready,
        "oldest_running": view.oldest_running,
        "oldest_due": view.oldest_due,
        "consumers": consumers,
        "workers": size,
        "busy": busy,
        "paused": view.paused,
        "mismatch": view.mismatch,
        "state": word(view, now),
    }
