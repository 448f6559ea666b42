"""`limelight queue`: what it prints for people and machines, what it does, and what it refuses."""

import json
import os
import pty
import re
import subprocess
import time
from collections.abc import Callable
from uuid import uuid4

import pytest
from command_line import Done, limelight
from processes import COMMAND, environment, run_limelight
from running import consuming, told
from servers import free_port, wait_until
from states import buried, spoil, task_in

from limelight import RedisQueue, SignedPickle
from limelight.emitter import fragment
from limelight.inspection import queue_view
from limelight.lifecycle import State
from limelight.storage.links import Links

HOSTILE = "\x1b[2J\x9b31m [red]x[/red] \u202egnp.exe \x07"
Command = Callable[..., Done]


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    made = RedisQueue("mail", url=redis_url)
    made.storage.producing.announce()
    return made


@pytest.fixture
def run(redis_url: str) -> Command:
    def run_queue(*args: str, **how: object) -> Done:
        return limelight("queue", *args, env={"LIMELIGHT_REDIS_URL": redis_url}, **how)  # type: ignore[arg-type]

    return run_queue


def rows(done: Done) -> list[list[str]]:
    """The cells of a table that was piped, its heads left out."""
    return [re.split(r" {2,}", line.strip()) for line in done.out.splitlines()[1:]]


def blame(queue: RedisQueue, task_id: str, **reason: str) -> None:
    queue.storage.address.client().hset(queue.keys["dead_reasons"], task_id, fragment(reason))


# -- ls ----------------------------------------------------------------------------------------------------
def test_ls_shows_every_queue_that_announced_itself_those_with_the_oldest_task_first(
    queue: RedisQueue, redis_url: str, run: Command
) -> None:
    reports = RedisQueue("reports", url=redis_url)
    RedisQueue("nightly", url=redis_url).storage.producing.announce()
    task_in(reports, State.READY)
    for state in (State.RUNNING, State.DEAD, State.DELAYED, State.READY):
        task_in(queue, state)
    done = run("ls")
    assert done.out.splitlines()[0].split() == ["QUEUE", "READY", "OLDEST", "RUN", "SCHED", "DEAD", "STATE"]
    assert [[row[0], row[1], *row[3:]] for row in rows(done)] == [
        ["reports", "1", "0", "0", "0", "no consumer"],
        ["mail", "1", "1", "1", "1", "no consumer"],
        ["nightly", "0", "0", "0", "0", "no consumer"],
    ]
    assert [row[0] for row in rows(run("ls", "--sort", "name"))] == ["mail", "nightly", "reports"]
    assert [row[0] for row in rows(run("ls", "--sort", "dead"))] == ["mail", "nightly", "reports"]
    assert (done.code, done.err) == (0, "")


def test_ls_without_a_queue_says_so(redis_url: str, run: Command) -> None:
    assert run("ls") == Done(0, "No queue yet.\n", "")
    assert run("ls", "--json") == Done(0, "", "")


def test_ls_for_machines_is_one_object_per_queue(queue: RedisQueue, run: Command) -> None:
    task_in(queue, State.READY)
    queue.pause()
    (record,) = run("ls", "--json").records
    assert record["oldest_ready"] == pytest.approx(time.time(), abs=5)
    assert record["paused"] == queue.paused
    assert {
        key: record[key] for key in ("queue", "ready", "scheduled", "running", "dead", "state", "mismatch")
    } == {
        "queue": "mail",
        "ready": 1,
        "scheduled": 0,
        "running": 0,
        "dead": 0,
        "state": "paused",
        "mismatch": 0,
    }


def test_ls_names_workers_pauses_and_what_is_wrong(queue: RedisQueue, run: Command) -> None:
    client = queue.storage.address.client()
    with consuming(queue, workers=3) as consumer:
        wait_until(lambda: client.hexists(queue.keys["consumers"], consumer.id))
        assert rows(run("ls"))[0] == ["mail", "0", "–", "0/3", "0", "0", "idle"]
        queue.pause()
        assert rows(run("ls"))[0][-1].startswith("paused for ")
    client.zadd(queue.keys["ready"], {"ghost": 1})
    assert rows(run("ls"))[0][-1] == "1 task in no index"


