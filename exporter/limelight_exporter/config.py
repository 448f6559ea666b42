"""Settings of the exporter: checked once at the door, all faults named together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from limelight.errors import ConfigurationError
from limelight.storage.address import Address

from .config_file import DEFAULTS, FileSettings, read_settings
from .options import (
    DEFAULT_GROUP,
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_REDIS_URL,
    LOG_LEVELS,
    OPTIONS,
    PAGE_TRACEBACKS,
)
from .trace_keep import NOTHING, TraceKeep, parsed
from .url_template import fault_of

__all__ = [
    "DEFAULT_GROUP",
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "DEFAULT_REDIS_URL",
    "FileSettings",
    "Settings",
    "from_environment",
    "settings",
]

_GROUP: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")
_LONGEST_CHANNEL: Final = 200
_MOST_PAGE_CLIENTS: Final = 200
_SWITCHED: Final = {"": False, "0": False, "false": False, "no": False, "1": True, "true": True, "yes": True}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an exporter needs to know; make one with `settings`, which checks it.

    Attributes:
        redis_url: As `limelight.storage.address.Address` takes it; may hold a password and is never shown.
        redis_password: Takes the place of the URL's password; never shown.
        host: Address to listen on.
        port: TCP port to listen on, 0 for any free one.
        group: Exporters of one group share a snapshot and the trace cursor.
        pubsub: Channels on which Huey 1.x tells its events.
        otlp_endpoint: Base URL of an OTLP receiver, None to go by the ``OTEL_*`` variables alone.
        trace_keep: Which runs are exported although their trace is not sampled.
        log_level: One of `LOG_LEVELS`.
        state_dir: A folder of this exporter alone, where it keeps what it counted outside Redis too; None for nowhere.
        web_config_file: Who is served and how, "" for everybody in plain HTTP.
        page: Whether there is a live page.
        page_tracebacks: One of `PAGE_TRACEBACKS`.
        page_max_clients: How many may watch it at a time.
        trace_url: Where it leads for a trace, with ``{trace_id}``; "" for nowhere.
        dashboard_url: Where it leads for a dashboard, with ``{queue}`` and ``{task}``; "" for nowhere.
        file: What the YAML file says.
    """

    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    redis_password: str | None = field(default=None, repr=False)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    group: str = DEFAULT_GROUP
    pubsub: tuple[str, ...] = ()
    otlp_endpoint: str | None = None
    trace_keep: TraceKeep = NOTHING
    log_level: str = "info"
    state_dir: Path | None = None
    web_config_file: str = ""
    page: bool = True
    page_tracebacks: str = "auto"
    page_max_clients: int = 20
    trace_url: str = ""
    dashboard_url: str = ""
    file: FileSettings = DEFAULTS

    @property
    def redis_address(self) -> str:
        """Where Redis is, as it may be shown."""
        return Address(self.redis_url, {}).shown


class _Given:
    """What was given for the options of the table, and what is wrong with it."""

    def __init__(self, given: Mapping[str, object]) -> None:
        if unknown := given.keys() - OPTIONS.keys():
            raise TypeError(f"no option is called {', '.join(sorted(unknown))}")
        self._given = given
        self.faults: list[str] = []

    def text(self, name: str) -> str:
        """What was given, or the default; "" for neither."""
        value = self._given.get(name)
        return str(value) if value not in {None, ""} else OPTIONS[name].default or ""

    def texts(self, name: str) -> tuple[str, ...]:
        """What was given for an option that takes many: values, or words in one string."""
        value = self._given.get(name) or ()
        return tuple(value.split()) if isinstance(value, str) else tuple(map(str, value))  # type: ignore[call-overload]

    def refuse(self, name: str, what: str) -> None:
        """Note a fault, with the option's name."""
        self.faults.append(f"{OPTIONS[name].place}: {what}")


