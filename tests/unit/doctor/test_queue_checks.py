"""What is said of a queue, for each thing that can be wrong with it."""

import re
from pathlib import Path
from typing import Any

import pytest

from limelight.cli.doctor import queue_checks, stream_checks
from limelight.cli.doctor.facts import (
    CursorFacts,
    QueueFacts,
    RightsFacts,
    ServerFacts,
    Stray,
    StreamFacts,
    Told,
)
from limelight.cli.doctor.finding import Finding, Status
from limelight.cli.doctor.rights import COMMANDS, Need, Role, needs
from limelight.cli.doctor.rights_check import rights
from limelight.cli.doctor.server_checks import SERVER_CHECKS
from limelight.inspection import Consumer, PeriodicRuns, QueueView
from limelight.keys import QueueKeys
from limelight.storage.scripts import SCRIPTS

NOW = 1_795_366_269.0


def consumer(seen_ago: float = 1.0, workers: int = 4, busy: int = 0, version: str = "0.9.0") -> Consumer:
    return Consumer(
        id="c", seen_at=NOW - seen_ago, workers=workers, busy=busy, interval=5.0, host="pay-1", pid=12,
        version=version, started_at=None,
    )  # fmt: skip


def view(**changed: Any) -> QueueView:
    known: dict[str, Any] = {
        "name": "mail", "now": NOW, "ready": 0, "scheduled": 0, "running": 0, "dead": 0, "oldest_ready": None,
        "oldest_running": None, "oldest_due": None, "last_check": None, "consumers": (consumer(),), "periodic": (),
        "seq": 100, "epoch": "e1", "last_event_id": "0-0",
    }  # fmt: skip
    known |= changed
    known.setdefault("records", sum(known[state] for state in ("ready", "scheduled", "running", "dead")))
    return QueueView(**known)


def stream(**changed: Any) -> StreamFacts:
    known: dict[str, Any] = {
        "length": 100, "oldest": Told(1, NOW - 600), "newest": Told(100, NOW - 1), "recent": Told(51, NOW - 299),
        "cap": 500_000,
    }  # fmt: skip
    return StreamFacts(**{**known, **changed})


def facts(in_view: dict[str, Any] | None = None, **changed: Any) -> QueueFacts:
    known: dict[str, Any] = {
        "now": NOW, "paused": None, "sizes": {"running": 0, "reserved": 0}, "oldest_lease": None,
        "newest_dead": None, "stream": stream(), "cursors": (), "strays": (),
    }  # fmt: skip
    return QueueFacts(view=view(**(in_view or {})), **{**known, **changed})


def test_a_queue_in_good_order_has_nothing_to_fix() -> None:
    checks = (*queue_checks.QUEUE_CHECKS, *stream_checks.STREAM_CHECKS)
    findings = [*(check(facts()) for check in checks), *stream_checks.cursors(facts())]
    assert [(one.check, one.status) for one in findings if one.status is not Status.OK] == []
    assert {finding.queue for finding in findings} == {"mail"}


@pytest.mark.parametrize(
    ("in_view", "paused", "status", "words"),
    [
        ({"consumers": ()}, None, Status.OK, "No consumer is alive, and there is nothing to do"),
        ({"consumers": (), "ready": 312}, None, Status.FAIL, "No consumer is alive"),
        ({"consumers": (), "ready": 312}, NOW - 60, Status.WARN, "No consumer is alive"),
        ({"consumers": (), "scheduled": 3}, None, Status.WARN, "No consumer is alive"),
        ({"consumers": (consumer(seen_ago=180),), "ready": 1}, None, Status.FAIL, "heard of 3 m ago"),
        ({"consumers": (consumer(), consumer(seen_ago=41))}, None, Status.WARN, "1 other fell silent"),
        (
            {"consumers": (consumer(), consumer(version="0.8.4"))},
            None,
            Status.OK,
            "2 consumers with 8 workers",
        ),
    ],
)
def test_somebody_must_be_alive_where_there_is_work(
    in_view: dict[str, Any], paused: float | None, status: Status, words: str
) -> None:
    finding = queue_checks.consumers(facts(in_view, paused=paused))
    assert (finding.status, words in finding.found) == (status, True), finding


