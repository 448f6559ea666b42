"""What is said of a server, for each thing that can be wrong with it."""

from typing import Any

import pytest

from limelight.cli.doctor import server_checks
from limelight.cli.doctor.facts import ServerFacts
from limelight.cli.doctor.finding import Finding, Status

INFO = {
    "redis_version": "7.2.4", "role": "master", "connected_slaves": "0", "maxmemory_policy": "noeviction",
    "maxmemory": "1000000", "used_memory": "500000", "aof_enabled": "1", "aof_last_write_status": "ok",
    "rdb_last_bgsave_status": "ok", "rdb_changes_since_last_save": "12",
}  # fmt: skip
SETTINGS = {"appendfsync": "everysec", "save": "", "min-replicas-to-write": "0"}


def facts(
    info: dict[str, str] | None = None, settings: dict[str, str] | None = None, **changed: Any
) -> ServerFacts:
    known: dict[str, Any] = {
        "address": "redis:6379/0", "peer": "127.0.0.1", "encrypted": False, "user": "app", "trips": (0.0004,),
        "clock_ahead": 0.0, "clock_doubt": 0.001,
    }  # fmt: skip
    return ServerFacts(info=INFO | (info or {}), settings=SETTINGS | (settings or {}), **{**known, **changed})


def blind() -> ServerFacts:
    return ServerFacts(
        address="redis:6379/0", peer="10.0.0.1", encrypted=True, user="", trips=(0.001,), clock_ahead=None,
        clock_doubt=0.0,
    )  # fmt: skip


def test_a_server_in_good_order_has_nothing_to_fix() -> None:
    findings = [check(facts()) for check in server_checks.SERVER_CHECKS]
    assert {finding.status for finding in findings} == {Status.OK}
    assert not any(finding.fix for finding in findings)


def test_every_check_has_its_name_and_says_what_to_do_where_it_is_not_content() -> None:
    names = [check(facts()).check for check in server_checks.SERVER_CHECKS]
    assert len(set(names)) == len(names)
    for check in server_checks.SERVER_CHECKS:
        finding = check(blind())
        assert finding.check in names
        assert finding.status is Status.OK or finding.fix


def test_who_may_not_ask_is_told_which_right_is_missing() -> None:
    told = {finding.check: finding for finding in (check(blind()) for check in server_checks.SERVER_CHECKS)}
    for name, right in (
        ("version", "+info"),
        ("eviction", "+info"),
        ("persistence", "+info"),
        ("clock", "+time"),
    ):
        assert told[name].status is Status.WARN
        assert right in told[name].fix


def test_a_slow_connection_is_measured_by_its_median() -> None:
    assert server_checks.connection(facts(trips=(0.0002, 0.0004, 0.9))).status is Status.OK
    slow = server_checks.connection(facts(trips=(0.011, 0.012, 0.013)))
    assert slow.status is Status.WARN
    assert "12.0 ms" in slow.found


@pytest.mark.parametrize(
    ("info", "status", "found"),
    [
        ({"redis_version": "6.0.16"}, Status.FAIL, "Redis 6.0.16, which is too old"),
        ({"redis_version": "6.2.0"}, Status.OK, "Redis 6.2.0"),
        ({"redis_version": "8.2.3"}, Status.OK, "Redis 8.2.3"),
        ({"redis_version": "7.2.4", "valkey_version": "8.0.1"}, Status.OK, "Valkey 8.0.1"),
        ({"redis_version": "7.4.0", "dragonfly_version": "df-1"}, Status.WARN, "Dragonfly df-1"),
    ],
)
def test_the_kind_and_the_version_of_the_server_are_judged(
    info: dict[str, str], status: Status, found: str
) -> None:
    finding = server_checks.version(facts(info))
    assert (finding.status, found in finding.found) == (status, True), finding


@pytest.mark.parametrize(
    ("peer", "encrypted", "status"),
    [
        ("127.0.0.1", False, Status.OK),
        ("::1", False, Status.OK),
        ("", False, Status.OK),
        ("10.0.0.1", False, Status.WARN),
        ("fe80::1%eth0", False, Status.WARN),
        ("10.0.0.1", True, Status.OK),
    ],
)
def test_only_a_connection_that_leaves_the_machine_needs_encryption(
    peer: str, encrypted: bool, status: Status
) -> None:
    assert server_checks.encryption(facts(peer=peer, encrypted=encrypted)).status is status


