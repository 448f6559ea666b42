"""What the page says first: one sentence, and at most two more for the reason. Pure.

The first rule that holds decides, and among the queues the worst one. The thresholds are those of the alerts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from limelight_exporter import thresholds

from . import formats
from .facts import Facts, QueueFacts, overdue_seconds
from .history import SLOTS
from .tallies import Tally

_MANY_OF_ONE_TYPE: Final = 10
_NOTHING_FINISHED_SECONDS: Final = 60
_SHORTEST_KNOWN_SECONDS: Final = 30
"""A rate over less than this says too little to call a queue stalled."""


_LISTENS: Final = (
    "The exporter is connected and listens. A queue appears here with its first consumer or its first task; "
    "nothing needs to be configured."
)


class Flag(NamedTuple):
    """What is the matter with a queue: the word beside its name.

    Attributes:
        rank: The lower the worse.
        kind: ``fail``, ``warn``, ``off`` or "".
    """

    rank: int
    kind: str
    word: str


FINE: Final = Flag(99, "", "")
_NO_CONSUMER: Final = Flag(10, "fail", "no consumer")
_STALLED: Final = Flag(20, "fail", "stalled")
_FALLING: Final = Flag(30, "warn", "falling behind")
_BEHIND: Final = Flag(31, "warn", "behind")
_ERRORS: Final = Flag(40, "fail", "errors")
_LATE: Final = Flag(50, "warn", "schedule late")
_PAUSED: Final = Flag(70, "off", "paused")
_IDLE: Final = Flag(80, "off", "idle")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The sentence.

    Attributes:
        kind: ``down``, ``replay``, ``fail``, ``warn``, ``fine``, ``idle`` or ``empty``: the class of state.
        subject: The queue, task or schedule that the sentence begins with, "" for none.
        sentence: What follows it.
        reasons: At most two sentences.
    """

    kind: str
    subject: str
    sentence: str
    reasons: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The whole sentence."""
        return f"{self.subject} {self.sentence}" if self.subject else self.sentence


def flag_of(queue: QueueFacts) -> Flag:
    """What is the worst that is the matter with a queue."""
    return min(_flags(queue), default=FINE)


def _flags(queue: QueueFacts) -> Iterator[Flag]:
    if queue.view is None:
        return
    if queue.is_paused:
        yield _PAUSED
    else:
        yield from _waiting(queue)
    if queue.flow is not None:
        yield from _failing(queue, queue.flow.total)
        quiet = not (queue.now.ready or queue.now.busy or queue.view.running or queue.flow.minute.attempts)
        if quiet and not queue.is_paused:
            yield _IDLE
    if queue.late:
        yield _LATE


def _waiting(queue: QueueFacts) -> Iterator[Flag]:
    if queue.has_work and not queue.workers:
        yield _NO_CONSUMER
    if queue.is_old:
        yield _STALLED if _stands_still(queue) else _FALLING if queue.grew else _BEHIND


def _stands_still(queue: QueueFacts) -> bool:
    """Whether nothing is finished, and no run that takes its time is the reason."""
    flow, view = queue.flow, queue.view
    if flow is None or view is None or flow.minute_seconds < _SHORTEST_KNOWN_SECONDS or flow.minute.completed:
        return False
    longest = view.now - view.oldest_running if view.oldest_running else 0.0
    return not queue.now.busy or longest > thresholds.STALLED_SECONDS


def _failing(queue: QueueFacts, total: Tally) -> Iterator[Flag]:
    if worst_task(queue) or any(
        group.within(_oldest(queue)) >= _MANY_OF_ONE_TYPE for group in queue.failures
    ):
        yield _ERRORS
    if total.dead:
        yield Flag(41, "fail", f"{formats.count(total.dead)} dead")
    if total.lost:
        yield Flag(42, "fail", f"{formats.count(total.lost)} lost")


def _oldest(queue: QueueFacts) -> int:
    return int((queue.view.now if queue.view else 0) // 10) - SLOTS


def short_name(error_type: str) -> str:
    """A class's name without its module."""
    return error_type.rpartition(".")[2] or error_type


