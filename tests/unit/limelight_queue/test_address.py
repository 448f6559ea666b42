"""Where a URL says that Redis is, and what Redis' errors say."""

import pytest
import redis

from limelight import ConfigurationError
from limelight.storage.address import Address
from limelight.storage.answers import Redirect, is_between_nodes, redirect, refused


@pytest.mark.parametrize(
    ("url", "shown", "db"),
    [
        ("redis://user:geheim@h", "h:6379/0", 0),
        ("rediss://h:7/3?ssl_cert_reqs=none", "h:7/3", 3),
        ("redis://h/0/", "h:6379/0", 0),
        ("unix:///run/redis.sock?db=2", "unix:///run/redis.sock", 2),
        ("redis+sentinel://:geheim@a,b:7/shop", "redis+sentinel://a:26379,b:7/shop/0", 0),
        ("rediss+sentinel://a/my%20shop/4?sentinel_password=geheim", "redis+sentinel://a:26379/my shop/4", 4),
        ("redis+cluster://u:geheim@a,b:7,[::1]:8", "redis+cluster://a:6379,b:7,::1:8", 0),
        ("rediss+cluster://a/0?password=geheim", "redis+cluster://a:6379", 0),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str, db: int) -> None:
    address = Address(url, {})
    assert (address.shown, address.db) == (shown, db)
    assert "geheim" not in address.shown


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://",
        "redis+cluster://h/shop",
        "http+cluster://h",
        "redis+ring://h",
        "redis+cluster://h:x",
    ],
)
def test_what_is_no_address_is_refused_with_examples(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"redis\+cluster://host1:6379"):
        Address(url, {})


def test_queues_of_a_cluster_have_slots_and_all_keys_of_one_queue_the_same() -> None:
    address = Address("redis+cluster://h", {})
    slots = {address.slot(f"limelight:{{mail}}:{thing}") for thing in ("tasks", "meta", "result:1")}
    assert slots == {4247}
    assert address.slot("limelight:{shop}:meta") not in slots
    assert Address("redis://h", {}).slot("limelight:{shop}:meta") == 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (redis.exceptions.MovedError("12 h:7"), Redirect(True, 12, "h", 7)),
        (redis.exceptions.MovedError("12 :7"), Redirect(True, 12, "", 7)),
        (redis.exceptions.AskError("12 ::1:7"), Redirect(False, 12, "::1", 7)),
        (redis.exceptions.ResponseError("MOVED 12 h:7"), Redirect(True, 12, "h", 7)),
        (redis.exceptions.ResponseError("ASK 12 h:7"), Redirect(False, 12, "h", 7)),
        (redis.exceptions.ResponseError("12 h:7"), None),
        (redis.exceptions.ResponseError("ERR no such key"), None),
    ],
)
def test_a_redirect_is_known_with_any_redis_py(error: Exception, expected: Redirect | None) -> None:
    assert redirect(error) == expected


def test_keys_between_nodes_are_known_with_any_redis_py() -> None:
    assert is_between_nodes(redis.exceptions.TryAgainError("Multiple keys"))
    assert is_between_nodes(redis.exceptions.ResponseError("TRYAGAIN Multiple keys"))
    assert is_between_nodes(redis.exceptions.ClusterDownError("The cluster is down"))
    assert not is_between_nodes(redis.exceptions.ResponseError("ERR TRYAGAIN"))


@pytest.mark.parametrize(
    ("error", "advice", "may_pass"),
    [
        (redis.exceptions.ReadOnlyError("You can't write against a read only replica."), "replica", True),
        (redis.exceptions.NoPermissionError("this user has no permissions"), "docs/redis.md", False),
        (redis.exceptions.ResponseError("WRONGTYPE Operation"), "another application", False),
        (redis.exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), "NOREPLICAS", True),
        (redis.exceptions.MovedError("12 h:7"), "redis+cluster://", False),
    ],
)
def test_a_refusal_says_what_to_do_and_whether_it_may_pass(
    error: Exception, advice: str, may_pass: bool
) -> None:
    refusal = refused(error, "h:6379/0")
    assert advice in str(refusal)
    assert refusal.may_pass is may_pass
