"""Where Redis is, read from a URL: one server, a master that Sentinels name, or a Cluster."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection, SSLConnection
from redis.retry import Retry

from limelight.errors import ConfigurationError

from .answers import Redirect
from .nodes import ClusterNodes, Nodes, OneServer, Place, Sentinels

CONNECT_SECONDS: Final = 3.0
ANSWER_SECONDS: Final = 10.0
"""How long a link waits for an answer; no blocking command may block for longer than half of it."""

_SENTINEL_PORT: Final = 26379
_REDIS_PORT: Final = 6379
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS: Final = ("sentinel_username", "sentinel_password")
_FORMS: Final = (
    "It looks like redis://localhost:6379/0, rediss://host:6379, unix:///path/to/socket, "
    "redis+sentinel://host1:26379,host2:26379/name-of-the-master/0 or redis+cluster://host1:6379,host2:6379"
)


class Address:
    """How to reach Redis, and how to speak of it without its password.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://`` for one server;
            ``redis+sentinel://[user:password@]host[:port],…/service[/db]`` for a master that Sentinels name;
            ``redis+cluster://[user:password@]host[:port],…`` for a Cluster. The last two also with ``rediss``.
        options: Passed to redis-py's connections (``host``, ``password``, ``ssl_ca_certs``, …);
            for Sentinels that want a password of their own ``sentinel_username`` and ``sentinel_password``;
            ``password_file`` names a file whose first line is the password, read once.

    Attributes:
        db: Number of the database.
        shown: Where it is, as it may be shown.

    Raises:
        ConfigurationError: The URL or an option cannot be used.
    """

    def __init__(self, url: str | None, options: Mapping[str, Any]) -> None:
        asked = _taken_apart(url)
        self._pool_at = functools.partial(_pool, asked, options)
        self._pool, own = self._pool_at()
        if own and asked.form != "sentinel":
            raise ConfigurationError(f"{', '.join(own)}: only a redis+sentinel:// URL has Sentinels")
        self.db = int(self._pool.connection_kwargs.get("db") or 0)
        if asked.form == "cluster" and self.db:
            raise ConfigurationError(f"a Redis Cluster has database 0 only, not {self.db}: leave it out")
        self.shown = _shown(self._pool.connection_kwargs, asked)
        self._check_options()
        self._nodes = self._found_by(asked, own)

    def _found_by(self, asked: _Url, own: Mapping[str, Any]) -> Nodes:
        if asked.form == "cluster":
            return ClusterNodes(self._made, asked.places, self.shown)
        if asked.form == "sentinel":
            login = {"username": own.get("sentinel_username"), "password": own.get("sentinel_password")}
            sentinel = functools.partial(self._made, db=0, **login)
            return Sentinels(self._made, sentinel, asked.places, asked.service, self.shown)
        return OneServer(self._made, self.shown)

    def _check_options(self) -> None:
        try:
            self._made()
        except TypeError as error:
            word = str(error).rpartition(" ")[2]
            if word.startswith("'ssl_"):
                raise ConfigurationError(f"{word} is for TLS: use a rediss:// URL, or ssl=True") from None
            raise ConfigurationError(
                f"RedisQueue and redis-py's connections take no option {word}. "
                "If it is one of Huey's: see docs/migrating-from-huey.md"
            ) from None
        except redis.exceptions.RedisError as error:
            raise ConfigurationError(f"cannot connect to {self.shown}: {error}") from None
        for name in _FILES:
            path = self._pool.connection_kwargs.get(name)
            if path and not Path(path).is_file():
                raise ConfigurationError(f"{name}: there is no file {str(path)!r}")

    def _made(self, **changed: Any) -> AbstractConnection:
        """A connection of redis-py, not connected yet, not of any pool."""
        made: AbstractConnection = self._pool.connection_class(**{**self._pool.connection_kwargs, **changed})
        return made

    @property
    def is_cluster(self) -> bool:
        """Whether keys of different queues may be on different servers."""
        return isinstance(self._nodes, ClusterNodes)

    def slot(self, key: str) -> int:
        """Keys of one slot are always on one server."""
        return self._nodes.slot(key)

    def open(self, key: str) -> AbstractConnection:
        """A new connection to the server that holds a key, connected.

        Raises RedisUnavailable if it cannot be found or reached, RedisRefused if it will not have us.
        """
        return self._nodes.connect(key)

    def shown_of(self, connection: AbstractConnection | None) -> str:
        """The server at the other end of a connection, as it may be shown: a Cluster has several."""
        if connection is None or not self.is_cluster:
            return self.shown
        return "{host}:{port}".format(**_place(connection))

    def follow(self, redirect: Redirect, asked: AbstractConnection) -> AbstractConnection | None:
        """Go where a node of a Cluster sends us: a connection for this once, None if the slot has moved for good.

        Raises as `open`.
        """
        if not isinstance(self._nodes, ClusterNodes):
            return None
        place = self._nodes.follow(redirect, asked.host)
        return None if redirect.moved else self._nodes.connect_to(place)

    def client(self, key: str = "") -> redis.Redis:
        """A redis-py client of the server that holds a key now, for a look around and for pub/sub.

        It follows no failover by itself; with Sentinels or a Cluster, get another one after an error. Raises as
        `open` there.
        """
        if isinstance(self._nodes, OneServer):
            return redis.Redis(connection_pool=self._pool)
        found = self.open(key)
        found.disconnect()
        pool, _ = self._pool_at(**_place(found))
        return redis.Redis(connection_pool=pool)

    def close(self) -> None:
        """Close the client's pooled connections."""
        self._pool.disconnect()


