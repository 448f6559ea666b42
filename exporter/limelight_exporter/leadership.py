"""Who of a group sends the spans of a queue: one exporter at a time, by a lease.

The lease lies beside the cursor that it is about, so it is of one opinion with it whatever becomes of other queues
and other nodes. It saves work and duplicates; what is sent is never lost or held back by it: the cursor's own
refusal to go back decides (lua/save.lua).
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from typing import Final

from limelight.errors import LimelightError
from limelight.keys import QueueKeys
from limelight.storage.link import Call
from limelight.storage.links import Links
from limelight.storage.scripts import load

from . import catalog
from .config import Settings
from .connection import connect
from .ports import Tally

LEASE_SECONDS: Final = 7.0
RENEW_SECONDS: Final = 2.0
ASK_SECONDS: Final = 0.5
"""How often one who does not lead asks whether it may."""
_LEAD: Final = load("lead", "limelight_exporter.lua")
_log = logging.getLogger(__name__)


def trace_reader(group: str) -> str:
    """The name under which a group's trace cursor is saved."""
    return f"traces:{group}"


def lease_field(group: str) -> str:
    """The field of a queue's ``meta`` that holds the lease of a group."""
    return f"leader:{trace_reader(group)}"


class Lease:
    """The lease of one queue, as one exporter sees it.

    Args:
        links: The way to Redis.
        queue: Name of the queue.
        group: Exporter group.
        holder: Who asks; no other exporter has the same.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        links: Links,
        queue: str,
        group: str,
        holder: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.queue = queue
        self._links, self._key = links, QueueKeys(queue)["meta"]
        self._shared = ("0", queue, "", "0", "", lease_field(group), holder, int(LEASE_SECONDS * 1_000))
        self._clock = clock
        self._until = float("-inf")
        self._due = float("-inf")

    @property
    def is_held(self) -> bool:
        """Whether it is ours now, by our clock; Redis' gives it to another only later."""
        return self._clock() < self._until

    @property
    def is_due(self) -> bool:
        """Whether it is time to ask for it, or to renew it."""
        return self._clock() >= self._due

    def ask(self) -> None:
        """Take it or renew it, if nobody else has it. Raises limelight's RedisError."""
        asked = self._clock()
        self._due = asked + ASK_SECONDS
        if int(self._call("")) == 1:
            self._until, self._due = asked + LEASE_SECONDS, asked + RENEW_SECONDS
        else:
            self._until = float("-inf")

    def give_up(self) -> None:
        """Let another have it at once. Raises limelight's RedisError."""
        if self.is_held:
            self._until = float("-inf")
            self._call("1")

    def _call(self, give_up: str) -> int:
        return int(self._links.to(self._key).idempotent(Call(_LEAD, (self._key,), (*self._shared, give_up))))


class Leadership:
    """Holds the leases of all queues that it may, and renews them in a thread of its own, however long a send takes.

    Args:
        settings: Where Redis is, and the group.
        tally: Shows whether we lead.
    """

    def __init__(self, settings: Settings, tally: Tally) -> None:
        self._links, self._group, self._tally = connect(settings), settings.group, tally
        self._holder = uuid.uuid4().hex
        self._leases: dict[str, Lease] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="limelight-leases", daemon=True)

    def start(self) -> None:
        """Begin to ask for leases; returns at once, Redis may be down."""
        self._thread.start()

    def stop(self, timeout_seconds: float = 5.0) -> None:
        """Give all leases up, and end."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout_seconds)

    def watch(self, queue: str) -> None:
        """Ask for the lease of this queue, now and again. Raises limelight's RedisError: then it is not watched."""
        lease = Lease(self._links, queue, self._group, self._holder)
        lease.ask()
        self._leases = {**self._leases, queue: lease}
        self._show(lease)

    def leads(self, queue: str) -> bool:
        """Whether the spans of this queue are ours to send; any thread may ask."""
        lease = self._leases.get(queue)
        return lease is not None and lease.is_held

    def _run(self) -> None:
        while not self._stopping.wait(ASK_SECONDS / 2):
            self._each(Lease.ask, [lease for lease in self._leases.values() if lease.is_due])
        self._each(Lease.give_up, self._leases.values())
        self._links.close()

    def _each(self, step: Callable[[Lease], None], leases: Iterable[Lease]) -> None:
        for lease in leases:
            try:
                step(lease)
            except LimelightError as error:
                _log.debug("queue %s: no word on who leads: %s", lease.queue, error)
            except Exception:
                _log.exception("a fault in the leases; they go on")
            self._show(lease)

    def _show(self, lease: Lease) -> None:
        self._tally.set(catalog.SPAN_LEADER, (lease.queue,), int(lease.is_held))
