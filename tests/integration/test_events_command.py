"""`limelight events`: what is told is shown, all of it, and nothing in it is obeyed."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from processes import COMMAND, environment, run_limelight
from running import consuming, has_ended, told
from servers import wait_until
from starters import OwnRedis
from stream_writer import StreamWriter
from tailing import Tailing, on_a_terminal

from limelight import RedisQueue

HOSTILE = "\x1b]0;gone\x07\x1b[2J[bold red]x[/]\u202e\x9b31m\nnext"


@pytest.fixture
def queue(redis_url: str) -> RedisQueue:
    return RedisQueue("mail", url=redis_url)


@pytest.fixture
def env(redis_url: str) -> dict[str, str]:
    return {"LIMELIGHT_REDIS_URL": redis_url}


def run_some(queue: RedisQueue) -> tuple[str, str]:
    """A task that returns and one that fails; returns their ids when both have ended."""
    good = queue.task(name="good")(lambda: 1)

    @queue.task(name="bad")
    def bad() -> None:
        raise ValueError(f"no luck {HOSTILE}")

    with consuming(queue):
        ids = (good().id, bad().id)
        wait_until(lambda: all(has_ended(queue, task_id) for task_id in ids))
    return ids


def replayed(env: dict[str, str], *args: str) -> list[dict[str, Any]]:
    done = run_limelight("events", "replay", "--json", *args, env=env)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def follows(tail: Tailing, writer: StreamWriter) -> Tailing:
    """Once it shows what is told, it follows."""
    deadline = time.monotonic() + 15
    while not tail.out:
        assert time.monotonic() < deadline, tail.err
        writer.tell("enqueued", task="first")
        time.sleep(0.05)
    return tail


def test_tail_shows_what_tasks_do_while_they_do_it(queue: RedisQueue, env: dict[str, str]) -> None:
    with follows(Tailing("events", "tail", env=env), StreamWriter(env["LIMELIGHT_REDIS_URL"])) as tail:
        good, bad = run_some(queue)
        tail.wait_for(rf" started queue=mail task=good id={good} run=1 attempt=1/1 wait=\d")
        tail.wait_for(rf" finished queue=mail task=good id={good} .*outcome=success end=success")
        line = tail.wait_for(rf" error-task queue=mail task=bad id={bad} ")
        assert "error_type=ValueError" in line
        assert "\x1b" not in "".join(tail.out)
        tail.wait_for("consumer-stopped")
        assert tail.interrupt() == 0
        assert [
            line for line in tail.err if "no queue yet" not in line
        ] == []  # it may look before the queue is there


def test_tail_shows_each_event_exactly_once(queue: RedisQueue, env: dict[str, str]) -> None:
    args = ("events", "tail", "--json", "--from-start")
    run_some(queue)
    with Tailing(*args, env=env) as tail:
        run_some(queue)
        last = told(queue)[-1]["seq"]
        tail.wait_for(rf'"seq":{last},')
        assert tail.interrupt() == 0
    assert [json.loads(line) for line in tail.out] == told(queue)


def test_tail_says_how_many_events_it_missed(env: dict[str, str]) -> None:
    writer = StreamWriter(env["LIMELIGHT_REDIS_URL"])
    with follows(Tailing("events", "tail", env=env), writer) as tail:
        last = int(writer.client.hget(writer.keys["meta"], "seq") or 0)
        writer.client.hset(writer.keys["meta"], "seq", last + 212)
        writer.tell("finished", task="next")
        tail.wait_for("task=next")
        assert tail.wait_for("trimmed", err=True) == (
            f"limelight: 212 events were trimmed before they could be read (mail, seq {last + 1} to {last + 212})"
        )


def test_tail_waits_for_a_redis_that_went_away_and_goes_on(own_redis: OwnRedis, tmp_path: Path) -> None:
    server = own_redis(persist_dir=tmp_path)
    env = {"LIMELIGHT_REDIS_URL": server.url}
    with follows(Tailing("events", "tail", env=env), StreamWriter(server.url)) as tail:
        server.kill()
        tail.wait_for("Redis.* Waiting for it", err=True)
        server.start()
        StreamWriter(server.url).tell("finished", task="afterwards")
        tail.wait_for("task=afterwards")
        tail.wait_for("answers again", err=True)
        assert tail.interrupt() == 0


def test_tail_ends_quietly_when_nobody_reads_on(env: dict[str, str]) -> None:
    StreamWriter(env["LIMELIGHT_REDIS_URL"]).tell_all([("enqueued", {})] * 20_000)
    command = subprocess.Popen(
        [*COMMAND, "events", "replay"],
        env=environment(env), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert command.stdout
    assert command.stderr
    assert "enqueued" in command.stdout.readline()
    command.stdout.close()
    assert command.stderr.read() == ""
    assert command.wait(10) == 0
    command.stderr.close()


def test_replay_shows_what_is_on_the_stream_as_it_stands_there(
    queue: RedisQueue, env: dict[str, str]
) -> None:
    run_some(queue)
    assert replayed(env) == told(queue)


def test_replay_lets_filters_choose(queue: RedisQueue, env: dict[str, str]) -> None:
    _, bad = run_some(queue)
    run_some(RedisQueue("reports", url=env["LIMELIGHT_REDIS_URL"]))
    assert {event["queue"] for event in replayed(env)} == {"mail", "reports"}
    mail = ("--queue", "mail")
    assert replayed(env, *mail, "--id", bad[:8]) == told(queue, id=bad)
    assert replayed(env, *mail, "--task", "g*") == told(queue, task="good")
    ends = [event for event in told(queue) if event["status"] in {"finished", "dead"}]
    assert replayed(env, *mail, "--status", "finished,dead") == ends  # two workers end them in either order
    assert len(ends) == 2
    failures = [event["status"] for event in replayed(env, *mail, "--errors")]
    assert failures == ["error-task", "dead"]
    assert {event["worker"] for event in replayed(env, "--worker", "worker-*")} <= {"worker-1", "worker-2"}
    assert replayed(env, "--worker", "nobody") == []


def test_replay_takes_a_range_of_time_and_the_newest_few(env: dict[str, str]) -> None:
    writer = StreamWriter(env["LIMELIGHT_REDIS_URL"])
    ids = writer.tell_all([("enqueued", {"task": f"t{number}"}) for number in range(50)])
    last = int(ids[-1].partition("-")[0]) / 1_000
    assert [event["task"] for event in replayed(env, "-n", "3")] == ["t47", "t48", "t49"]
    assert [event["task"] for event in replayed(env, "-n", "2", "--task", "t1*")] == ["t18", "t19"]
    assert len(replayed(env, "--since", "5m")) == 50
    assert replayed(env, "--until", "5m") == []
    later = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(last + 2))
    assert replayed(env, "--since", later) == []
    assert len(replayed(env, "--until", later)) == 50


def test_what_was_trimmed_before_the_beginning_is_said(env: dict[str, str]) -> None:
    writer = StreamWriter(env["LIMELIGHT_REDIS_URL"])
    writer.tell_all([("enqueued", {})] * 10)
    writer.client.xtrim(writer.keys["events"], maxlen=4, approximate=False)
    done = run_limelight("events", "replay", env=env)
    assert len(done.stdout.splitlines()) == 4
    assert re.search(
        r"the stream of mail begins at \S+ with seq 7: what was told before has been trimmed", done.stderr
    )


def test_tracebacks_stand_below_their_events_where_they_are_asked_for(
    queue: RedisQueue, env: dict[str, str]
) -> None:
    run_some(queue)
    assert "Traceback" not in run_limelight("events", "replay", env=env).stdout
    lines = run_limelight(
        "events", "replay", "--traceback", "--status", "error-task", env=env
    ).stdout.splitlines()
    assert " error-task " in lines[0]
    assert lines[1] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in lines[1:])


def test_on_a_terminal_events_stand_in_columns_and_in_colour(queue: RedisQueue, env: dict[str, str]) -> None:
    run_some(queue)
    seen = on_a_terminal("events", "replay", env=env)
    assert "\x1b[91merror-task" in seen
    assert "\x1b[34mfinished" in seen
    plain = on_a_terminal("events", "replay", "--no-color", env=env)
    assert not re.search(r"\x1b\[\d*[34]", plain)
    assert not re.search(r"\x1b\[\d*[34]", on_a_terminal("events", "replay", env={**env, "NO_COLOR": "1"}))
    lines = plain.replace("\x1b[2m", "").replace("\x1b[0m", "").splitlines()
    assert len({line.index(" mail ") for line in lines if " mail " in line}) == 1


def test_hostile_text_is_shown_and_not_obeyed(env: dict[str, str]) -> None:
    writer = StreamWriter(env["LIMELIGHT_REDIS_URL"])
    hostile = dict.fromkeys(
        ("task", "id", "host", "worker", "error_type", "error_message", "traceback"), HOSTILE
    )
    writer.tell("error-task", **hostile)
    writer.client.xadd(writer.keys["events"], {"e": json.dumps({"status": HOSTILE})})
    for args in ((), ("--traceback",), ("--json",)):
        done = run_limelight("events", "replay", *args, env=env)
        seen = (
            done.stdout
            + done.stderr
            + re.sub(r"\x1b\[[\d;]*m", "", on_a_terminal("events", "replay", *args, env=env)).replace(
                "\r\n", "\n"
            )
        )
        assert "gone" in seen
        assert all(char.isprintable() or char == "\n" for char in seen), ascii(seen)
    assert "[bold red]" in on_a_terminal("events", "replay", "--traceback", env=env)


def test_a_queue_that_there_is_not_is_named_with_those_that_there_are(env: dict[str, str]) -> None:
    StreamWriter(env["LIMELIGHT_REDIS_URL"])
    done = run_limelight("events", "tail", "-q", "mial", env=env)
    assert done.returncode == 4
    assert "no queue named 'mial'" in done.stderr
    assert "Did you mean 'mail'? Known: mail." in done.stderr


@pytest.mark.parametrize("command", ["tail", "replay"])
def test_a_redis_that_cannot_be_reached_is_one_line_without_its_password(command: str) -> None:
    done = run_limelight("events", command, "--url", "redis://app:secret@127.0.0.1:1/0")
    assert done.returncode == 3
    assert done.stderr.startswith("limelight: cannot reach Redis at 127.0.0.1:1/0: connection refused")
    assert "secret" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_reading_events_writes_nothing(queue: RedisQueue, env: dict[str, str]) -> None:
    run_some(queue)
    client = redis.Redis.from_url(env["LIMELIGHT_REDIS_URL"])
    before = {key: client.dump(key) for key in client.scan_iter()}
    client.config_resetstat()
    replayed(env, "--errors")
    with Tailing("events", "tail", "--from-start", env=env) as tail:
        tail.wait_for("consumer-stopped")
        tail.interrupt()
    used = {name.removeprefix("cmdstat_") for name in client.info("commandstats")}
    assert not used & {"xadd", "xtrim", "xdel", "hset", "zadd", "evalsha", "eval", "set", "del", "publish"}
    assert {key: client.dump(key) for key in client.scan_iter()} == before
