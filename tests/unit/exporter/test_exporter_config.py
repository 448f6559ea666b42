from __future__ import annotations

from pathlib import Path

import pytest

from limelight.errors import ConfigurationError
from limelight_exporter.config import Settings, from_environment, settings


def test_nothing_given_is_a_local_redis_and_a_loopback_address() -> None:
    assert settings() == Settings()
    assert (Settings().host, Settings().port, Settings().group) == ("127.0.0.1", 9898, "default")


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(redis_url="http://x", port="99999", group="a b", otlp_endpoint="nowhere", log_level="loud")
    for word in ("Redis URL", "99999", "'a b'", "OTLP endpoint", "loud"):
        assert word in str(caught.value)


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "redis://h:port", "redis://h/x", "http://h", "redis://[", "redis://h:70000"]
)
def test_a_url_that_is_none_is_refused_without_being_shown(url: str) -> None:
    if not url:
        assert settings(redis_url=url).redis_url == Settings().redis_url
        return
    with pytest.raises(ConfigurationError, match="Redis URL"):
        settings(redis_url=url)


@pytest.mark.parametrize("port", ["-1", "65536", "1.5", "abc", "٣", " 1"])
def test_a_port_is_a_number_in_range(port: str) -> None:
    with pytest.raises(ConfigurationError, match="port"):
        settings(port=port)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:hush@redis:7000/3", "redis:7000/3"),
        ("rediss://me:hush@redis", "redis:6379/0"),
        ("unix://me:hush@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_no_password_is_ever_shown(url: str, shown: str) -> None:
    made = settings(redis_url=url)
    assert made.redis_address == shown
    assert "hush" not in repr(made)


def test_a_password_comes_from_the_first_line_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("hush\nmore\n")
    made = settings(password_file=str(path))
    assert made.redis_password == "hush"
    assert "hush" not in repr(made)


def test_a_missing_or_empty_password_file_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    for name, why in (("missing", "cannot be read"), ("empty", "is empty")):
        with pytest.raises(ConfigurationError, match=why):
            settings(password_file=str(tmp_path / name))


def test_every_setting_has_a_twin_in_the_environment(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush")
    made = from_environment(
        {
            "LIMELIGHT_REDIS_URL": "redis://r:1/2",
            "LIMELIGHT_REDIS_PASSWORD_FILE": str(tmp_path / "password"),
            "LIMELIGHT_HOST": "0.0.0.0",
            "LIMELIGHT_PORT": "0",
            "LIMELIGHT_GROUP": "b",
            "LIMELIGHT_OTLP_ENDPOINT": "http://c:4318",
            "LIMELIGHT_LOG_LEVEL": "DEBUG",
        }
    )
    assert made == Settings(
        redis_url="redis://r:1/2", redis_password="hush", host="0.0.0.0", port=0, group="b",
        otlp_endpoint="http://c:4318", log_level="debug",
    )  # fmt: skip