def settings(**given: str | int | bool | Sequence[str] | None) -> Settings:
    """Check all settings together; what is None or empty takes its default.

    Args:
        **given: By the names in `options.OPTIONS`; a number may be text.

    Raises:
        ConfigurationError: Names each fault and its place, a line each, and what would be right; never a secret.
    """
    asked = _Given(given)
    made = Settings(
        redis_url=_redis_url(asked),
        redis_password=_password(asked),
        host=asked.text("host"),
        port=_port(asked),
        group=_group(asked),
        pubsub=_channels(asked),
        otlp_endpoint=_endpoint(asked),
        trace_keep=_trace_keep(asked),
        log_level=_log_level(asked),
        state_dir=Path(folder) if (folder := asked.text("state_dir")) else None,
        web_config_file=asked.text("web_config_file"),
        page=not _switch(asked, "no_page"),
        page_tracebacks=_page_tracebacks(asked),
        page_max_clients=_page_max_clients(asked),
        trace_url=_address(asked, "trace_url", ("trace_id",)),
        dashboard_url=_address(asked, "dashboard_url", ("queue", "task")),
        file=_file(asked),
    )
    if asked.faults:
        raise ConfigurationError("\n".join(asked.faults))
    return made


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the ``LIMELIGHT_…`` variables. Raises as `settings`."""
    return settings(**{option.name: environment.get(option.variable) for option in OPTIONS.values()})


def _redis_url(asked: _Given) -> str:
    url = asked.text("redis_url")
    try:
        Address(url, {})
    except ConfigurationError as error:
        asked.refuse("redis_url", str(error))
        return DEFAULT_REDIS_URL
    return url


def _port(asked: _Given) -> int:
    text = asked.text("port")
    if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65_535:
        return int(text)
    asked.refuse("port", f"{text!r}: take a number from 0 (any free port) to 65535")
    return DEFAULT_PORT


def _group(asked: _Given) -> str:
    group = asked.text("group")
    if not _GROUP.fullmatch(group):
        asked.refuse("group", f"{group!r}: take 1 to 100 of A-Z a-z 0-9 . _ -")
    return group


def _log_level(asked: _Given) -> str:
    level = asked.text("log_level").lower()
    if level not in LOG_LEVELS:
        asked.refuse("log_level", f"{level!r}: take one of {', '.join(LOG_LEVELS)}")
    return level


def _switch(asked: _Given, name: str) -> bool:
    told = asked.text(name).lower()
    if told not in _SWITCHED:
        asked.refuse(name, f"{told!r}: take 1 for yes or 0 for no")
    return _SWITCHED.get(told, False)


def _page_tracebacks(asked: _Given) -> str:
    when = asked.text("page_tracebacks").lower()
    if when not in PAGE_TRACEBACKS:
        asked.refuse("page_tracebacks", f"{when!r}: take one of {', '.join(PAGE_TRACEBACKS)}")
    return when


def _page_max_clients(asked: _Given) -> int:
    text = asked.text("page_max_clients")
    if text.isascii() and text.isdigit() and len(text) <= 3 and 1 <= int(text) <= _MOST_PAGE_CLIENTS:
        return int(text)
    asked.refuse("page_max_clients", f"{text!r}: take a number from 1 to {_MOST_PAGE_CLIENTS}")
    return 1


def _address(asked: _Given, name: str, places: Sequence[str]) -> str:
    template = asked.text(name)
    if template and (fault := fault_of(template, places)):
        asked.refuse(name, fault)
    return template


def _channels(asked: _Given) -> tuple[str, ...]:
    channels = asked.texts("pubsub")
    for channel in channels:
        if not channel.isprintable() or not 0 < len(channel) <= _LONGEST_CHANNEL:
            asked.refuse("pubsub", f"{channel!r}: take a channel's name, up to {_LONGEST_CHANNEL} characters")
    return tuple(dict.fromkeys(channels))


def _endpoint(asked: _Given) -> str | None:
    endpoint = asked.text("otlp_endpoint")
    if not endpoint:
        return None
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        asked.refuse(
            "otlp_endpoint",
            "an OTLP endpoint looks like http://localhost:4318 (HTTP) or http://localhost:4317 (gRPC)",
        )
    return endpoint


def _trace_keep(asked: _Given) -> TraceKeep:
    try:
        return parsed(asked.text("trace_keep"))
    except ValueError as error:
        asked.refuse(
            "trace_keep", f"{str(error)!r}: take errors, slow:5s (ms, s, m or h) or lost, with commas between"
        )
        return NOTHING


def _password(asked: _Given) -> str | None:
    path, given = asked.text("password_file"), asked.text("redis_password")
    if not path:
        return given or None
    if given:
        asked.refuse("password_file", f"{OPTIONS['redis_password'].variable} is set too: take one of them")
    try:
        first, *_ = [*Path(path).read_text(encoding="utf-8").splitlines(), ""]
    except (OSError, ValueError) as error:  # ValueError: no text, or no name of a file
        reason = getattr(error, "strerror", None) or "it is no text"
        asked.refuse("password_file", f"password file {path!r} cannot be read: {reason}")
        return None
    if not first:
        asked.refuse("password_file", f"password file {path!r} is empty")
    return first or None


def _file(asked: _Given) -> FileSettings:
    path = asked.text("config_file")
    if not path:
        return DEFAULTS
    made, faults = read_settings(path)
    asked.faults += faults
    return made
