"""What belongs to somebody who is gone is forgotten, whatever they left undone."""

from typing import Any

import pytest
import redis

from limelight import MemoryQueue
from limelight.keys import QueueKeys
from limelight.storage.scripts import SCRIPTS

KEYS = QueueKeys("forgetful")
LEASE_US = 10_000_000
BEGIN_US = 1_000_000_000_000_000


@pytest.fixture(params=["redis", "memory"])
def client(request: pytest.FixtureRequest) -> redis.Redis:
    if request.param == "memory":
        return MemoryQueue("forgetful").storage.address.client()
    return redis.Redis.from_url(request.getfixturevalue("redis_url"))


def script(client: redis.Redis, name: str, now_us: int, *args: Any) -> Any:
    text = SCRIPTS[name]
    keys = text.keys(KEYS)
    return client.eval(
        text.source.decode(), len(keys), *keys, now_us, "forgetful", "", 1_000_000, "tester", *args
    )


def reserve(client: redis.Redis, owner: str) -> None:
    script(client, "reserve", BEGIN_US, owner, 1, 1, LEASE_US, "", "", 3_600_000_000, 0, "")


def seconds_pass(client: redis.Redis, since: int, until: int) -> None:
    """A reaper looks every four seconds, so that there is no silence."""
    for second in range(since, until, 4):
        script(client, "expired", BEGIN_US + second * 1_000_000, LEASE_US, 100, 0)


def owners(client: redis.Redis) -> set[bytes]:
    return set(client.hkeys(KEYS["requests"]))


def test_a_request_of_a_consumer_that_never_said_it_lives_is_forgotten(client: redis.Redis) -> None:
    reserve(client, "ghost:1")
    reserve(client, "ghost:2")
    seconds_pass(client, 0, 56)
    assert owners(client) == {b"ghost:1", b"ghost:2"}
    seconds_pass(client, 56, 200)
    assert not owners(client)
    assert not client.exists(KEYS["consumers"])


def test_a_request_of_a_consumer_that_lives_is_kept_though_its_first_heartbeat_was_late(
    client: redis.Redis,
) -> None:
    reserve(client, "late:1")
    seconds_pass(client, 0, 20)
    for second in range(20, 700, 20):
        script(client, "renew", BEGIN_US + second * 1_000_000, LEASE_US, "late", "1 {}")
        seconds_pass(client, second, second + 20)
    assert owners(client) == {b"late:1"}
    seconds_pass(client, 700, 1_400)
    assert not owners(client)


MINUTE_US = 60_000_000


def schedulers_look(client: redis.Redis, minutes: range, *names: str) -> None:
    """One look a minute, at the periodic tasks of these names."""
    for minute in minutes:
        now = BEGIN_US + minute * MINUTE_US
        script(client, "check", now, "")
        if names:
            words = [word for name in names for word in (name, now + MINUTE_US, now, 10 * MINUTE_US)]
            script(client, "watch", now, *words)


def periodic(client: redis.Redis) -> set[str]:
    return {field.decode().rpartition(":")[0] for field in client.hkeys(KEYS["periodic_runs"])}


def test_a_periodic_task_that_no_scheduler_has_named_for_a_day_is_forgotten(client: redis.Redis) -> None:
    schedulers_look(client, range(2), "night:ly", "kept")
    schedulers_look(client, range(2, 1_430), "kept")
    assert periodic(client) == {"night:ly", "kept"}
    schedulers_look(client, range(1_430, 1_510), "kept")
    assert periodic(client) == {"kept"}


def test_what_a_periodic_task_missed_while_nobody_looked_is_remembered_however_long_that_was(
    client: redis.Redis,
) -> None:
    schedulers_look(client, range(2), "nightly")
    schedulers_look(client, range(10_000, 10_200))
    assert periodic(client) == {"nightly"}


def test_a_success_that_comes_after_its_periodic_task_was_forgotten_is_forgotten_too(
    client: redis.Redis,
) -> None:
    client.hset(KEYS["periodic_runs"], "gone:success", 1)
    schedulers_look(client, range(1_580))
    assert not client.exists(KEYS["periodic_runs"])
