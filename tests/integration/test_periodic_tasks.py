"""Periodic tasks on a real Redis whose clock is moved by hand: each due time once, over any number of consumers."""

from __future__ import annotations

import datetime as dt
import random
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import consuming, is_accounted_for, statuses, told
from servers import wait_until
from virtual_clock import VirtualClock

from limelight import RedisQueue, crontab, every
from limelight.consumer import Consumer, scheduler
from limelight.consumer.periodic import PeriodicTasks
from limelight.consumer.reporter import Reporter
from limelight.errors import RedisUnavailable

Declare = Callable[[RedisQueue], None]
NOON = "2026-06-01T12:00"


class Schedulers:
    """Periodic tasks as several consumers look at them, each with a connection and a registry of its own."""

    def __init__(self, url: str, clock: VirtualClock) -> None:
        self.url, self.clock = url, clock
        self.observer = RedisQueue("periodic", url=url)

    def start(self, declare: Declare) -> PeriodicTasks:
        """Another consumer; what it cannot enqueue it tells at once."""
        queue = self.clock.drive(RedisQueue("periodic", url=self.url))
        declare(queue)
        return PeriodicTasks(queue, Reporter(queue.storage))

    def fired(self, name: str = "task") -> list[str]:
        """The due times that were enqueued, in order, as "02 03:00"."""
        events = told(self.observer, status="scheduling-periodic", task=name)
        return [f"{dt.datetime.fromtimestamp(event['due'], dt.UTC):%d %H:%M:%S}" for event in events]


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(NOON)


@pytest.fixture
def schedulers(redis_url: str, clock: VirtualClock) -> Schedulers:
    return Schedulers(redis_url, clock)


def declaring(schedule: Any, **options: Any) -> Declare:
    """Declares one periodic task."""

    def declare(queue: RedisQueue) -> None:
        queue.periodic_task(schedule, name="task", **options)(lambda: None)

    return declare


# -- Days on which the clocks change -------------------------------------------------------------------
DAYS = {
    "Berlin, spring": ("Europe/Berlin", "2026-03-29", (30, 2), ["03:00 +0200"], 23 * 60),
    "Berlin, autumn": ("Europe/Berlin", "2026-10-25", (30, 2), ["02:30 +0200"], 25 * 60),
    "Lord Howe, autumn": ("Australia/Lord_Howe", "2026-04-05", (45, 1), ["01:45 +1100"], 24 * 60 + 30),
    "Lord Howe, spring": ("Australia/Lord_Howe", "2026-10-04", (15, 2), ["02:30 +1100"], 23 * 60 + 30),
    "Cairo, spring": ("Africa/Cairo", "2026-04-24", (0, 0), ["01:00 +0300"], 23 * 60),
    "Cairo, autumn": ("Africa/Cairo", "2026-10-29", (30, 23), ["23:30 +0300"], 25 * 60),
    "an ordinary day": ("Europe/Berlin", "2026-06-01", (30, 2), ["02:30 +0200"], 24 * 60),
}


class Day:
    """One day by the wall clock of a place, and what is to run on it."""

    def __init__(self, zone: str, date: str, minutes: int) -> None:
        self.place = ZoneInfo(zone)
        self.start = dt.datetime.fromisoformat(date).replace(tzinfo=self.place).astimezone(dt.UTC)
        if self.shown(self.start) == "01:00 +0300":  # Cairo has no midnight in spring
            self.start = dt.datetime.fromisoformat(date).replace(tzinfo=self.place, fold=1).astimezone(dt.UTC)
        self.minutes = [self.start + dt.timedelta(minutes=number) for number in range(minutes)]
        offsets = [one.astimezone(self.place).utcoffset() for one in self.minutes]
        change = next((number for number in range(1, minutes) if offsets[number] != offsets[number - 1]), 120)
        self.looks = [
            one for number, one in enumerate(self.minutes) if not number % 5 or abs(number - change) < 90
        ]
        """The minutes in which somebody looks: all around the change, and every fifth."""

    def shown(self, instant: dt.datetime) -> str:
        """What a clock there shows, and its offset."""
        return f"{instant.astimezone(self.place):%H:%M %z}"

    def showing(self, *minutes: int) -> list[str]:
        """Every moment of the day at which the clock shows one of these minutes."""
        return [self.shown(one) for one in self.minutes if one.astimezone(self.place).minute in minutes]

    def fired(self, queue: RedisQueue, name: str) -> list[str]:
        """What was enqueued, by the clock there."""
        events = told(queue, status="scheduling-periodic", task=name)
        return [self.shown(dt.datetime.fromtimestamp(event["due"], dt.UTC)) for event in events]


