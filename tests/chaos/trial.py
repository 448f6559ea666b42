"""One run of chaos from beginning to end: play, drain, gather the evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import redis
from exporters import Scraped

from limelight.errors import TaskException

from .census import Queue, census
from .evidence import Evidence
from .ledger import facts
from .reader import Reader
from .schedule import Strike, strikes
from .stage import WORKERS, Stage
from .story import stories
from .target import chaos_queue
from .totals import EXACT, Key

PRODUCE_SECONDS: Final = 90.0
"""Producers that were held up may take this long after the last fault."""
DRAIN_SECONDS: Final = 60.0
"""When nothing strikes any more and nothing is enqueued, no longer than this passes until fewer tasks are left."""
_DRAIN_AT_MOST_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 20.0
_AGE_SECONDS: Final = 90_000.0
_FORGET_SECONDS: Final = 25.0


def run(stage: Stage, told: Callable[[Strike], None]) -> Evidence:
    """Play the plan's faults, then see how it ends."""
    plan = stage.plan
    stage.play(strikes(plan.seed, plan.seconds, stage.targets), told)
    left = drain(stage)
    left = retire_consumers(stage) or left
    stage.see_orphans()
    stage.reader.stop()
    samples = last_scrape(stage)
    results = read_results(stage)
    noted = [fact for ledger in stage.ledgers() for fact in facts(ledger)]
    leaks = count_keys(stage)
    return Evidence(
        events=stage.reader.events,
        seen=stage.reader.seen,
        mismatches=stage.reader.mismatches,
        noted=noted,
        moves=stage.clock.moves,
        disturbances=stage.disturbances,
        lives={name: actor.lives for name, actor in stage.actors.items()},
        samples=samples,
        results=results,
        leaks=leaks,
        left=left,
        problems=[*stage.problems, *stage.scraper.problems, *stage.log_problems()],
    )


def retire_consumers(stage: Stage) -> int:
    """Stop the consumers; what they enqueue to the last is run by one that enqueues nothing; returns what is left."""
    sweeper = stage.add_sweeper()
    for consumer in stage.of("consumer"):
        stage.retire(consumer, _STOP_SECONDS)
    stage.wait(lambda: stage.reader.left == 0, _STOP_SECONDS)
    stage.retire(sweeper, _STOP_SECONDS)
    return stage.reader.left


def drain(stage: Stage) -> int:
    """Nothing strikes any more: wait until everything has ended, or nothing does; returns how many tasks have not."""
    for line in stage.lines.values():
        line.pass_on()
    stage.clock.move_to(stage.clock.furthest)  # or what was delayed while it was ahead would wait for minutes
    if not stage.wait(lambda: stage.producers_are_done, PRODUCE_SECONDS):
        stage.problems.append(f"producers were not done {PRODUCE_SECONDS:.0f} s after the last fault")
    until, reader = time.monotonic() + _DRAIN_AT_MOST_SECONDS, stage.reader
    while (fewest := reader.left) and time.monotonic() < until:
        if not stage.wait(partial(falls_below, reader, fewest), DRAIN_SECONDS):
            break
    return reader.left


def falls_below(reader: Reader, fewest: int) -> bool:
    """Whether fewer tasks are left than at the last look back."""
    return reader.left < fewest


def last_scrape(stage: Stage) -> dict[Key, float] | None:
    """The exact counters as the exporter serves them at the end; then it is stopped."""
    stage.scraper.stop()
    if not stage.wait(stage.exporter_is_ready, _STOP_SECONDS):
        stage.problems.append("the exporter was not ready at the end")
        return None
    samples = Scraped(stage.scraper.url).samples
    if samples.get(("limelight_exporter_queue_current", frozenset({("queue", stage.keys.queue)}))) != 1:
        stage.problems.append("the exporter's last scrape was not current")
    stage.retire(stage.actors["exporter"], _STOP_SECONDS)
    return {key: value for key, value in samples.items() if key[0] in EXACT}


def read_results(stage: Stage) -> dict[str, tuple[str, Any]]:
    """What can be read of every task that should have left something."""
    queue = chaos_queue(stage.server.url)
    found = {}
    for story in stories(stage.reader.events).values():
        if story.end and story.end not in {"revoked", "expired"} and not story.is_periodic:
            try:
                value = queue.result(story.id)
                found[story.id] = ("none" if value is None else "value", value)
            except TaskException as failure:
                found[story.id] = ("failure", str(failure))
    queue.close()
    return found


def count_keys(stage: Stage) -> list[str]:
    """What is in Redis when all is over, and where the clock can be moved also a day later."""
    lives = sum(len(actor.lives) for actor in stage.actors.values())
    with redis.Redis.from_url(stage.server.url) as client:
        found = census(Queue(client, stage.keys, producers=lives * (2 * WORKERS + 4), aged=False))
        if stage.clock.movable:
            grow_old(stage, client)
            found += census(Queue(client, stage.keys, producers=0, aged=True))
    return found


def grow_old(stage: Stage, client: redis.Redis) -> None:
    """Let a day pass, with one consumer to tidy up."""
    before: Any = client.time()
    stage.clock.move_to(stage.clock.furthest + _AGE_SECONDS)
    stage.wait(lambda: client.time()[0] - before[0] > _AGE_SECONDS / 2, _FORGET_SECONDS)
    dead: Any = client.hkeys(stage.keys["consumers"])
    caretaker = stage.add_caretaker()
    lanes, consumers = stage.keys["lanes"], stage.keys["consumers"]
    before_tidying = client.hlen(lanes)
    stage.wait(
        lambda: (
            is_tidy(client, consumers, dead) and (before_tidying <= 1 or client.hlen(lanes) < before_tidying)
        ),
        _FORGET_SECONDS,
    )
    stage.retire(caretaker, _STOP_SECONDS)


def is_tidy(client: redis.Redis, consumers: str, dead: list[bytes]) -> bool:
    """Whether the dead are forgotten, and only the caretaker is known."""
    known: Any = client.hkeys(consumers)
    return len(known) == 1 and known[0] not in dead
