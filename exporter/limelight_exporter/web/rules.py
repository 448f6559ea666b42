"""What the file of ``--web.config.file`` says, in the format of Prometheus' exporter-toolkit.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from limelight.errors import ConfigurationError
from limelight_exporter.yaml_file import Faults, read_text, shaped

from .tls import TlsSection, context_of, expiry_trouble

MOST_USERS: Final = 1_000
COSTLIEST: Final = 15
"""Rounds of bcrypt, as a power of two: each one more doubles the time; 15 takes some two seconds."""

_HASH: Final = re.compile(r"\$2[abxy]?\$(\d\d)\$[./A-Za-z0-9]{53}")
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3_600.0}
_HEADERS: Final[Mapping[str, frozenset[str]]] = {
    "Content-Security-Policy": frozenset(),
    "X-Frame-Options": frozenset({"deny", "sameorigin"}),
    "X-Content-Type-Options": frozenset({"nosniff"}),
    "X-XSS-Protection": frozenset(),
    "Strict-Transport-Security": frozenset(),
}
"""Headers that may be set, and what may stand in them; nothing here means anything."""


class HttpSection(msgspec.Struct, frozen=True):
    """``http_server_config``; `http2` is taken and has no effect, we speak HTTP/1.1."""

    http2: bool = True
    headers: dict[str, str] = {}


class RateSection(msgspec.Struct, frozen=True):
    """``rate_limit``: on average one request per `interval` (``100ms``, ``1m30s``), `burst` at once."""

    interval: str | int | float = 0
    burst: int = 0


class WebConfig(msgspec.Struct, frozen=True):
    """The whole file."""

    tls_server_config: TlsSection = TlsSection()
    http_server_config: HttpSection = HttpSection()
    basic_auth_users: dict[str, str] = {}
    rate_limit: RateSection = RateSection()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who is served, and how.

    Attributes:
        tls: For new connections; None for plain HTTP.
        needs_client: Whether clients need a certificate; probes do not.
        client_names: Alternative names of which the certificate must hold one; empty for any.
        users: Name → bcrypt hash; empty for no log-in.
        headers: Go with every answer.
        interval_seconds: Average time between two requests, 0 for no limit.
        burst: Requests that may come at once.
        warning: What is wrong, though it can be used.
    """

    tls: ssl.SSLContext | None = None
    needs_client: bool = False
    client_names: frozenset[str] = frozenset()
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    headers: tuple[tuple[str, str], ...] = ()
    interval_seconds: float = 0.0
    burst: int = 0
    warning: str = ""


def read_rules(path: str) -> tuple[Rules, tuple[Path, ...]]:
    """The rules of a file, and all files that they depend on, itself first.

    Raises:
        ConfigurationError: Names each fault and its place; never a hash or a key.
    """
    faults = Faults(path)
    config = shaped(read_text(path, faults), WebConfig, faults)
    section, folder = config.tls_server_config, Path(path).parent
    rules = _rules(config, folder, faults)
    if faults.told:
        raise ConfigurationError("\n".join(faults.told))
    return rules, (Path(path), *(folder / name for name in section.files))


def _rules(config: WebConfig, folder: Path, faults: Faults) -> Rules:
    section = config.tls_server_config
    tls = context_of(section, folder, faults)
    _check_users(config.basic_auth_users, faults)
    return Rules(
        tls=tls,
        needs_client=section.needs_client,
        client_names=frozenset(section.client_allowed_sans),
        users=config.basic_auth_users,
        headers=_headers(config.http_server_config.headers, faults),
        interval_seconds=_interval(config.rate_limit, faults),
        burst=config.rate_limit.burst,
        warning=_warning(tls, section, folder),
    )


def _warning(tls: ssl.SSLContext | None, section: TlsSection, folder: Path) -> str:
    trouble = expiry_trouble(tls, section, folder) if tls is not None else ""
    return f"clients will refuse our certificate: {trouble}" if trouble else ""


def _check_users(users: Mapping[str, str], faults: Faults) -> None:
    if len(users) > MOST_USERS:
        faults.add("basic_auth_users", f"at most {MOST_USERS:,}: let a proxy check that many")
    for name, secret in users.items():
        place = f"basic_auth_users.{name}"
        found = _HASH.fullmatch(secret)
        if not name or ":" in name or not name.isprintable():
            faults.add(place, "a name is not empty and has no colon")
        if found is None:
            faults.add(place, "is no bcrypt hash: make one with `htpasswd -nBC 10 NAME`")
        elif not 4 <= int(found[1]) <= COSTLIEST:
            faults.add(place, f"its cost is {int(found[1])}: take 4 to {COSTLIEST}, 10 is usual")


def _headers(given: Mapping[str, str], faults: Faults) -> tuple[tuple[str, str], ...]:
    for name, value in given.items():
        place = f"http_server_config.headers.{name}"
        allowed = _HEADERS.get(name)
        if allowed is None:
            faults.add(place, f"cannot be set: there are {', '.join(_HEADERS)}")
        elif value and allowed and value.lower() not in allowed:
            faults.add(place, f"take {' or '.join(sorted(allowed))}")
        elif not (value.isascii() and value.isprintable()) and value:
            faults.add(place, "takes printable ASCII on one line")
    return tuple((name.lower(), value) for name, value in given.items() if value)


def _interval(section: RateSection, faults: Faults) -> float:
    """Seconds; a bare number is nanoseconds, as in Go."""
    place, given = "rate_limit.interval", section.interval
    if isinstance(given, str):
        parts = _DURATION.findall(given)
        if not parts or "".join(map("".join, parts)) != given:
            faults.add(place, "takes a time such as 100ms, 1s or 1m30s")
            return 0.0
        seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    else:
        seconds = given * 1e-9
    if not 0 <= seconds <= 86_400:
        faults.add(place, "takes a time from 0 (no limit) to 24h")
        return 0.0
    if seconds and not 1 <= section.burst <= 1_000_000:
        faults.add(
            "rate_limit.burst", "takes 1 to 1,000,000 where there is an interval: else nobody is served"
        )
    return seconds