@pytest.mark.parametrize(
    ("in_view", "paused", "status", "words"),
    [
        ({"ready": 5, "oldest_ready": NOW - 3}, None, Status.OK, "5 tasks ready, the first for 3.0 s"),
        ({"ready": 5, "oldest_ready": NOW - 400}, None, Status.FAIL, "although 4 workers had nothing to do"),
        (
            {"ready": 5, "oldest_ready": NOW - 400, "consumers": (consumer(busy=4),)},
            None,
            Status.WARN,
            "every worker is busy",
        ),
        ({"ready": 5, "oldest_ready": NOW - 400}, NOW - 60, Status.WARN, "paused 1 m ago"),
    ],
)
def test_what_is_ready_must_be_run(
    in_view: dict[str, Any], paused: float | None, status: Status, words: str
) -> None:
    finding = queue_checks.backlog(facts(in_view, paused=paused))
    assert (finding.status, words in finding.found) == (status, True), finding


def test_what_is_due_must_be_made_ready() -> None:
    assert queue_checks.schedule(facts({"scheduled": 2, "oldest_due": NOW + 60})).status is Status.OK
    late = queue_checks.schedule(facts({"scheduled": 2, "oldest_due": NOW - 240}))
    assert late.status is Status.FAIL
    assert "overdue by 4 m" in late.found


def test_a_periodic_task_that_did_not_run_is_named() -> None:
    runs = tuple(
        PeriodicRuns(name=name, due=None, next=NOW + ahead, success=None)
        for name, ahead in (("tick", 30), ("nightly", -3_600))
    )
    finding = queue_checks.periodic(facts({"periodic": runs}))
    assert finding.status is Status.WARN
    assert finding.detail == "nightly by 1 h"
    assert queue_checks.periodic(facts({"periodic": runs[:1]})).status is Status.OK


def test_dead_letters_are_counted() -> None:
    finding = queue_checks.dead_letters(facts({"dead": 3}, newest_dead=NOW - 60))
    assert finding.status is Status.WARN
    assert finding.found == "3 dead letters, the newest 1 m ago"


@pytest.mark.parametrize(
    ("fault", "state", "words"),
    [
        ("missing", "running", "2 running tasks without a lease"),
        ("missing", "ready", "2 ready tasks in no index"),
        ("double", "ready", "2 ready tasks in a second index too"),
        ("gone", "dead", "2 places in dead without a task"),
    ],
)
def test_tasks_out_of_place_are_named_and_can_be_repaired(fault: str, state: str, words: str) -> None:
    strays = (Stray("1", state, fault), Stray("2", state, fault))
    finding = queue_checks.conservation(facts(strays=strays))
    assert finding.status is Status.FAIL
    assert words in finding.found
    assert finding.detail == "1, 2"
    assert "limelight doctor mail --repair" in finding.fix


def test_counts_that_do_not_fit_together_are_wrong_even_if_nobody_may_look_for_the_cause() -> None:
    assert queue_checks.conservation(facts({"running": 1, "records": 2}, strays=None)).status is Status.FAIL
    assert queue_checks.conservation(facts({"running": 1, "records": 1}, strays=None)).status is Status.OK


def test_a_lease_that_nobody_takes_back_is_wrong() -> None:
    assert queue_checks.leases(facts(oldest_lease=NOW - 20)).status is Status.OK
    assert queue_checks.leases(facts(oldest_lease=NOW - 300)).status is Status.FAIL
    assert queue_checks.leases(facts({"consumers": ()}, oldest_lease=NOW - 300)).status is Status.WARN


def test_a_queue_that_tells_nothing_is_noticed() -> None:
    assert stream_checks.events(facts({"seq": 0})).status is Status.WARN
    assert stream_checks.events(facts({"seq": 0, "consumers": ()})).status is Status.OK


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({}, Status.OK, "at 10 a minute that is 34 d 17 h without an exporter"),
        ({"newest": Told(250_050, NOW)}, Status.WARN, "at 50,000 a minute that is 10 m without an exporter"),
        ({"recent": None}, Status.OK, "none came in the last five minutes"),
        ({"oldest": Told(51, NOW - 60), "recent": Told(51, NOW - 60)}, Status.OK, "at 50 a minute"),
    ],
)
def test_a_stream_is_judged_by_how_long_it_rides_out(
    changed: dict[str, Any], status: Status, words: str
) -> None:
    finding = stream_checks.stream(facts(stream=stream(**changed)))
    assert (finding.status, words in finding.found) == (status, True), finding


def cursor(**changed: Any) -> CursorFacts:
    return CursorFacts(**{"reader": "metrics", "seq": 100, "epoch": "e1", "saved_at": NOW - 5, **changed})


