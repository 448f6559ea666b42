import copy
import datetime as dt
import json
import pickle
import queue as standard_library_queue
from typing import Any

import pytest

from limelight import CannotCarry, ConfigurationError, RedisHuey, RedisQueue, Task, crontab
from limelight.errors import UnknownTask
from limelight.keys import QueueKeys
from limelight.storage.address import hidden
from limelight.storage.packing import number
from limelight.storage.scripts import SCRIPTS
from limelight.task import TaskOptions, as_seconds, as_timestamp, checked_id


def test_the_standard_librarys_queue_is_not_hidden() -> None:
    assert issubclass(standard_library_queue.Empty, Exception)


@pytest.mark.parametrize("name", ["", "a b", "{x}", "x" * 101, "ä", None])
def test_a_queue_name_outside_the_alphabet_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="queue name"):
        RedisQueue(name)


def test_all_keys_of_a_queue_share_its_hash_tag() -> None:
    keys = QueueKeys("mail")
    named = [
        *SCRIPTS["settle"].keys(keys),
        keys.result("1"),
        keys.snapshot("g"),
        keys.cursors,
        keys.channel(3),
    ]
    assert all("{mail}" in key for key in named)
    assert keys.channel(3) != keys.channel(4)


def test_the_old_name_is_the_same_class() -> None:
    assert RedisHuey is RedisQueue


def test_two_functions_cannot_share_a_task_name() -> None:
    queue = RedisQueue("mail")

    @queue.task(name="send")
    def one() -> None: ...

    with pytest.raises(ConfigurationError, match=r"task 'send' already .*one.*name="):

        @queue.task(name="send")
        def two() -> None: ...


def test_declaring_a_task_again_keeps_its_function() -> None:
    queue = RedisQueue("mail")

    @queue.task()
    def send() -> int:
        return 1

    again = queue.task(retries=3)(send)
    assert again.func is send.func
    assert queue.registry["send"].options.retries == 3


def test_every_fault_of_a_declaration_is_named_at_once() -> None:
    with pytest.raises(ConfigurationError) as raised:
        TaskOptions(name="send", retries=-1, retry_delay=float("nan"), retry_backoff=-2, priority=9999)
    assert all(word in str(raised.value) for word in ("retries", "retry_delay", "retry_backoff", "priority"))


def test_a_task_that_is_not_registered_is_named_with_those_that_are() -> None:
    queue = RedisQueue("mail")
    queue.task()(test_the_old_name_is_the_same_class)
    with pytest.raises(UnknownTask, match=r"'nope'.*Known: test_the_old_name_is_the_same_class"):
        queue.registry["nope"]


def test_eta_and_delay_together_are_refused() -> None:
    queue = RedisQueue("mail")
    task = queue.task()(test_the_old_name_is_the_same_class)
    with pytest.raises(ConfigurationError, match="eta or delay"):
        task.schedule(eta=dt.datetime.now(dt.UTC), delay=3)


def test_times_are_taken_in_all_their_forms() -> None:
    assert as_seconds(dt.timedelta(minutes=2)) == 120
    assert as_seconds(-5) == 0
    assert as_timestamp(dt.datetime(2026, 1, 1, tzinfo=dt.UTC)) == 1767225600
    with pytest.raises(ConfigurationError):
        as_seconds(float("inf"))
    with pytest.raises(ConfigurationError):
        as_timestamp("tomorrow")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="no UUID"):
        checked_id("7")


def test_a_periodic_task_is_registered_with_its_schedule() -> None:
    queue = RedisQueue("mail")

    @queue.periodic_task(crontab(minute="0"))
    def hourly() -> None: ...

    assert list(queue.registry.periodic) == ["hourly"]
    assert hourly.call_local() is None
    assert hourly.is_periodic


def test_a_minute_is_asked_of_a_periodic_task_and_of_all_of_them() -> None:
    queue = RedisQueue("mail")
    nightly = queue.periodic_task(crontab(30, 2, tz="Europe/Berlin"), name="nightly")(lambda: None)
    queue.periodic_task(crontab(), name="minutely")(lambda: None)
    plain = queue.task(name="plain")(lambda: None)
    due, later = dt.datetime(2026, 6, 1, 0, 30, 15, tzinfo=dt.UTC), dt.datetime(2026, 6, 1, 2, 31)
    assert nightly.validate_datetime(due)
    assert not nightly.validate_datetime(later)
    assert [task.name for task in queue.read_periodic(due)] == ["nightly", "minutely"]
    assert [task.name for task in queue.read_periodic(later)] == ["minutely"]
    assert not plain.is_periodic
    assert not plain.validate_datetime(due)