def declare_a_days_tasks(
    queue: RedisQueue, zone: str, named: tuple[int, int], run: Callable[[str], None]
) -> None:
    """One at a named time inside the change, and two by the elapsed time."""
    for name, schedule in {
        "named": crontab(*named, tz=zone),
        "hourly": crontab(minute=0, tz=zone),
        "quarter": crontab(minute="*/15", tz=zone, hour="*"),
    }.items():
        queue.periodic_task(schedule, name=name)(lambda name=name: run(name))


@pytest.mark.slow
@pytest.mark.parametrize(("zone", "date", "named", "expected", "minutes"), DAYS.values(), ids=list(DAYS))
def test_no_run_is_missing_or_doubled_over_a_day_with_three_consumers_that_come_and_go(
    schedulers: Schedulers, zone: str, date: str, named: tuple[int, int], expected: list[str], minutes: int
) -> None:
    """At least one of three looks, in any order, at any second; one in forty is replaced by another."""
    day, chance = Day(zone, date, minutes), random.Random(date)

    def declare(queue: RedisQueue) -> None:
        declare_a_days_tasks(queue, zone, named, lambda name: None)

    schedulers.clock.now = day.start - dt.timedelta(seconds=30)
    lookers = [schedulers.start(declare) for _ in range(3)]
    for looker in lookers:
        looker.look()
    for minute in day.looks:
        for second in sorted(chance.sample(range(50), chance.randint(1, 3))):
            schedulers.clock.now = minute + dt.timedelta(seconds=second + chance.random())
            chosen = chance.randrange(3)
            if chance.random() < 1 / 40:
                lookers[chosen] = schedulers.start(declare)
            assert lookers[chosen].look() <= 60.001
    queue = schedulers.observer
    assert day.fired(queue, "named") == expected
    assert day.fired(queue, "hourly") == day.showing(0)
    assert day.fired(queue, "quarter") == day.showing(0, 15, 30, 45)
    checks = [int(event["timestamp"] // 60) for event in told(queue, status="checking-periodic")]
    assert checks == sorted(set(checks)), "a minute was told twice"
    assert len(checks) == len(day.looks) + 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("day", "count"), [(day, 2 + number % 2) for number, day in enumerate(DAYS)], ids=list(DAYS)
)
def test_whole_consumers_run_each_due_time_of_a_day_once(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, day: str, count: int
) -> None:
    """Threads and all, on a clock that goes a minute as soon as every scheduler has looked."""
    zone, date, named, expected, minutes = DAYS[day]
    place, ran = Day(zone, date, minutes), Counter[str]()
    clock = VirtualClock("2026-01-01")
    clock.now = place.start - dt.timedelta(seconds=30)
    monkeypatch.setattr(scheduler, "time", clock)
    looks = Looks()
    consumers = []
    for _ in range(count):
        queue = clock.drive(RedisQueue("periodic", url=redis_url))
        declare_a_days_tasks(queue, zone, named, lambda name: ran.update([name]))
        looks.count(queue)
        consumers.append(Consumer(queue, workers=1, lease_seconds=10_000_000))
    for consumer in consumers:
        consumer.start()
    try:
        for minute in place.looks:
            looks.wait_for(count)
            clock.now = minute + dt.timedelta(seconds=1)
            looks.begin()
            for consumer in consumers:
                consumer._stations[0]._scheduler.nudge()
        looks.wait_for(count)
        fired = {name: place.fired(queue, name) for name in ("named", "hourly", "quarter")}
        assert fired["named"] == expected
        assert fired["hourly"] == place.showing(0)
        assert fired["quarter"] == place.showing(0, 15, 30, 45)
        wait_until(lambda: ran == {name: len(times) for name, times in fired.items()}, 20)
    finally:
        for consumer in consumers:
            consumer.stop()
    is_accounted_for(queue)


class Looks:
    """Counts the looks of schedulers, each once per round."""

    def __init__(self) -> None:
        self._looked: set[int] = set()
        self._changed = threading.Condition()

    def count(self, queue: RedisQueue) -> None:
        """Have a queue's scheduler counted when it has learned the time."""
        watch = queue.storage.watch_periodic

        def counted(times: Any) -> Any:
            known = watch(times)
            with self._changed:
                self._looked.add(id(queue))
                self._changed.notify_all()
            return known

        queue.storage.watch_periodic = counted  # type: ignore[method-assign]

    def begin(self) -> None:
        """Begin a round."""
        with self._changed:
            self._looked.clear()

    def wait_for(self, number: int) -> None:
        """Wait until so many schedulers have looked in this round."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._looked) >= number, 10), (
                "a scheduler does not look"
            )


# -- What passed while nobody ran ----------------------------------------------------------------------
@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("latest", ["01 15:00:00"]),
        ("all", ["01 13:00:00", "01 14:00:00", "01 15:00:00"]),
        ("none", []),
    ],
)
def test_missed_times_are_run_by_policy_once_however_many_consumers_come_back(
    schedulers: Schedulers, catch_up: str, expected: list[str]
) -> None:
    declare = declaring(crontab(minute=0), catch_up=catch_up)
    schedulers.start(declare).look()
    schedulers.clock.advance(3.5 * 3_600)
    for _ in range(3):
        schedulers.start(declare).look()
    assert schedulers.fired() == expected
    schedulers.clock.advance(1_800)
    schedulers.start(declare).look()
    assert schedulers.fired() == [*expected, "01 16:00:00"]


def test_a_restart_across_a_due_time_misses_nothing_whatever_the_policy(schedulers: Schedulers) -> None:
    declare = declaring(crontab(minute=5), catch_up="none")
    schedulers.clock.advance(290)
    schedulers.start(declare).look()
    schedulers.clock.advance(69)
    schedulers.start(declare).look()
    assert schedulers.fired() == ["01 12:05:00"]


def test_a_consumer_goes_on_where_another_died(
    schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare = declaring(every(60), catch_up="all")
    schedulers.start(declare).look()
    schedulers.clock.advance(600)
    dying = schedulers.start(declare)
    fire, left = dying._storage.fire, [None] * 4

    def fire_four_times(*args: Any, **options: Any) -> bool:
        if not left:
            raise RedisUnavailable("gone")
        left.pop()
        return fire(*args, **options)

    monkeypatch.setattr(dying._storage, "fire", fire_four_times)
    with pytest.raises(RedisUnavailable):
        dying.look()
    assert len(schedulers.fired()) == 4
    schedulers.start(declare).look()
    assert schedulers.fired() == [f"01 12:{minute:02}:00" for minute in range(1, 11)]


def test_two_that_decide_at_the_same_moment_run_each_time_once_and_in_order(
    schedulers: Schedulers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other decides, and enqueues, between our decision and our first write."""
    declare = declaring(every(60), catch_up="all")
    first, second = schedulers.start(declare), schedulers.start(declare)
    first.look()
    schedulers.clock.advance(180)
    watch = first._storage.watch_periodic

    def watch_slowly(times: Any) -> Any:
        known = watch(times)
        second.look()
        return known

    monkeypatch.setattr(first._storage, "watch_periodic", watch_slowly)
    first.look()
    assert first.has_undecided(), "what another took in between is to be looked at again"
    monkeypatch.undo()
    first.look()
    assert not first.has_undecided()
    assert schedulers.fired() == ["01 12:01:00", "01 12:02:00", "01 12:03:00"]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("look"), st.integers(0, 2)),
            st.tuples(st.just("replace"), st.integers(0, 2)),
            st.tuples(st.just("advance"), st.integers(1, 400)),
        ),
        max_size=30,
    )
)
def test_whoever_looks_and_dies_whenever_all_due_times_run_once_and_in_order(
    redis_url: str, steps: list[tuple[str, int]]
) -> None:
    schedulers = Schedulers(redis_url, VirtualClock(NOON))
    schedulers.observer.storage.address.client().flushall()
    declare = declaring(every(60), catch_up="all")
    lookers = [schedulers.start(declare) for _ in range(3)]
    lookers[0].look()
    for step, number in [*steps, ("look", 0)]:
        if step == "advance":
            schedulers.clock.advance(number)
        elif step == "replace":
            lookers[number] = schedulers.start(declare)
        else:
            lookers[number].look()
    passed = (schedulers.clock.now - dt.datetime.fromisoformat(f"{NOON}+00:00")) // dt.timedelta(minutes=1)
    times = (f"{12 + minute // 60}:{minute % 60:02}" for minute in range(1, passed + 1))
    assert schedulers.fired() == [f"01 {time}:00" for time in times]


