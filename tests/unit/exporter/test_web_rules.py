from __future__ import annotations

import re
from pathlib import Path

import pytest
from certificates import Authority
from web_side import hashed

from limelight.errors import ConfigurationError
from limelight_exporter import catalog
from limelight_exporter.tally import OwnTally
from limelight_exporter.web import RulesFile
from limelight_exporter.web.rules import read_rules
from limelight_exporter.web.tls import _CIPHERS


def written(folder: Path, text: str) -> str:
    path = folder / "web.yml"
    path.write_text(text)
    return str(path)


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        read_rules(written(folder, text))
    assert "Traceback" not in str(caught.value)
    return str(caught.value).splitlines()


def test_an_empty_file_admits_everybody(tmp_path: Path) -> None:
    rules, files = read_rules(written(tmp_path, ""))
    assert (rules.tls, rules.users, rules.headers, rules.interval_seconds) == (None, {}, (), 0.0)
    assert files == (tmp_path / "web.yml",)


def test_everything_in_the_format_is_taken(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server("localhost")
    rules, files = read_rules(
        written(
            tmp_path,
            f"""
tls_server_config:
  cert_file: {pair.certificate.name}
  key_file: {pair.key.name}
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: {authority.certificate.name}
  client_allowed_sans: [prometheus.example.org]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
    TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP256]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: ""
    Strict-Transport-Security: max-age=60
basic_auth_users:
  alice: {hashed("secret")}
  bob: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG
rate_limit:
  interval: 1m30s
  burst: 7
""",
        )
    )
    assert rules.tls is not None
    assert rules.needs_client
    assert rules.client_names == {"prometheus.example.org"}
    assert set(rules.users) == {"alice", "bob"}
    assert dict(rules.headers)["x-frame-options"] == "deny"
    assert "x-xss-protection" not in dict(rules.headers)
    assert (rules.interval_seconds, rules.burst) == (90.0, 7)
    assert rules.warning == ""
    assert len(files) == 4


def test_all_faults_are_told_at_once_with_their_places(tmp_path: Path) -> None:
    told = faults(
        tmp_path,
        """
tls_server_config: {cert_file: nowhere.crt, key_file: nowhere.key, min_version: SSL3, cipher_suites: [RC4]}
http_server_config: {headers: {X-Frame-Options: maybe, X-Powered-By: us}}
basic_auth_users: {alice: hunter2}
rate_limit: {interval: fast, burst: many}
basic_auth: {}
""",
    )
    for place in (
        "tls_server_config.cert_file",
        "tls_server_config.min_version",
        "tls_server_config.cipher_suites",
        "headers.X-Frame-Options",
        "headers.X-Powered-By",
        "basic_auth_users.alice",
        "rate_limit.burst",
        "did you mean 'basic_auth_users'",
    ):
        assert any(place in line for line in told), (place, told)
    assert all(line.startswith(str(tmp_path / "web.yml")) for line in told)
    assert "hunter2" not in "".join(told)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("tls_server_config: [", "line 1"),
        ("a: &x 1\nb: *x", "aliases"),
        ("basic_auth_users: {a: x, a: y}", "already"),
        ("tls_server_config: 7", "here belong names"),
        ("- 1", "here belong names"),
        ("!!python/object/apply:os.system [ls]", "line 1"),
        ("[" * 100_000, "nested too deeply"),
        ("rate_limit: {burst: " + "9" * 10_000 + "}", "no number"),
        ("x" * 200_000, "larger than"),
        ("\x00", "no text"),
        ("tls_server_config: {client_auth_type: NoClientCert}", "needs cert or cert_file"),
        ("tls_server_config: {cert: a, cert_file: b}", "not both"),
        ("tls_server_config: {cert: a, key: b}", "must be PEM"),
        ("rate_limit: {interval: 1s}", "rate_limit.burst"),
        ("rate_limit: {interval: 1s, burst: 0}", "rate_limit.burst"),
        ("rate_limit: {interval: 48h, burst: 1}", "rate_limit.interval"),
        ("basic_auth_users: {'a:b': x}", "no colon"),
        ("basic_auth_users: {a: 7}", "expected str"),
        (
            "basic_auth_users: {a: $2y$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}",
            "its cost is 31",
        ),
        ('http_server_config: {headers: {X-XSS-Protection: "1\\r\\nSet-Cookie: a"}}', "printable"),
    ],
)
def test_what_cannot_be_used_is_told(tmp_path: Path, text: str, what: str) -> None:
    told = faults(tmp_path, text)
    assert any(what in line for line in told), told