def worst_task(queue: QueueFacts) -> tuple[str, Tally] | None:
    """The task of a queue that fails most, if any fails more than it may."""
    if queue.flow is None:
        return None
    failing = [
        (task, tally)
        for task, tally in queue.flow.window.items()
        if tally.failed >= thresholds.FEWEST_FAILED_ATTEMPTS
        and tally.failed > thresholds.FAILED_ATTEMPTS_SHARE * tally.attempts
    ]
    return max(failing, key=lambda one: (one[1].failed / one[1].attempts, one[1].failed), default=None)


def verdict_of(facts: Facts) -> Verdict:
    """What to say first."""
    if facts.down_since is not None:
        return _down(facts)
    if facts.replay is not None:
        return _replaying(*facts.replay)
    if not facts.queues:
        return Verdict("empty", "", "No queue yet.", (_LISTENS,))
    ranked = sorted(((flag_of(queue), queue.name, queue) for queue in facts.queues), key=lambda one: one[:2])
    flag, _, worst = ranked[0]
    if flag.rank < _PAUSED.rank:
        others = sum(1 for other, _, _ in ranked[1:] if other.rank < _PAUSED.rank)
        return _troubled(flag, worst, others, facts)
    return _lagging(facts) or _well(facts, ranked)


def _down(facts: Facts) -> Verdict:
    return Verdict(
        "down", "", f"Nothing is known since {formats.clock(facts.now)} UTC.",
        ("The exporter keeps trying. Counters lose nothing: it reads what happened meanwhile when Redis is back.",),
    )  # fmt: skip


def _replaying(part: float, left: float | None) -> Verdict:
    rest = f", about {formats.whole_seconds(max(1.0, left))} left" if left is not None else ""
    return Verdict(
        "replay", "", "The exporter is reading what it missed.",
        (f"{int(part * 100)} % done{rest}. Numbers from events follow; what Redis holds now is live.",),
    )  # fmt: skip


def _troubled(flag: Flag, queue: QueueFacts, others: int, facts: Facts) -> Verdict:
    tail = (
        "" if len(facts.queues) == 1
        else " Everything else keeps up." if not others
        else f" {formats.plural(others, 'other queue needs', 'other queues need')} a look too."
    )  # fmt: skip
    subject, sentence, reasons = _TOLD[flag.rank](queue)
    return Verdict(flag.kind, subject, sentence + tail, tuple(reason for reason in reasons if reason))


def _waits(queue: QueueFacts, more: str) -> str:
    if not queue.now.ready:
        return "What was begun or is due is not done."
    tasks = formats.plural(queue.now.ready, "task waits", "tasks wait")
    return f"{tasks}, the oldest for {formats.duration(queue.now.oldest_seconds)}{more}."