def test_on_a_terminal_words_are_coloured_and_nothing_is_wider_than_it(
    queue: RedisQueue, run: Command
) -> None:
    task_in(queue, State.READY)
    done = run("ls", terminal=True)
    assert "\x1b[91mno consumer" in done.out
    assert "\x1b" not in run("ls", "--no-color", terminal=True).out.replace("\x1b[2m", "").replace(
        "\x1b[0m", ""
    )
    queue.flush()
    for task_id in buried(queue, 3):
        blame(queue, task_id, error_type="app.NoLuck", error_message="very long " * 30)
    lines = run("dead", "ls", "mail", terminal=True).out.splitlines()
    assert max(len(re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines) == 100


def test_watch_needs_a_terminal(queue: RedisQueue, run: Command) -> None:
    done = run("ls", "--watch")
    assert done.code == 2
    assert "--watch needs a terminal" in done.err


# -- show and peek -----------------------------------------------------------------------------------------
def test_show_tells_of_one_queue_in_full(queue: RedisQueue, run: Command) -> None:
    client = queue.storage.address.client()
    task_in(queue, State.DELAYED)
    client.hset(queue.keys["periodic_runs"], mapping={"nightly:due": 1, "nightly:next": 2_000_000})
    with consuming(queue) as consumer:
        wait_until(lambda: client.hexists(queue.keys["consumers"], consumer.id))
        done, (record,) = run("show", "mail"), run("show", "mail", "--json").records
    assert done.out.startswith("mail  ")
    assert "scheduled  1, next 20" in done.out
    assert "workers    2 in 1 consumer" in done.out
    assert consumer.id in done.out
    assert "nightly        –             1970-01-01T00:00:02.000Z" in done.out
    assert record["consumers"][0]["id"] == consumer.id
    assert record["consumers"][0]["alive"] is True
    assert [periodic["name"] for periodic in record["periodic"]] == ["nightly"]


def test_show_tells_where_a_task_is(queue: RedisQueue, run: Command) -> None:
    running, waits = task_in(queue, State.RUNNING), task_in(queue, State.DELAYED)
    queue.revoke_by_id(waits)
    done = run("show", "mail", running)
    assert done.out.startswith(f"send  {running}  running\n")
    assert "attempt      1 of 1, 1 run" in done.out
    assert "call         send('a@b.c', copies=2)" in done.out
    (record,) = run("show", "mail", waits.upper(), "--json").records
    assert (record["id"], record["state"], record["revoked"]) == (waits, "delayed", True)
    assert (record["args"], record["kwargs"], record["revoked_until"]) == (["a@b.c"], {"copies": 2}, None)


def test_a_task_that_is_nowhere_is_exit_4_and_what_is_no_id_is_exit_2(
    queue: RedisQueue, run: Command
) -> None:
    missing = run("show", "mail", str(uuid4()))
    assert missing.code == 4
    assert "it has ended, or never came" in missing.err
    ended = str(uuid4())
    queue.storage.address.client().set(queue.keys.result(ended), b"x")
    assert "its result is kept" in run("show", "mail", ended).err
    wrong = run("show", "mail", "3f2a")
    assert wrong.code == 2
    assert "'3f2a' is no task id" in wrong.err


def test_peek_shows_what_runs_next_and_what_it_would_call(queue: RedisQueue, run: Command) -> None:
    send = queue.task(name="send", retries=3)(lambda *args: None)
    low, high, later = send("b"), send.schedule(("a",), priority=5), send.schedule(("c",), delay=3_600)
    done = run("peek", "mail")
    assert [[row[0], row[1], *row[3:]] for row in rows(done)] == [
        [high.id, "send", "1/4", "('a')"],
        [low.id, "send", "1/4", "('b')"],
    ]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", rows(done)[0][2])
    assert [row[0] for row in rows(run("peek", "mail", "-n", "1"))] == [high.id]
    (record,) = run("peek", "mail", "--scheduled", "--json").records
    assert (record["id"], record["state"], record["args"]) == (later.id, "delayed", ["c"])
    assert run("peek", "mail", "--scheduled", terminal=True).out.count("in 1h") == 1
    queue.flush()
    assert "nothing is ready on mail" in run("peek", "mail").err


def test_signed_arguments_and_unreadable_records_are_named_and_not_shown(
    queue: RedisQueue, redis_url: str, run: Command
) -> None:
    task_in(RedisQueue("mail", url=redis_url, serializer=SignedPickle("a secret of 16 bytes")), State.READY)
    broken = task_in(queue, State.READY)
    spoil(queue, broken)
    signed_row, broken_row = rows(run("peek", "mail"))
    assert signed_row[-1] == "[signed, not shown]"
    assert broken_row[-1] == "[its record is unreadable]"
    signed, unreadable = run("peek", "mail", "--json").records
    assert (signed["args"], signed["arguments"]) == (None, "[signed, not shown]")
    assert (unreadable["task"], unreadable["args"]) == (None, None)
    assert run("show", "mail", broken).out.startswith(f"(unreadable)  {broken}  dead")


def test_values_that_json_does_not_know_are_shown_as_text(queue: RedisQueue, run: Command) -> None:
    send = queue.task(name="send")(lambda *args: None)
    send(2**70, float("nan"), b"\xff", {1}, {1: 2}, 10**5_000)
    (record,) = run("peek", "mail", "--json").records
    assert record["args"][:5] == ["0x400000000000000000", "nan", "b'\\xff'", [1], "{1: 2}"]
    assert "cannot be shown" in record["arguments"]
    assert run("peek", "mail").code == 0


# -- Changing ----------------------------------------------------------------------------------------------
def test_flush_takes_what_waits_when_told_to(queue: RedisQueue, run: Command) -> None:
    for state in (State.DEAD, State.DELAYED, State.READY):
        task_in(queue, state)
    assert run("flush", "mail", "--only", "scheduled", "--yes").out == "1 task of mail is canceled.\n"
    assert run("flush", "mail", "--yes", "--json").records == [
        {"queue": "mail", "canceled": 1, "unreadable": 0}
    ]
    assert run("flush", "mail").out == "0 tasks of mail are canceled.\n", "nothing to ask about"
    assert len(told(queue, status="canceled")) == 2
    assert len(queue.dead) == 1


def test_a_flush_says_what_it_could_not_read(queue: RedisQueue, run: Command) -> None:
    spoil(queue, task_in(queue, State.READY))
    done = run("flush", "mail", "--yes")
    assert done.out == "0 tasks of mail are canceled.\n"
    assert "1 could not be read: see limelight queue dead ls mail" in done.err


@pytest.mark.parametrize(
    "command", [["flush", "mail"], ["cancel", "mail", "ID"], ["dead", "purge", "mail", "--all"]]
)
@pytest.mark.parametrize("how", [{}, {"terminal": True, "json": True}])
def test_what_cannot_be_undone_is_refused_where_nobody_can_be_asked(
    queue: RedisQueue, run: Command, command: list[str], how: dict[str, bool]
) -> None:
    task_in(queue, State.DEAD)
    task_id = task_in(queue, State.READY)
    words = [task_id if word == "ID" else word for word in command]
    done = run(*words, *(["--json"] if how.get("json") else []), terminal=how.get("terminal", False))
    assert done.code == 2
    assert "1 " in done.err
    assert "mail" in done.err
    assert "--yes" in done.err
    assert (len(queue), len(queue.dead)) == (1, 1)


def test_on_a_terminal_it_asks_with_the_counts_and_takes_no_for_an_answer(
    queue: RedisQueue, run: Command
) -> None:
    for state in (State.DELAYED, State.DELAYED, State.READY):
        task_in(queue, state)
    done = run("flush", "mail", terminal=True, typed="n\n")
    assert "Cancel 3 tasks (1 ready, 2 scheduled) of queue mail at 127.0.0.1:" in done.err
    assert "[y/N]" in done.err
    assert "Nothing was done." in done.err
    assert (done.code, done.out, len(queue)) == (1, "", 1)
    assert run("flush", "mail", terminal=True, typed="\n").code == 1, "no is the default"
    done = run("flush", "mail", terminal=True, typed="y\n")
    assert (done.code, done.out, len(queue)) == (0, "3 tasks of mail are canceled.\n", 0)


def test_cancel_takes_single_tasks_and_says_which_were_not_there(queue: RedisQueue, run: Command) -> None:
    running, waits = task_in(queue, State.RUNNING), task_in(queue, State.READY)
    done = run("cancel", "mail", waits, running, waits, "--yes")
    assert done.code == 4
    assert done.out == "1 task of mail is canceled.\n"
    assert "1 of 2 did not wait on 'mail'" in done.err


def test_pause_and_resume_say_what_changed(queue: RedisQueue, run: Command) -> None:
    task_in(queue, State.RUNNING)
    assert run("pause", "mail").out == "mail is paused: nothing new begins. 1 task still runs.\n"
    assert run("pause", "mail").out.startswith("mail was paused already, since 20")
    assert queue.paused
    assert run("pause", "mail", "--json").records == [
        {"queue": "mail", "paused": queue.paused, "changed": False}
    ]
    assert run("resume", "mail").out == "mail goes on.\n"
    assert run("resume", "mail").out == "mail was not paused.\n"
    assert not queue.paused


def test_revoke_marks_tasks_and_restore_takes_the_mark_away(queue: RedisQueue, run: Command) -> None:
    task_id = task_in(queue, State.READY)
    assert run("revoke", "mail", task_id).out == "1 task of mail is revoked.\n"
    assert queue.is_revoked(task_id)
    assert run("revoke", "mail", task_id, "--restore", "--json").records == [{"queue": "mail", "restored": 1}]
    assert not queue.is_revoked(task_id)
    missing = run("revoke", "mail", str(uuid4()))
    assert missing.code == 4
    assert "1 of 1 are not on the queue" in missing.err


# -- Dead letters ------------------------------------------------------------------------------------------
def test_dead_letters_are_listed_with_their_reason_the_newest_first(queue: RedisQueue, run: Command) -> None:
    old, new = *buried(queue, 1, "charge"), *buried(queue, 1, "mail")
    blame(queue, new, error_type="app.errors.NoLuck", error_message="as\nplanned")
    queue.storage.address.client().hdel(queue.keys["dead_reasons"], old)
    done = run("dead", "ls", "mail")
    assert [[row[0], row[1], row[-1]] for row in rows(done)] == [
        [new, "mail", "NoLuck: as planned"],
        [old, "charge", "unknown"],
    ]
    on_terminal = run("dead", "ls", "mail", terminal=True).out
    assert new[:8] in on_terminal
    assert new not in on_terminal
    (record,) = run("dead", "ls", "mail", "--json", "--task", "mail").records
    assert (record["id"], record["error_type"], record["error_message"]) == (
        new,
        "app.errors.NoLuck",
        "as\nplanned",
    )
    assert run("dead", "ls", "mail", "--task", "none").err == "no dead letters of task none on mail\n"


def test_the_list_names_the_cursor_to_go_on_with(queue: RedisQueue, run: Command) -> None:
    ids = buried(queue, 5)[::-1]
    first = run("dead", "ls", "mail", "-n", "3")
    assert [row[0] for row in rows(first)] == ids[:3]
    cursor = re.search(r"3 of 5; for more: --after (\S+)", first.err)
    assert cursor
    rest = run("dead", "ls", "mail", "-n", "3", "--after", cursor[1])
    assert [row[0] for row in rows(rest)] == ids[3:]
    wrong = run("dead", "ls", "mail", "--after", "yesterday")
    assert (wrong.code, "is no cursor" in wrong.err) == (2, True)


def test_a_dead_letter_is_shown_in_full_by_the_first_digits_of_its_id(
    queue: RedisQueue, run: Command
) -> None:
    (task_id,) = buried(queue, 1)
    blame(queue, task_id, error_type="app.NoLuck", error_message="planned", traceback="Traceback:\n  here")
    done = run("dead", "show", "mail", task_id[:8])
    assert done.out.startswith(f"send  {task_id}  dead\n")
    for part in ("app.NoLuck", "planned", "send('a@b.c', copies=2)", "  Traceback:\n    here", "2026"[:2]):
        assert part in done.out
    (record,) = run("dead", "show", "mail", task_id, "--json").records
    assert (record["traceback"], record["args"]) == ("Traceback:\n  here", ["a@b.c"])


def test_digits_that_mean_nothing_or_too_much_are_refused(queue: RedisQueue, run: Command) -> None:
    client = queue.storage.address.client()
    ids = [f"3f2a91bc-0000-4000-8000-00000000000{digit}" for digit in range(7)]
    client.zadd(queue.keys["dead"], dict.fromkeys(ids, 1))
    many = run("dead", "show", "mail", "3f2a91bc")
    assert many.code == 2
    assert "begins 7 ids" in many.err
    assert "and 2 more" in many.err
    none = run("dead", "show", "mail", "ffffffff")
    assert (none.code, "no dead letter whose id begins" in none.err) == (4, True)
    short = run("dead", "show", "mail", "3f")
    assert (short.code, "too short" in short.err) == (2, True)
    alive = run("dead", "requeue", "mail", task_in(queue, State.READY))
    assert (alive.code, "is no dead letter of queue 'mail': it is ready" in alive.err) == (4, True)


def test_dead_letters_are_requeued_by_id_by_task_or_all(queue: RedisQueue, run: Command) -> None:
    one, two = buried(queue, 2, "charge")
    buried(queue, 2, "mail")
    assert run("dead", "requeue", "mail", one[:8], two).out == "2 tasks of mail are ready again.\n"
    assert run("dead", "requeue", "mail", "--task", "mail", "--json", "--yes").records == [
        {"queue": "mail", "requeued": 2}
    ]
    queue.flush()
    buried(queue, 3)
    asked = run("dead", "requeue", "mail", "--all", terminal=True, typed="y\n")
    assert "Run 3 dead letters of queue mail at 127.0.0.1:" in asked.err
    assert asked.out == "3 tasks of mail are ready again.\n"


def test_an_unreadable_letter_stays_and_the_command_says_so(queue: RedisQueue, run: Command) -> None:
    _good, bad = buried(queue, 2)
    spoil(queue, bad)
    done = run("dead", "requeue", "mail", bad)
    assert (done.code, "can only be purged" in done.err) == (1, True)
    done = run("dead", "requeue", "mail", "--all", "--yes")
    assert (done.code, done.out) == (0, "1 task of mail is ready again.\n")
    assert "1 stayed" in done.err
    assert run("dead", "show", "mail", bad).out.startswith(f"(unreadable)  {bad}  dead")
    assert run("dead", "purge", "mail", bad, "--yes").out == "1 dead letter of mail is gone.\n"


def test_dead_letters_are_purged_by_age(queue: RedisQueue, run: Command) -> None:
    old, young = buried(queue, 2)
    queue.storage.address.client().zadd(queue.keys["dead"], {old: (time.time() - 7_200) * 1e6})
    done = run("dead", "purge", "mail", "--older-than", "1h", "--yes", "--json")
    assert done.records == [{"queue": "mail", "purged": 1}]
    assert [letter.id for letter in queue.dead] == [young]
    wrong = run("dead", "purge", "mail", "--older-than", "yesterday", "--yes")
    assert (wrong.code, "is no moment" in wrong.err) == (2, True)


@pytest.mark.parametrize("command", ["requeue", "purge"])
@pytest.mark.parametrize("choice", [[], ["--all", "--task", "send"], ["12345678", "--all"]])
def test_which_letters_are_meant_must_be_said_and_once(
    queue: RedisQueue, run: Command, command: str, choice: list[str]
) -> None:
    buried(queue, 1)
    done = run("dead", command, "mail", *choice, "--yes")
    assert done.code == 2
    assert len(queue.dead) == 1


# -- Whatever Redis holds ----------------------------------------------------------------------------------
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_nothing_from_redis_steers_a_terminal(
    queue: RedisQueue, run: Command, terminal: bool, as_json: list[str]
) -> None:
    client = queue.storage.address.client()
    (task_id,) = buried(queue, 1)
    waits = queue.task(name="other")(lambda *args: None)(HOSTILE).id
    blame(queue, task_id, error_type=HOSTILE, error_message=HOSTILE, traceback=f"{HOSTILE}\n{HOSTILE}")
    heartbeat = json.dumps({"host": HOSTILE, "version": HOSTILE, "busy": 1, "interval": 5, "pid": 1})
    client.hset(queue.keys["consumers"], HOSTILE, f"{int(time.time() * 1e6)} 2 {heartbeat}")
    client.hset(queue.keys["periodic_runs"], f"{HOSTILE}:next", 1)
    client.zadd(queue.keys["dead"], {HOSTILE: 2})
    client.hset(queue.keys["tasks"], HOSTILE, HOSTILE)
    for args in (
        ["ls"],
        ["show", "mail"],
        ["show", "mail", waits],
        ["peek", "mail"],
        ["dead", "ls", "mail"],
        ["dead", "show", "mail", task_id],
        ["dead", "show", "mail", HOSTILE],
    ):
        done = run(*args, *as_json, terminal=terminal)
        styles = r"\x1b\[[0-9;]*m" if terminal else r"(?!)"
        for line in re.sub(styles, "", done.out + done.err).splitlines():
            assert line.isprintable(), (args, line)
        assert "[red]" in done.out or args == ["ls"] or done.code, "markup is text"


def test_an_error_that_quotes_redis_steers_no_terminal(queue: RedisQueue, run: Command) -> None:
    ids = [f"3f2a{HOSTILE}{digit}" for digit in range(2)]
    queue.storage.address.client().zadd(queue.keys["dead"], dict.fromkeys(ids, 1))
    done = run("dead", "show", "mail", "3f2a", terminal=True)
    assert "begins 2 ids" in done.err
    assert all(line.isprintable() for line in done.err.splitlines())


def test_a_hostile_queue_name_is_shown_as_text_and_cannot_be_opened(queue: RedisQueue, run: Command) -> None:
    queue.storage.address.client().zadd("limelight:queues", {HOSTILE: 1})
    unknown = run("show", "mial")
    assert "Did you mean 'mail'?" in unknown.err
    assert all(line.isprintable() for line in unknown.err.splitlines())
    listed = run("ls")
    assert (listed.code, [row[0] for row in rows(listed)]) == (0, ["mail"])


# -- Errors ------------------------------------------------------------------------------------------------
def test_a_queue_that_never_was_is_exit_4_and_names_the_others(queue: RedisQueue, run: Command) -> None:
    for args in (["show"], ["peek"], ["flush"], ["pause"], ["dead", "ls"], ["dead", "purge", "--all"]):
        done = run(*args, "mial")
        assert done.code == 4, args
        assert "no queue named 'mial'" in done.err
        assert "Did you mean 'mail'?" in done.err
    assert run("show", "a b").code == 2


def test_a_redis_that_is_away_is_one_line_and_exit_3() -> None:
    url = f"redis://:geheim@127.0.0.1:{free_port()}/0"
    for args in (["ls"], ["show", "mail"], ["dead", "ls", "mail"]):
        done = limelight("queue", *args, "--url", url)
        assert done.code == 3
        assert "cannot reach Redis at 127.0.0.1:" in done.err
        assert "geheim" not in done.err
        assert len(done.err.splitlines()) == 1


@pytest.mark.parametrize(
    "command",
    [
        *([], ["ls"], ["show"], ["peek"], ["flush"], ["cancel"], ["pause"], ["resume"], ["revoke"]),
        *(["dead"], ["dead", "ls"], ["dead", "show"], ["dead", "requeue"], ["dead", "purge"]),
    ],
)
def test_help_is_a_page_that_fits_a_terminal(command: list[str]) -> None:
    done = limelight("queue", *command, "--help")
    assert done.code == 0, done.err
    assert f"Usage: limelight queue {' '.join(command)}".rstrip() in done.out
    assert max(map(len, done.out.splitlines())) <= 100
    assert "\\b" not in done.out
    assert len(done.out.splitlines()) < 40


# -- As a process of its own -------------------------------------------------------------------------------
def test_the_command_is_installed_and_works_through_a_pipe(queue: RedisQueue, redis_url: str) -> None:
    task_in(queue, State.READY)
    done = run_limelight("queue", "ls", "--json", env={"LIMELIGHT_REDIS_URL": redis_url})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ready"] == 1
    assert "queue" in run_limelight("--help").stdout


def test_an_ascii_terminal_gets_ascii(queue: RedisQueue, redis_url: str) -> None:
    buried(queue, 1, "grüße")
    env = {"LIMELIGHT_REDIS_URL": redis_url, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    for args in (["ls"], ["dead", "ls", "mail"], ["show", "mail"]):
        done = run_limelight("queue", *args, env=env)
        assert done.returncode == 0, done.stderr
        assert done.stdout.isascii()


def test_a_long_flush_on_a_real_terminal_shows_how_far_it_is(queue: RedisQueue, redis_url: str) -> None:
    send = queue.task(name="send")(lambda: None)
    for _ in range(6_000):
        send()
    main, end = pty.openpty()
    env = environment({"LIMELIGHT_REDIS_URL": redis_url, "TERM": "xterm"})
    process = subprocess.Popen(
        [*COMMAND, "queue", "flush", "mail"], env=env, stdin=end, stdout=end, stderr=end
    )
    os.close(end)
    os.write(main, b"y\n")
    seen = _all_of(main)
    assert process.wait(10) == 0
    assert "Cancel 6,000 tasks" in seen
    assert "/6000" in seen
    assert "6,000 tasks of mail are canceled." in seen


def test_watch_draws_until_it_is_interrupted_and_leaves_the_last_picture(
    queue: RedisQueue, redis_url: str
) -> None:
    main, end = pty.openpty()
    env = environment({"LIMELIGHT_REDIS_URL": redis_url, "TERM": "xterm"})
    process = subprocess.Popen(
        [*COMMAND, "queue", "ls", "--watch"],
        env=env,
        stdin=end,
        stdout=end,
        stderr=end,
        start_new_session=True,
    )
    os.close(end)
    seen = b""
    while b"mail" not in seen:
        seen += os.read(main, 4_096)
    process.send_signal(2)
    _all_of(main)
    assert process.wait(10) == 0


def _all_of(main: int) -> str:
    seen = b""
    while True:
        try:
            data = os.read(main, 4_096)
        except OSError:  # EIO: the other end is closed
            data = b""
        if not data:
            os.close(main)
            return seen.decode()
        seen += data


def test_an_administered_queue_keeps_as_many_events_as_its_application_wants(
    queue: RedisQueue, redis_url: str, run: Command
) -> None:
    silent = RedisQueue("silent", url=redis_url, events=False)
    task_in(silent, State.READY)
    assert run("flush", "silent", "--yes").out == "1 task of silent is canceled.\n"
    assert not told(silent)
    assert queue_view(Links(silent.storage.address), "silent").seq == 0