# -- Declarations that come, go and change --------------------------------------------------------------
def test_a_task_declared_while_a_consumer_runs_is_due_the_first_time_that_comes(
    schedulers: Schedulers,
) -> None:
    looker = schedulers.start(lambda queue: None)
    looker.look()
    schedulers.clock.advance(30)
    declaring(every(60))(looker._queue)
    assert looker.has_undecided()
    looker.look()
    assert not looker.has_undecided()
    schedulers.clock.advance(30.5)
    looker.look()
    assert schedulers.fired() == ["01 12:01:00"]


@pytest.mark.parametrize("catch_up", ["latest", "all"])
def test_another_schedule_is_not_made_up_for_from_before_it_was_declared(
    schedulers: Schedulers, catch_up: str
) -> None:
    old = schedulers.start(declaring(crontab(0, 3)))
    for _ in range(200):
        old.look()
        schedulers.clock.advance(60)
    new = declaring(crontab(minute="*/30"), catch_up=catch_up)
    schedulers.start(new).look()
    assert not schedulers.fired()
    schedulers.clock.advance(600)
    schedulers.start(new).look()
    assert schedulers.fired() == ["01 15:30:00"]


def test_two_versions_that_run_side_by_side_each_keep_their_times(schedulers: Schedulers) -> None:
    old = schedulers.start(declaring(crontab(minute="*/2")))
    new = schedulers.start(declaring(crontab(minute="1-59/2")))
    for looker in (new, old):
        looker.look()
    for _ in range(4):
        schedulers.clock.advance(60)
        for looker in (new, old):
            looker.look()
    assert schedulers.fired() == ["01 12:01:00", "01 12:02:00", "01 12:03:00", "01 12:04:00"]


