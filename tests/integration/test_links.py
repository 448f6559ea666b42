"""A link on one server: what it repeats by itself, because nothing was executed, and what it never repeats."""

import redis

from limelight import RedisQueue
from limelight.storage.link import Link


def disconnect_all(url: str) -> None:
    with redis.Redis.from_url(url) as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_a_connection_that_broke_while_nobody_used_it_is_opened_again_for_a_new_script(
    redis_url: str,
) -> None:
    queue = RedisQueue("mail", url=redis_url)
    link = Link(queue.storage.address)
    link.command("PING")
    disconnect_all(redis_url)
    assert link.call(queue.storage._call("revoke", ["0"])) == 0


def test_scripts_that_redis_forgot_are_sent_again_each_for_itself(redis_url: str) -> None:
    queue = RedisQueue("mail", url=redis_url)
    link = Link(queue.storage.address)
    calls = [queue.storage._call("revoke", ["0"]), queue.storage._call("promote", [10, ""])]
    assert link.pipeline(calls) == [0, [0, b"-1"]]
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    assert link.pipeline(calls) == [0, [0, b"-1"]]


def test_what_a_transaction_reads_fits_together(redis_url: str) -> None:
    link = Link(RedisQueue("mail", url=redis_url).storage.address)
    assert link.transaction(("SET", "{mail}a", 1), ("GET", "{mail}a"), ("TIME",))[:2] == [b"OK", b"1"]
    disconnect_all(redis_url)
    assert link.transaction(
        ("GET", "{mail}a"),
    ) == [b"1"]