def test_a_catch_up_policy_that_nobody_knows_is_refused_at_the_door() -> None:
    with pytest.raises(ConfigurationError, match="catch_up='later'"):
        RedisQueue("mail").periodic_task(crontab(), catch_up="later")


def test_a_task_may_be_declared_without_parentheses() -> None:
    queue = RedisQueue("mail")

    @queue.task
    def send(to: str) -> str:
        return to

    assert send.call_local("a") == "a"
    assert list(queue.registry) == ["send"]


def test_an_async_function_is_a_task_like_any_other() -> None:
    async def send() -> None: ...

    queue = RedisQueue("mail")
    assert queue.task()(send).options.name == "send"
    assert list(queue.registry) == ["send"]


# -- Context and settings ------------------------------------------------------------------------------
def test_a_function_that_cannot_take_its_task_is_refused_at_the_door() -> None:
    queue = RedisQueue("mail")
    for takes_none in (lambda: None, lambda task, /: None, lambda *task: None):
        with pytest.raises(
            ConfigurationError, match=r"'send' has context=True, but .* no argument called task"
        ):
            queue.task(name="send", context=True)(takes_none)


def test_a_caller_gives_what_the_worker_does_not() -> None:
    queue = RedisQueue("mail")
    for place, takes in enumerate(
        (lambda to, task: None, lambda to, task=None: None, lambda to, **rest: None)
    ):
        send = queue.task(name=f"send{place}", context=True)(takes)
        assert send.s("a").args == ("a",)
        with pytest.raises(TypeError, match="to"):
            send()
    with pytest.raises(TypeError, match="task"):
        queue.task(name="strict", context=True)(lambda task: None).s(task=1)


def test_what_is_no_option_is_a_setting_of_the_task_and_of_its_calls() -> None:
    send = RedisQueue("mail").task(name="send", team="billing", tries=(1, 2))(lambda: None)
    assert send.settings == {"team": "billing", "tries": (1, 2)}
    task = send.s()
    assert (task.team, task.tries, task.settings) == ("billing", (1, 2), send.settings)  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match="'colour'"):
        task.colour  # type: ignore[attr-defined] # noqa: B018


def test_a_call_can_be_copied_and_pickled() -> None:
    task = Task(options=TaskOptions(name="send", settings={"team": "billing"}), args=(1,))
    assert copy.copy(task) == copy.deepcopy(task) == pickle.loads(pickle.dumps(task)) == task


@pytest.mark.parametrize("word", ["args", "due", "eta", "settings", "receipt"])
def test_a_setting_cannot_hide_what_every_task_has(word: str) -> None:
    with pytest.raises(ConfigurationError, match=f"task 'send': {word} cannot be a setting"):
        RedisQueue("mail").task(name="send", **{word: 1})(lambda: None)


# -- Sizes ---------------------------------------------------------------------------------------------
def test_a_call_that_is_too_large_is_refused_with_its_size_the_limit_and_the_way_out() -> None:
    queue = RedisQueue("mail", message_limit=1_000)
    send = queue.task(name="send")(lambda text: text)
    room = 1_000 - len(queue.parcel(send.s("x" * 500)).body)
    assert len(queue.parcel(send.s("x" * (500 + room))).body) == 1_000
    with pytest.raises(CannotCarry) as raised:
        queue.parcel(send.s("x" * (501 + room)))
    message = str(raised.value)
    assert message.startswith(
        "send(): its message has 1,001 bytes, the limit is 1,000: store the data elsewhere"
    )
    assert "message_limit" in message


def test_the_limit_is_a_mebibyte_unless_the_queue_says_otherwise() -> None:
    queue = RedisQueue("mail")
    send = queue.task(name="send")(lambda data: data)
    assert queue.parcel(send.s(b"x" * 1_000_000))
    with pytest.raises(CannotCarry, match="the limit is 1,048,576"):
        queue.parcel(send.s(b"x" * 1_048_576))


