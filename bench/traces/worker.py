"""What a trace costs a task in its worker: CPU µs per run of an empty task, from its message to its settlement.

Redis takes no part: what is measured is what the worker's process does for the trace beyond the rest. Off is
``tracing=None``; not installed is the same worker where OpenTelemetry's API cannot be imported. The producer's share is
measured beside it: composing the call and its spans.

  python bench/traces/worker.py
"""

import time
from collections.abc import Callable
from statistics import median

from opentelemetry import trace

from limelight import RedisQueue, Task, Tracing, tracing
from limelight.attempt import attempt
from limelight.job import Job
from limelight.storage.base import Handed, Lease

RUNS = 3_000
ROUNDS = 7
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NOT_INSTALLED = "tracing on, OpenTelemetry not installed"
WORKERS = {
    "tracing off": (None, 1),
    NOT_INSTALLED: (Tracing(), 1),
    "tracing on, not sampled": (Tracing(), 0),
    "tracing on, sampled": (Tracing(), 1),
    "tracing on, three attributes and an event": (Tracing(), 1),
}


def measure() -> dict[str, float]:
    """One round of rounds: the median of each, in CPU µs, and what tracing adds to a task that has it off."""
    taken: dict[str, list[float]] = {}
    for _ in range(ROUNDS):  # interleaved, for the machine is shared
        for name, (settings, flags) in WORKERS.items():
            run = worker(settings, flags, annotates="attributes" in name)
            with_api = tracing.loaded
            if name == NOT_INSTALLED:
                tracing.loaded = lambda: None  # type: ignore[assignment]
            try:
                taken.setdefault(f"worker: {name}, µs per task", []).append(micros(run))
            finally:
                tracing.loaded = with_api
        for name, settings in (("off", None), ("on", Tracing())):
            taken.setdefault(f"producer: tracing {name}, µs per call", []).append(micros(producer(settings)))
    figures = {name: median(values) for name, values in taken.items()}
    off = figures["worker: tracing off, µs per task"]
    added = {
        name.replace("worker:", "worker adds:"): value - off
        for name, value in figures.items()
        if name.startswith("worker: tracing on")
    }
    return figures | added


def worker(settings: Tracing | None, flags: int, *, annotates: bool) -> Callable[[], object]:
    """Runs one task as a worker does."""
    queue = RedisQueue("bench", tracing=settings)
    name = queue.task(name="annotate")(annotate) if annotates else queue.task(name="nothing")(nothing)
    registered = queue.registry[name.options.name]
    body = queue.parcel(Task(options=registered.options)).body
    handed = Handed(
        lease=Lease("3f2a91bc-5b1e-4c55-9f0e-3d3b3a1f2c77", "token"),
        started=True,
        name=registered.options.name,
        run=1,
        attempt=1,
        retries=0,
        retry_delay=0.0,
        redeliveries=0,
        trace_id=TRACE,
        span_id=SPAN,
        trace_flags=flags,
        traced_at=time.time(),
        started_at=time.time(),
        body=body,
    )
    return lambda: attempt(Job(queue, handed, registered, "worker-1", 0.0))


def producer(settings: Tracing | None) -> Callable[[], object]:
    """Composes one call as `enqueue` does."""
    queue = RedisQueue("bench", tracing=settings)
    options = queue.task(name="nothing")(nothing).options
    return lambda: queue.parcel(Task(options=options))


def nothing() -> None:
    """Do nothing."""


def annotate() -> None:
    """Put on the span what an application would."""
    span = trace.get_current_span()
    span.set_attribute("shop.order_id", 7)
    span.set_attribute("shop.currency", "EUR")
    span.set_attribute("shop.total", 12.5)
    span.add_event("priced")


def micros(run: Callable[[], object]) -> float:
    """CPU µs of one, over many."""
    run()
    began = time.process_time()
    for _ in range(RUNS):
        run()
    return (time.process_time() - began) / RUNS * 1e6


if __name__ == "__main__":
    for line, figure in measure().items():
        print(f"{figure:8.2f}  {line}")
