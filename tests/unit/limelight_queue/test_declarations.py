import datetime as dt
import queue as standard_library_queue

import pytest

from limelight import ConfigurationError, RedisHuey, RedisQueue, crontab
from limelight.errors import UnknownTask
from limelight.keys import QueueKeys
from limelight.storage.link import hidden
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


@pytest.mark.parametrize(
    ("url", "shown"),
    [
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
