"""The six figures under the verdict: all queues in a glance."""

from __future__ import annotations

from collections.abc import Sequence

from limelight_exporter import thresholds

from . import formats
from .charts import spark
from .facts import Facts, QueueFacts
from .nodes import Child, Node, el
from .pulse import Beat
from .words import quiet, since


def figures(facts: Facts) -> Node:
    """Waiting, oldest, running, finished, failed, dead."""
    queues = facts.queues
    beats = _summed([queue.beats for queue in queues])
    return el(
        "dl",
        _waiting(queues, beats),
        _oldest(queues, beats),
        _running(queues, beats),
        _finished(queues),
        _failed(queues),
        _dead(facts, beats),
        cls="figures",
    )


def _figure(
    key: str,
    label: str,
    value: str,
    note: Sequence[Child | None],
    line: Sequence[float],
    *,
    kind: str = "",
    cls: str = "",
) -> Node:
    kind = kind if any(line) else "quiet"
    body = (
        el("div", quiet(value), key=f"fig:{key}", cls=f"n {cls}"),
        spark(line, kind, key=f"fig:{key}:line"),
        el("div", [part for part in note if part is not None], key=f"fig:{key}:note", cls="sub"),
    )
    return el("div", el("dt", label), el("dd", body), cls="fig")


def _waiting(queues: Sequence[QueueFacts], beats: Sequence[Beat]) -> Node:
    ready = sum(queue.now.ready for queue in queues)
    most = max(queues, key=lambda queue: queue.now.ready, default=None)
    note = ""
    if ready and most is not None and len(queues) > 1:
        note = f"{formats.count(most.now.ready)} of them in {most.name}"
    old = any(queue.is_old for queue in queues)
    line = [float(beat.ready) for beat in beats]
    return _figure(
        "waiting", "Waiting", formats.count(ready), [note or "tasks"], line, kind="warn" if old else ""
    )


def _oldest(queues: Sequence[QueueFacts], beats: Sequence[Beat]) -> Node:
    waiting = [queue for queue in queues if queue.now.ready]
    worst = max(waiting, key=lambda queue: queue.now.oldest_seconds, default=None)
    seconds = worst.now.oldest_seconds if worst else None
    old = worst is not None and worst.is_old
    return _figure(
        "oldest", "Oldest waiting", formats.duration(seconds), [f"in {worst.name}" if worst else "nothing waits"],
        [beat.oldest_seconds for beat in beats], kind="warn" if old else "", cls="is-warn" if old else "",
    )  # fmt: skip


def _running(queues: Sequence[QueueFacts], beats: Sequence[Beat]) -> Node:
    workers = sum(queue.workers for queue in queues)
    consumers = len({consumer.id for queue in queues for consumer in queue.consumers})
    note = f"of {formats.plural(workers, 'worker')}, {formats.plural(consumers, 'consumer')}"
    busy = sum(queue.now.busy for queue in queues)
    return _figure("running", "Running", formats.count(busy), [note], [float(beat.busy) for beat in beats])


def _finished(queues: Sequence[QueueFacts]) -> Node:
    flows = [queue.flow for queue in queues if queue.flow]
    if not flows and queues:
        return _figure("finished", "Finished", formats.NOTHING, ["still reading"], [])
    out = sum(flow.minute.completed / flow.minute_seconds for flow in flows)
    came = sum(flow.minute.enqueued / flow.minute_seconds for flow in flows)
    line = [sum(numbers) for numbers in zip(*(flow.out for flow in flows), strict=True)]
    return _figure(
        "finished", "Finished", f"{formats.rate(out)} /s", [f"{formats.rate(came)} /s came in"], line
    )


def _failed(queues: Sequence[QueueFacts]) -> Node:
    flows = [queue.flow for queue in queues if queue.flow]
    if not flows and queues:
        return _figure("failed", "Failed attempts", formats.NOTHING, ["still reading"], [])
    failed, attempts = sum(flow.total.failed for flow in flows), sum(flow.total.attempts for flow in flows)
    line = [sum(numbers) for numbers in zip(*(flow.failed for flow in flows), strict=True)]
    many = (
        failed >= thresholds.FEWEST_FAILED_ATTEMPTS and failed > thresholds.FAILED_ATTEMPTS_SHARE * attempts
    )
    return _figure(
        "failed", "Failed attempts", formats.share(failed, attempts) if attempts else "0 %",
        [f"{formats.count(failed)} of {formats.count(attempts)} in 5 min"], line,
        kind="fail", cls="is-fail" if many else "",
    )  # fmt: skip


def _dead(facts: Facts, beats: Sequence[Beat]) -> Node:
    dead = sum(queue.now.dead for queue in facts.queues)
    newest = max((group.dead_at for group in facts.failures), default=0.0)
    note: list[Child] = ["newest ", since(newest, facts.now)] if newest and dead else ["dead letters"]
    return _figure(
        "dead", "Dead", formats.count(dead), note, [float(beat.dead) for beat in beats], kind="quiet"
    )


def _summed(series: Sequence[Sequence[Beat]]) -> Sequence[Beat]:
    """All queues together, slot by slot back from the newest; of ages the highest."""
    longest = max(map(len, series), default=0)
    together = []
    for back in range(longest, 0, -1):
        at = [beats[-back] for beats in series if len(beats) >= back]
        together.append(
            Beat(
                sum(beat.ready for beat in at),
                max((beat.oldest_seconds for beat in at), default=0.0),
                sum(beat.busy for beat in at),
                sum(beat.dead for beat in at),
            )
        )
    return together
