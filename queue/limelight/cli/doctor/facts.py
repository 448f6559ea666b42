"""What was read, before anybody judges it. Times are Unix seconds by Redis' clock, durations are seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from limelight.inspection import QueueView

from .finding import Finding, Status
from .rights import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerFacts:
    """A Redis server, as it answers us.

    Attributes:
        address: Where it is, as it may be shown.
        peer: IP address of its end of the connection, "" for a socket file.
        encrypted: Whether the connection is.
        user: Who we are there, "" if it does not say.
        trips: How long each of some pings took.
        clock_ahead: By how much this machine's clock is ahead of Redis', None where we may not ask.
        clock_doubt: How far off that may be, either way.
        info: What INFO says, empty where we may not ask.
        settings: What CONFIG GET says; a setting that we may not ask for is missing.
    """

    address: str
    peer: str
    encrypted: bool
    user: str
    trips: tuple[float, ...]
    clock_ahead: float | None
    clock_doubt: float
    info: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int:
        """A whole number of INFO, 0 where it says nothing."""
        text = self.info.get(name, "")
        return int(text) if text.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Told:
    """An event on the stream: its number and when it was told."""

    seq: int
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFacts:
    """The stream of events of a queue.

    Attributes:
        length: How many entries it holds.
        oldest, newest: Its ends, None while it is empty.
        recent: The oldest event of the last five minutes, None if there is none.
        cap: How many entries it may hold.
    """

    length: int
    oldest: Told | None
    newest: Told | None
    recent: Told | None
    cap: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CursorFacts:
    """How far one reader of the stream (an exporter) is.

    Attributes:
        reader: Its name.
        seq: Number of the last event it dealt with.
        epoch: Which life of the stream that counts in.
        saved_at: When it said so.
    """

    reader: str
    seq: int
    epoch: str
    saved_at: float


@dataclass(frozen=True, slots=True)
class Stray:
    """A task that is not where its record says, or an entry of an index without a record.

    Attributes:
        id: The task's.
        state: What its record says; for an entry without one, the index.
        fault: ``missing`` from that index, in a second one too (``double``), or its record ``gone``.
    """

    id: str
    state: str
    fault: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueFacts:
    """One queue.

    Attributes:
        view: What stands in it.
        now: When it was looked at.
        paused: Since when it is paused, None if it is not.
        sizes: Index → entries, all at one moment.
        oldest_lease: When the first lease ends or ended, None if there is none.
        newest_dead: When the newest dead letter was buried, None if there is none.
        stream: Its events.
        cursors: Who reads them.
        strays: What fits nowhere; None where it was not looked for.
    """

    view: QueueView
    now: float
    paused: float | None
    sizes: Mapping[str, int]
    oldest_lease: float | None
    newest_dead: float | None
    stream: StreamFacts
    cursors: tuple[CursorFacts, ...]
    strays: tuple[Stray, ...] | None

    def finding(self, check: str, status: Status, found: str, *, detail: str = "", fix: str = "") -> Finding:
        """A finding about this queue."""
        return Finding(check=check, status=status, found=found, detail=detail, fix=fix, queue=self.view.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class RightsFacts:
    """What we may do with one queue.

    Attributes:
        queue: Which.
        user: Who we are, "" if Redis does not say.
        lacking: Role → rules for ``ACL SETUSER`` that are missing for it; None where it could not be tried.
    """

    queue: str
    user: str
    lacking: Mapping[Role, tuple[str, ...]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFacts:
    """Whether we may listen to a channel.

    Attributes:
        channel: Which.
        user: Who we are, "" if Redis does not say.
        lacking: Rules for ``ACL SETUSER`` that are missing for it; None where it could not be tried.
    """

    channel: str
    user: str
    lacking: tuple[str, ...] | None