@pytest.mark.parametrize("limit", ["message_limit", "result_limit"])
@pytest.mark.parametrize("wrong", [0, -1, 1.5, "1MB", None, True])
def test_a_limit_that_is_no_number_of_bytes_is_refused(limit: str, wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"{limit} must be a whole number of bytes"):
        RedisQueue("mail", **{limit: wrong})


# -- Calls ---------------------------------------------------------------------------------------------
def test_a_call_that_the_function_cannot_take_is_refused_where_it_is_made() -> None:
    send = RedisQueue("mail").task(name="send")(lambda to: to)
    with pytest.raises(TypeError, match="cc"):
        send.s("a", cc="b")
    with pytest.raises(TypeError, match="to"):
        send()


@pytest.mark.parametrize(
    "options",
    [
        {"retries": 10**15},
        {"retries": True},
        {"retries": 1.5},
        {"priority": 1.5},
        {"retry_delay": 1e304},
        {"retry_delay": "5"},
        {"retry_max_delay": -1},
        {"retry_max_delay": float("inf")},
        {"retry_jitter": 1.01},
        {"retry_jitter": float("nan")},
        {"retry_jitter": "full"},
    ],
)
def test_numbers_that_scripts_could_not_keep_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        TaskOptions(name="send", **options)


@pytest.mark.parametrize("seconds", [0, 1e-7, 0.1 * 3 * 10, 4.1 * 60, 0.5, 3, 1e9, 12345.678901])
def test_a_number_of_seconds_is_json_whatever_it_is(seconds: float) -> None:
    assert json.loads(number(seconds)) == pytest.approx(seconds, abs=1e-6)


def test_an_option_that_nobody_knows_is_refused_when_the_queue_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"'store_none'"):
        RedisQueue("mail", store_none=True)


def test_an_option_of_the_connection_does_not_hide_the_url_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LIMELIGHT_REDIS_URL", "redis://elsewhere:7/3")
    assert RedisQueue("mail", socket_keepalive=True).storage.address.shown == "elsewhere:7/3"
    assert RedisQueue("mail", host="here").storage.address.shown == "here:6379/0"


def test_what_the_url_asks_for_cannot_break_the_protocol() -> None:
    address = RedisQueue("mail", url="redis://h/0?decode_responses=true&protocol=3").storage.address
    options = address.client().connection_pool.connection_kwargs
    assert (options["decode_responses"], options["protocol"]) == (False, 2)


def test_no_emitter_means_no_events() -> None:
    assert RedisQueue("mail", emitter=None).storage.emitter is None
    assert RedisQueue("mail").storage.emitter is not None


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:pa/ss@host:1", "redis://:***@host:1"),
        ("redis://:pa#s?s@host:1/2", "redis://:***@host:1/2"),
        ("redis://host:1/0?password=geheim", "redis://host:1/0"),
        ("redis://app:geheim@host:1/2", "redis://app:***@host:1/2"),
        ("redis://:geheim@host", "redis://:***@host"),
        ("redis://host:1", "redis://host:1"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    assert hidden(url) == shown


def test_a_wrong_url_is_refused_without_its_password() -> None:
    with pytest.raises(ConfigurationError, match="cannot use the Redis URL") as raised:
        RedisQueue("mail", url="http://app:geheim@host")
    assert "geheim" not in str(raised.value)


# -- Misspelt options ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("retry", "'retry_backoff' or 'retry_delay' or 'retry_jitter' or 'retry_max_delay'"),
        ("max_retries", "'retries'"),
        ("expire", "'expires'"),
        ("retry_dealy", "'retry_delay'"),
        ("priorty", "'priority'"),
    ],
)
def test_a_setting_that_looks_like_an_option_is_kept_and_warned_of(
    caplog: pytest.LogCaptureFixture, setting: str, meant: str
) -> None:
    task = RedisQueue("mail").task(name="send", **{setting: 3})(lambda: None)
    assert task.settings == {setting: 3}
    assert f"task 'send': {setting!r} is no option and is kept as a setting; is {meant} meant?" in caplog.text


@pytest.mark.parametrize(
    "setting", ["team", "timezone", "owner", "tags", "customer", "tenant", "report", "sla"]
)
def test_a_setting_that_looks_like_no_option_is_taken_without_a_word(
    caplog: pytest.LogCaptureFixture, setting: str
) -> None:
    RedisQueue("mail").task(name="send", **{setting: 3})(lambda: None)
    assert not caplog.text
