"""How a queue's tasks are traced: what travels with a message, and what is current while a run's code runs."""

from __future__ import annotations

import datetime as dt
import functools
import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from .errors import ConfigurationError
from .privacy import Privacy
from .recording import Recording
from .task import as_seconds
from .tracecontext import NOTHING, Allowance, TraceContext, allowed_baggage, current_run

log = logging.getLogger("limelight")

PARENT: Final = "parent"
LINK: Final = "link"
MODES: Final = (PARENT, LINK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """How the tasks of a queue are traced.

    Attributes:
        mode: "parent": a run is a child of the span in which its task was enqueued, all in one trace. "link": a run
            begins a trace of its own, with a link to that span. A task may say otherwise with ``trace_mode``.
        link_after: A run that starts so much later than its trace began (seconds or a timedelta) begins a new
            trace with a link, whatever the mode.
        fanout: How many tasks that one run, or one bulk enqueue, enqueues are in its trace; each further one begins
            a trace of its own, with a link.
        baggage: Keys of the caller's baggage that may travel with a message, 1 kB of it at most.
    """

    mode: str = PARENT
    link_after: float | dt.timedelta = 3_600.0
    fanout: int = 100
    baggage: Sequence[str] = ()

    def __post_init__(self) -> None:
        faults = [
            *([] if self.mode in MODES else [f"mode must be one of {', '.join(MODES)}, not {self.mode!r}"]),
            *(
                []
                if type(self.fanout) is int and self.fanout >= 0
                else ["fanout must be a whole number from 0"]
            ),
            *(
                ["baggage must be several keys: write baggage=('tenant',)"]
                if isinstance(self.baggage, str)
                else []
            ),
        ]
        if faults:
            raise ConfigurationError(f"tracing: {'; '.join(faults)}")
        object.__setattr__(self, "baggage", tuple(self.baggage))
        as_seconds(self.link_after)


class Departure(NamedTuple):
    """Where something is enqueued.

    Attributes:
        parent: The span that is current there, None if there is none.
        headers: What else travels along.
        allowance: How many more tasks may be children of the current run; None outside of one.
        within: Span id of the current run, where `parent` is a span of the application in it.
    """

    parent: TraceContext | None = None
    headers: Mapping[str, str] = NOTHING
    allowance: Allowance | None = None
    within: str = ""


def departure(tracing: Tracing) -> Departure:
    """Of what is being enqueued now: in the application's current span, else in the current run."""
    run = current_run.get()
    telemetry = (
        loaded() if "opentelemetry.trace" in sys.modules else None
    )  # a producer need not import it for us
    if telemetry is not None:
        try:
            parent, headers = telemetry.departure(tracing.baggage)
        except Exception as error:  # a propagator of the application's own
            _complain(f"what travels with a message cannot be read: {error!r}")
            parent, headers = None, {}
        if run is None:
            return Departure(parent, headers)
        if parent is not None:
            if parent.trace_id != run.trace_id:
                return Departure(parent, headers, run.allowance)
            within = "" if parent.span_id == run.span_id else run.span_id
            return Departure(replace(parent, started_at=run.started_at), headers, run.allowance, within)
    if run is None:
        return Departure()
    return Departure(run, _passed_on(run, tracing) if run.headers else NOTHING, run.allowance)


def _passed_on(run: TraceContext, tracing: Tracing) -> dict[str, str]:
    header = allowed_baggage(run.headers.get("baggage", ""), tracing.baggage)
    others = {name: value for name, value in run.headers.items() if name != "baggage"}
    return {"baggage": header, **others} if header else others


def recording(run: TraceContext, privacy: Privacy) -> Recording | None:
    """Where to keep what a run's code puts on its span; None where it could not, or where nobody would see it."""
    return Recording(privacy) if run.is_sampled and loaded() is not None else None


def enter(run: TraceContext, kept: Recording | None) -> Any:
    """From now on the spans and logs of OpenTelemetry, if it is there, are of this run.

    Returns what `leave` must be given, in the same thread or async task.
    """
    telemetry = loaded()
    if telemetry is None:
        return None
    try:
        return telemetry.enter(run, kept)
    except Exception as error:  # a propagator of the application's own, or ids that are none
        _complain(f"what came with a message cannot be used: {error!r}")
    try:
        return telemetry.enter(replace(run, headers={}), kept)
    except Exception as error:
        _complain(f"the span of a run cannot be made current: {error!r}")
        return None


def leave(token: Any) -> None:
    """Undo `enter`."""
    if token is not None:
        loaded().leave(token)


@functools.lru_cache(maxsize=100)
def _complain(problem: str) -> None:
    """Once: what telemetry cannot do stops no task."""
    log.warning("OpenTelemetry: %s", problem)


@functools.cache
def loaded() -> Any:
    """The module that knows OpenTelemetry; None where its API is not installed, or cannot be used."""
    try:
        return importlib.import_module("limelight.telemetry")
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "opentelemetry":
            raise
    except Exception as error:  # a propagator in OTEL_PROPAGATORS that is not installed, say
        log.warning("OpenTelemetry cannot be used, so the spans of runs are not current in it: %s", error)
    return None