def _place(connection: AbstractConnection) -> dict[str, Any]:
    return {name: getattr(connection, name) for name in ("host", "port")}


def hidden(url: str) -> str:
    """A URL as it may be shown: without its query, its password replaced by ``***``."""
    scheme, separator, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    name = credentials.partition(":")[0]
    return f"{scheme}{separator}{f'{name}:***@' if at else ''}{place.partition('?')[0]}"


@dataclass(frozen=True, slots=True)
class _Url:
    """A URL, taken apart.

    Attributes:
        given: As it was given.
        plain: What redis-py can read of it.
        form: ``sentinel``, ``cluster`` or, for one server, nothing.
        places: The Sentinels, or nodes of the Cluster.
        service: The master's name.
    """

    given: str
    plain: str
    form: str = ""
    places: Sequence[Place] = ()
    service: str = ""


def _taken_apart(url: str | None) -> _Url:
    given = url or ""
    scheme, _, rest = given.partition("://")
    base, _, form = scheme.partition("+")
    rest, question_mark, query = rest.partition("?")
    credentials, at, rest = rest.rpartition("@")
    hosts, _, path = rest.partition("/")
    service, _, db = path.partition("/") if form == "sentinel" else ("", "", path)
    db = db.strip("/")
    if db and not db.isdigit() and base != "unix":
        raise _unusable(given)
    if not form:
        return _Url(given, given)
    places = _places(hosts, _SENTINEL_PORT if form == "sentinel" else _REDIS_PORT)
    known = base in {"redis", "rediss"} and form in {"sentinel", "cluster"}
    if not known or not places or bool(service) != (form == "sentinel"):
        raise _unusable(given)
    plain = f"{base}://{credentials}{at}/{db}{question_mark}{query}"
    return _Url(given, plain, form, places, unquote(service))


def _places(hosts: str, port: int) -> tuple[Place, ...]:
    try:
        parts = [urlsplit(f"//{host}") for host in hosts.split(",")]
        return tuple((part.hostname, part.port or port) for part in parts if part.hostname)
    except ValueError:
        return ()


def _pool(
    asked: _Url, options: Mapping[str, Any], **place: Any
) -> tuple[redis.ConnectionPool, dict[str, Any]]:
    """A pool for one server, and the options that are not for it but for Sentinels."""
    chosen = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": CONNECT_SECONDS, **options, **place}
    tls = chosen.pop("ssl", False)
    made = (
        functools.partial(redis.ConnectionPool.from_url, asked.plain) if asked.plain else redis.ConnectionPool
    )
    try:
        pool: redis.ConnectionPool = made(**chosen)
    except (ValueError, TypeError):
        raise _unusable(asked.given) from None
    if tls:
        pool.connection_class = SSLConnection
    known = pool.connection_kwargs
    if password_file := known.pop("password_file", None):
        known["password"] = _first_line(password_file)
    if issubclass(pool.connection_class, SSLConnection):  # older versions of redis-py check no names
        trusts_anybody = known.get("ssl_cert_reqs", "required") in {None, "none", ssl.CERT_NONE}
        known.setdefault("ssl_check_hostname", not trusts_anybody)
    # What our scripts rely on goes before anything that the URL asks for.
    known.update(protocol=2, decode_responses=False, retry=Retry(NoBackoff(), 0))
    return pool, {name: known.pop(name) for name in _SENTINEL_OPTIONS if name in known}


def _first_line(path: str) -> str:
    try:
        first, *_ = [*Path(path).read_text(encoding="utf-8").splitlines(), ""]
    except (OSError, ValueError) as error:  # ValueError: no text, or no name of a file
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigurationError(f"password_file: {str(path)!r} cannot be read: {reason}") from None
    if not first:
        raise ConfigurationError(f"password_file: the first line of {str(path)!r} is empty")
    return first


def _unusable(url: str) -> ConfigurationError:
    return ConfigurationError(
        f"cannot use the Redis URL {hidden(url)!r}. {_FORMS}; "
        "in a password, write / as %2F, @ as %40, # as %23, ? as %3F"
    )


def _shown(options: Mapping[str, Any], asked: _Url) -> str:
    hosts = ",".join(f"{host}:{port}" for host, port in asked.places)
    if asked.form == "cluster":
        return f"redis+cluster://{hosts}"
    if asked.form == "sentinel":
        return f"redis+sentinel://{hosts}/{asked.service}/{options.get('db') or 0}"
    if path := options.get("path"):
        return f"unix://{path}"
    if "store" in options:
        return "memory"
    return f"{options.get('host', 'localhost')}:{options.get('port', 6379)}/{options.get('db') or 0}"