def test_options_of_the_declaration_hold_for_its_runs(schedulers: Schedulers) -> None:
    looker = schedulers.start(declaring(every(60), priority=7, retries=3, retry_delay=5))
    looker.look()
    schedulers.clock.advance(60)
    looker.look()
    (enqueued,) = told(schedulers.observer, status="enqueued", task="task")
    assert (enqueued["priority"], enqueued["retries"], enqueued["retry_delay"]) == (7, 3, 5)


# -- Clocks and faults ---------------------------------------------------------------------------------
def test_a_clock_that_goes_back_runs_nothing_again(schedulers: Schedulers) -> None:
    declare = declaring(every(60))
    looker = schedulers.start(declare)
    for step in (0, 60, 60, 60, -150, 60, 60, 60, 60):
        schedulers.clock.advance(step)
        looker.look()
        schedulers.start(declare).look()
    times = ["01 12:01:00", "01 12:02:00", "01 12:03:00", "01 12:04:00"]
    assert schedulers.fired() == times


def test_a_clock_that_was_wrong_by_hours_and_is_put_right_stops_nothing(schedulers: Schedulers) -> None:
    declare = declaring(crontab(minute=0))
    looker = schedulers.start(declare)
    looker.look()
    schedulers.clock.advance(24 * 3_600)
    looker.look()
    schedulers.clock.advance(-24 * 3_600)
    looker.look()
    schedulers.clock.advance(3_600)
    looker.look()
    assert schedulers.fired() == ["02 12:00:00", "01 13:00:00"]


