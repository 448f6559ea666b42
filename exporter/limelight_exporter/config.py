"""Settings of the exporter: checked once at the door, all faults named together."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from limelight.errors import ConfigurationError
from limelight.storage.address import Address

DEFAULT_REDIS_URL: Final = "redis://localhost:6379/0"
DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 9898
DEFAULT_GROUP: Final = "default"
LOG_LEVELS: Final = ("debug", "info", "warning", "error")

_GROUP: Final = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an exporter needs to know; make one with `settings`, which checks it.

    Attributes:
        redis_url: As `limelight.storage.address.Address` takes it; may hold a password and is never shown.
        redis_password: Takes the place of the URL's password; never shown.
        host: Address to listen on.
        port: TCP port to listen on, 0 for any free one.
        group: Exporters of one group share a snapshot and the trace cursor.
        otlp_endpoint: Base URL of an OTLP receiver, None to go by the ``OTEL_*`` variables alone.
        log_level: One of `LOG_LEVELS`.
    """

    redis_url: str = field(default=DEFAULT_REDIS_URL, repr=False)
    redis_password: str | None = field(default=None, repr=False)
    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    group: str = DEFAULT_GROUP
    otlp_endpoint: str | None = None
    log_level: str = "info"
    web_config_file: str = ""

    @property
    def redis_address(self) -> str:
        """Where Redis is, as it may be shown."""
        return Address(self.redis_url, {}).shown


def settings(
    *,
    redis_url: str | None = None,
    password_file: str | None = None,
    host: str | None = None,
    port: str | int | None = None,
    group: str | None = None,
    otlp_endpoint: str | None = None,
    log_level: str | None = None,
) -> Settings:
    """Check all settings together; what is None or empty takes its default.

    `password_file` names a file whose first line is the password for Redis; the rest is as in `Settings`.

    Raises:
        ConfigurationError: Names each fault, and what would be right.
    """
    faults: list[str] = []
    made = Settings(
        redis_url=_checked_redis_url(redis_url or DEFAULT_REDIS_URL, faults),
        redis_password=_password(password_file, faults) if password_file else None,
        host=host or DEFAULT_HOST,
        port=_checked_port(DEFAULT_PORT if port in (None, "") else port, faults),
        group=group or DEFAULT_GROUP,
        otlp_endpoint=_checked_endpoint(otlp_endpoint, faults) if otlp_endpoint else None,
        log_level=(log_level or "info").lower(),
    )
    if not _GROUP.fullmatch(made.group):
        faults.append(f"group {made.group!r}: take 1 to 100 of A-Z a-z 0-9 . _ -")
    if made.log_level not in LOG_LEVELS:
        faults.append(f"log level {log_level!r}: take one of {', '.join(LOG_LEVELS)}")
    if faults:
        raise ConfigurationError("; ".join(faults))
    return made


def from_environment(environment: Mapping[str, str]) -> Settings:
    """Read the ``LIMELIGHT_…`` variables. Raises as `settings`."""
    return settings(
        redis_url=environment.get("LIMELIGHT_REDIS_URL"),
        password_file=environment.get("LIMELIGHT_REDIS_PASSWORD_FILE"),
        host=environment.get("LIMELIGHT_HOST"),
        port=environment.get("LIMELIGHT_PORT"),
        group=environment.get("LIMELIGHT_GROUP"),
        otlp_endpoint=environment.get("LIMELIGHT_OTLP_ENDPOINT"),
        log_level=environment.get("LIMELIGHT_LOG_LEVEL"),
    )


def _checked_redis_url(url: str, faults: list[str]) -> str:
    try:
        Address(url, {})
    except ConfigurationError as error:
        faults.append(str(error))
        return DEFAULT_REDIS_URL
    return url


def _checked_port(port: str | int | None, faults: list[str]) -> int:
    text = str(port)
    if text.isascii() and text.isdigit() and int(text) <= 65_535:
        return int(text)
    faults.append(f"port {port!r}: take a number from 0 (any free port) to 65535")
    return DEFAULT_PORT


def _checked_endpoint(endpoint: str, faults: list[str]) -> str:
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        usable = False
    if not usable:
        faults.append(
            "OTLP endpoint: it looks like http://localhost:4318 (HTTP) or http://localhost:4317 (gRPC)"
        )
    return endpoint


def _password(path: str, faults: list[str]) -> str | None:
    try:
        first, *_ = [*Path(path).read_text(encoding="utf-8").splitlines(), ""]
    except (OSError, UnicodeDecodeError) as error:
        faults.append(f"password file {path!r} cannot be read: {getattr(error, 'strerror', None) or error}")
        return None
    if not first:
        faults.append(f"password file {path!r} is empty")
    return first or None
