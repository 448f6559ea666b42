"""Requests to a collector: TLS, headers, compression, over HTTP and gRPC."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from otlp import Answer, OtlpReceiver
from servers import wait_until
from stream_writer import StreamWriter
from traced import PROTOCOLS, exporter, failures, forget_variables, tell_runs

from limelight_exporter.otlp import Signal, connected, target
from limelight_exporter.otlp.answer import Answer as Said
from limelight_exporter.otlp.answer import Verdict

EITHER = pytest.mark.parametrize("protocol", PROTOCOLS)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def secure(authority: Authority) -> Iterator[OtlpReceiver]:
    """A collector that speaks TLS, and wants certificates of its clients."""
    with OtlpReceiver(authority.server("127.0.0.1"), authority) as receiver:
        yield receiver


def said(receiver: OtlpReceiver, protocol: str, **variables: str) -> Said:
    """What the collector says to an empty request."""
    endpoint = receiver.grpc_endpoint if protocol == "grpc" else receiver.http_endpoint
    asked = {"PROTOCOL": protocol, "TIMEOUT": "2", **variables}
    environment = {f"OTEL_EXPORTER_OTLP_{name}": value for name, value in asked.items()}
    found = target(Signal.TRACES, endpoint, environment)
    assert found is not None
    channel = connected(found)
    try:
        return channel.send(b"")
    finally:
        channel.close()


@EITHER
def test_tls_with_certificates_on_both_sides(
    secure: OtlpReceiver, authority: Authority, protocol: str
) -> None:
    client = authority.client()
    answer = said(
        secure,
        protocol,
        CERTIFICATE=str(authority.certificate),
        CLIENT_CERTIFICATE=str(client.certificate),
        CLIENT_KEY=str(client.key),
    )
    assert answer.verdict is Verdict.TAKEN


@EITHER
def test_without_a_certificate_there_is_no_way_in(
    secure: OtlpReceiver, authority: Authority, protocol: str
) -> None:
    assert said(secure, protocol, CERTIFICATE=str(authority.certificate)).verdict is Verdict.LATER
    assert not secure.requests


@EITHER
def test_a_server_that_another_authority_vouches_for_gets_nothing(
    secure: OtlpReceiver, authority: Authority, tmp_path: Path, protocol: str
) -> None:
    client, other = authority.client(), Authority(tmp_path, "other")
    pair = {"CLIENT_CERTIFICATE": str(client.certificate), "CLIENT_KEY": str(client.key)}
    assert said(secure, protocol, **pair).verdict is Verdict.LATER
    answer = said(secure, protocol, CERTIFICATE=str(other.certificate), **pair)
    assert answer.code == ("UNAVAILABLE" if protocol == "grpc" else "tls")
    assert not secure.requests


@EITHER
@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_compression(otlp_receiver: OtlpReceiver, protocol: str, compression: str) -> None:
    if protocol == "grpc" and compression == "deflate":
        return  # gRPC has none, test_otlp_settings.py has it refused
    assert said(otlp_receiver, protocol, COMPRESSION=compression).verdict is Verdict.TAKEN
    if protocol != "grpc":
        assert otlp_receiver.headers[0].get("content-encoding", "none") == compression


@EITHER
def test_headers_arrive_and_no_netrc_replaces_them(
    otlp_receiver: OtlpReceiver, protocol: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password pa55\n")
    monkeypatch.setenv("NETRC", str(netrc))
    said(otlp_receiver, protocol, HEADERS="Authorization=Bearer%20s3cret,x-tenant=shop")
    (headers,) = otlp_receiver.headers
    assert (headers["authorization"], headers["x-tenant"]) == ("Bearer s3cret", "shop")


def test_a_redirect_is_not_followed(otlp_receiver: OtlpReceiver) -> None:
    with OtlpReceiver() as other:
        otlp_receiver.answer(Answer(status=307, location=other.http_traces_endpoint))
        answer = said(otlp_receiver, "http/protobuf", HEADERS="authorization=s3cret")
        assert (answer.code, answer.verdict) == ("307", Verdict.LATER)
        assert not other.requests


@EITHER
def test_what_a_collector_says_is_told_and_no_secret_with_it(
    redis_url: str,
    otlp_receiver: OtlpReceiver,
    protocol: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    forget_variables(monkeypatch)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20s3cret")
    otlp_receiver.answer(Answer(status=401, message="token s3cret is not known"))
    caplog.set_level(logging.DEBUG)
    with exporter(redis_url, otlp_receiver, protocol) as running:
        tell_runs(StreamWriter(redis_url), 1)
        code = "UNAUTHENTICATED" if protocol == "grpc" else "401"
        wait_until(lambda: failures(running, code) >= 2)
    if protocol == "grpc":
        assert "token … is not known" in caplog.text
    assert code in caplog.text
    assert "s3cret" not in caplog.text
