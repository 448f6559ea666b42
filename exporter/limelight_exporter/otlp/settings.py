"""Where a collector is and how it wants to be spoken to, by the standard ``OTEL_*`` variables. Nothing is sent here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

from limelight.errors import ConfigurationError

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
_LEAST_MILLISECONDS: Final = 1_000
_PROTOCOLS: Final = ("http/protobuf", "grpc")
_COMPRESSIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "http/protobuf": ("none", "gzip", "deflate"),
    "grpc": ("none", "gzip"),
}
_DEFAULT_ENDPOINTS: Final = {"http/protobuf": "http://localhost:4318", "grpc": "http://localhost:4317"}
_HEADER: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class Signal(StrEnum):
    """What is sent."""

    TRACES = "traces"
    METRICS = "metrics"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A collector, for one signal; make one with `target`, which checks it.

    Attributes:
        url: Where requests go; over gRPC only host and port of it count. May hold a password and is never shown.
        secure: Whether it is spoken to over TLS.
        headers: Names in lower case; the values are secrets and never shown.
        timeout_seconds: The most that a request may take.
        compression: ``none``, ``gzip`` or ``deflate``.
        authority_file: Certificates of those whose servers are trusted, None for the system's.
        certificate_file: Ours, None for none.
        key_file: Its key.
    """

    signal: Signal
    protocol: str
    url: str = field(repr=False)
    secure: bool = False
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    compression: str = "none"
    authority_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None

    def hidden(self, text: str) -> str:
        """A text that may be shown: without the values of headers, which a collector might repeat."""
        for value in self.headers.values():
            for word in value.split():
                text = text.replace(word, "…") if len(word) > 3 else text
        return text

    @property
    def address(self) -> str:
        """Host and port, as gRPC wants them and as they may be shown."""
        parts = urlsplit(self.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
        return host if parts.port is None else f"{host}:{parts.port}"


class _Variables:
    """The ``OTEL_EXPORTER_OTLP_*`` variables of one signal, and what is wrong with them."""

    def __init__(self, signal: Signal, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._prefixes = (f"OTEL_EXPORTER_OTLP_{signal.upper()}_", "OTEL_EXPORTER_OTLP_")
        self.faults: list[str] = []

    def named(self, what: str) -> tuple[str, str]:
        """Variable and value; the signal's own goes before the common one, an empty one is as good as none."""
        for prefix in self._prefixes:
            if value := self._environment.get(prefix + what, "").strip():
                return prefix + what, value
        return self._prefixes[-1] + what, ""

    def value(self, what: str) -> str:
        return self.named(what)[1]

    def one_of(self, what: str, known: tuple[str, ...]) -> str:
        name, value = self.named(what)
        if value and value.lower() not in known:
            self.faults.append(f"{name}={value}: take one of {', '.join(known)}")
            return known[0]
        return value.lower() or known[0]

    def file(self, what: str) -> str | None:
        name, path = self.named(what)
        if not path:
            return None
        try:
            Path(path).read_bytes()
        except (OSError, ValueError) as error:
            self.faults.append(f"{name}={path}: {getattr(error, 'strerror', None) or 'it names no file'}")
        return path


def is_wanted(signal: Signal, environment: Mapping[str, str], endpoint: str | None) -> bool:
    """Whether a signal is to be sent: spans as soon as an endpoint is named, metrics only if they are asked for.

    Raises:
        ConfigurationError: The variable names an exporter that we are not.
    """
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    name = f"OTEL_{signal.upper()}_EXPORTER"
    asked = [word for word in environment.get(name, "").replace(",", " ").split() if word]
    if "otlp" in asked:
        return True
    if asked and asked != ["none"]:
        raise ConfigurationError(f"{name}={','.join(asked)}: this exporter speaks otlp, or none")
    named = endpoint or _Variables(signal, environment).value("ENDPOINT")
    return not asked and signal is Signal.TRACES and bool(named)


def target(signal: Signal, endpoint: str | None, environment: Mapping[str, str]) -> Target | None:
    """The collector that flag and variables ask for; None if the signal is not to be sent.

    Args:
        signal: What is to be sent.
        endpoint: Base URL of the collector; takes the place of the variables'.
        environment: Usually ``os.environ``.

    Raises:
        ConfigurationError: Names each fault, a line each; never a header's value.
    """
    if not is_wanted(signal, environment, endpoint):
        return None
    variables = _Variables(signal, environment)
    protocol = variables.one_of("PROTOCOL", _PROTOCOLS)
    url, secure = _place(signal, endpoint, protocol, variables)
    made = Target(
        signal=signal,
        protocol=protocol,
        url=url,
        secure=secure,
        headers=_headers(variables),
        timeout_seconds=_timeout_seconds(variables),
        compression=variables.one_of("COMPRESSION", _COMPRESSIONS[protocol]),
        authority_file=variables.file("CERTIFICATE"),
        certificate_file=variables.file("CLIENT_CERTIFICATE"),
        key_file=variables.file("CLIENT_KEY"),
    )
    if bool(made.certificate_file) != bool(made.key_file):
        variables.faults.append(
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and OTEL_EXPORTER_OTLP_CLIENT_KEY: set both, or neither"
        )
    if variables.faults:
        raise ConfigurationError("\n".join(variables.faults))
    return made


def _place(signal: Signal, endpoint: str | None, protocol: str, variables: _Variables) -> tuple[str, bool]:
    """The URL of requests, and whether it is to be TLS."""
    name, value = variables.named("ENDPOINT")
    given = endpoint or value or _DEFAULT_ENDPOINTS[protocol]
    if protocol == "grpc" and "://" not in given:  # gRPC's own way of naming a server
        insecure = variables.one_of("INSECURE", ("false", "true")) == "true"
        given = f"{'http' if insecure else 'https'}://{given}"
    parts = _split(given)
    if parts is None:
        place = "--otlp-endpoint" if endpoint else name
        variables.faults.append(
            f"{place}: an endpoint looks like http://localhost:4318 (HTTP) or http://localhost:4317 (gRPC)"
        )
        return _DEFAULT_ENDPOINTS[protocol], False
    exact = not endpoint and name.startswith(f"OTEL_EXPORTER_OTLP_{signal.upper()}_")
    if protocol != "grpc" and not exact and not parts.path.endswith(f"/v1/{signal}"):
        parts = parts._replace(path=f"{parts.path.rstrip('/')}/v1/{signal}")
    return parts.geturl(), parts.scheme == "https"


def _split(endpoint: str) -> SplitResult | None:
    try:
        parts = urlsplit(endpoint)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none
        return None
    return parts if usable else None


def _headers(variables: _Variables) -> dict[str, str]:
    """``name=value,…``, values percent-encoded. A fault names the entry by its place: its text may be a secret."""
    name, text = variables.named("HEADERS")
    headers: dict[str, str] = {}
    for place, item in enumerate(filter(None, map(str.strip, text.split(","))), 1):
        header, equals, value = item.partition("=")
        value = unquote(value.strip())
        if equals and _HEADER.fullmatch(header.strip()) and value.isprintable():
            headers[header.strip().lower()] = value
        else:
            variables.faults.append(f"{name}: entry {place} is not name=value, percent-encoded")
    return headers


def _timeout_seconds(variables: _Variables) -> float:
    """The specification counts in milliseconds, Python's SDK in seconds: from 1,000 on it is the former."""
    name, text = variables.named("TIMEOUT")
    try:
        value = float(text or DEFAULT_TIMEOUT_SECONDS)
    except ValueError:
        value = -1.0
    if not 0 < value < 1e9:
        variables.faults.append(f"{name}={text}: take a number of seconds, or from 1000 on of milliseconds")
        return DEFAULT_TIMEOUT_SECONDS
    return value / 1_000 if value >= _LEAST_MILLISECONDS else value
