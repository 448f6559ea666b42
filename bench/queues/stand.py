"""What one measurement needs: a fresh Redis, a contender's producer and consumer, and the notes of its tasks."""

import os
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import redis

from limelight.embedded import EmbeddedRedis
from limelight.keys import QueueKeys
from queues.adapter import QUEUE
from queues.contenders import Contender
from queues.environments import BENCH, python
from queues.notes import FOLDER_VARIABLE, Reader
from queues.processes import Child, Failed, Producer, poll

_SHARED_MEMORY: Final = Path("/dev/shm")
_QUIET: Final = ("LIMELIGHT_", "OTEL_", "PYTHON", "DOCKET_", "CELERY_")


class Stand:
    """One contender on a Redis of its own, without persistence; all of it ends with the block.

    Args:
        contender: Who is measured.
        results: Whether return values are stored.

    Attributes:
        url, port: Where that Redis is.
        redis: A client for looking on.
        producer: Its adapter.
        begun: When its no-op tasks began.
        folder: Where tasks write, and logs are.
    """

    def __init__(self, contender: Contender, *, results: bool = False) -> None:
        self.contender = contender
        self._results = results

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            shared = _SHARED_MEMORY if _SHARED_MEMORY.is_dir() else None
            self.folder = Path(stack.enter_context(tempfile.TemporaryDirectory("-bench", dir=shared)))
            server = stack.enter_context(EmbeddedRedis())
            self.url, self.port = server.url, server.port
            self.redis = stack.enter_context(redis.Redis.from_url(server.url, decode_responses=True))
            self.begun = Reader(self.folder)
            words = [str(python(self.contender.peer)), "-m", "queues.driver", self.contender.peer]
            self.producer = stack.enter_context(Producer(words, self.environment, self.folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def environment(self) -> dict[str, str]:
        """What the contender's processes see."""
        plain = {key: value for key, value in os.environ.items() if not key.startswith(_QUIET)}
        return plain | {
            "PYTHONPATH": str(BENCH),
            "BENCH_REDIS_URL": self.url,
            "BENCH_KIND": self.contender.kind,
            "BENCH_RESULTS": str(int(self._results)),
            "BENCH_EVENTS": str(int(self.contender.events is not False)),
            FOLDER_VARIABLE: str(self.folder),
        }

    def consumer_command(self) -> list[str]:
        """What starts the consumer; raises NotThere where there is no such kind."""
        kind, workers = self.contender.kind, self.contender.workers
        words: list[str] = self.producer.call("consumer", kind=kind, workers=workers)
        return words

    def consumer(self, prefix: Sequence[str] = ()) -> Child:
        """Start the consumer; to be used as a context. `prefix` is put before its command."""
        return Child([*prefix, *self.consumer_command()], self.environment, self.folder, "consumer")

    def warm(self, consumer: Child) -> None:
        """Have an idle consumer run a task, and wait until it holds nothing."""
        before = self.begun.count()
        self.producer.call("enqueue_one")
        self.wait_begun(before + 1, consumer)
        self.wait_settled(consumer)

    def wait_begun(self, count: int, consumer: Child, seconds: float = 60.0) -> None:
        """Wait until so many no-op tasks have begun."""
        for _ in poll(seconds):
            if self.begun.count() >= count:
                return
            consumer.check()

    def wait_settled(self, consumer: Child, seconds: float = 60.0) -> None:
        """Wait until Redis holds no task any more."""
        for _ in poll(seconds):
            if self.producer.call("held") == 0:
                return
            consumer.check()

    def check_stored(self, count: int) -> None:
        """Make sure that results are stored if they shall be, and only then; raises Failed."""
        expected = count if self._results else 0
        stored: Any = None
        for passed in poll(10.0, 0.05):
            stored = self.producer.call("stored")
            if stored == expected or passed > 5:
                break
        if stored != expected:
            raise Failed(f"{stored} results are stored, not {expected}")

    def redis_cpu_seconds(self) -> float:
        """Processor time that Redis' main thread has used so far."""
        info: Any = self.redis.info("cpu")
        names = ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
        return sum(float(info.get(name, info[name.removesuffix("_main_thread")])) for name in names)

    def events(self) -> list[tuple[bytes, dict[bytes, bytes]]]:
        """What is on our stream: id and fields of each entry."""
        with redis.Redis.from_url(self.url) as client:
            entries: Any = client.xrange(QueueKeys(QUEUE)["events"])
        return list(entries)

    def memory_bytes(self) -> int:
        """What Redis holds."""
        info: Any = self.redis.info("memory")
        return int(info["used_memory"])
