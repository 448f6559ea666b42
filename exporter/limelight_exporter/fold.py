"""Translate events into metric operations, in the catalogue's words. Pure: no clock, no Redis, no state.

Two keys decide everything: an event that carries ``outcome`` closes a run, one that carries ``end`` ends a task.
What an event does to the metrics follows from its kind; events of one kind differ by what they measured. So a fold
is asked once per kind, and not once per event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, Final, NamedTuple, TypeAlias

import msgspec

from limelight import events as contract
from limelight.slo import Objective, is_sound

from . import catalog
from .attendance import UNKNOWN_ERROR
from .labels import OTHER
from .ops import Add, Declare, Judge, Measure, Observe, Op, Spend

LONGEST_SECONDS: Final = 10 * 366 * 86_400.0
"""A duration beyond ten years is a mistake or an attack; it must not reach a sum."""
MOST_DROPPED: Final = 1_000_000_000

_RESULT: Final = {
    "success": "ok",
    "retry": "ok",
    "canceled": "ok",
    "locked": "ok",
    "rate_limited": "ok",
    "interrupted": "ok",
    "error": "failed",
    "timeout": "failed",
    "result_error": "failed",
}  # `lost` is missing: nobody measured that run
_TASK_COUNTERS: Final = {
    contract.EVENT_ENQUEUED: catalog.ENQUEUED,
    contract.EVENT_RETRYING: catalog.RETRIES,
    contract.EVENT_REDELIVERED: catalog.REDELIVERIES,
    contract.EVENT_SCHEDULING_PERIODIC: catalog.PERIODIC_SCHEDULED,
}
_SUCCEEDED: Final = {"success": "good", "result_error": "bad", "dead": "bad", "expired": "bad"}
"""Ends that an objective judges; what somebody took away, or a lock or a limit held off, is nobody's failure."""
_PHASES: Final = dict(
    zip(catalog.PHASES, (Measure.WAITED, Measure.RAN, Measure.BACKED_OFF, Measure.PARKED), strict=True)
)


Objectives: TypeAlias = Mapping[str, Objective]
"""What is asked of one task: ``wait``, ``duration``, ``latency``, ``success`` → threshold and target."""


class MetricEvent(msgspec.Struct, kw_only=True, gc=False):
    """What of an event reaches the metrics; what each key means stands in `limelight.events.Event`.

    Reading half of an event takes half the time, and a third of the memory, which is what most of the time goes into.
    """

    status: str
    queue: str
    seq: int
    timestamp: float
    error: bool = False
    v: int = contract.VERSION
    dropped: int = 0
    id: str | None = None
    task: str | None = None
    wait: float | None = None
    duration: float | None = None
    outcome: str | None = None
    end: str | None = None
    waited_seconds: float = 0.0
    ran_seconds: float = 0.0
    backed_off_seconds: float = 0.0
    parked_seconds: float = 0.0
    error_type: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    trace_flags: int = 0
    tasks: list[str] = []
    slo: dict[str, dict[str, Objective]] = {}


class PackedMetricEvent(msgspec.Struct, array_like=True, gc=False):
    """The same of a packed event: up to the last place that metrics need, see `limelight.packed_event`."""

    queue: ClassVar[None] = None  # the stream's
    error: ClassVar[bool] = False
    dropped: ClassVar[int] = 0
    error_type: ClassVar[str | None] = None
    tasks: ClassVar[Sequence[str]] = ()
    slo: ClassVar[Mapping[str, Objectives]] = {}

    v: int
    timestamp: Annotated[float, msgspec.Meta(ge=0, le=1e12)]
    emitter: object
    source: object
    status: str
    seq: int
    id: str | None
    task: str | None
    priority: object
    group_id: object
    group_size: object
    enqueued_at: object
    retries: object
    retry_delay: object
    run: object
    attempt: object
    max_attempts: object
    execute_time: object
    ready_at: object
    trace_id: str | None
    span_id: str | None
    parent_span_id: object
    trace_flags: int
    trace: object = None
    host: object = None
    pid: object = None
    worker: object = None
    service: object = None
    started_at: object = None
    wait: float | None = None
    trace_started_at: object = None
    links: object = None
    duration: float | None = None
    span_start: object = None
    span_end: object = None
    outcome: str | None = None
    further: object = None
    end: str | None = None
    first_ready_at: object = None
    waited_seconds: float = 0.0
    ran_seconds: float = 0.0
    backed_off_seconds: float = 0.0
    parked_seconds: float = 0.0


Told: TypeAlias = MetricEvent | PackedMetricEvent
decode: Final = msgspec.json.Decoder(MetricEvent).decode
DECODERS: Final[Mapping[bytes, Callable[[bytes], Told]]] = {
    b"e": decode,
    b"m": msgspec.msgpack.Decoder(PackedMetricEvent).decode,
}
"""By the field of the stream that holds an event; they raise ``msgspec.DecodeError`` on anything else."""


