from __future__ import annotations

from pathlib import Path

import pytest

from limelight.errors import ConfigurationError
from limelight_exporter.otlp import Signal, Target, target


def asked(endpoint: str | None = None, signal: Signal = Signal.TRACES, **variables: str) -> Target | None:
    return target(signal, endpoint, {f"OTEL_{name}": value for name, value in variables.items()})


def found(endpoint: str | None = None, signal: Signal = Signal.TRACES, **variables: str) -> Target:
    made = asked(endpoint, signal, **variables)
    assert made is not None
    return made


def test_spans_are_sent_as_soon_as_an_endpoint_is_named() -> None:
    assert asked() is None
    assert asked("http://c:4318") is not None
    assert asked(EXPORTER_OTLP_ENDPOINT="http://c:4318") is not None
    assert asked(EXPORTER_OTLP_TRACES_ENDPOINT="http://c:4318/v1/traces") is not None
    assert found(TRACES_EXPORTER="otlp").url == "http://localhost:4318/v1/traces"
    assert found(TRACES_EXPORTER="otlp", EXPORTER_OTLP_PROTOCOL="grpc").address == "localhost:4317"


def test_metrics_are_sent_only_if_they_are_asked_for() -> None:
    assert asked("http://c:4318", Signal.METRICS) is None
    made = found("http://c:4318", Signal.METRICS, METRICS_EXPORTER="otlp")
    assert made.url == "http://c:4318/v1/metrics"


@pytest.mark.parametrize("variables", [{"TRACES_EXPORTER": "none"}, {"SDK_DISABLED": " TRUE "}])
def test_variables_turn_spans_off_whatever_endpoint_is_named(variables: dict[str, str]) -> None:
    assert asked("http://c:4318", **variables) is None


@pytest.mark.parametrize(
    ("flag", "variables", "url"),
    [
        ("http://c:4318", {}, "http://c:4318/v1/traces"),
        ("http://c:4318/", {}, "http://c:4318/v1/traces"),
        ("http://c/otlp", {}, "http://c/otlp/v1/traces"),
        ("http://c:4318/v1/traces", {}, "http://c:4318/v1/traces"),
        (None, {"EXPORTER_OTLP_ENDPOINT": "http://base:1"}, "http://base:1/v1/traces"),
        (None, {"EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:1/here"}, "http://own:1/here"),
        (
            None,
            {
                "EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:1",
                "EXPORTER_OTLP_ENDPOINT": "http://base:1",
            },
            "http://own:1",
        ),
        ("http://flag:1", {"EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:1"}, "http://flag:1/v1/traces"),
    ],
)
def test_the_flag_goes_before_the_signals_variable_and_that_before_the_common_one(
    flag: str | None, variables: dict[str, str], url: str
) -> None:
    assert found(flag, **variables).url == url


@pytest.mark.parametrize(
    ("endpoint", "insecure", "address", "secure"),
    [
        ("http://c:4317", "", "c:4317", False),
        ("https://c:4317", "true", "c:4317", True),
        ("c:4317", "", "c:4317", True),
        ("c:4317", "true", "c:4317", False),
        ("http://[::1]:4317", "", "[::1]:4317", False),
    ],
)
def test_grpc_speaks_tls_unless_it_is_told_otherwise(
    endpoint: str, insecure: str, address: str, secure: bool
) -> None:
    made = found(
        EXPORTER_OTLP_ENDPOINT=endpoint, EXPORTER_OTLP_PROTOCOL="grpc", EXPORTER_OTLP_INSECURE=insecure
    )
    assert (made.address, made.secure) == (address, secure)


def test_each_variable_of_the_signal_goes_before_the_common_one() -> None:
    made = found(
        "http://c:4318",
        EXPORTER_OTLP_COMPRESSION="none",
        EXPORTER_OTLP_TRACES_COMPRESSION="gzip",
        EXPORTER_OTLP_TIMEOUT="1",
        EXPORTER_OTLP_TRACES_TIMEOUT="7",
        EXPORTER_OTLP_HEADERS="a=1",
        EXPORTER_OTLP_TRACES_HEADERS="b=2",
    )
    assert (made.compression, made.timeout_seconds, made.headers) == ("gzip", 7.0, {"b": "2"})


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10.0), ("999", 999.0), ("1000", 1.0), ("10000", 10.0), ("", 10.0)]
)
def test_a_timeout_is_seconds_as_in_python_or_milliseconds_as_in_the_specification(
    text: str, seconds: float
) -> None:
    assert found("http://c:4318", EXPORTER_OTLP_TIMEOUT=text).timeout_seconds == seconds


def test_headers_are_percent_encoded_pairs() -> None:
    text = "Authorization=Basic%20YTpi, x-tenant=shop,,token=a=b=="
    made = found("http://c:4318", EXPORTER_OTLP_HEADERS=text)
    assert made.headers == {"authorization": "Basic YTpi", "x-tenant": "shop", "token": "a=b=="}


def test_no_secret_is_shown() -> None:
    made = found("http://me:pa55word@c:4318", EXPORTER_OTLP_HEADERS="authorization=Bearer%20s3cret")
    assert made.address == "c:4318"
    assert "s3cret" not in repr(made)
    assert "pa55word" not in repr(made)
    assert made.hidden("wrong token s3cret") == "wrong token …"
    with pytest.raises(ConfigurationError) as caught:
        asked("http://c:4318", EXPORTER_OTLP_HEADERS="a=b,s3cret")
    assert "s3cret" not in str(caught.value)
    assert "entry 2" in str(caught.value)


def test_all_faults_are_named_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        asked(
            EXPORTER_OTLP_ENDPOINT="nowhere",
            EXPORTER_OTLP_PROTOCOL="http/json",
            EXPORTER_OTLP_TIMEOUT="soon",
            EXPORTER_OTLP_COMPRESSION="zip",
            EXPORTER_OTLP_CERTIFICATE=str(tmp_path / "none.pem"),
            EXPORTER_OTLP_TRACES_CLIENT_KEY=__file__,
        )
    lines = str(caught.value).split("\n")
    for place, name in enumerate(
        ("PROTOCOL=http/json", "ENDPOINT", "TIMEOUT=soon", "COMPRESSION=zip", "CERTIFICATE=", "set both")
    ):
        assert name in lines[place]


@pytest.mark.parametrize("name", ["TRACES_EXPORTER", "METRICS_EXPORTER"])
def test_an_exporter_that_we_are_not_is_refused(name: str) -> None:
    signal = Signal.TRACES if name.startswith("TRACES") else Signal.METRICS
    with pytest.raises(ConfigurationError, match="zipkin"):
        asked("http://c:4318", signal, **{name: "zipkin"})
    assert asked("http://c:4318", signal, **{name: "console,otlp"}) is not None
