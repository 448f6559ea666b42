"""A queue's storage in Redis: each method is one transition (see ``lua/``), told and done in one write."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from limelight.emitter import NO_TASK, RedisEventEmitter, Speaker
from limelight.errors import ConfigurationError, NotConfirmed, OutcomeUnknown, RedisRefused, RedisUnavailable
from limelight.keys import REGISTRY, QueueKeys
from limelight.task import Receipt
from limelight.tracecontext import new_span_id, new_trace_id

from . import packing
from .address import Address
from .base import Burial, Handed, Lease, Notice, Parcel, Reservation, ReserveRequest, Settlement
from .durability import CONFIRMATIONS, Durability
from .link import Call, Link
from .links import ThreadLinks
from .listening import PubSub, live_events, subscribed
from .scripts import SCRIPTS

TRACE_AGE_SECONDS: Final = 3_600.0
"""A run that starts later than this after its trace began opens a new trace, with a link."""

_ANNOUNCE_SECONDS: Final = 3_600.0
_ANNOUNCE_AGAIN_SECONDS: Final = 60.0
log = logging.getLogger(__name__)


class RedisStorage:
    """One queue in Redis. Safe for many threads; each has its own connection.

    Iterating yields the live events as dicts, from the moment the iterator is made::

        for event in queue.storage:
            ...

    Args:
        address: Where Redis is.
        keys: The queue's keys.
        emitter: What its events look like; None tells none.
        speaker: Who we are in events.
        patience_seconds: How long an enqueue may wait for a Redis that cannot be reached, or that refuses for
            a while (a failover); 0: fail at once.
        durability: What an enqueue waits for before it returns.
    """

    def __init__(
        self,
        address: Address,
        keys: QueueKeys,
        *,
        emitter: RedisEventEmitter | None,
        speaker: Callable[[], Speaker],
        patience_seconds: float = 0.0,
        durability: Durability = "memory",
    ) -> None:
        self.address = address
        self.keys = keys
        self.emitter = emitter
        self._speaker = speaker
        self._patience = patience_seconds
        self._confirmation = CONFIRMATIONS[durability]
        self._checked = False
        self._keys = {name: script.keys(keys) for name, script in SCRIPTS.items()}
        self._head = ("0", keys.queue, self.channel, emitter.max_events if emitter else 0)
        self._links = ThreadLinks(address, keys["meta"])
        self._waiting: set[Link] = set()
        self._wait_lock = threading.Lock()
        self._announced = float("-inf")

    # -- Producer ---------------------------------------------------------------------------------------
    def new_receipt(self, kind: str) -> Receipt:
        """A number under which an "enqueue" or a "tell" can be repeated, on this thread's lane."""
        return self._links.get().receipt(kind)

    def enqueue(self, parcels: Sequence[Parcel], receipt: Receipt) -> None:
        """Put tasks on the queue, all or none (T1); under a receipt that was used before it is a repeat.

        Raises:
            RedisUnavailable: Redis cannot be reached; nothing was enqueued.
            OutcomeUnknown: Its answer never came; the same call with the same receipt repeats it safely.
            RedisRefused: Redis answered with an error; nothing was enqueued.
            NotConfirmed: It was enqueued, but the durability asked for is not confirmed; repeat it likewise.
            ConfigurationError: A task of that id is on the queue already, or Redis cannot confirm anything.
        """
        args = [arg for parcel in parcels for arg in packing.item(parcel)]
        call = self._call("enqueue", [receipt.lane, receipt.number, *args])
        try:
            reply = self._repeat(call)
        except (OutcomeUnknown, NotConfirmed, KeyboardInterrupt, SystemExit):
            self._links.get().retire_lane("enqueue")  # this number may be repeated, so none may follow it
            raise
        if isinstance(reply, bytes):
            raise ConfigurationError(
                f"a task with id {reply.decode()} is on queue {self.keys.queue!r} already"
            )

    def _repeat(self, call: Call) -> Any:
        """Repeat by protocol: once at once after a lost answer, then as long as our patience lasts."""
        link = self._links.get()
        deadline = time.monotonic() + self._patience
        unknown: OutcomeUnknown | None = None
        then = ""
        while True:
            try:
                self._announce_at_times()
                return self._sent(link, call)
            except OutcomeUnknown as error:
                first, unknown = unknown is None, error
                if first:
                    continue
            except RedisRefused as error:
                if unknown is None and (not error.may_pass or time.monotonic() >= deadline):
                    raise
                then = f"; then {error}"
            except RedisUnavailable:
                if unknown is None and time.monotonic() >= deadline:
                    raise
            if unknown is not None and time.monotonic() >= deadline:
                raise OutcomeUnknown(f"{unknown}{then}") from unknown  # the first try may have arrived
            time.sleep(0.05)

    def _sent(self, link: Link, call: Call) -> Any:
        """Run the script, and have it confirmed.

        The write in between is for a repeat that had nothing to write: Redis confirms what *this* connection wrote.
        """
        if self._confirmation is None:
            return link.call(call)
        if not self._checked:
            self._confirmation.check(link)
            self._checked = True
        write = ("HSET", self.keys["meta"], "confirming", 1)
        reply, answer = link.confirmed(call, write, self._confirmation.words)
        if isinstance(answer, Exception):
            raise NotConfirmed(f"{self._confirmation.missing} ({answer})")
        if not isinstance(reply, bytes) and not self._confirmation.is_given(answer):
            raise NotConfirmed(self._confirmation.missing)
        return reply

    def _announce_at_times(self) -> None:
        if time.monotonic() - self._announced < _ANNOUNCE_SECONDS:
            return
        try:
            self.announce()
        except RedisRefused as error:
            self._announced = time.monotonic()
            log.warning("queue %s could not be announced to exporters: %s", self.keys.queue, error)
        except (OutcomeUnknown, RedisUnavailable) as error:
            if not self.address.is_cluster:  # there the registry may be down while the queue is up
                raise RedisUnavailable(str(error)) from error  # the task itself was not sent yet
            self._announced = time.monotonic() - _ANNOUNCE_SECONDS + _ANNOUNCE_AGAIN_SECONDS

    def announce(self) -> None:
        """Tell the registry that this queue exists, so that exporters find it."""
        if self.address.is_cluster:  # where the registry has a node of its own
            with contextlib.closing(Link(self.address, REGISTRY)) as link:
                link.read("ZADD", REGISTRY, int(time.time()), self.keys.queue)
        else:
            self._links.get().read("ZADD", REGISTRY, int(time.time()), self.keys.queue)
        self._announced = time.monotonic()

    def revoke(self, task_ids: Sequence[str], until: float | None = None) -> int:
        """Mark tasks as revoked; they end when a worker pulls them.

        Args:
            task_ids: Which.
            until: Unix seconds until which the mark holds; None for good.

        Returns:
            How many of them are on the queue and marked now.
        """
        mark = "0" if until is None else str(int(until * 1e6))
        return int(self._links.get().idempotent(self._call("revoke", [mark, *task_ids])))

    def restore(self, task_ids: Sequence[str]) -> int:
        """Take the mark of `revoke` away; returns how many had one."""
        return int(self._links.get().idempotent(self._call("revoke", ["", *task_ids])))

    def is_revoked(self, task_id: str) -> bool:
        """Whether a task would end as revoked if a worker pulled it now."""
        mark = self._links.get().read("HGET", self.keys["revoked"], task_id)
        return mark is not None and (mark == b"0" or int(mark) > time.time() * 1e6)

    def result(self, task_id: str) -> tuple[bytes | None, bool]:
        """The stored result, None if there is none; and whether one may still come.

        The task is looked at before its result: whoever finds it gone also finds what it left.
        """
        exists, buried, data = self._links.get().read_all(
            ("HEXISTS", self.keys["tasks"], task_id),
            ("ZSCORE", self.keys["dead"], task_id),
            ("GET", self.keys.result(task_id)),
        )
        return data, bool(exists) and buried is None

    # -- Worker -----------------------------------------------------------------------------------------
    def settle_and_reserve(
        self,
        settlements: Sequence[Settlement],
        request: ReserveRequest | None,
        *,
        where: str,
        result_ttl_ms: int,
    ) -> tuple[list[bool | RedisRefused], Reservation | RedisRefused | None]:
        """Close runs (T5 to T8) and ask for the next tasks (T2, T3), in one trip.

        Returns, per settlement, True (settled), False (no longer ours; nothing was told) or what Redis
        refused it with; and what was reserved, or what Redis refused the request with.

        Raises RedisUnavailable or OutcomeUnknown: repeating the very same call is safe.
        """
        calls = [self._settle_call(settlement, result_ttl_ms) for settlement in settlements]
        if request is not None:
            calls.append(self._reserve_call(request, where))
        replies = self._links.get().pipeline(calls)
        unsent = [reply for reply in replies if isinstance(reply, RedisUnavailable)]
        if unsent:
            raise unsent[0] if len(unsent) == len(replies) else OutcomeUnknown(str(unsent[0]))
        reserved = replies.pop() if request is not None else None
        settled = [reply if isinstance(reply, RedisRefused) else bool(reply[0]) for reply in replies]
        return settled, packing.reservation(reserved) if isinstance(reserved, list) else reserved

    def _settle_call(self, settlement: Settlement, result_ttl_ms: int) -> Call:
        lease, decision = settlement.lease, settlement.decision
        args = [
            lease.task_id,
            lease.token,
            decision.status,
            decision.outcome,
            decision.fate,
            settlement.fragment,
            settlement.result,
            result_ttl_ms,
            packing.micros(decision.delay_seconds),
            packing.number(decision.next_delay_seconds),
            decision.end,
            settlement.traceback,
        ]
        return self._call("settle", args, [self.keys.result(lease.task_id)])

    def _reserve_call(self, request: ReserveRequest, where: str) -> Call:
        return self._call(
            "reserve",
            [
                request.owner,
                request.number,
                request.count,
                packing.micros(request.lease_seconds),
                request.names,
                where,
                packing.micros(TRACE_AGE_SECONDS),
                *request.spans,
            ],
        )

    def start(self, leases: Sequence[Lease], *, lease_seconds: float, where: str) -> list[Handed | None]:
        """Begin runs of reserved tasks (T3); None where the task ended as revoked or is no longer ours."""
        args: list[Any] = [packing.micros(lease_seconds), where, packing.micros(TRACE_AGE_SECONDS)]
        for lease in leases:
            args += [lease.task_id, lease.token, new_span_id(), new_trace_id()]
        replies = self._links.get().call(self._call("start", args))
        return [packing.handed(reply) if isinstance(reply, list) else None for reply in replies]

    def bury(self, burial: Burial, *, where: str, result_ttl_ms: int) -> bool:
        """Put a reserved task that nobody can run into the dead letters (T15)."""
        lease = burial.lease
        args = [
            lease.task_id,
            lease.token,
            burial.reason,
            burial.traceback,
            where,
            burial.result,
            result_ttl_ms,
        ]
        return bool(self._links.get().call(self._call("bury", args, [self.keys.result(lease.task_id)])))

    def release(self, leases: Sequence[Lease]) -> int:
        """Give reserved tasks back to their old place (T4); returns how many were still ours."""
        args = [word for lease in leases for word in (lease.task_id, lease.token)]
        return int(self._links.get().call(self._call("release", args)))

    def wait_for_work(self, seconds: float) -> None:
        """Return when a task may have become ready, or after `seconds` (at most 5)."""
        link = self._links.get()
        with self._wait_lock:
            self._waiting.add(link)
        try:
            link.command("BLPOP", self.keys["wake"], min(seconds, 5.0))
        finally:
            with self._wait_lock:
                self._waiting.discard(link)
                link.close_if_interrupted()

    def end_waits(self) -> None:
        """Have every thread that is in `wait_for_work` return at once."""
        with self._wait_lock:
            for link in self._waiting:
                link.interrupt()

    # -- Consumer ---------------------------------------------------------------------------------------
    def schedule_delayed(self, count: int, where: str) -> int:
        """Put tasks that were enqueued for later on the schedule, and tell it; returns how many."""
        return int(self._links.get().call(self._call("schedule", [count, where])))

    def promote(self, count: int, where: str) -> tuple[int, float | None]:
        """Make due tasks ready (T10); returns how many, and seconds until the next is due."""
        promoted, next_due = self._links.get().call(self._call("promote", [count, where]))
        return int(promoted), None if next_due == b"-1" else int(next_due) / 1e6

    def renew(
        self, leases: Sequence[Lease], *, lease_seconds: float, consumer: str, heartbeat: str
    ) -> set[str]:
        """Prolong leases and note the heartbeat (T9); returns the ids that are still ours."""
        args: list[Any] = [packing.micros(lease_seconds), consumer, heartbeat]
        args += [word for lease in leases for word in (lease.task_id, lease.token)]
        return {task_id.decode() for task_id in self._links.get().call(self._call("renew", args))}

    def expired(self, *, lease_seconds: float, count: int) -> list[str]:
        """Ids of tasks whose lease is over; also forgets lanes, consumers and events that are too old."""
        age = self.emitter.max_age_seconds if self.emitter else 0.0
        args = [packing.micros(lease_seconds), count, packing.micros(age)]
        return [task_id.decode() for task_id in self._links.get().call(self._call("expired", args))]

    def reap(
        self, task_id: str, *, lease_seconds: float, result: bytes, result_ttl_ms: int, where: str
    ) -> str | None:
        """Take a task from an owner that is gone (T11, T12): "returned", "redelivered", "dead", or None."""
        args = [task_id, packing.micros(lease_seconds), result, result_ttl_ms, where]
        reply = self._links.get().call(self._call("reap", args, [self.keys.result(task_id)]))
        return reply.decode() if isinstance(reply, bytes) else None

    def check_periodic(self, where: str) -> tuple[bool, float]:
        """Tell `checking-periodic` if nobody did this minute; returns whether we did, and Redis' Unix seconds."""
        told, now = self._links.get().call(self._call("check", [NO_TASK + where]))
        return bool(told), int(now) / 1e6

    def watch_periodic(self, next_due: Mapping[str, float]) -> dict[str, float]:
        """Note periodic tasks and their next due times; returns the last due time of each (Unix seconds)."""
        args = [word for name, due in next_due.items() for word in (name, packing.micros(due))]
        replies = self._links.get().call(self._call("watch", args))
        return {name: int(last) / 1e6 for name, last in zip(next_due, replies, strict=True)}

    def fire(self, parcel: Parcel, *, due: float, next_due: float, where: str) -> bool:
        """Enqueue one run of a periodic task, once per due time (T16); False if that was done already."""
        args = [parcel.periodic, packing.micros(due), packing.micros(next_due), where, *packing.item(parcel)]
        return bool(self._links.get().call(self._call("fire", args)))

    def tell(self, notices: Sequence[Notice], receipt: Receipt) -> None:
        """Append events that go with no change of state.

        Raises OutcomeUnknown; repeating it with the same receipt tells nothing twice.
        """
        if self.emitter is None:
            return
        args: list[Any] = [receipt.lane, receipt.number]
        for notice in notices:
            args += [
                notice.status,
                int(notice.is_error),
                notice.source,
                notice.fragment,
                int(notice.stream_only),
            ]
        self._links.get().call(self._call("emit", args))

    def leave(self, consumer: str, owners: Sequence[str]) -> None:
        """Forget a consumer that stopped cleanly."""
        self._links.get().call(self._call("leave", [consumer, *owners]))

    # -- Listeners --------------------------------------------------------------------------------------
    @property
    def channel(self) -> str:
        """The pub/sub channel of this queue's live events, "" if there is none."""
        if self.emitter is None:
            return ""
        return self.keys.channel(self.address.db) if self.emitter.channel is None else self.emitter.channel

    def listener(self) -> PubSub:
        """A redis-py PubSub that is subscribed already; ``message["data"]`` is an event's JSON.

        Raises ConfigurationError for a queue that publishes no events, RedisUnavailable if Redis is away.
        """
        if not self.channel:
            raise ConfigurationError(f"queue {self.keys.queue!r} publishes no events (events=False)")
        return subscribed(self.address, self.channel)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return live_events(self.listener(), self.listener)

    def close(self) -> None:
        """Close this thread's connection and the pooled ones."""
        self._links.get().close()
        self.address.close()

    def _call(self, script: str, args: Sequence[Any], extra_keys: Sequence[str] = ()) -> Call:
        return Call(
            SCRIPTS[script], (*self._keys[script], *extra_keys), (*self._head, self._speaker().id, *args)
        )
