"""The public face: a queue, and what can be done with it."""

from __future__ import annotations

import datetime as dt
import functools
import os
from typing import Any, Final

from . import memory, wire
from .administration import Administered, checked_max_dead
from .declarations import Declarations
from .emitter import RedisEventEmitter, Speaker, service_of
from .errors import ConfigurationError
from .execution import RESULT_LIMIT_BYTES, Surroundings
from .immediate import InlineWorker
from .keys import QueueKeys
from .locks import TaskLock
from .privacy import Privacy, privacy_of
from .rate_limit import RateLimit
from .registry import Registry
from .results import Result
from .retry import LONGEST_DELAY_SECONDS
from .revocations import Revocations
from .sampling import root_sampler
from .slo import Slo, objectives
from .storage.address import Address
from .storage.redis import RedisStorage
from .task import as_seconds
from .tracing import Tracing

DEFAULT_EMITTER: Final = RedisEventEmitter()
DEFAULT_TRACING: Final = Tracing()
MESSAGE_LIMIT_BYTES: Final = 1024 * 1024


class RedisQueue(Declarations, Revocations, Administered):
    """A queue in Redis.

    Args:
        name: 1 to 100 of ``A-Za-z0-9._-``.
        url: ``redis://…``, ``rediss://…``, ``unix://…``, ``redis+sentinel://…`` or ``redis+cluster://…``, see
            docs/redis.md; by default ``LIMELIGHT_REDIS_URL``, then localhost.
        results: Whether return values are stored.
        result_ttl: Seconds (or a timedelta) that a result stays.
        events: False writes no event at all: a little faster, and invisible to the exporter.
        emitter: How many events are kept and where they are published; None is the same as ``events=False``.
        serializer: `wire.MessagePack` (default) or `wire.SignedPickle`.
        service_name: ``service.name`` in traces, unless ``OTEL_SERVICE_NAME`` is set; else the queue's name.
        max_redeliveries: How many lost workers a task may survive before it is a dead letter.
        max_dead: How many dead letters are kept; beyond it consumers purge the oldest. None keeps all.
        slo: What all its tasks are held to, unless they say otherwise; see `task`.
        patience: Seconds that an enqueue may wait for a Redis that cannot be reached, or that refuses for a while
            (a failover, a full disk); 0 fails at once.
        immediate: Whether tasks run where they are enqueued, at once; see the property.
        immediate_use_memory: Whether the queue is one in memory while it is immediate.
        message_limit: Bytes that the message of a call may have. Redis keeps every waiting message in memory and
            copies it whenever its task moves, so what is large is better stored elsewhere.
        result_limit: Bytes that a return value may have.
        tracing: How its tasks are traced; see `Tracing`. None: none of what is enqueued here is recorded, and runs
            leave OpenTelemetry alone.
        privacy: What may be told of failures; see `Privacy`. None: what the environment says.
        redis_options: Passed to redis-py's connections: ``host``, ``port``, ``db``, ``password``, ``ssl_…``.

    Attributes:
        name: The queue's name.
        slo: What its tasks are held to, as `task` declares them.
        storage: Iterable of live events; see `RedisStorage`. Another one while the queue is immediate.
        immediate_use_memory: As given; looked at whenever `immediate` is set.
        registry: The tasks declared in this process.
        surroundings: What a run of one of its tasks needs.
    """

    def __init__(
        self,
        name: str = "limelight",
        url: str | None = None,
        *,
        results: bool = True,
        result_ttl: float | dt.timedelta = 86_400,
        events: bool = True,
        emitter: RedisEventEmitter | None = DEFAULT_EMITTER,
        serializer: wire.Serializer | None = None,
        service_name: str | None = None,
        max_redeliveries: int = 3,
        max_dead: int | None = 10_000,
        slo: Slo | None = None,
        patience: float = 0.0,
        immediate: bool = False,
        immediate_use_memory: bool = True,
        message_limit: int = MESSAGE_LIMIT_BYTES,
        result_limit: int = RESULT_LIMIT_BYTES,
        tracing: Tracing | None = DEFAULT_TRACING,
        privacy: Privacy | None = None,
        **redis_options: Any,
    ) -> None:
        super().__init__()
        self.keys = QueueKeys(name)
        self.name = name
        self.results = results
        self.result_ttl_ms = max(1, round(as_seconds(result_ttl) * 1000))
        self.serializer = serializer or wire.MessagePack()
        self.max_redeliveries = max_redeliveries
        self.max_dead = checked_max_dead(max_dead)
        self.message_limit = _checked_limit("message_limit", message_limit)
        self.result_limit = _checked_limit("result_limit", result_limit)
        self.slo = objectives(slo)
        self.registry = Registry(name)
        self.tracing, self.sampler = tracing, root_sampler(os.environ)
        self.surroundings = Surroundings(
            name,
            *(self.serializer, self.hooks, self.signals, self.result_limit),
            tracing=tracing,
            privacy=privacy or privacy_of(os.environ),
        )
        self._service = service_of(os.environ, service_name or name)
        self._speaker: Speaker | None = None
        if not url and not redis_options.keys() & {"host", "path", "connection_class"}:
            url = os.environ.get("LIMELIGHT_REDIS_URL") or "redis://localhost:6379/0"
        self._storage_at = functools.partial(
            RedisStorage,
            keys=self.keys,
            emitter=emitter if events else None,
            speaker=lambda: self.speaker,
            patience_seconds=patience,
            trace_age_seconds=as_seconds(tracing.link_after) if tracing else LONGEST_DELAY_SECONDS,
        )
        self._own_storage = self._storage_at(Address(url, redis_options))
        self.storage: RedisStorage = self._own_storage
        self.immediate_use_memory = immediate_use_memory
        self.immediate = immediate

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r} at {self.storage.address.shown})"

    @property
    def immediate(self) -> bool:
        """Whether tasks run where they are enqueued, at once, in the caller's thread; may be set at any time.

        Each takes the same steps as in a consumer. Retries follow at once; what is to run later is put on the
        schedule and stays there. Unless ``immediate_use_memory=False`` the queue is in memory meanwhile, and empty
        whenever that is switched on. Handles of results go on reading where their task ran.
        """
        return self._inline is not None

    @immediate.setter
    def immediate(self, on: bool) -> None:
        if on == self.immediate:
            return
        self._inline = InlineWorker(self) if on else None
        if on and self.immediate_use_memory:
            self.storage = self._storage_at(Address(None, memory.in_memory()))
        else:
            self.storage = self._own_storage

    @property
    def speaker(self) -> Speaker:
        """Who this process is in events; another one after a fork."""
        if self._speaker is None or self._speaker.pid != os.getpid():
            self._speaker = Speaker(self._service)
        return self._speaker

    # -- Results ----------------------------------------------------------------------------------------
    def result_handle(self, task_id: str) -> Result[Any]:
        """A handle on a task that was enqueued before, perhaps by another process."""
        return Result(self.storage, self.serializer, task_id)

    def result(
        self,
        id: str,  # noqa: A002 - Huey's name
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = True,
    ) -> Any:
        """Read the result of a task by its id; the arguments are those of `Result.get`."""
        return self.result_handle(id).get(blocking, timeout, backoff, max_delay, revoke_on_timeout, preserve)

    # -- Locks and limits -------------------------------------------------------------------------------
    def lock_task(self, lock_name: str, ttl: float | None = None) -> TaskLock:
        """A lock: a decorator below ``@queue.task()``, or a context manager; see `TaskLock`."""
        return TaskLock(lambda: self.storage, lock_name, ttl)

    def is_locked(self, lock_name: str) -> bool:
        """Whether somebody holds the lock."""
        return TaskLock(lambda: self.storage, lock_name).locked()

    def flush_locks(self, *names: str) -> set[str]:
        """Free the locks of these names, or all of the queue, whoever holds them; returns which were held."""
        held = set(self.storage.locks())
        freed = sorted(held & set(names)) if names else sorted(held)
        if freed:
            self.storage.unlock(freed)
        return set(freed)

    def rate_limit(self, name: str, limit: int, per: float | dt.timedelta, retry: bool = True) -> RateLimit:
        """A rate limit: a decorator below ``@queue.task()``, or a context manager; see `RateLimit`."""
        return RateLimit(lambda: self.storage, name, limit, per, retry)

    def close(self) -> None:
        """Close this thread's connections."""
        self.storage.close()


def _checked_limit(name: str, limit: int) -> int:
    if type(limit) is not int or limit < 1:
        raise ConfigurationError(f"{name} must be a whole number of bytes from 1, not {limit!r}")
    return limit


RedisHuey = RedisQueue
"""The name in the document that Limelight was born from."""
