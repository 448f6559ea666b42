"""The shapes of the fixtures that start servers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from servers import Prometheus

from limelight.embedded import EmbeddedRedis


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
