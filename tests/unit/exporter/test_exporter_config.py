from __future__ import annotations

import re
from pathlib import Path

import pytest

from limelight.errors import ConfigurationError
from limelight_exporter.config import FileSettings, Settings, from_environment, settings
from limelight_exporter.config_file import Limits, QueueChoice, read_settings
from limelight_exporter.options import OPTIONS


def test_nothing_given_is_a_local_redis_and_a_loopback_address() -> None:
    assert settings() == Settings()
    assert (Settings().host, Settings().port, Settings().group) == ("127.0.0.1", 9898, "default")


def test_all_faults_are_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(redis_url="http://x", port="99999", group="a b", otlp_endpoint="nowhere", log_level="loud")
    for word in ("Redis URL", "99999", "'a b'", "OTLP endpoint", "loud"):
        assert word in str(caught.value)
    places = [line.partition(": ")[0] for line in str(caught.value).splitlines()]
    assert places == [
        OPTIONS[name].place for name in ("redis_url", "port", "group", "otlp_endpoint", "log_level")
    ]


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
    (tmp_path / "limelight.yml").write_text("limits: {tasks: 7}")
    made = from_environment(
        {
            "LIMELIGHT_REDIS_URL": "redis://r:1/2",
            "LIMELIGHT_REDIS_PASSWORD_FILE": str(tmp_path / "password"),
            "LIMELIGHT_HOST": "0.0.0.0",
            "LIMELIGHT_PORT": "0",
            "LIMELIGHT_GROUP": "b",
            "LIMELIGHT_OTLP_ENDPOINT": "http://c:4318",
            "LIMELIGHT_LOG_LEVEL": "DEBUG",
            "LIMELIGHT_PUBSUB": "shop mail",
            "LIMELIGHT_WEB_CONFIG_FILE": "web.yml",
            "LIMELIGHT_CONFIG_FILE": str(tmp_path / "limelight.yml"),
        }
    )
    assert made == Settings(
        redis_url="redis://r:1/2", redis_password="hush", host="0.0.0.0", port=0, group="b",
        otlp_endpoint="http://c:4318", log_level="debug", pubsub=("shop", "mail"), web_config_file="web.yml",
        file=FileSettings(limits=Limits(tasks=7)),
    )  # fmt: skip


def test_every_option_has_a_flag_or_is_a_secret_and_a_variable_of_its_own() -> None:
    assert [option.name for option in OPTIONS.values() if not option.flag] == ["redis_password"]
    for option in OPTIONS.values():
        assert option.variable.startswith("LIMELIGHT_")
    assert len({option.variable for option in OPTIONS.values()}) == len(OPTIONS)


def test_the_environment_holds_the_password_itself_or_the_name_of_its_file_not_both(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("hush")
    made = from_environment({"LIMELIGHT_REDIS_PASSWORD": "hush"})
    assert made.redis_password == "hush"
    with pytest.raises(ConfigurationError, match="take one of them") as caught:
        from_environment(
            {"LIMELIGHT_REDIS_PASSWORD": "hush", "LIMELIGHT_REDIS_PASSWORD_FILE": str(tmp_path / "password")}
        )
    assert "hush" not in str(caught.value)


def test_the_file_says_which_queues_how_finely_and_how_much(tmp_path: Path) -> None:
    path = tmp_path / "limelight.yml"
    path.write_text(
        "queues:\n  include: [mail*, shop]\n  exclude: ['*-test']\nbuckets: [0.1, 1, 60]\nlimits:\n"
    )
    made, faults = read_settings(str(path))
    assert faults == []
    assert made == FileSettings(queues=QueueChoice(("mail*", "shop"), ("*-test",)), buckets=(0.1, 1.0, 60.0))
    taken = [queue for queue in ("mail", "mail-test", "mails", "shop", "shops") if made.queues.takes(queue)]
    assert taken == ["mail", "mails", "shop"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("buckets: []", "buckets: takes 1 to 50"),
        ("buckets: [1, 1]", "rising"),
        ("buckets: [2, 1]", "rising"),
        ("buckets: [0, 1]", "above 0"),
        ("buckets: [.inf]", "above 0"),
        ("buckets: [.nan]", "above 0"),
        ("buckets: [a]", "buckets[0]: expected float"),
        ("buckets: 5", "buckets: expected array"),
        ("limits: {tasks: 0}", "limits.tasks: takes"),
        ("limits: {tasks: many}", "limits.tasks: expected int"),
        ("limits: {task: 5}", "did you mean 'tasks'"),
        ("queues: {include: ['a/b']}", "queues.include: 'a/b' fits no queue"),
        ("bucket: [1]", "did you mean 'buckets'"),
        ("limits: 5", "limits: here belong names"),
    ],
)
def test_what_is_wrong_in_the_file_is_told_with_its_place(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "limelight.yml"
    path.write_text(text)
    _, (fault,) = read_settings(str(path))
    assert fault.startswith(f"{path}: ")
    assert what in fault


def test_faults_of_the_file_are_told_with_all_others(tmp_path: Path) -> None:
    path = tmp_path / "limelight.yml"
    path.write_text("buckets: [1, 1]\nlimits: {tasks: 0, error_types: 0}")
    with pytest.raises(ConfigurationError) as caught:
        settings(port="x", config_file=str(path))
    assert len(str(caught.value).splitlines()) == 4


def test_the_example_on_the_page_shows_all_there_is_and_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "exporter.md").read_text(encoding="utf-8")
    (example, *_) = re.findall(r"```yaml\n# limelight.yml[^\n]*\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "limelight.yml"
    path.write_text(example)
    made, faults = read_settings(str(path))
    assert faults == []
    assert made != FileSettings()
    for name in (*FileSettings.__struct_fields__, *Limits.__struct_fields__, *QueueChoice.__struct_fields__):
        assert f"{name}:" in example, "the example shows all there is"