def test_seconds_count_where_they_are_asked_for_and_the_check_is_told_once_a_minute(
    schedulers: Schedulers,
) -> None:
    def declare(queue: RedisQueue) -> None:
        queue.periodic_task(every(20), name="task")(lambda: None)
        queue.periodic_task(crontab(), name="minutely")(lambda: None)

    lookers = [schedulers.start(declare) for _ in range(2)]
    pauses = [looker.look() for looker in lookers]
    for _ in range(6):
        assert all(pause == pytest.approx(20.001) for pause in pauses)
        schedulers.clock.advance(20)
        pauses = [looker.look() for looker in lookers]
    at = ["12:00:20", "12:00:40", "12:01:00", "12:01:20", "12:01:40", "12:02:00"]
    assert schedulers.fired() == [f"01 {time}" for time in at]
    assert schedulers.fired("minutely") == ["01 12:01:00", "01 12:02:00"]
    assert statuses(schedulers.observer).count("checking-periodic") == 3


def test_a_run_that_redis_refuses_is_told_once_and_enqueued_as_soon_as_it_may(
    schedulers: Schedulers,
) -> None:
    client, keys = schedulers.observer.storage.address.client(), schedulers.observer.keys
    allowed = [f"~{keys[thing]}" for thing in ("events", "meta", "periodic_runs", "lanes", "lanes_used")]
    address = client.connection_pool.connection_kwargs
    user = f"redis://app:geheim@{address['host']}:{address['port']}"
    client.execute_command(
        "ACL", "SETUSER", "app", "reset", "on", ">geheim", "+@all", "allchannels", *allowed
    )
    try:
        looker = Schedulers(user, schedulers.clock).start(declaring(every(60), catch_up="none"))
        looker.look()
        schedulers.clock.advance(60)
        for _ in range(3):
            looker.look()
            assert looker.has_undecided()
        client.execute_command("ACL", "SETUSER", "app", "allkeys")
        looker.look()
        looker._reporter.flush()
    finally:
        client.execute_command("ACL", "DELUSER", "app")
    assert schedulers.fired() == ["01 12:01:00"]
    (refused,) = told(schedulers.observer, status="error-enqueueing")
    assert (refused["task"], refused["source"]) == ("task", "scheduler")


def test_a_consumer_looks_on_time_and_not_only_once_a_second(redis_url: str) -> None:
    """Real time: the run is enqueued within a fraction of the second that it is due at."""
    queue = RedisQueue("work", url=redis_url)
    queue.periodic_task(every(1), name="tick")(lambda: None)
    with consuming(queue, scheduler_interval=30):
        wait_until(lambda: len(told(queue, status="finished", task="tick")) >= 3)
    late = [event["timestamp"] - event["due"] for event in told(queue, status="scheduling-periodic")]
    assert sorted(late)[len(late) // 2] < 0.5
