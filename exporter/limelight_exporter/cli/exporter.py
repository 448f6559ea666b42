"""``limelight exporter``: serve metrics, send spans."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from typing import TypeVar

import rich_click as click

from limelight_exporter import config
from limelight_exporter.exporter import serve

_Command = TypeVar("_Command", bound=Callable[..., object])


def _option(
    name: str, variable: str, metavar: str, text: str, default: str | None = None
) -> Callable[[_Command], _Command]:
    return click.option(
        name, envvar=variable, metavar=metavar, help=text, default=default,
        show_envvar=True, show_default=default is not None,
    )  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@_option(
    "--redis-url", "LIMELIGHT_REDIS_URL", "URL", "Redis of the queues: redis://, rediss:// or unix://.",
    config.DEFAULT_REDIS_URL,
)  # fmt: skip
@_option(
    "--redis-password-file",
    "LIMELIGHT_REDIS_PASSWORD_FILE",
    "FILE",
    "Its first line is the password for Redis.",
)
@_option("--host", "LIMELIGHT_HOST", "ADDRESS", "Address to listen on.", config.DEFAULT_HOST)
@_option(
    "--port", "LIMELIGHT_PORT", "PORT", "Port to listen on; 0 takes any free one.", str(config.DEFAULT_PORT)
)
@_option(
    "--group", "LIMELIGHT_GROUP", "NAME",
    "Exporters of one group share snapshots; two in one group agree to the last digit.", config.DEFAULT_GROUP,
)  # fmt: skip
@_option(
    "--otlp-endpoint", "LIMELIGHT_OTLP_ENDPOINT", "URL",
    "Where spans go; HTTP, or gRPC with OTEL_EXPORTER_OTLP_PROTOCOL=grpc.",
)  # fmt: skip
@_option(
    "--state-dir", "LIMELIGHT_STATE_DIR", "FOLDER",
    "Keep what was counted there too, for a Redis that may forget it; a folder of this exporter alone.",
)  # fmt: skip
@_option("--log-level", "LIMELIGHT_LOG_LEVEL", "LEVEL", f"One of {', '.join(config.LOG_LEVELS)}.", "info")
def exporter(redis_password_file: str | None, **options: str | None) -> None:
    """Serve the queues' metrics to Prometheus and send their spans by OTLP.

    Queues are found by themselves. Redis may be down, now or later: the exporter keeps serving, says so in
    limelight_redis_up, and goes on where it was. Spans are sent if an OTLP endpoint is set here or by
    OTEL_EXPORTER_OTLP_ENDPOINT; all standard OTEL_* variables are honoured.

    \b
    Examples:
    limelight exporter
    limelight exporter --redis-url redis://redis:6379/0 --host 0.0.0.0
    limelight exporter --otlp-endpoint http://localhost:4318
    """  # noqa: D301 - \b keeps the lines apart
    settings = config.settings(password_file=redis_password_file, **options)
    _log_to_stderr(settings.log_level)
    serve(settings)


def _log_to_stderr(level: str) -> None:
    """Our own words from `level` on; libraries only when they warn, and OTLP's exporters not even then."""
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s limelight %(levelname)s: %(message)s"
    )
    logging.getLogger("limelight_exporter").setLevel(level.upper())
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