class Kind(NamedTuple):
    """What decides which metrics an event touches."""

    status: str
    task: str | None = None
    outcome: str | None = None
    end: str | None = None
    error: bool = False
    error_type: str | None = None

    @property
    def label(self) -> str:
        """The task as a label."""
        return self.task or contract.UNKNOWN_TASK


def fold(kind: Kind, objectives: Objectives) -> Iterator[Op]:
    """Say what each event of a kind does to the metrics of its queue.

    Labels are given as they came; whoever applies the operations bounds them, and passes over what an event did not
    measure.
    """
    status = kind.status
    yield Add(catalog.EVENTS, (status if status in contract.STATUSES else OTHER,))
    if counter := _TASK_COUNTERS.get(status):
        yield Add(counter, (kind.label,))
    if kind.outcome is not None:
        yield from _closed(kind, kind.outcome, objectives)
    if kind.end is not None:
        yield from _ended(kind, kind.end, objectives)
    if status == contract.EVENT_STARTED:
        yield Observe(catalog.WAIT, (kind.label,), Measure.WAIT)
        yield from _judged(kind, "wait", Measure.WAIT, objectives)
    elif status in contract.CONSUMER_ERRORS:
        yield Add(catalog.CONSUMER_ERRORS, (status,))
    elif status == contract.EVENT_CHECKING_PERIODIC:
        yield Add(catalog.PERIODIC_CHECKS)


def _closed(kind: Kind, outcome: str, objectives: Objectives) -> Iterator[Op]:
    yield Add(catalog.ATTEMPTS, (kind.label, outcome if outcome in contract.OUTCOMES else OTHER))
    if kind.error:
        yield Add(catalog.ERRORS, (kind.label, kind.error_type or UNKNOWN_ERROR))
    if (result := _RESULT.get(outcome)) is not None:
        yield Observe(catalog.DURATION, (kind.label, result), Measure.DURATION)
        yield from _judged(kind, "duration", Measure.DURATION, objectives)


def _ended(kind: Kind, end: str, objectives: Objectives) -> Iterator[Op]:
    yield Add(catalog.COMPLETED, (kind.label, end if end in contract.ENDS else OTHER))
    yield Observe(catalog.LATENCY, (kind.label,), Measure.LATENCY)
    for phase, measure in _PHASES.items():
        yield Spend(catalog.TIME, (kind.label, phase), measure)
    if end in _SUCCEEDED:
        yield from _judged(kind, "latency", Measure.LATENCY, objectives)
        if "success" in objectives:
            yield Add(catalog.SLO_EVALUATIONS, (kind.label, "success", _SUCCEEDED[end]))


def _judged(kind: Kind, name: str, measure: Measure, objectives: Objectives) -> Iterator[Op]:
    objective = objectives.get(name)
    if objective is not None and objective.threshold_seconds is not None:
        yield Judge(catalog.SLO_EVALUATIONS, (kind.label, name), measure, objective.threshold_seconds)


def remarks(event: Told, most_tasks: int) -> Iterator[Op]:
    """What one event tells beside its kind: whom a consumer serves, and what its emitter had to drop."""
    if event.status == contract.EVENT_CONSUMER_STARTED:
        yield from _announced(event, most_tasks)
    if 0 < event.dropped <= MOST_DROPPED:
        yield Add(catalog.EVENTS_LOST, (), event.dropped)
    elif event.dropped:
        yield Add(catalog.MALFORMED, ("dropped",))


def declared(event: Told, task: str) -> Objectives:
    """What a consumer that starts holds a task to; what cannot be an objective is passed over."""
    return {name: one for name, one in event.slo.get(task, {}).items() if is_sound(name, one)}


def _announced(event: Told, most_tasks: int) -> Iterator[Op]:
    """A consumer names its tasks: all their series exist from now on, at zero."""
    yield Declare(catalog.PERIODIC_CHECKS)
    for status in sorted(contract.CONSUMER_ERRORS):
        yield Declare(catalog.CONSUMER_ERRORS, (status,))
    for task in event.tasks[:most_tasks]:
        for metric in (
            catalog.ENQUEUED,
            catalog.RETRIES,
            catalog.REDELIVERIES,
            catalog.WAIT,
            catalog.LATENCY,
        ):
            yield Declare(metric, (task,))
        for outcome in contract.OUTCOMES:
            yield Declare(catalog.ATTEMPTS, (task, outcome))
        for end in contract.ENDS:
            yield Declare(catalog.COMPLETED, (task, end))
        for phase in catalog.PHASES:
            yield Declare(catalog.TIME, (task, phase))
        for result in catalog.RESULTS:
            yield Declare(catalog.DURATION, (task, result))
        for objective in declared(event, task):
            for verdict in catalog.VERDICTS:
                yield Declare(catalog.SLO_EVALUATIONS, (task, objective, verdict))
