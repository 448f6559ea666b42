"""The shapes of the fixtures that start servers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from servers import Prometheus

from limelight import RedisQueue
from limelight.embedded import EmbeddedRedis


class MakeQueue(Protocol):
    """Makes a queue; the options are those of `RedisQueue`."""

    def __call__(self, name: str, **options: Any) -> RedisQueue: ...


class OwnRedis(Protocol):
    """Starts a Redis that this test alone uses; see ``EmbeddedRedis`` for the arguments."""

    def __call__(
        self,
        *,
        binary: str | Path | None = None,
        persist_dir: Path | None = None,
        options: Sequence[str] = (),
    ) -> EmbeddedRedis: ...


class StartPrometheus(Protocol):
    """Starts a Prometheus that scrapes the targets (``host:port``) each second."""

    def __call__(
        self, *targets: str, rules: Sequence[Path] = (), metrics_path: str = "/metrics"
    ) -> Prometheus: ...
