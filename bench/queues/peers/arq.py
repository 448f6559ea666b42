"""arq on Redis, run by `arq`."""

from typing import Any, Final

from arq import create_pool
from arq.connections import ArqRedis, RedisSettings

from queues.adapter import RESULTS, URL, AsyncAdapter, command
from queues.notes import note_begin


async def nothing(_context: object) -> int:
    """The no-op."""
    return note_begin()


SETTINGS: Final = {
    "functions": [nothing],
    "redis_settings": RedisSettings.from_dsn(URL),
    "keep_result": 3_600 if RESULTS else 0,
    "max_jobs": 8,
    "log_results": False,
}
Usual = type("Usual", (), SETTINGS)
"""What `arq` reads. It fetches 100 jobs, then sleeps the rest of half a second: no more than 200 a second."""
Tuned = type("Tuned", (), SETTINGS | {"poll_delay": 0.01})
"""The same, but it does not sleep so long."""
QUIET: Final = {"version": 1}
"""As `logging.config` takes it: no line for each job."""


class Contender(AsyncAdapter):
    """arq takes a job off its set when it has run and its result is stored."""

    pool: ArqRedis

    async def connect(self) -> None:
        """Connects."""
        self.pool = await create_pool(RedisSettings.from_dsn(URL))

    def consumer(self, kind: str, workers: int) -> list[str]:
        """`arq`, which takes the number of coroutines from its settings."""
        settings = f"queues.peers.arq.{'Tuned' if kind == 'tuned' else 'Usual'}"
        return [command("arq"), settings, "--custom-log-dict", "queues.peers.arq.QUIET"]

    def enqueue(self) -> Any:
        """One job."""
        return self.pool.enqueue_job("nothing")

    def held(self) -> int:
        """What is in the set."""
        return int(self.redis.zcard("arq:queue"))

    def stored(self) -> int:
        """A result is a key."""
        return self.count_keys("arq:result:*")
