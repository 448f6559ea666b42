"""`limelight doctor` finds what is really wrong with a real Redis, and puts right what it can."""

import json
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import redis
from processes import run_limelight
from running import consuming, is_accounted_for, statuses, told
from servers import wait_until
from starters import OwnRedis
from stream_writer import StreamWriter
from tailing import on_a_terminal

from limelight import RedisQueue
from limelight.cli.doctor.examination import Examination
from limelight.cli.doctor.finding import Finding, Status
from limelight.cli.doctor.reading import lacking_rights
from limelight.cli.doctor.rights import COMMANDS, Role
from limelight.cli.doctor.strays import strays
from limelight.inspection import queue_view, server_view
from limelight.storage.address import Address
from limelight.storage.base import ReserveRequest
from limelight.storage.link import Link
from limelight.storage.links import Links
from limelight_exporter.queue_fold import QueueFold


@pytest.fixture
def queue(any_redis_url: str) -> RedisQueue:
    return RedisQueue("mail", url=any_redis_url)


def examined(url: str, queue: str = "mail", *, repair: bool = False) -> dict[str, Finding]:
    """Findings about a queue, by the name of their check."""
    examination = Examination(Address(url, {}), cap=500_000)
    return {finding.check: finding for finding in examination.queue(queue, repair=repair)}


def server(url: str) -> dict[str, Finding]:
    return {finding.check: finding for finding in Examination(Address(url, {}), cap=500_000).servers()}