def _no_consumer(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    gone = queue.view is not None and len(queue.view.consumers) > 0
    silent = "Its consumers have gone silent." if gone else "Nobody works on this queue."
    return queue.name, "has no consumer.", (_waits(queue, ""), silent)


def _stalled(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    busy = (
        f"All {queue.now.busy} busy workers have been at the same tasks for long." if queue.now.busy else ""
    )
    return queue.name, "stands still.", (_waits(queue, ", and nothing was finished in the last minute"), busy)


def _falling(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    return queue.name, "is falling behind.", (_waits(queue, _hands(queue)), _growth(queue))


def _behind(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    return queue.name, "is behind, and catching up.", (_waits(queue, _hands(queue)), "")


def _hands(queue: QueueFacts) -> str:
    if not queue.workers or queue.now.busy < thresholds.SATURATED_SHARE * queue.workers:
        return f"; {queue.now.busy} of {formats.plural(queue.workers, 'worker')} busy"
    both = {1: "its only worker is", 2: "both of its workers are"}
    return f", and {both.get(queue.workers, f'all {queue.workers} workers are')} busy"


def _growth(queue: QueueFacts) -> str:
    grown = queue.now.ready - queue.beats[0].ready if queue.beats else 0
    return f"{formats.count(grown)} more than five minutes ago." if grown > 0 else ""


def _errors(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    failing, oldest = worst_task(queue), _oldest(queue)
    groups = sorted(queue.failures, key=lambda group: -group.within(oldest))
    top = next((group for group in groups if failing is None or group.task == failing[0]), None)
    often = top.within(oldest) if top else 0
    reason = (
        f"{formats.visible(short_name(top.error_type))} {formats.plural(often, 'time')} in the last five minutes."
        if top
        else ""
    )
    if failing is None:
        return formats.visible(top.task if top else queue.name), "fails now and then.", (reason,)
    task, tally = failing
    sentence = f"fails: {formats.share(tally.failed, tally.attempts)} of its attempts in 5 minutes."
    dead = queue.flow.total.dead if queue.flow else 0
    after = f"{formats.plural(dead, 'task is', 'tasks are')} dead." if dead else f"On queue {queue.name}."
    return formats.visible(task), sentence, (reason, after)


def _dead(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    new = queue.flow.total.dead if queue.flow else 0
    told = f"has {formats.plural(new, 'new dead letter')}."
    return queue.name, told, (f"limelight queue dead ls {queue.name} lists them.",)


def _lost(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    lost = queue.flow.total.lost if queue.flow else 0
    return (
        queue.name,
        f"lost {formats.plural(lost, 'worker')} in the middle of a task.",
        ("What they ran is tried again.",),
    )


def _late(queue: QueueFacts) -> tuple[str, str, Sequence[str]]:
    now = queue.view.now if queue.view else 0.0
    worst = max(queue.late, key=lambda one: overdue_seconds(one, now))
    since = formats.duration(now - (worst.unmet or now))
    return (
        formats.visible(worst.name),
        "is late.",
        (f"It was due {since} ago, and no run has succeeded since.",),
    )


_TOLD: Final = {
    _NO_CONSUMER.rank: _no_consumer,
    _STALLED.rank: _stalled,
    _FALLING.rank: _falling,
    _BEHIND.rank: _behind,
    _ERRORS.rank: _errors,
    41: _dead,
    42: _lost,
    _LATE.rank: _late,
}


def _lagging(facts: Facts) -> Verdict | None:
    behind = max((queue.behind_seconds for queue in facts.queues), default=0.0)
    if behind > thresholds.EVENT_LAG_SECONDS:
        told = f"The exporter is {formats.duration(behind)} behind."
        return Verdict("warn", "", told, ("Numbers from events are that old.",))
    lost = sum(queue.lost for queue in facts.queues)
    if lost:
        told = f"{formats.plural(lost, 'event was', 'events were')} gone before they could be read."
        return Verdict(
            "warn", "", told, ("Counts are too low by what they told: see the exporter's settings in Redis.",)
        )
    return None


def _well(facts: Facts, ranked: Sequence[tuple[Flag, str, QueueFacts]]) -> Verdict:
    held = [queue for flag, _, queue in ranked if flag == _PAUSED and queue.now.ready]
    if held:
        return Verdict(
            "fine", held[0].name, "is paused." + (" Everything else keeps up." if len(facts.queues) > 1 else ""),
            (_waits(held[0], ""),),
        )  # fmt: skip
    many, workers = len(facts.queues), sum(queue.workers for queue in facts.queues)
    if all(flag in {_IDLE, _PAUSED} for flag, _, _ in ranked):
        empty = "All queues are empty" if many > 1 else "The queue is empty"
        idle = f"{formats.plural(workers, 'worker waits', 'workers wait')}" if workers else "no worker waits"
        return Verdict(
            "idle", "", "Nothing to do.", (f"{empty.replace('All queues', f'All {many} queues')}, {idle}.",)
        )
    out = sum(queue.flow.minute.completed / queue.flow.minute_seconds for queue in facts.queues if queue.flow)
    oldest = max(queue.now.oldest_seconds for queue in facts.queues)
    waits = f", and the oldest task waits {formats.duration(oldest)}" if oldest else ""
    reason = f"{formats.rate(out)} tasks a second are finished{waits}."
    if many == 1:
        return Verdict("fine", facts.queues[0].name, "keeps up.", (reason,))
    return Verdict("fine", "", f"All {many} queues keep up.", (reason,))
