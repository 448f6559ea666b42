"""The settings of the exporter in one table, from which flags, variables, help and documentation are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DEFAULT_REDIS_URL: Final = "redis://localhost:6379/0"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9898
DEFAULT_GROUP: Final = "default"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
PAGE_TRACEBACKS: Final = ("auto", "on", "off")


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting.

    Attributes:
        name: As `config.settings` takes it.
        flag: Of the command line; "" for what must not be seen in the process list.
        variable: Its twin in the environment.
        metavar: What kind of value it takes.
        section: Heading under which it stands.
        help: One sentence or two.
        default: As text, None for none.
        many: Whether it may be given more than once; in the environment separated by spaces.
        switch: Whether it takes no value; in the environment 1 or 0.
    """

    name: str
    flag: str
    variable: str
    metavar: str
    section: str
    help: str
    default: str | None = None
    many: bool = False
    switch: bool = False

    @property
    def place(self) -> str:
        """How errors name it."""
        return f"{self.flag} ({self.variable})" if self.flag else self.variable


_TABLE: Final = (
    Option(
        name="redis_url", flag="--redis-url", variable="LIMELIGHT_REDIS_URL", metavar="URL", section="Redis",
        help="Redis of the queues: redis://, rediss://, unix://, redis+sentinel:// or redis+cluster://.",
        default=DEFAULT_REDIS_URL,
    ),
    Option(
        name="password_file", flag="--redis-password-file", variable="LIMELIGHT_REDIS_PASSWORD_FILE", metavar="FILE",
        section="Redis", help="Its first line is the password for Redis.",
    ),
    Option(
        name="redis_password", flag="", variable="LIMELIGHT_REDIS_PASSWORD", metavar="TEXT", section="Redis",
        help="The password for Redis itself; there is no flag, the process list would show it.",
    ),
    Option(
        name="group", flag="--group", variable="LIMELIGHT_GROUP", metavar="NAME", section="Redis",
        help="Exporters of one group share snapshots; two in one group agree to the last digit.",
        default=DEFAULT_GROUP,
    ),
    Option(
        name="state_dir", flag="--state-dir", variable="LIMELIGHT_STATE_DIR", metavar="FOLDER", section="Redis",
        help="Keep what was counted there too, for a Redis that may forget it; a folder of this exporter alone.",
    ),
    Option(
        name="pubsub", flag="--pubsub", variable="LIMELIGHT_PUBSUB", metavar="CHANNEL", section="Redis",
        help="Count the events of Huey 1.x, told on this channel, too. May be given more than once.", many=True,
    ),
    Option(
        name="host", flag="--host", variable="LIMELIGHT_HOST", metavar="ADDRESS", section="Web",
        help="Address to listen on; 0.0.0.0 or :: for all.", default=DEFAULT_HOST,
    ),
    Option(
        name="port", flag="--port", variable="LIMELIGHT_PORT", metavar="PORT", section="Web",
        help="Port to listen on; 0 takes any free one.", default=str(DEFAULT_PORT),
    ),
    Option(
        name="web_config_file", flag="--web.config.file", variable="LIMELIGHT_WEB_CONFIG_FILE", metavar="FILE",
        section="Web", help="TLS, users and headers, in the format of Prometheus' exporters; read again on change.",
    ),
    Option(
        name="no_page", flag="--no-web.page", variable="LIMELIGHT_NO_WEB_PAGE", metavar="", section="Web", switch=True,
        help="No live page at /, only links; nothing is remembered for it.",
    ),
    Option(
        name="page_tracebacks", flag="--web.page-tracebacks", variable="LIMELIGHT_WEB_PAGE_TRACEBACKS", metavar="WHEN",
        section="Web", default="auto",
        help="Tracebacks on the page: on, off, or auto: where the address is this machine's own or a login is asked.",
    ),
    Option(
        name="page_max_clients", flag="--web.page-max-clients", variable="LIMELIGHT_WEB_PAGE_MAX_CLIENTS",
        metavar="NUMBER", section="Web", default="20",
        help="How many may watch the page live at a time; the next ones load it every 10 s.",
    ),
    Option(
        name="trace_url", flag="--web.trace-url", variable="LIMELIGHT_WEB_TRACE_URL", metavar="URL", section="Web",
        help="Where the page leads for a trace, such as https://jaeger.example/trace/{trace_id}.",
    ),
    Option(
        name="dashboard_url", flag="--web.dashboard-url", variable="LIMELIGHT_WEB_DASHBOARD_URL", metavar="URL",
        section="Web", help="Where it leads for a dashboard: an address with {queue} and {task}.",
    ),
    Option(
        name="otlp_endpoint", flag="--otlp-endpoint", variable="LIMELIGHT_OTLP_ENDPOINT", metavar="URL",
        section="Traces", help="Where spans go; HTTP, or gRPC with OTEL_EXPORTER_OTLP_PROTOCOL=grpc.",
    ),
    Option(
        name="trace_keep", flag="--trace-keep", variable="LIMELIGHT_TRACE_KEEP", metavar="RULES", section="Traces",
        help="Send these runs too where their trace is not sampled: errors, slow:5s, lost; with commas between.",
    ),
    Option(
        name="config_file", flag="--config-file", variable="LIMELIGHT_CONFIG_FILE", metavar="FILE", section="General",
        help="Buckets, limits and which queues, in YAML.",
    ),
    Option(
        name="log_level", flag="--log-level", variable="LIMELIGHT_LOG_LEVEL", metavar="LEVEL", section="General",
        help=f"One of {', '.join(LOG_LEVELS)}.", default="info",
    ),
)  # fmt: skip
OPTIONS: Final = {option.name: option for option in _TABLE}
