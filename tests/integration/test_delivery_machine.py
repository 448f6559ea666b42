"""The delivery protocol as a state machine: the real scripts on a real Redis, with crashing workers, lost
requests and lost answers, a clock moved by hand and a Redis that goes back in time.

After every step the invariants I1 to I8 hold; at the end, faults off, every task ends (I9).
"""

import collections
import copy
import itertools
import json
import os
from typing import Any, ClassVar

import pytest
import redis
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from limelight.embedded import EmbeddedRedis
from limelight.keys import QueueKeys
from limelight.lifecycle import Decision, Fate
from limelight.memory import MemoryStore, in_memory
from limelight.memory.luastruct import struct_unpacked
from limelight.packed_event import as_json
from limelight.storage import packing
from limelight.storage.base import GroupParcel, Lease, Membership, Parcel, Settlement
from limelight.storage.scripts import FIELDS, FORMATS, SCRIPTS

KEYS = QueueKeys("machine")
LEASE_US = 10_000_000
RESULT_MS = 3_600_000
"""By Redis' own clock, which no step moves: what went away by itself would make steps that cannot be repeated."""
FATES = st.sampled_from(["ok"] * 5 + ["lost request", "lost reply", "lost reply, given up"])
INDEXES = ("delayed", "ready", "reserved", "running", "scheduled", "dead")


def field_of(record: list[Any], name: str) -> Any:
    """A field of a task's record, by its name in the scripts."""
    return record[int(FIELDS[name]) - 1]