@pytest.mark.parametrize(
    ("one", "status", "words"),
    [
        (cursor(), Status.OK, "0 events behind"),
        (cursor(seq=90), Status.OK, "10 events behind"),
        (cursor(saved_at=NOW - 600), Status.WARN, "stale: silent for 10 m"),
        (cursor(saved_at=NOW - 600, seq=90), Status.FAIL, "stale: silent for 10 m"),
        (cursor(epoch="e0"), Status.WARN, "an earlier life of the stream"),
    ],
)
def test_a_reader_must_keep_up(one: CursorFacts, status: Status, words: str) -> None:
    (finding,) = stream_checks.cursors(facts(cursors=(one,)))
    assert (finding.status, words in finding.found) == (status, True), finding


def test_events_that_a_reader_lost_are_counted() -> None:
    lost = facts(cursors=(cursor(seq=10),), stream=stream(oldest=Told(51, NOW - 60)))
    (finding,) = stream_checks.cursors(lost)
    assert finding.status is Status.FAIL
    assert "lost 40 events" in finding.found


def test_a_stale_reader_is_told_until_when_it_can_come_back() -> None:
    stale = cursor(saved_at=NOW - 600, seq=90)
    (finding,) = stream_checks.cursors(facts(cursors=(stale,), stream=stream(length=450, cap=500)))
    assert finding.detail == "10 events wait for it; the stream is full in 5 m"
    (finding,) = stream_checks.cursors(facts(cursors=(stale,), stream=stream(length=499, cap=500)))
    assert "the oldest are being lost" in finding.detail


def test_every_check_stands_in_the_documentation() -> None:
    page = (Path(__file__).parents[3] / "docs" / "looking.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE))
    info = {"redis_version": "7.2.4", "role": "master"}
    server = ServerFacts(
        address="",
        peer="",
        encrypted=False,
        user="",
        trips=(0.1,),
        clock_ahead=0.0,
        clock_doubt=0.0,
        info=info,
    )
    checks = (*queue_checks.QUEUE_CHECKS, *stream_checks.STREAM_CHECKS)
    names = {check(server).check for check in SERVER_CHECKS} | {check(facts()).check for check in checks}
    assert documented == names | {"rights", "cursors"}


# -- Rights ------------------------------------------------------------------------------------------------
def judged(**lacking: tuple[str, ...]) -> Finding:
    every = {role: lacking.get(role.value, ()) for role in Role}
    return rights(RightsFacts(queue="mail", user="app", lacking=every))


def test_a_user_of_no_role_is_a_problem_and_a_producer_alone_is_worth_a_look() -> None:
    assert judged().status is Status.OK
    producer = judged(caller=("+get",), consumer=("+hdel",), exporter=("+xread",))
    assert producer.status is Status.WARN
    assert producer.found == "User app may be a producer, not a caller or a consumer or an exporter"
    assert producer.fix == "if that is not meant: ACL SETUSER app +get +hdel +xread"
    nobody = judged(producer=("+zadd",), caller=("+zadd",), consumer=("+zadd", "~k"), exporter=("+xread",))
    assert nobody.status is Status.FAIL
    assert nobody.fix == "ACL SETUSER app +xread +zadd ~k"


def test_rights_that_cannot_be_tried_are_no_problem_yet() -> None:
    assert rights(RightsFacts(queue="mail", user="", lacking=None)).status is Status.WARN


def test_the_keys_of_every_script_are_tried_for_those_who_run_it() -> None:
    keys = QueueKeys("mail")
    tried = {need.touches for need in needs(Role.CONSUMER, keys, 0)}
    assert {keys[thing] for script in SCRIPTS.values() for thing in script.things} <= tried


def test_every_command_is_tried_with_all_the_words_that_it_needs() -> None:
    for role in Role:
        tried = {need.words[0]: need for need in needs(role, QueueKeys("mail"), 0)}
        for command, thing in COMMANDS[role].items():
            assert command in {"MULTI", "EXEC"} or bool(tried[command].touches) == bool(thing), command


@pytest.mark.parametrize(
    ("refusal", "rule"),
    [
        ("this user has no permissions to run the 'hset' command or its subcommand", "+hset"),
        ("User app has no permissions to run the 'hset' command", "+hset"),
        ("this user has no permissions to access one of the keys used as arguments", "~k"),
        ("No permissions to access a key", "~k"),
        ("this user has no permissions to access one of the channels used as arguments", "&k"),
    ],
)
def test_what_redis_says_becomes_the_rule_that_is_missing(refusal: str, rule: str) -> None:
    assert Need(("HSET", "k", "f", "v"), "k").lacking(refusal) == rule
    assert Need(("SCRIPT", "LOAD", "x")).name == "script|load"
