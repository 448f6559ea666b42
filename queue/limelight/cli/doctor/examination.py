"""The walk from facts to findings: the server first, then each queue."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence

from limelight.cli.text import counted
from limelight.emitter import Speaker, service_of
from limelight.errors import RedisRefused
from limelight.event_log import EventLog
from limelight.inspection import queue_view
from limelight.keys import REGISTRY, QueueKeys
from limelight.storage.address import Address
from limelight.storage.link import Link
from limelight.storage.links import Links

from .facts import ChannelFacts, QueueFacts, RightsFacts
from .finding import Finding, Status
from .queue_checks import QUEUE_CHECKS
from .reading import lacking_for_channel, lacking_rights, queue_facts, server_facts
from .rights_check import channel, rights
from .server_checks import SERVER_CHECKS
from .strays import mend
from .stream_checks import STREAM_CHECKS, cursors

_ANY_QUEUE = "limelight"
"""Rights are tried on its keys while there is no queue yet; it need not exist."""


class Examination:
    """Examines one Redis.

    Every method raises RedisUnavailable (it cannot be reached) or OutcomeUnknown (it does not answer).

    Args:
        address: Where it is.
        cap: How many events a stream may hold; the application knows, Redis does not.
    """

    def __init__(self, address: Address, *, cap: int) -> None:
        self._address = address
        self._links = Links(address)
        self._cap = cap
        self._user = ""

    def servers(self) -> Iterator[Finding]:
        """What there is to say about the server; in a Cluster, about each that has a queue.

        Raises RedisRefused where it does not let us in.
        """
        seen: set[str] = set()
        for link in (self._links.to(REGISTRY), *map(self._to, self.queues())):
            link.wire()  # opens it: in a Cluster it is known only then which server it is to
            if link.server not in seen:
                seen.add(link.server)
                yield from self._server(link)

    def _server(self, link: Link) -> list[Finding]:
        facts = server_facts(link)
        self._user = facts.user
        return [check(facts) for check in SERVER_CHECKS]

    def _to(self, queue: str) -> Link:
        return self._links.to(QueueKeys(queue)["meta"])

    def queues(self) -> Sequence[str]:
        """The queues that there are; none where we may not ask."""
        try:
            return EventLog(self._address).queues()
        except RedisRefused:
            return ()

    def rights(self, queue: str = "") -> Finding:
        """What we may do with a queue, or with any."""
        name = queue or _ANY_QUEUE
        lacking = lacking_rights(self._to(name), name, self._address.db)
        return rights(RightsFacts(queue=queue, user=self._user, lacking=lacking))

    def channel(self, name: str) -> Finding:
        """Whether an exporter may listen to a channel of Huey 1.x."""
        lacking = lacking_for_channel(self._links.to(name), name)
        return channel(ChannelFacts(channel=name, user=self._user, lacking=lacking))

    def queue(self, queue: str, *, repair: bool = False) -> list[Finding]:
        """What there is to say about a queue; with `repair`, after what can be put right was put right."""
        try:
            mended = [self._repaired(queue)] if repair else []
            facts = self._facts(queue)
        except RedisRefused as error:
            found = "This queue could not be examined"
            return [Finding(check="queue", status=Status.FAIL, found=found, detail=str(error), queue=queue)]
        checks = (*QUEUE_CHECKS, *STREAM_CHECKS)
        return [*mended, *(check(facts) for check in checks), *cursors(facts)]

    def _facts(self, queue: str) -> QueueFacts:
        return queue_facts(self._to(queue), queue_view(self._links, queue), cap=self._cap)

    def _repaired(self, queue: str) -> Finding:
        """Put right what is found, until nothing more is."""
        speaker = Speaker(service_of(os.environ, "limelight-doctor"))
        channel = QueueKeys(queue).channel(self._address.db)
        mended: Counter[str] = Counter()
        while (facts := self._facts(queue)).strays:
            ids = [stray.id for stray in facts.strays or ()]
            done = mend(
                self._to(queue), queue, ids, speaker=speaker, channel=channel, tells=facts.view.seq > 0
            )
            if not done:
                break
            mended += done
        return facts.finding("repair", Status.OK, _what_was_done(mended))


def _what_was_done(mended: Counter[str]) -> str:
    gone = mended.pop("gone", 0)
    done = [f"{counted(count, 'task')} put back into {index}" for index, count in sorted(mended.items())]
    if gone:
        done.append(f"{counted(gone, 'place')} without a task taken away")
    return "; ".join(done) if done else "There was nothing to repair"
