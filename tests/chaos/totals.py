"""What an exporter must have counted: the events folded once more, by other means than its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeAlias

from .story import Told

Key: TypeAlias = tuple[str, frozenset[tuple[str, str]]]

EXACT: Final = frozenset({
    "limelight_events_total",
    "limelight_tasks_enqueued_total",
    "limelight_task_attempts_total",
    "limelight_task_errors_total",
    "limelight_task_retries_total",
    "limelight_task_redeliveries_total",
    "limelight_tasks_completed_total",
    "limelight_periodic_checks_total",
    "limelight_periodic_scheduled_total",
    "limelight_task_duration_seconds_count",
    "limelight_task_wait_seconds_count",
    "limelight_task_latency_seconds_count",
    "limelight_exporter_events_lost_total",
    "limelight_exporter_stream_rollbacks_total",
    "limelight_exporter_events_malformed_total",
    "limelight_exporter_series_overflow_total",
})  # fmt: skip
"""Counters that must be right to the last digit; what is not folded here must be 0."""

_BY_STATUS: Final = {
    "enqueued": "limelight_tasks_enqueued_total",
    "retrying": "limelight_task_retries_total",
    "redelivered": "limelight_task_redeliveries_total",
    "scheduling-periodic": "limelight_periodic_scheduled_total",
}
_FAILED: Final = frozenset({"error", "timeout", "result_error"})


def totals(events: Iterable[Told]) -> Counter[Key]:
    """The exact counters that these events come to."""
    counted: Counter[Key] = Counter()
    for event in events:
        for name, labels in _counted(event):
            labels["queue"] = event.queue
            counted[name, frozenset(labels.items())] += 1
        if event.dropped:
            counted["limelight_exporter_events_lost_total", frozenset({("queue", event.queue)})] += (
                event.dropped
            )
    return counted


def _counted(event: Told) -> Iterator[tuple[str, dict[str, str]]]:
    task = event.task or "_unknown"
    yield "limelight_events_total", {"event": event.status}
    if event.status in _BY_STATUS:
        yield _BY_STATUS[event.status], {"task": task}
    if event.status == "checking-periodic":
        yield "limelight_periodic_checks_total", {}
    if event.status == "started":
        yield "limelight_task_wait_seconds_count", {"task": task}
    if event.outcome is not None:
        yield "limelight_task_attempts_total", {"task": task, "outcome": event.outcome}
        if event.error:
            yield "limelight_task_errors_total", {"task": task, "error_type": event.error_type or "unknown"}
        if event.duration is not None:
            result = "failed" if event.outcome in _FAILED else "ok"
            yield "limelight_task_duration_seconds_count", {"task": task, "result": result}
    if event.end is not None:
        yield "limelight_tasks_completed_total", {"task": task, "outcome": event.end}
        if event.waited_seconds is not None:
            yield "limelight_task_latency_seconds_count", {"task": task}


def differences(events: Iterable[Told], samples: Mapping[Key, float]) -> list[str]:
    """Where the exporter's counters are not what the events come to."""
    wanted = totals(events)
    keys = set(wanted) | {key for key in samples if key[0] in EXACT}
    return [
        f"{name}{dict(sorted(labels))} is {samples.get((name, labels), 0):g}, must be {wanted[name, labels]}"
        for name, labels in sorted(keys, key=lambda key: (key[0], sorted(key[1])))
        if samples.get((name, labels), 0) != wanted[name, labels]
    ]