class Worker:
    """What one worker believes; a crash makes it another."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.request = 1
        self.reserved: dict[str, tuple[str, int]] = {}
        self.running: dict[str, tuple[str, int, int]] = {}


class Delivery(RuleBasedStateMachine):
    """See the module."""

    client: ClassVar["redis.Redis"]

    @initialize()
    def begin(self) -> None:
        self.client.flushall()
        self.now = 1_000_000_000_000
        self.ids = itertools.count(1)  # anew: the same steps must give the same names, in the same order
        self.workers = [self.new_worker() for _ in range(3)]
        self.lane, self.number = f"lane{next(self.ids)}", 0
        self.acknowledged: set[str] = set()
        self.followers: dict[str, tuple[str, str]] = {}
        self.groups: dict[str, list[str]] = {}
        self.saved: tuple[Any, set[str]] | None = None

    def new_worker(self) -> Worker:
        return Worker(f"w{next(self.ids)}")

    def script(self, name: str, *args: Any, extra: tuple[str, ...] = ()) -> Any:
        script = SCRIPTS[name]
        head = (self.now, "machine", "", 1_000_000, "tester")
        keys = script.keys(KEYS, extra)
        return self.client.eval(script.source.decode(), len(keys), *keys, *head, *args)

    def call(self, name: str, *args: Any, fate: str = "ok", extra: tuple[str, ...] = ()) -> Any:
        """One call as a client sees it; None: it never heard an answer and gave up."""
        if fate.startswith("lost reply"):
            self.script(name, *args, extra=extra)
        if fate == "lost reply, given up":
            return None
        return self.script(name, *args, extra=extra)

    # -- Producers -------------------------------------------------------------------------------------
    def parcel(self, task_id: str, **more: Any) -> Parcel:
        given: dict[str, Any] = {"retries": 0, "delay": None, **more}
        return Parcel(
            id=task_id,
            name="task",
            body=b"body",
            retry_delay=1,
            priority=0,
            max_redeliveries=2,
            trace_id="1" * 32,
            span_id="2" * 16,
            trace_flags=1,
            trace_state="",
            traced_at=self.now / 1e6,
            span_start_ns=self.now * 1000,
            where="",
            **given,
        )

    def send(self, parcels: list[Parcel], groups: list[GroupParcel], fate: str = "ok") -> None:
        self.number += 1
        words = [word for group in groups for word in packing.group(group)]
        words += [word for parcel in parcels for word in packing.item(parcel)]
        reply = self.call("enqueue", self.lane, self.number, len(groups), *words, fate=fate)
        if reply is not None:
            self.acknowledged |= {parcel.id for parcel in parcels}

    @rule(
        fate=FATES,
        delay=st.sampled_from([None, None, None, 5.0]),
        retries=st.integers(0, 2),
        expires=st.sampled_from([None, None, None, 3.0]),
    )
    def enqueue(self, fate: str, delay: float | None, retries: int, expires: float | None = None) -> None:
        self.send(
            [self.parcel(f"t{next(self.ids)}", delay=delay, retries=retries, expires_in=expires)], [], fate
        )

    @rule(fate=FATES, retries=st.integers(0, 1))
    def enqueue_pipeline(self, fate: str, retries: int) -> None:
        head = f"t{next(self.ids)}"
        then, error = f"{head}-then", f"{head}-error"
        self.followers[head] = (then, error)
        parcel = self.parcel(head, retries=retries, on_success=self.parcel(then), on_error=self.parcel(error))
        self.send([parcel], [], fate)

    @rule(fate=FATES, size=st.integers(1, 3))
    def enqueue_chord(self, fate: str, size: int) -> None:
        name = f"g{next(self.ids)}"
        self.groups[name] = [f"{name}-{at}" for at in range(size)]
        members = [
            self.parcel(task_id, group=Membership(name, at, size))
            for at, task_id in enumerate(self.groups[name])
        ]
        self.send(members, [GroupParcel(name, size, self.parcel(f"{name}-callback", gathers=name))], fate)

    @rule()
    def enqueue_again_after_the_task_is_done(self) -> None:
        """The answer is lost; before the client sends again, a worker has run and settled the task."""
        self.number += 1
        task_id = f"t{next(self.ids)}"
        args = (self.lane, self.number, 0, *packing.item(self.parcel(task_id)))
        self.script("enqueue", *args)
        owner = f"fast{next(self.ids)}"
        self.finish_all(owner)
        self.script("enqueue", *args)
        self.acknowledged.add(task_id)

    # -- Workers ---------------------------------------------------------------------------------------
    def reserve_as(self, owner: str, request: int, count: int, *, start: bool, fate: str = "ok") -> Any:
        spans = [word for _ in range(count) for word in ("3" * 16, "4" * 32)] if start else []
        names = "\ntask\n" if start else ""
        args = (owner, request, count, LEASE_US, names, "", 3_600_000_000, 0, packing.place(""), *spans)
        return self.call("reserve", *args, fate=fate)

    @rule(k=st.integers(0, 2), start=st.booleans())
    def a_worker_gets_a_task(self, k: int, start: bool) -> None:
        """What most interleavings begin with."""
        self.enqueue("ok", None, 1)
        self.reserve(k, 1, start, "ok")

    @rule(k=st.integers(0, 2), count=st.integers(1, 3), start=st.booleans(), fate=FATES)
    def reserve(self, k: int, count: int, start: bool, fate: str) -> None:
        worker, sent = self.workers[k], self.now
        reply = self.reserve_as(worker.owner, worker.request, count, start=start, fate=fate)
        if reply is None:
            return  # the next request is the same one
        worker.request += 1
        for handed in packing.reservation(reply, "").tasks:
            task_id, token = handed.lease.task_id, handed.lease.token
            if handed.started:
                worker.running[task_id] = (token, sent + LEASE_US, handed.run)
            else:
                worker.reserved[task_id] = (token, sent + LEASE_US)
        if reply[0]:
            self.call("schedule", 100, "")

    @precondition(lambda self: any(worker.reserved for worker in self.workers))
    @rule(chance=st.randoms(use_true_random=False), fate=FATES)
    def start(self, chance: Any, fate: str) -> None:
        worker = chance.choice([worker for worker in self.workers if worker.reserved])
        task_id = chance.choice(sorted(worker.reserved))
        token, deadline = worker.reserved[task_id]
        if self.now > deadline:
            del worker.reserved[task_id]  # over by its own clock: it never starts
            return
        reply = self.call(
            *("start", LEASE_US, "", 3_600_000_000, 0, packing.place("")),
            *(task_id, token, "3" * 16, "4" * 32),
            fate=fate,
        )
        if reply is None:
            return
        del worker.reserved[task_id]
        if isinstance(reply[0], list):
            run = packing.handed(reply[0], token).run
            worker.running[task_id] = (token, self.now + LEASE_US, run)

    def settle_one(
        self, task_id: str, token: str, status: str, fate: str, end: str, delay: int, luck: str = "ok"
    ) -> Any:
        outcome = {"finished": "success", "error-task": "error"}.get(status, status)
        decision = Decision(status, outcome, Fate(fate), end, delay, 1)
        return self.settle_all([Settlement(Lease(task_id, token), decision, "", "", b"left", "")], luck)

    def settle_all(self, settlements: list[Settlement], luck: str = "ok") -> Any:
        words = [word for one in settlements for word in packing.settlement(one, RESULT_MS)]
        extra = tuple(KEYS.result(one.lease.task_id) for one in settlements)
        return self.call("settle", *words, extra=extra, fate=luck)

    def finish_all(self, owner: str) -> None:
        """One good worker takes what it can get, and settles it in one call."""
        done = Decision("finished", "success", Fate.END, "success")
        taken = packing.reservation(self.reserve_as(owner, 1, 50, start=True), "").tasks
        if taken:
            self.settle_all([Settlement(one.lease, done, "", "", b"left", "") for one in taken])

    @precondition(lambda self: any(worker.running for worker in self.workers))
    @rule(
        chance=st.randoms(use_true_random=False),
        how=st.sampled_from(["finished", "finished", "error", "interrupted"]),
        delay=st.sampled_from([0, 3]),
        fate=FATES,
    )
    def settle(self, chance: Any, how: str, delay: int, fate: str) -> None:
        worker = chance.choice([worker for worker in self.workers if worker.running])
        task_id = chance.choice(sorted(worker.running))  # a zombie settles too
        token = worker.running[task_id][0]
        record = self.records().get(task_id)
        retries = field_of(record, "RETRIES") if record else 0
        words = {
            "finished": ("finished", "end", "success"),
            "interrupted": ("interrupted", "back", ""),
            "error": ("error-task", "retry", "") if retries else ("error-task", "dead", "dead"),
        }[how]
        reply = self.settle_one(task_id, token, *words, delay, fate)
        if reply is not None:
            del worker.running[task_id]
            owned = record is not None and field_of(record, "TOKEN") == token
            assert owned or reply == [0], "a worker settled what is another's"

    @precondition(lambda self: any(worker.reserved for worker in self.workers))
    @rule(chance=st.randoms(use_true_random=False), fate=FATES)
    def release(self, chance: Any, fate: str) -> None:
        worker = chance.choice([worker for worker in self.workers if worker.reserved])
        if worker.reserved:
            task_id = chance.choice(sorted(worker.reserved))
            self.call("release", task_id, worker.reserved.pop(task_id)[0], fate=fate)

    @precondition(lambda self: any(worker.reserved for worker in self.workers))
    @rule(chance=st.randoms(use_true_random=False), fate=FATES)
    def bury(self, chance: Any, fate: str) -> None:
        worker = chance.choice([worker for worker in self.workers if worker.reserved])
        if worker.reserved:
            task_id = chance.choice(sorted(worker.reserved))
            words = (',"error_type":"x","error_message":"y"', ',"traceback":"z"', "", b"", RESULT_MS)
            token = worker.reserved.pop(task_id)[0]
            self.call("bury", task_id, token, *words, fate=fate, extra=(KEYS.result(task_id),))

    @rule(k=st.integers(0, 2), fate=FATES)
    def renew(self, k: int, fate: str) -> None:
        worker, sent = self.workers[k], self.now
        tokens = {task_id: held[0] for task_id, held in (*worker.reserved.items(), *worker.running.items())}
        reply = self.call("renew", LEASE_US, worker.owner, "", *itertools.chain(*tokens.items()), fate=fate)
        if reply is None:
            return
        owned = {task_id.decode() for task_id in reply}
        for task_id in list(worker.reserved):
            if task_id in owned:
                worker.reserved[task_id] = (tokens[task_id], sent + LEASE_US)
            else:
                del worker.reserved[task_id]
        for task_id, (token, _, run) in list(worker.running.items()):
            if task_id in owned:
                worker.running[task_id] = (token, sent + LEASE_US, run)

    @rule(k=st.integers(0, 2))
    def crash(self, k: int) -> None:
        self.workers[k] = self.new_worker()

    # -- Time, the reaper, the scheduler, the user -----------------------------------------------------
    @rule(seconds=st.sampled_from([1, 4, 11]))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000_000

    def reap_all(self, fate: str = "ok") -> None:
        for task_id in self.script("expired", LEASE_US, 100, 0):
            extra = (KEYS.result(task_id.decode()),)
            self.call("reap", task_id, LEASE_US, "", RESULT_MS, "", extra=extra, fate=fate)

    @rule(fate=FATES)
    def reap(self, fate: str) -> None:
        self.reap_all(fate)

    @rule()
    def reap_steadily(self) -> None:
        for _ in range(12):
            self.reap_all()
            self.now += LEASE_US // 6

    @precondition(lambda self: any(worker.running for worker in self.workers))
    @rule(k=st.integers(0, 2))
    def another_takes_over(self, k: int) -> None:
        """Nobody renews for two leases, then one worker takes what came back: the others are zombies."""
        self.reap_steadily()
        self.reserve(k, 3, True, "ok")

    @rule()
    def promote(self) -> None:
        self.call("promote", 100, "")

    @rule()
    def schedule_delayed(self) -> None:
        self.call("schedule", 100, "")

    @rule(chance=st.randoms(use_true_random=False), back=st.booleans())
    def revoke(self, chance: Any, back: bool) -> None:
        ids = sorted(self.records())
        if ids:
            self.call("revoke", "" if back else "0", chance.choice(ids))

    # -- The operator ----------------------------------------------------------------------------------
    @rule(chance=st.randoms(use_true_random=False), fate=FATES)
    def cancel(self, chance: Any, fate: str) -> None:
        ids = sorted(self.records())
        if ids:
            self.call("cancel", "", *chance.sample(ids, min(3, len(ids))), fate=fate)

    @precondition(lambda self: self.dead())
    @rule(chance=st.randoms(use_true_random=False), fate=FATES)
    def requeue(self, chance: Any, fate: str) -> None:
        task_id = chance.choice(self.dead())
        words = (self.now, "", str(self.now * 1000), 3_600_000_000, task_id, "5" * 16, "6" * 32)
        self.call("requeue", *words, extra=(KEYS.result(task_id),), fate=fate)

    @precondition(lambda self: self.dead())
    @rule(chance=st.randoms(use_true_random=False), keep=st.integers(0, 2), fate=FATES)
    def purge(self, chance: Any, keep: int, fate: str) -> None:
        self.call("purge", self.now, keep, "producer", "", chance.choice(self.dead()), fate=fate)

    def dead(self) -> list[str]:
        return [member.decode() for member in self.client.zrange(KEYS["dead"], 0, -1)]

    @rule()
    def checkpoint(self) -> None:
        self.saved = (self.snapshot(), set(self.acknowledged))

    def snapshot(self) -> Any:
        return {key.decode(): self.client.dump(key) for key in self.client.scan_iter()}

    def go_back(self, snapshot: Any) -> None:
        self.client.flushall()
        for key, dump in snapshot.items():
            self.client.restore(key, 0, dump)

    @precondition(lambda self: self.saved)
    @rule()
    def redis_goes_back_in_time(self) -> None:
        """A failover that lost the tail: Redis is an earlier prefix, workers keep what they believe."""
        assert self.saved is not None
        snapshot, self.acknowledged = self.saved
        self.saved = None
        self.go_back(snapshot)
        self.lane, self.number = f"lane{next(self.ids)}", 0

    # -- What must hold --------------------------------------------------------------------------------
    def records(self) -> dict[str, list[Any]]:
        raw = self.client.hgetall(KEYS["tasks"])
        return {task_id.decode(): fields_of(record) for task_id, record in raw.items()}

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(as_json("machine", fields)) for _, fields in self.client.xrange(KEYS["events"])]

    @invariant()
    def everything_is_accounted_for(self) -> None:
        if not hasattr(self, "workers"):
            return
        records, events = self.records(), self.events()
        self.check_indexes(records)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), "seq has a gap"
        self.check_runs(records, events)
        self.check_ends(records, events)
        self.check_followers(records, events)
        self.check_owners(records)

    def check_indexes(self, records: dict[str, list[Any]]) -> None:
        indexes = {
            name: {member.decode() for member in self.client.zrange(KEYS[name], 0, -1)} for name in INDEXES
        }
        for task_id, record in records.items():
            assert [name for name in INDEXES if task_id in indexes[name]] == [field_of(record, "STATE")], (
                task_id,
                record,
            )
        assert set().union(*indexes.values()) == set(records), "an index holds what is no record"
        since = {member.decode() for member in self.client.zrange(KEYS["ready_since"], 0, -1)}
        assert since == indexes["ready"] | indexes["reserved"]
        since = {member.decode() for member in self.client.zrange(KEYS["running_since"], 0, -1)}
        assert since == indexes["running"]
        assert {member.decode() for member in self.client.hkeys(KEYS["revoked"])} <= set(records)
        assert {member.decode() for member in self.client.hkeys(KEYS["dead_reasons"])} <= indexes["dead"]

    @staticmethod
    def check_runs(records: dict[str, list[Any]], events: list[dict[str, Any]]) -> None:
        starts = [(event["id"], event["run"]) for event in events if event["status"] == "started"]
        closes = [(event["id"], event["run"]) for event in events if "outcome" in event]
        assert len(set(starts)) == len(starts), "a run was told to start twice"
        assert len(set(closes)) == len(closes), "a run was told to close twice"
        assert set(closes) <= set(starts), "a run closed that never started"
        running = {
            (task_id, field_of(record, "RUN"))
            for task_id, record in records.items()
            if field_of(record, "STATE") == "running"
        }
        assert set(starts) - set(closes) == running, "an open run without a record"
        for event in events:
            if "end" in event:
                phases = [event[f"{phase}_seconds"] for phase in ("waited", "ran", "backed_off", "parked")]
                assert min(phases) >= 0

    def check_ends(self, records: dict[str, list[Any]], events: list[dict[str, Any]]) -> None:
        enqueued = collections.Counter(event["id"] for event in events if event["status"] == "enqueued")
        ended = collections.Counter(event["id"] for event in events if "end" in event)
        for task_id in self.acknowledged:
            assert task_id in records or ended[task_id], f"{task_id} is lost"
        for task_id in set(records) | set(ended) | set(enqueued):
            alive = task_id in records and field_of(records[task_id], "STATE") != "dead"
            assert ended[task_id] + alive == enqueued[task_id] >= 1, task_id

    def check_followers(self, records: dict[str, list[Any]], events: list[dict[str, Any]]) -> None:
        """What hangs on a task is enqueued when it ends, once; until then its result may come, and then not."""
        ends = collections.defaultdict(set)  # of all lives that an operator gave it
        for event in events:
            if "end" in event:
                ends[event["id"]].add(event["end"])
        enqueued = {event["id"] for event in events if event["status"] == "enqueued"}
        purged = {event["id"] for event in events if event["status"] == "purged"}
        promised = set()
        for head, (then, error) in self.followers.items():
            if head in records and field_of(records[head], "STATE") != "dead":
                promised |= {then} if ends[head] else {then, error}
            assert (then in enqueued) == ("success" in ends[head]), head
            assert (error in enqueued) == ("dead" in ends[head]), head
        for name, members in self.groups.items():
            callback, present = f"{name}-callback", members[0] in enqueued
            assert (callback in enqueued) == (present and all(ends[member] for member in members)), name
            if present and callback not in enqueued:
                promised.add(callback)
            ended = ends[callback] - {"dead"} or callback in purged
            assert bool(self.client.hexists(KEYS["groups"], name)) == (present and not ended), name
        assert {task_id.decode() for task_id in self.client.hkeys(KEYS["promised"])} == promised

    def check_owners(self, records: dict[str, list[Any]]) -> None:
        owners = collections.Counter(
            task_id
            for worker in self.workers
            for task_id, (token, deadline, _) in worker.running.items()
            if self.now <= deadline and task_id in records and records[task_id][1] == token
        )
        assert all(count == 1 for count in owners.values()), "two live owners of one task"

    def teardown(self) -> None:
        """Liveness: everyone crashed, a fair reaper and one good worker: everything ends."""
        if not hasattr(self, "workers"):
            return
        self.now += 2 * LEASE_US
        for _ in range(60):
            for _ in range(8):
                self.now += LEASE_US // 6
                self.reap_all()
            self.call("schedule", 100, "")
            self.call("promote", 100, "")
            self.finish_all(f"good{next(self.ids)}")
            if self.client.hlen(KEYS["tasks"]) == self.client.zcard(KEYS["dead"]):
                break
        self.everything_is_accounted_for()
        assert self.client.hlen(KEYS["tasks"]) == self.client.zcard(KEYS["dead"]), "not everything ended"


class DeliveryInMemory(Delivery):
    """The same machine; its Redis is a store in memory."""

    store: ClassVar[MemoryStore]

    def snapshot(self) -> Any:
        return copy.deepcopy((self.store.space._values, self.store.space._ends))

    def go_back(self, snapshot: Any) -> None:
        self.store.space._values, self.store.space._ends = snapshot


def fields_of(record: bytes) -> list[Any]:
    """The packed fields of a record, by their numbers in the scripts."""
    layout = FORMATS["LAYOUT_AND_FORMAT"].strip("'").encode()
    return [None, *(_as_text(value) for value in struct_unpacked(layout, record)[1:])]


def _as_text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


@pytest.fixture(autouse=True)
def machine_redis(redis_server: EmbeddedRedis) -> None:
    Delivery.client = redis.Redis.from_url(redis_server.url)
    DeliveryInMemory.store = MemoryStore()
    pool = redis.ConnectionPool(protocol=2, **in_memory(DeliveryInMemory.store))
    DeliveryInMemory.client = redis.Redis(connection_pool=pool)


# MACHINE_EXAMPLES=2000 hunts; the default is what CI can afford.
EXAMPLES = int(os.environ.get("MACHINE_EXAMPLES", "60"))
Delivery.TestCase.settings = DeliveryInMemory.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=50,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.generate, Phase.shrink],
)
in_time = pytest.mark.timeout(10 * EXAMPLES)  # an example takes half a second, shrinking what failed many
TestDelivery = pytest.mark.slow(in_time(Delivery.TestCase))
TestDeliveryInMemory = pytest.mark.slow(in_time(DeliveryInMemory.TestCase))