@pytest.mark.parametrize(
    ("policy", "maxmemory", "status"),
    [
        ("noeviction", "1000", Status.OK),
        ("allkeys-lru", "1000", Status.FAIL),
        ("volatile-ttl", "1000", Status.FAIL),
        ("allkeys-lru", "0", Status.WARN),
    ],
)
def test_a_policy_that_evicts_is_wrong_as_soon_as_there_is_a_limit(
    policy: str, maxmemory: str, status: Status
) -> None:
    finding = server_checks.eviction(facts({"maxmemory_policy": policy, "maxmemory": maxmemory}))
    assert finding.status is status
    assert policy in finding.found


@pytest.mark.parametrize(
    ("used", "status"), [("500000", Status.OK), ("810000", Status.WARN), ("960000", Status.FAIL)]
)
def test_memory_is_judged_by_its_share(used: str, status: Status) -> None:
    assert server_checks.memory(facts({"used_memory": used})).status is status
    of_the_machine = {"used_memory": used, "maxmemory": "0", "total_system_memory": "1000000"}
    assert server_checks.memory(facts(of_the_machine)).status is status


@pytest.mark.parametrize(
    ("info", "settings", "status", "words"),
    [
        ({}, {}, Status.OK, "a power cut the last one or two seconds"),
        ({}, {"appendfsync": "always"}, Status.OK, "neither a crash nor a power cut loses anything"),
        ({}, {"appendfsync": "no"}, Status.WARN, "a power cut up to half a minute"),
        ({"aof_last_write_status": "err"}, {}, Status.FAIL, "refuses writes"),
        ({"aof_enabled": "0"}, {"save": ""}, Status.FAIL, "a restart of Redis loses every task"),
        (
            {"aof_enabled": "0"},
            {"save": "3600 1"},
            Status.WARN,
            "a crash loses all since the last one, 12 changes now",
        ),
        (
            {"aof_enabled": "0", "rdb_last_bgsave_status": "err"},
            {"save": "3600 1"},
            Status.FAIL,
            "12 changes now",
        ),
    ],
)
def test_it_is_said_in_words_what_a_crash_would_lose(
    info: dict[str, str], settings: dict[str, str], status: Status, words: str
) -> None:
    finding = server_checks.persistence(facts(info, settings))
    assert (finding.status, words in finding.detail) == (status, True), finding


@pytest.mark.parametrize(
    ("info", "settings", "status"),
    [
        ({}, {}, Status.OK),
        ({"role": "slave", "master_host": "redis-1", "master_port": "6379"}, {}, Status.FAIL),
        ({"connected_slaves": "2"}, {}, Status.WARN),
        ({"connected_slaves": "2"}, {"min-replicas-to-write": "1"}, Status.OK),
        ({"connected_slaves": "0"}, {"min-replicas-to-write": "1"}, Status.FAIL),
    ],
)
def test_a_failover_loses_less_where_replicas_must_be_there(
    info: dict[str, str], settings: dict[str, str], status: Status
) -> None:
    assert server_checks.replication(facts(info, settings)).status is status


@pytest.mark.parametrize(
    ("ahead", "doubt", "status", "words"),
    [
        (0.3, 0.0, Status.OK, "agrees"),
        (1.8, 0.001, Status.WARN, "1.8 s ahead of"),
        (-1.8, 0.001, Status.WARN, "1.8 s behind"),
        (1.8, 1.7, Status.OK, "agrees"),
        (-90.0, 0.0, Status.FAIL, "1 m 30 s behind"),
    ],
)
def test_a_clock_is_wrong_by_what_the_network_cannot_explain(
    ahead: float, doubt: float, status: Status, words: str
) -> None:
    finding = server_checks.clock(facts(clock_ahead=ahead, clock_doubt=doubt))
    assert (finding.status, words in finding.found) == (status, True), finding


def test_bytes_are_written_for_reading() -> None:
    sizes = [
        server_checks.bytes_of(count) for count in (512_000, 1_500_000, 25_000_000_000, 999_999_000_000_000)
    ]
    assert sizes == ["512 kB", "1.5 MB", "25 GB", "1,000 TB"]


def test_a_finding_has_no_full_stop() -> None:
    findings: list[Finding] = [check(facts()) for check in server_checks.SERVER_CHECKS]
    assert not any(finding.found.endswith(".") for finding in findings)