def doctor(url: str, *args: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, findings by check, and all that was printed."""
    done = run_limelight("doctor", "--json", *args, env={"LIMELIGHT_REDIS_URL": url})
    findings = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {finding["check"]: finding for finding in findings}, done.stdout + done.stderr


def start_by_hand(queue: RedisQueue, name: str) -> str:
    """Start the next task as a worker would that is never heard of again; returns its id."""
    request = ReserveRequest("gone:1", int(time.time() * 1e6), count=1, lease_seconds=3, names=[name])
    _, reservation = queue.storage.settle_and_reserve([], request, where="", result_ttl_ms=1_000)
    assert not isinstance(reservation, Exception)
    assert reservation is not None
    return reservation.tasks[0].lease.task_id


def contents(client: redis.Redis) -> dict[bytes, Any]:
    """All that Redis holds; a DUMP would change with the order in which a hash happens to stand."""
    read: dict[bytes, Any] = {
        b"hash": client.hgetall,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
        b"list": lambda key: client.lrange(key, 0, -1),
        b"stream": client.xrange,
        b"string": client.get,
    }
    return {key: read[client.type(key)](key) for key in client.scan_iter()}


# -- The server --------------------------------------------------------------------------------------------
def test_a_redis_in_good_order_passes(own_redis: OwnRedis, tmp_path: Path) -> None:
    url = own_redis(persist_dir=tmp_path).url
    queue = RedisQueue("mail", url=url)
    ok = queue.task(name="ok")(lambda: 1)
    with consuming(queue):
        handle = ok()
        wait_until(handle.is_ready)
        code, findings, _ = doctor(url)
    assert code == 0, findings
    assert [one for one in findings.values() if one["status"] == "fail"] == []
    assert "1 consumer with 2 workers" in findings["consumers"]["found"]
    assert findings["persistence"]["status"] == "ok"


def test_a_policy_that_evicts_tasks_is_a_problem(own_redis: OwnRedis) -> None:
    url = own_redis(options=["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]).url
    code, findings, _ = doctor(url)
    assert code == 1
    assert findings["eviction"]["status"] == "fail"
    assert "CONFIG SET maxmemory-policy noeviction" in findings["eviction"]["fix"]


def test_a_redis_that_keeps_nothing_is_a_problem_and_an_append_only_file_is_none(
    own_redis: OwnRedis, tmp_path: Path
) -> None:
    assert server(own_redis().url)["persistence"].status is Status.FAIL
    url = own_redis(persist_dir=tmp_path).url
    assert server(url)["persistence"].status is Status.OK
    redis.Redis.from_url(url).config_set("appendfsync", "no")
    assert server(url)["persistence"].status is Status.WARN


def test_a_replica_is_no_place_for_a_queue(own_redis: OwnRedis) -> None:
    master, replica = own_redis(), own_redis()
    redis.Redis.from_url(replica.url).replicaof("127.0.0.1", str(master.port))
    assert server(replica.url)["replication"].status is Status.FAIL
    client = redis.Redis.from_url(master.url)
    wait_until(lambda: client.info("replication")["connected_slaves"] == 1, 20)
    assert server(master.url)["replication"].status is Status.WARN
    client.config_set("min-replicas-to-write", "1")
    assert server(master.url)["replication"].status is Status.OK


def test_every_kind_of_redis_is_recognized(any_redis_url: str) -> None:
    findings = server(any_redis_url)
    assert findings["version"].status is Status.OK, findings["version"]
    assert findings["clock"].status is Status.OK
    assert findings["encryption"].status is Status.OK


def test_a_redis_that_cannot_be_reached_is_exit_code_3_without_its_password() -> None:
    code, findings, printed = doctor("redis://app:secret@127.0.0.1:1/0")
    assert code == 3
    assert findings["connection"]["status"] == "fail"
    assert "secret" not in printed


def test_a_wrong_password_is_exit_code_3_and_not_shown(own_redis: OwnRedis) -> None:
    redis_server = own_redis()
    redis.Redis.from_url(redis_server.url).config_set("requirepass", "right")
    code, findings, printed = doctor(redis_server.url.replace("//", "//:wrong-secret@"))
    assert code == 3
    assert findings["connection"]["status"] == "fail"
    assert "wrong-secret" not in printed


def test_a_queue_that_there_is_not_is_exit_code_4(redis_url: str) -> None:
    StreamWriter(redis_url)
    code, _, printed = doctor(redis_url, "mial")
    assert code == 4
    assert "Did you mean 'mail'?" in printed


# -- Rights ------------------------------------------------------------------------------------------------
def login(queue: RedisQueue, *rules: str) -> str:
    """A user with these rules and what a connection needs; returns the URL."""
    client = queue.storage.address.client()
    client.execute_command(
        "ACL", "SETUSER", "app", "reset", "on", ">secret", "resetchannels", f"&limelight:{{{queue.name}}}:*",
        "+ping", "+hello", "+client|setname", "+select", *rules,
    )  # fmt: skip
    port = client.connection_pool.connection_kwargs["port"]
    return f"redis://app:secret@127.0.0.1:{port}/0"


def all_rules(queue: RedisQueue, *roles: Role) -> list[str]:
    """Exactly what doctor tries for these roles."""
    commands = {command.lower() for role in roles for command in COMMANDS[role]}
    keys = [f"~limelight:{{{queue.name}}}:*", "~limelight:queues"]
    return [
        *keys,
        *(f"+{command}" for command in sorted(commands)),
        "+time",
        "+evalsha",
        "+script|load",
    ]


@pytest.fixture
def no_users(queue: RedisQueue) -> Any:
    yield
    queue.storage.address.client().execute_command("ACL", "DELUSER", "app")


TRIED = ("+multi", "+exec", "+discard")


@pytest.mark.usefixtures("no_users")
def test_a_user_that_lacks_rights_is_told_which(queue: RedisQueue) -> None:
    queue.storage.producing.announce()
    rules = [rule for rule in all_rules(queue, *Role) if rule not in {"+hset", "~limelight:queues"}]
    url = login(queue, *rules, *TRIED, "+xlen", "+zrevrange")
    code, findings, printed = doctor(url, "mail")
    assert code == 1
    assert findings["rights"]["status"] == "fail"
    assert "+hset" in findings["rights"]["fix"]
    assert "~limelight:queues" in findings["rights"]["fix"]
    assert "+hdel" not in findings["rights"]["fix"]
    assert "secret" not in printed


@pytest.mark.usefixtures("no_users")
def test_a_producer_alone_is_worth_a_look_and_no_problem(queue: RedisQueue) -> None:
    url = login(queue, *all_rules(queue, Role.PRODUCER), *TRIED)
    lacking = lacking_rights(Link(Address(url, {})), "mail", 0)
    assert lacking is not None
    assert lacking[Role.PRODUCER] == ()
    assert "+zrem" in lacking[Role.CONSUMER]
    assert "+xrange" in lacking[Role.EXPORTER]


@pytest.mark.usefixtures("no_users")
def test_what_is_tried_for_a_producer_is_all_that_it_needs(queue: RedisQueue) -> None:
    mine = RedisQueue("mail", url=login(queue, *all_rules(queue, Role.PRODUCER)))
    ok = mine.task(name="ok")(lambda: 1)
    ok()
    ok.schedule(delay=60)
    assert statuses(queue) == ["enqueued", "enqueued"]


@pytest.mark.usefixtures("no_users")
def test_what_is_tried_for_a_caller_is_all_that_it_needs(queue: RedisQueue) -> None:
    mine = RedisQueue("mail", url=login(queue, *all_rules(queue, Role.CALLER)))
    handle = mine.task(name="ok")(lambda: 1)()
    assert handle.get() is None
    assert handle.revoke()
    assert handle.is_revoked()
    assert handle.restore()
    queue.task(name="ok")(lambda: 1)
    with consuming(queue):
        assert handle.get(blocking=True, timeout=10) == 1


@pytest.mark.usefixtures("no_users")
def test_what_is_tried_for_a_consumer_is_all_that_it_needs(queue: RedisQueue) -> None:
    mine = RedisQueue("mail", url=login(queue, *all_rules(queue, Role.CONSUMER)))
    ok = mine.task(name="ok")(lambda: 1)
    mine.periodic_task(lambda _: True, name="tick")(lambda: None)
    fails = mine.task(name="fails", retries=1, retry_delay=0.05)(lambda: 1 / 0)
    foreign = queue.task(name="foreign")(lambda: 1)
    with consuming(mine, lease_seconds=1):
        handles = [ok(), fails(), foreign(), ok.schedule(delay=0.1)]
        wait_until(
            lambda: statuses(queue).count("dead") == 2 and handles[3].is_ready(), 20, str(statuses(queue))
        )
        wait_until(lambda: "checking-periodic" in statuses(queue), 20)
    wrong = {event["error_type"] for event in told(queue) if event["status"].startswith("error-")}
    assert wrong == {"ZeroDivisionError", "limelight.errors.UnknownTask"}


@pytest.mark.usefixtures("no_users")
def test_what_is_tried_for_an_exporter_is_all_that_it_needs(queue: RedisQueue) -> None:
    queue.task(name="ok")(lambda: 1)()
    url = login(queue, *all_rules(queue, Role.EXPORTER))
    links = Links(Address(url, {}))
    assert server_view(links).now > 0
    assert queue_view(links, "mail").ready == 1
    fold = QueueFold(links, "mail", "default")
    fold.load()
    fold.step()
    assert fold.save()
    again = QueueFold(links, "mail", "default")
    again.load()
    assert again.position.seq == 1


@pytest.mark.usefixtures("no_users")
def test_who_may_not_discard_what_is_tried_does_nothing_with_it_either(queue: RedisQueue) -> None:
    queue.task(name="ok")(lambda: 1)()
    before = contents(queue.storage.address.client())
    link = Link(Address(login(queue, "~*", "+@all", "-discard"), {}))
    assert lacking_rights(link, "mail", 0) == dict.fromkeys(Role, ())
    assert link.transaction(("HLEN", queue.keys["tasks"])) == [1]
    assert contents(queue.storage.address.client()) == before


def test_trying_rights_does_nothing_of_what_it_tries(queue: RedisQueue) -> None:
    queue.task(name="ok")(lambda: 1)()
    client = queue.storage.address.client()
    before = contents(client)
    assert lacking_rights(Link(queue.storage.address), "mail", 0) == dict.fromkeys(Role, ())
    assert contents(client) == before


@pytest.mark.usefixtures("no_users")
def test_where_no_transaction_may_begin_nothing_is_tried(queue: RedisQueue) -> None:
    queue.task(name="ok")(lambda: 1)()
    client = queue.storage.address.client()
    before = contents(client)
    url = login(queue, "~*", "+@all", "-multi")
    assert lacking_rights(Link(Address(url, {})), "mail", 0) is None
    assert contents(client) == before


# -- Queues ------------------------------------------------------------------------------------------------
def test_ready_tasks_without_a_consumer_are_a_problem(queue: RedisQueue, any_redis_url: str) -> None:
    queue.task(name="ok")(lambda: 1)()
    assert examined(any_redis_url)["consumers"].status is Status.FAIL


def test_a_running_task_that_lost_its_lease_is_found_and_comes_back(
    queue: RedisQueue, any_redis_url: str
) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    handle = ok()
    started = start_by_hand(queue, "ok")
    client = queue.storage.address.client()
    assert client.zrem(queue.keys["running"], started) == 1
    with consuming(queue, lease_seconds=1):
        code, findings, _ = doctor(any_redis_url, "mail")
        assert code == 1
        assert "1 running task without a lease" in findings["conservation"]["found"]
        assert findings["conservation"]["detail"] == started == handle.id
        code, findings, _ = doctor(any_redis_url, "mail", "--repair")
        assert findings["repair"]["found"] == "1 task put back into running"
        assert findings["conservation"]["status"] == "ok"
        assert handle.get(blocking=True, timeout=20) == 1
    lived = statuses(queue, id=handle.id)
    assert lived == ["enqueued", "started", "error-internal", "lost", "redelivered", "started", "finished"]
    (mended,) = told(queue, error_type="limelight.mended")
    assert "missing from the index of its state (running)" in mended["error_message"]
    is_accounted_for(queue)


def test_a_worker_that_is_alive_keeps_the_task_whose_lease_was_mended(
    queue: RedisQueue, any_redis_url: str
) -> None:
    going, runs = threading.Event(), []

    @queue.task(name="slow")
    def slow() -> int:
        runs.append(1)
        assert going.wait(30)
        return 5

    with consuming(queue, lease_seconds=1):
        handle = slow()
        wait_until(lambda: runs)
        client = queue.storage.address.client()
        client.delete(queue.keys["running"])
        assert examined(any_redis_url, repair=True)["repair"].found == "1 task put back into running"
        deadline = client.zscore(queue.keys["running"], handle.id)
        assert deadline is not None
        assert deadline / 1e6 > server_view(Links(queue.storage.address)).now, "nobody had the time to renew"
        time.sleep(2.5)  # more than two leases: whoever does not renew is lost by now
        going.set()
        assert handle.get(blocking=True, timeout=10) == 5
    assert len(runs) == 1
    assert "lost" not in statuses(queue)
    is_accounted_for(queue)


def test_all_indexes_can_be_made_anew_from_the_records(queue: RedisQueue, any_redis_url: str) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    bad = queue.task(name="bad", retries=1, retry_delay=3_600)(lambda: 1 / 0)
    unknown = RedisQueue("mail", url=any_redis_url).task(name="unknown")(lambda: 1)
    client, keys = queue.storage.address.client(), queue.keys
    with consuming(queue):
        bad()
        unknown()
        wait_until(lambda: client.zcard(keys["scheduled"]) == 1 and client.zcard(keys["dead"]) == 1, 20)
    for _ in range(2):
        ok()
    running = start_by_hand(queue, "ok")
    start_by_hand(queue, "nothing of this name")
    urgent, plain = ok.schedule(priority=3), ok()
    later = ok.schedule(delay=3_600)
    names = ("ready", "reserved", "running", "delayed", "scheduled", "dead")
    before = {
        name: [member for member, _ in client.zrange(keys[name], 0, -1, withscores=True)] for name in names
    }
    assert before["ready"] == [urgent.id.encode(), plain.id.encode()]
    assert before["delayed"] == [later.id.encode()]
    assert before["running"] == [running.encode()]
    assert all(before.values())
    client.delete(*(keys[name] for name in names), keys["ready_since"], keys["running_since"])
    findings = examined(any_redis_url, repair=True)
    assert findings["conservation"].status is Status.OK, findings
    assert {name: client.zrange(keys[name], 0, -1) for name in names} == before
    is_accounted_for(queue)


def test_places_without_a_task_and_second_places_are_taken_away(
    queue: RedisQueue, any_redis_url: str
) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    handle = ok()
    client, keys = queue.storage.address.client(), queue.keys
    client.zadd(keys["dead"], {"ghost": 1})
    client.zadd(keys["running"], {handle.id: 1})
    found = {(one.id, one.fault) for one in strays(Link(queue.storage.address), "mail")}
    assert found == {("ghost", "gone"), (handle.id, "double")}
    findings = examined(any_redis_url, repair=True)
    assert findings["repair"].found == "1 task put back into ready; 1 place without a task taken away"
    assert client.zcard(keys["dead"]) == client.zcard(keys["running"]) == 0
    is_accounted_for(queue)


def test_a_record_that_nobody_can_read_becomes_a_dead_letter(queue: RedisQueue, any_redis_url: str) -> None:
    queue.storage.producing.announce()
    client, keys = queue.storage.address.client(), queue.keys
    client.hset(keys["tasks"], "junk", b"nonsense")
    examined(any_redis_url, repair=True)
    assert client.zrange(keys["dead"], 0, -1) == [b"junk"]
    assert examined(any_redis_url)["conservation"].status is Status.OK


def test_a_repair_where_nothing_is_wrong_changes_nothing(queue: RedisQueue, any_redis_url: str) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    for _ in range(3):
        ok()
    start_by_hand(queue, "ok")
    client = queue.storage.address.client()
    before = contents(client)
    assert examined(any_redis_url, repair=True)["repair"].found == "There was nothing to repair"
    assert contents(client) == before


def test_an_examination_changes_nothing(queue: RedisQueue, any_redis_url: str) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    for _ in range(600):  # more than one page of a scan
        ok()
    client, keys = queue.storage.address.client(), queue.keys
    client.zrem(keys["ready"], ok().id)
    before = contents(client)
    code, findings, _ = doctor(any_redis_url)
    assert code == 1
    assert findings["conservation"]["found"] == "1 ready task in no index, which nobody would find"
    assert contents(client) == before


def test_strays_are_found_while_tasks_run_and_nothing_else_is(queue: RedisQueue) -> None:
    ok = queue.task(name="ok")(lambda: 1)
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            ok()

    with consuming(queue, workers=4):
        producer = threading.Thread(target=busy)
        producer.start()
        try:
            link = Link(queue.storage.address)
            for _ in range(30):
                assert strays(link, "mail") == ()
        finally:
            stop.set()
            producer.join()


def test_a_cursor_that_stands_still_is_stale(queue: RedisQueue, any_redis_url: str) -> None:
    queue.task(name="ok")(lambda: 1)()
    client, keys = queue.storage.address.client(), queue.keys
    fold = QueueFold(Links(queue.storage.address), "mail", "default")
    fold.load()
    fold.step()
    assert fold.save()
    assert examined(any_redis_url)["cursors"].status is Status.OK
    reader, value = next(iter(client.hgetall(keys.cursors).items()))
    words = value.split(b" ")
    words[2] = b"%d" % (int(words[2]) - 600_000)
    client.hset(keys.cursors, reader, b" ".join(words))
    stale = examined(any_redis_url)["cursors"]
    assert stale.status is Status.WARN
    assert "stale: silent for 10 m" in stale.found
    queue.task(name="ok2")(lambda: 1)()
    code, findings, _ = doctor(any_redis_url)
    assert code == 1
    assert findings["cursors"]["status"] == "fail"


def test_a_queue_without_events_is_noticed(any_redis_url: str) -> None:
    silent = RedisQueue("silent", url=any_redis_url, events=False)
    silent.task(name="ok")(lambda: 1)()
    assert examined(any_redis_url, "silent")["events"].status is Status.WARN
    silent.storage.address.client().delete(silent.keys["ready"])
    examined(any_redis_url, "silent", repair=True)
    assert silent.storage.address.client().exists(silent.keys["events"]) == 0


def test_warnings_count_as_problems_where_that_is_asked_for(own_redis: OwnRedis, tmp_path: Path) -> None:
    url = own_redis(persist_dir=tmp_path).url
    redis.Redis.from_url(url).config_set("appendfsync", "no")
    assert doctor(url)[0] == 0
    assert doctor(url, "--strict")[0] == 1


def test_on_a_terminal_it_is_a_page_and_what_comes_from_redis_is_not_obeyed(
    queue: RedisQueue, any_redis_url: str
) -> None:
    queue.task(name="ok")(lambda: 1)()
    hostile = "\x1b]0;gone\x07[bold red]\u202e"
    note = json.dumps({"host": hostile, "pid": 1, "version": hostile, "interval": 5})
    client, keys = queue.storage.address.client(), queue.keys
    client.hset(keys["consumers"], "c", f"1 2 {note}")
    client.hset(keys.cursors, hostile, f"0-1 0 1 {hostile}")
    client.hset(keys["periodic_runs"], f"{hostile}:next", "1")
    seen = on_a_terminal("doctor", env={"LIMELIGHT_REDIS_URL": any_redis_url})
    plain = re.sub(r"\x1b\[[\d;]*m", "", seen).replace("\r\n", "\n")
    assert "[bold red]" in plain
    assert all(char.isprintable() or char == "\n" for char in plain), ascii(plain)
    assert re.search(r"^fail  ", plain, re.MULTILINE)
    assert re.search(r"^        fix: ", plain, re.MULTILINE)
    assert re.search(r"\d+ well, \d+ to look at, \d+ to fix\.", plain)
    assert max(map(len, plain.splitlines())) <= 100


def test_a_user_that_may_see_little_is_told_so(queue: RedisQueue) -> None:
    url = login(queue, *all_rules(queue, Role.PRODUCER), *TRIED)
    try:
        findings = server(url)
        assert {findings[name].status for name in ("version", "eviction", "persistence")} == {Status.WARN}
        assert examined(url)["queue"].status is Status.FAIL
    finally:
        queue.storage.address.client().execute_command("ACL", "DELUSER", "app")
