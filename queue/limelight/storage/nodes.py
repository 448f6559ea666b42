"""Which server to talk to: the only one, the master that Sentinels name, or the node of a Cluster that has a key.

Each time a connection is opened it is found anew as far as needed, so a failover is followed by reconnecting. What is
remembered is replaced in one assignment, never locked: threads and forks may share it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Protocol, TypeAlias

import redis
from redis.connection import AbstractConnection
from redis.crc import key_slot

from limelight.errors import RedisError, RedisRefused, RedisUnavailable

from .answers import Redirect, reason, refused, unreachable

Place: TypeAlias = tuple[str, int]
"""Host and TCP port."""
Make: TypeAlias = Callable[..., AbstractConnection]
"""Makes a connection of redis-py that is not connected yet; keywords replace its options."""

_FAULTS: Final = (redis.exceptions.RedisError, OSError)


class Nodes(Protocol):
    """Opens connections to the server that holds a key."""

    def slot(self, key: str) -> int:
        """Keys of one slot are always on one server."""

    def connect(self, key: str) -> AbstractConnection:
        """A new connection, connected.

        Raises RedisUnavailable if the server cannot be found or reached, RedisRefused if it will not have us.
        """


class OneServer:
    """The server that the URL names."""

    def __init__(self, make: Make, shown: str) -> None:
        self._make, self._shown = make, shown

    def slot(self, _key: str) -> int:
        """One for all."""
        return 0

    def connect(self, _key: str) -> AbstractConnection:
        """See `Nodes`."""
        return _connected(self._make(), self._shown)


class Sentinels:
    """The master that Sentinels name, asked at each connect and taken only if it calls itself a master.

    Args:
        make: For the master.
        make_sentinel: For Sentinels.
        sentinels: Where they are; who answered last is asked first.
        service: The master's name there.
        shown: How to speak of it.
    """

    def __init__(
        self, make: Make, make_sentinel: Make, sentinels: Sequence[Place], service: str, shown: str
    ) -> None:
        self._make, self._make_sentinel = make, make_sentinel
        self._sentinels = tuple(sentinels)
        self._service, self._shown = service, shown

    def slot(self, _key: str) -> int:
        """One for all."""
        return 0

    def connect(self, _key: str) -> AbstractConnection:
        """See `Nodes`. A Sentinel that lags behind the others holds nobody up."""
        faults: dict[str, None] = {}
        for sentinel in self._sentinels:
            try:
                connection = self._master(self._named_by(sentinel))
            except RedisUnavailable as error:
                faults[str(error).rstrip(".")] = None
            else:
                self._sentinels = (sentinel, *(other for other in self._sentinels if other != sentinel))
                return connection
        raise RedisUnavailable(f"no master at {self._shown}: {'; '.join(faults)}.")

    def _named_by(self, sentinel: Place) -> Place:
        try:
            answer = _asked(
                self._make_sentinel(host=sentinel[0], port=sentinel[1]),
                *("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service),
            )
        except _FAULTS as error:
            raise RedisUnavailable(f"Sentinel {_text(sentinel)}: {reason(error)}") from error
        if answer is None:
            raise RedisUnavailable(f"Sentinel {_text(sentinel)} knows no master named {self._service!r}")
        return answer[0].decode(), int(answer[1])

    def _master(self, place: Place) -> AbstractConnection:
        shown = f"{_text(place)} (of {self._shown})"
        connection = _connected(self._make(host=place[0], port=place[1]), shown)
        try:
            role = _answer(connection, "ROLE")[0].decode()
        except _FAULTS as error:
            connection.disconnect()
            if isinstance(error, redis.exceptions.ResponseError):
                raise refused(error, shown) from error
            raise unreachable(error, shown) from error
        if role != "master":
            connection.disconnect()
            raise RedisUnavailable(f"Redis at {shown} is a {role}, no master: a failover may be under way")
        return connection


class ClusterNodes:
    """The nodes of a Cluster, each found by the slot of a key.

    Args:
        make: For any node.
        seeds: Some of them.
        shown: How to speak of the Cluster.
    """

    def __init__(self, make: Make, seeds: Sequence[Place], shown: str) -> None:
        self._make, self._seeds, self._shown = make, tuple(seeds), shown
        self._known: tuple[Place, ...] = ()
        self._owners: dict[int, Place] = {}

    def slot(self, key: str) -> int:
        """The hash slot, 0 to 16,383."""
        return int(key_slot(key.encode()))

    def connect(self, key: str) -> AbstractConnection:
        """See `Nodes`. An owner that does not answer may have been replaced, so the others are asked."""
        slot = self.slot(key)
        owner = self._owners.get(slot)
        if owner is None:
            return self.connect_to(self._found(slot))
        try:
            return self.connect_to(owner)
        except RedisUnavailable:
            found = self._found(slot, last=owner)
            if found == owner:
                raise
            return self.connect_to(found)

    def connect_to(self, place: Place) -> AbstractConnection:
        """A connection to one node. Raises as `connect`."""
        return _connected(self._make(host=place[0], port=place[1]), f"{_text(place)} (of {self._shown})")

    def follow(self, redirect: Redirect, asked: str) -> Place:
        """The node that a redirect from host `asked` names; remembered if the slot has moved for good."""
        place = (redirect.host or asked, redirect.port)
        if redirect.moved:
            self._owners = {**self._owners, redirect.slot: place}
        return place

    def _found(self, slot: int, last: Place | None = None) -> Place:
        """Ask one node after the other who owns a slot, `last` at the end."""
        faults = []
        places = dict.fromkeys((*self._known, *self._seeds))
        for place in sorted(places, key=lambda place: place == last):
            connection = self._make(host=place[0], port=place[1])
            try:
                ranges = _asked(connection, "CLUSTER", "SLOTS")
            except (redis.exceptions.AuthenticationError, redis.exceptions.ResponseError) as error:
                raise refused(error, _text(place)) from error
            except _FAULTS as error:
                faults.append(unreachable(error, _text(place)))
                continue
            self._known = tuple(dict.fromkeys(_nodes(ranges, place[0])))
            if (owner := _owner(ranges, slot, place[0])) is not None:
                self._owners = {**self._owners, slot: owner}
                return owner
            faults.append(RedisUnavailable(f"{_text(place)} knows of no node that serves slot {slot}"))
        raise _worst(faults, self._shown)


def _worst(faults: Sequence[RedisError], shown: str) -> RedisError:
    """One error for what several nodes said: a refusal if there is one, for it needs somebody to act."""
    for fault in faults:
        if isinstance(fault, RedisRefused):
            return fault
    told = "; ".join(dict.fromkeys(str(fault).rstrip(".?") for fault in faults))
    return RedisUnavailable(f"no node of {shown} helps: {told}.")


def _nodes(ranges: Iterable[Sequence[Any]], asked: str) -> Iterable[Place]:
    """Every node in the answer to CLUSTER SLOTS, masters and replicas."""
    for _, _, *nodes in ranges:
        for node in nodes:
            yield _place(node, asked)


def _owner(ranges: Iterable[Sequence[Any]], slot: int, asked: str) -> Place | None:
    for first, last, master, *_ in ranges:
        if first <= slot <= last:
            return _place(master, asked)
    return None


def _place(node: Sequence[Any], asked: str) -> Place:
    """A node that does not know its own name is where it was asked."""
    host = (node[0] or b"?").decode()
    return (asked if host == "?" else host), int(node[1])


def _connected(connection: AbstractConnection, shown: str) -> AbstractConnection:
    try:
        connection.connect()
    except _FAULTS as error:
        raise unreachable(error, shown) from error
    return connection


def _asked(connection: AbstractConnection, *words: str) -> Any:
    """Connect, ask one thing, hang up. Raises what redis-py raises."""
    try:
        connection.connect()
        return _answer(connection, *words)
    finally:
        connection.disconnect()


def _answer(connection: AbstractConnection, *words: str) -> Any:
    connection.send_command(*words, check_health=False)
    return connection.read_response()


def _text(place: Place) -> str:
    return f"{place[0]}:{place[1]}"
