"""What producers do: put tasks on a queue (T1), under a number that makes each write repeatable."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, Protocol

from limelight.errors import ConfigurationError, OutcomeUnknown, RedisRefused, RedisUnavailable
from limelight.keys import REGISTRY, QueueKeys
from limelight.task import Receipt

from . import packing
from .address import Address
from .base import GroupParcel, Parcel
from .link import Call, Link
from .links import ThreadLinks

_ANNOUNCE_SECONDS: Final = 3_600.0
_ANNOUNCE_AGAIN_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.05
log = logging.getLogger(__name__)


class MakeCall(Protocol):
    """Makes the call of one script of the queue."""

    def __call__(self, script: str, args: Sequence[Any]) -> Call:
        """The call of `script` with its own arguments."""
        ...


class Sending(NamedTuple):
    """A write on its way; `finish` says how it went.

    Attributes:
        call: What is written.
        posted: Whether it was sent already, on the link of the thread that began it. `finish` sends the others: it
            comes before anything else then, or a later number of the lane would hide theirs.
    """

    call: Call
    posted: bool


class Producing:
    """Safe for many threads; each has its own connection, and finishes what it began itself.

    Args:
        address: Where Redis is.
        links: Links to the server that has the queue's keys.
        keys: The queue's keys.
        call: Makes calls of scripts.
        patience_seconds: How long an enqueue may wait for a Redis that cannot be reached, or that refuses for
            a while (a failover); 0: fail at once.
    """

    def __init__(
        self,
        address: Address,
        links: ThreadLinks,
        keys: QueueKeys,
        *,
        call: MakeCall,
        patience_seconds: float,
    ) -> None:
        self._address = address
        self._links = links
        self._keys = keys
        self._call = call
        self._patience = patience_seconds
        self._announced = float("-inf")

    def new_receipt(self) -> Receipt:
        """A number under which an enqueue can be repeated, on this thread's lane."""
        link = self._links.get()
        if link.has_posted and not link.was_answered():
            link.retire_lane("enqueue")  # that number may be sent again, so none may follow it
        return link.receipt("enqueue")

    def begin(
        self, parcels: Sequence[Parcel], receipt: Receipt, groups: Sequence[GroupParcel] = ()
    ) -> Sending:
        """Send tasks, all or none; under a receipt that was used before it is a repeat. Faults are `finish`'s to raise.

        Args:
            parcels: The tasks.
            receipt: The number under which they are sent.
            groups: Groups that some of them are members of.
        """
        args: list[Any] = [receipt.lane, receipt.number, len(groups)]
        for group in groups:
            args += packing.group(group)
        for parcel in parcels:
            args += packing.item(parcel)
        call = self._call("enqueue", args)
        link = self._links.get()
        if link.has_posted or not self._is_announced():
            return Sending(call, posted=False)
        try:
            link.post(call)
        except BaseException:  # KeyboardInterrupt: this number may have arrived, so none may follow it
            link.retire_lane("enqueue")
            raise
        return Sending(call, posted=True)

    def finish(self, sending: Sending) -> None:
        """Wait until the tasks are on the queue.

        Raises:
            RedisUnavailable: Redis cannot be reached; nothing was enqueued.
            OutcomeUnknown: Its answer never came; the same tasks with the same receipt repeat it safely.
            RedisRefused: Redis answered with an error; nothing was enqueued.
            ConfigurationError: A task of that id is on the queue already.
        """
        link = self._links.get()
        try:
            reply = self._repeat(link, sending)
        except (OutcomeUnknown, KeyboardInterrupt, SystemExit):
            link.retire_lane("enqueue")  # this number may be repeated, so none may follow it
            raise
        if isinstance(reply, bytes):
            raise ConfigurationError(
                f"a task with id {reply.decode()} is on queue {self._keys.queue!r} already"
            )

    def enqueue(
        self, parcels: Sequence[Parcel], receipt: Receipt, groups: Sequence[GroupParcel] = ()
    ) -> None:
        """Put tasks on the queue: `begin` and `finish`."""
        self.finish(self.begin(parcels, receipt, groups))

    def _repeat(self, link: Link, sending: Sending) -> Any:
        """Repeat by protocol: once at once after a lost answer, then as long as our patience lasts."""
        posted = sending.posted
        deadline = time.monotonic() + self._patience
        unknown: OutcomeUnknown | None = None
        then = ""
        while True:
            try:
                if posted:
                    posted = False
                    return link.collect()
                self._announce_at_times()
                return link.call(sending.call)
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
            time.sleep(_PAUSE_SECONDS)

    def _is_announced(self) -> bool:
        return time.monotonic() - self._announced < _ANNOUNCE_SECONDS

    def _announce_at_times(self) -> None:
        if self._is_announced():
            return
        try:
            self.announce()
        except RedisRefused as error:
            self._announced = time.monotonic()
            log.warning("queue %s could not be announced to exporters: %s", self._keys.queue, error)
        except (OutcomeUnknown, RedisUnavailable) as error:
            if not self._address.is_cluster:  # there the registry may be down while the queue is up
                raise RedisUnavailable(str(error)) from error  # the task itself was not sent yet
            self._announced = time.monotonic() - _ANNOUNCE_SECONDS + _ANNOUNCE_AGAIN_SECONDS

    def announce(self) -> None:
        """Tell the registry that this queue exists, so that exporters find it."""
        if self._address.is_cluster:  # where the registry has a node of its own
            with contextlib.closing(Link(self._address, REGISTRY)) as link:
                link.read("ZADD", REGISTRY, int(time.time()), self._keys.queue)
        else:
            self._links.get().read("ZADD", REGISTRY, int(time.time()), self._keys.queue)
        self._announced = time.monotonic()
