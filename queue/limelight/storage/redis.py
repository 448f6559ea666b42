"""A queue's storage in Redis: each method is one transition (see ``lua/``), told and done in one write."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from limelight.emitter import NO_TASK, RedisEventEmitter, Speaker
from limelight.errors import (
    ConfigurationError,
    OutcomeUnknown,
    RedisRefused,
    RedisUnavailable,
    UndecodableMessage,
)
from limelight.keys import QueueKeys
from limelight.task import Receipt
from limelight.tracecontext import new_span_id, new_trace_id

from . import packing
from .address import Address
from .administration import Administration
from .base import (
    Burial,
    Handed,
    Lease,
    Notice,
    Parcel,
    Reservation,
    ReserveRequest,
    Scheduled,
    Settlement,
    Watched,
)
from .link import Call, Words
from .links import ThreadLinks
from .listening import PubSub, live_events, subscribed
from .producing import Producing
from .scripts import SCRIPTS
from .values import Values
from .wait import Wait
from .waiting import Ends

TRACE_AGE_SECONDS: Final = 3_600.0

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
        trace_age_seconds: A run that starts later than this after its trace began opens a new trace, with a link.

    Attributes:
        administration: What an operator does: look, cancel, pause, dead letters.
        values: The application's own values.
        producing: What producers do.
    """

    def __init__(
        self,
        address: Address,
        keys: QueueKeys,
        *,
        emitter: RedisEventEmitter | None,
        speaker: Callable[[], Speaker],
        patience_seconds: float = 0.0,
        trace_age_seconds: float = TRACE_AGE_SECONDS,
    ) -> None:
        self.address = address
        self.keys = keys
        self.emitter = emitter
        self._trace_age = packing.micros(trace_age_seconds)
        self._speaker = speaker
        self._keys = {name: script.keys(keys) for name, script in SCRIPTS.items()}
        self._head = ("0", keys.queue, self.channel, emitter.max_events if emitter else 0)
        self._links = ThreadLinks(address, keys["meta"])
        self._ends = Ends(lambda channel: subscribed(address, channel), keys.ends)
        self.administration = Administration(
            self._links,
            keys,
            call=self._call,
            where=lambda: speaker().where,
            trace_age_seconds=trace_age_seconds,
        )
        self.values = Values(self._links, keys)
        self.producing = Producing(
            address, self._links, keys, call=self._call, patience_seconds=patience_seconds
        )

    # -- Producer ---------------------------------------------------------------------------------------
    def new_receipt(self, kind: str) -> Receipt:
        """A number under which a "tell" can be repeated, on this thread's lane."""
        return self._links.get().receipt(kind)

    def revoke(self, marked: Sequence[str], mark: str) -> int:
        """Mark tasks as revoked; they end when a worker pulls them.

        Args:
            marked: Ids, or ``@name`` for every task of a name.
            mark: µs of Unix time until which it holds, "0" for good, "once" for the next of a name.

        Returns:
            How many marks were set; an id that is not on the queue gets none.
        """
        return int(self._links.get().idempotent(self._call("revoke", [mark, *marked])))

    def restore(self, marked: Sequence[str]) -> int:
        """Take the mark of `revoke` away; returns how many had one."""
        return int(self._links.get().idempotent(self._call("revoke", ["", *marked])))

    def is_revoked(self, marked: Sequence[str]) -> bool:
        """Whether one of these marks (as for `revoke`) holds now."""
        marks = self._links.get().read("HMGET", self.keys["revoked"], *marked)
        return any(mark in {b"0", b"once"} or (mark and int(mark) > time.time() * 1e6) for mark in marks)

    def result(self, task_id: str) -> tuple[bytes | None, bool]:
        """The stored result, None if there is none; and whether one may still come.

        The task is looked at before its result: whoever finds it gone also finds what it left.
        """
        promised, exists, buried, data = self._links.get().read_all(
            ("HEXISTS", self.keys["promised"], task_id),
            ("HEXISTS", self.keys["tasks"], task_id),
            ("ZSCORE", self.keys["dead"], task_id),
            ("GET", self.keys.result(task_id)),
        )
        return data, bool(promised) or (bool(exists) and buried is None)

    def gathered(self, group_id: str) -> list[bytes]:
        """What the members of a group left, in their order; b"" of one that neither succeeded nor failed.

        Raises UndecodableMessage when the group is gone: its callback has ended elsewhere.
        """
        link, groups = self._links.get(), self.keys["groups"]
        header = link.read("HGET", groups, group_id)
        places = [f"{group_id}:{place}" for place in range(packing.group_size(header))] if header else []
        # Once more with them: between two reads the callback may end, and the group with it.
        header, *left = link.read("HMGET", groups, group_id, *places)
        if header is None:
            raise UndecodableMessage(f"group {group_id} is not in Redis any more")
        return [value or b"" for value in left]

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
        calls = [self._settle_call(settlements, result_ttl_ms)] if settlements else []
        if request is not None:
            calls.append(self._reserve_call(request, where))
        replies = self._sent(calls) if calls else []
        reserved = replies.pop() if request is not None else None
        if request is not None and isinstance(reserved, list):
            reserved = packing.reservation(reserved, f"{request.owner}:{request.number}")
        return self._settled(settlements, replies, result_ttl_ms), reserved

    def _sent(self, calls: Sequence[Call]) -> list[Any]:
        """Answers and refusals; raises where a call was not sent, or not all of them."""
        replies = self._links.get().pipeline(calls)
        unsent = [reply for reply in replies if isinstance(reply, RedisUnavailable)]
        if unsent:
            raise unsent[0] if len(unsent) == len(replies) else OutcomeUnknown(str(unsent[0]))
        return replies

    def _settled(
        self, settlements: Sequence[Settlement], replies: Sequence[Any], result_ttl_ms: int
    ) -> list[bool | RedisRefused]:
        """One answer per settlement; where Redis refused a batch, each is tried alone: one may be the cause."""
        if not settlements:
            return []
        (reply,) = replies
        if not isinstance(reply, RedisRefused):
            return [bool(one) for one in reply]
        if len(settlements) == 1:
            return [reply]
        return [
            self._settled([one], self._sent([self._settle_call([one], result_ttl_ms)]), result_ttl_ms)[0]
            for one in settlements
        ]

    def _settle_call(self, settlements: Sequence[Settlement], result_ttl_ms: int) -> Call:
        args: list[Any] = []
        keys: list[str] = []
        for settlement in settlements:
            args += packing.settlement(settlement, result_ttl_ms)
            keys.append(self.keys.result(settlement.lease.task_id))
            keys += [self.keys.result(heir) for heir in settlement.heirs]
        return self._call("settle", args, keys)

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
                self._trace_age,
                int(request.tell_ended),
                packing.place(where),
                *request.spans,
            ],
        )

    def take(self, task_id: str, *, lease_seconds: float) -> Lease | None:
        """Reserve one task by its id (T2), for whoever enqueued it and runs it itself; None if it is not ready."""
        lease = Lease(task_id, uuid.uuid4().hex)
        call = self._call("take", [task_id, lease.token, packing.micros(lease_seconds)])
        return lease if self._links.get().idempotent(call) else None

    def start(
        self, leases: Sequence[Lease], *, lease_seconds: float, where: str, tell_ended: bool = False
    ) -> list[Handed | None]:
        """Begin runs of reserved tasks (T3).

        Returns, per task, None where it is not ours any more, or ended instead as revoked or expired; of the latter,
        if `tell_ended`, what it was.
        """
        args: list[Any] = [packing.micros(lease_seconds), where, self._trace_age, int(tell_ended)]
        args.append(packing.place(where))
        for lease in leases:
            args += [lease.task_id, lease.token, new_span_id(), new_trace_id()]
        replies = self._links.get().call(self._call("start", args))
        return [
            packing.handed(reply, lease.token) if isinstance(reply, list) else None
            for lease, reply in zip(leases, replies, strict=True)
        ]

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

    def reserve_when_woken(
        self, request: ReserveRequest, *, where: str, seconds: float, wait: Wait
    ) -> tuple[Exception | None, Reservation | RedisRefused]:
        """Wait as `wait_for_work` does, and have Redis reserve (T2, T3) the moment the wait is over, in one trip.

        Returns what Redis refused the wait with, None where it took its time; and what was reserved, or what Redis
        refused the request with.

        Raises RedisUnavailable or OutcomeUnknown, also where the wait was ended: the same request may be asked
        again, and if its outcome is unknown it must be.
        """
        call = self._reserve_call(request, where)
        refusal, reserved = self._links.get().wait_and_call(wait, self._pop(seconds), call)
        if isinstance(reserved, RedisUnavailable):
            raise reserved
        if isinstance(reserved, list):
            reserved = packing.reservation(reserved, f"{request.owner}:{request.number}")
        return refusal, reserved

    def wait_for_work(self, seconds: float, wait: Wait) -> None:
        """Return when a task may have become ready, or after `seconds` (at most 5).

        Raises RedisError, also where the wait was ended.
        """
        self._links.get().wait(wait, self._pop(seconds))

    def _pop(self, seconds: float) -> Words:
        return ("BLPOP", self.keys["wake"], min(seconds, 5.0))

    def ring(self) -> None:
        """Wake an idle worker of whichever consumer: a token was taken where nobody was idle any more."""
        self._links.get().idempotent(self._call("ring", []))

    # -- Consumer ---------------------------------------------------------------------------------------
    def schedule_delayed(
        self, count: int, where: str, *, tell_which: bool = False
    ) -> tuple[int, list[Scheduled]]:
        """Put tasks that were enqueued for later on the schedule, and tell it.

        Returns how many it took; and, if that is asked for, those that are on the schedule now.
        """
        taken, *scheduled = self._links.get().call(self._call("schedule", [count, where, int(tell_which)]))
        return int(taken), [packing.scheduled(one) for one in scheduled]

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
        """Take a task from an owner that is gone (T11, T12): "returned", "redelivered", "dead", or None.

        `result` is the failure that it leaves if this is its end, stored for `result_ttl_ms` (0: not at all).
        """
        args = [task_id, packing.micros(lease_seconds), result, result_ttl_ms, where]
        reply = self._links.get().call(self._call("reap", args, [self.keys.result(task_id)]))
        return reply.decode() if isinstance(reply, bytes) else None

    def lost(
        self, lease: Lease, *, reason: str, traceback: str, result: bytes, result_ttl_ms: int, where: str
    ) -> str | None:
        """Take a task from an owner of ours that died (T11), at once: "redelivered", "dead", or None.

        Args:
            lease: What the dead owner held.
            reason: Fragment with error type and message.
            traceback: Fragment with the traceback.
            result: What `Result.get` will read if this is the task's end, b"" for nothing.
            result_ttl_ms: How long that stays.
            where: Fragment that names who tells.
        """
        args = [lease.task_id, lease.token, result, result_ttl_ms, where, reason, traceback]
        call = self._call("lost", args, [self.keys.result(lease.task_id)])
        reply = self._links.get().idempotent(call)
        return reply.decode() if isinstance(reply, bytes) else None

    def check_periodic(self, where: str) -> tuple[bool, float]:
        """Tell `checking-periodic` if nobody did this minute; returns whether we did, and Redis' Unix seconds."""
        told, now = self._links.get().call(self._call("check", [NO_TASK + where]))
        return bool(told), int(now) / 1e6

    def watch_periodic(self, times: Mapping[str, tuple[float, float, float]]) -> dict[str, Watched]:
        """Note periodic tasks, and learn what is known of them.

        Args:
            times: Per task when it is due next, up to when the caller decided its due times (0 for neither), and
                how many seconds after a due time a run must have succeeded.
        """
        args = [word for name, told in times.items() for word in (name, *map(packing.micros, told))]
        micros = [int(reply) for reply in self._links.get().call(self._call("watch", args))]
        pairs = zip(micros[::2], micros[1::2], strict=True)
        known = [Watched(due / 1e6, decided / 1e6) for due, decided in pairs]
        return dict(zip(times, known, strict=True))

    def fire(self, parcel: Parcel, *, due: float, last: float, where: str) -> bool:
        """Enqueue one run of a periodic task, once per due time (T16).

        Args:
            parcel: The run.
            due: Its due time.
            last: The last due time that ran, as `watch_periodic` or the fire before told it.
            where: Who speaks.

        Returns:
            False, with nothing done, if another scheduler fired since.
        """
        args = [parcel.periodic, packing.micros(due), packing.micros(last), where, *packing.item(parcel)]
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

    # -- Locks and limits -------------------------------------------------------------------------------
    def lock(self, name: str, request: str, *, holder: Lease | None, seconds: float | None) -> bool | None:
        """Take a lock; asking again with the same request is safe.

        Args:
            name: Which.
            request: Id of this very request; it frees the lock.
            holder: The run that takes it; the lock ends with it. None outside of a run.
            seconds: How long it lasts at most; None for as long as the run.

        Returns:
            True: taken. False: somebody holds it. None: the run is not ours any more.
        """
        token, task_id = (holder.token, holder.task_id) if holder else ("", "")
        lasts = "0" if seconds is None else packing.micros(seconds)
        taken = self._links.get().idempotent(self._call("lock", [name, token, task_id, request, lasts]))
        return None if taken < 0 else bool(taken)

    def unlock(self, names: Sequence[str], request: str = "") -> int:
        """Free locks that `request` took, or ("") whoever holds them; returns how many were held so."""
        return int(self._links.get().idempotent(self._call("unlock", [request, *names])))

    def locks(self) -> list[str]:
        """Names of the locks that are held now."""
        link, now = self._links.get(), time.time() * 1e6
        held = link.read("HGETALL", self.keys["locked"])
        pairs = zip(held[::2], held[1::2], strict=True)
        return sorted(name.decode() for name, value in pairs if not 0 < int(value.split(b" ")[1]) <= now)

    def use_limit(self, name: str, request: str, *, limit: int, per_seconds: float) -> float:
        """Count one use against a limit; 0 if there was room, else seconds until there is."""
        args = [request, limit, packing.micros(per_seconds)]
        call = self._call("limit", args, [self.keys.limit(name)])
        return int(self._links.get().idempotent(call)) / 1e6

    def limit_usage(self, name: str, per_seconds: float) -> int:
        """Uses that were counted within the window that ends now."""
        since = f"({(time.time() - per_seconds) * 1e6:.0f}"
        return int(self._links.get().read("ZCOUNT", self.keys.limit(name), since, "+inf"))

    def reset_limit(self, name: str) -> None:
        """Forget the uses of a limit."""
        self._links.get().read("DEL", self.keys.limit(name))

    # -- Waiting for ends -------------------------------------------------------------------------------
    def await_end(self, task_id: str, channel: str) -> bool:
        """Have the end of a task published on a channel; False if it is not on the queue, and will not be."""
        return bool(self._links.get().idempotent(self._call("await", [task_id, channel])))

    @contextlib.contextmanager
    def end_of(self, task_id: str) -> Iterator[tuple[threading.Event, bool]]:
        """An event that is set when the task has ended, and whether it can be relied on.

        Where Redis does not let us listen it is never set: whoever waits has to look.
        """
        with contextlib.ExitStack() as stack:
            try:
                channel, ended = stack.enter_context(self._ends.expected(task_id))
                if not self.await_end(task_id, channel):
                    ended.set()
            except (RedisUnavailable, RedisRefused) as error:
                log.debug("cannot be told of ends, looking instead: %s", error)
                yield threading.Event(), False
            else:
                yield ended, True

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

    def _call(self, script: str, args: Sequence[Any], extra_keys: Sequence[str | bytes] = ()) -> Call:
        return Call(
            SCRIPTS[script], (*self._keys[script], *extra_keys), (*self._head, self._speaker().id, *args)
        )