def test_a_hash_where_a_name_belongs_is_not_shown(tmp_path: Path) -> None:
    secret = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG"
    for text in (
        f"basic_auth_users: {{{secret}: alice}}",
        f"{secret}: alice",
        f"rate_limit: {{'a {secret}': 1}}",
    ):
        told = faults(tmp_path, text)
        assert "X0h1gDsPsz" not in "".join(told)
        assert "(a hash)" in "".join(told)


def test_a_file_that_is_none_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yml", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            read_rules(str(path))


@pytest.mark.parametrize(
    ("more", "what"),
    [
        ("client_auth_type: RequireAndVerifyClientCert", "who signed"),
        ("client_auth_type: RequireAnyClientCert", "take RequireAndVerifyClientCert"),
        ("client_auth_type: Sometimes", "take one of"),
        ("client_ca_file: ca.crt", "asks for no certificate"),
        ("client_allowed_sans: [x]", "needs client_auth_type"),
        ("min_version: TLS13, max_version: TLS12", "above max_version"),
        ("max_version: TLS12, cipher_suites: [TLS_RSA_WITH_AES_128_CBC_SHA]", "do not fit"),
        ("curve_preferences: [CurveP256, X25519]", "only one"),
        ("curve_preferences: [P-1]", "take one of"),
    ],
)
def test_tls_that_would_serve_nobody_or_everybody_is_refused(tmp_path: Path, more: str, what: str) -> None:
    pair = Authority(tmp_path).server("localhost")
    text = f"tls_server_config: {{cert_file: {pair.certificate.name}, key_file: {pair.key.name}, {more}}}"
    told = faults(tmp_path, text)
    assert any(what in line for line in told), told


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    one, other = authority.server("localhost"), authority.server("example.org")
    (fault,) = faults(tmp_path, f"tls_server_config: {{cert_file: {one.certificate}, key_file: {other.key}}}")
    assert "does not belong" in fault


def test_a_key_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    pair = Authority(tmp_path).server("localhost")
    (fault,) = faults(tmp_path, f"tls_server_config: {{cert_file: {pair.certificate}, key_file: {tmp_path}}}")
    assert "tls_server_config.key_file" in fault
    assert "cannot be read" in fault


def test_certificate_and_key_may_stand_in_the_file(tmp_path: Path) -> None:
    pair = Authority(tmp_path).server("localhost")

    def block(path: Path) -> str:
        return "|\n" + "".join(f"    {line}\n" for line in path.read_text().splitlines())

    rules, files = read_rules(
        written(tmp_path, f"tls_server_config:\n  cert: {block(pair.certificate)}  key: {block(pair.key)}")
    )
    assert rules.tls is not None
    assert len(files) == 1


def test_an_expired_certificate_is_taken_with_a_warning(tmp_path: Path) -> None:
    pair = Authority(tmp_path).server("localhost", expired=True)
    rules, _ = read_rules(
        written(tmp_path, f"tls_server_config: {{cert_file: {pair.certificate}, key_file: {pair.key}}}")
    )
    assert "expired" in rules.warning


@pytest.mark.parametrize("suite", sorted(_CIPHERS))
def test_each_suite_of_the_table_is_one_that_openssl_knows(suite: str) -> None:
    import ssl

    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(_CIPHERS[suite] + ":@SECLEVEL=0")


def test_the_example_on_the_page_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "exporter.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(tls_server_config.*?)```", page, re.DOTALL)
    authority = Authority(tmp_path)
    pair = authority.server("localhost")
    for made, name in (
        (pair.certificate, "server.crt"),
        (pair.key, "server.key"),
        (authority.certificate, "clients.crt"),
    ):
        made.rename(tmp_path / name)
    rules, _ = read_rules(written(tmp_path, example))
    assert rules.needs_client
    assert rules.interval_seconds == 0.1


def test_whether_the_file_as_it_is_now_is_in_force_is_a_metric(tmp_path: Path) -> None:
    tally = OwnTally()

    def taken() -> float:
        return tally._values[catalog.WEB_CONFIG_TAKEN, ()]

    path = written(tmp_path, "rate_limit: {interval: 1s, burst: 1}")
    rules = RulesFile(path, tally)
    assert taken() == 1
    for text, force, interval in (("nonsense: [", 0, 1.0), ("rate_limit: {interval: 5s, burst: 1}", 1, 5.0)):
        written(tmp_path, text)
        rules.refresh()
        assert (taken(), rules.current.interval_seconds) == (force, interval)
