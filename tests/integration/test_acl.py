"""Each role of docs/redis.md does its work with exactly the rights of that page, and nothing beyond."""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from acl import PASSWORD, ROLES, also_needed, denied, users
from exporters import ExporterProcess
from processes import run_limelight
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from topology import Cluster, SentinelGroup

from limelight import CancelExecution, RedisQueue, RedisRefused, RetryTask, Task, chord, crontab
from limelight.cli.doctor.reading import lacking_rights
from limelight.cli.doctor.rights import COMMANDS, Role, needs
from limelight.embedded import find_binary
from limelight.inspection import queue_names, queue_view, server_view
from limelight.keys import QueueKeys
from limelight.storage.address import Address
from limelight.storage.base import ReserveRequest
from limelight.storage.link import Link
from limelight.storage.links import Links
from limelight.storage.scripts import SCRIPTS
from limelight.task import TaskOptions

KEYS = QueueKeys("mail")


@pytest.fixture
def server(any_redis_url: str) -> Iterator[redis.Redis]:
    """A server of each kind with the page's users."""
    with redis.Redis.from_url(any_redis_url) as client:
        new = int(client.info("server")["redis_version"].split(".")[0]) >= 7
        with users(client, *(role for role in ROLES if new or not role.endswith("-7"))):
            yield client


def url_of(role: str, server: redis.Redis) -> str:
    return (
        f"redis://limelight-{role}:{PASSWORD}@127.0.0.1:{server.connection_pool.connection_kwargs['port']}/0"
    )


def queue_of(role: str, server: redis.Redis, **options: Any) -> RedisQueue:
    return RedisQueue("mail", url=url_of(role, server), **options)


def as_role(role: str, server: redis.Redis) -> redis.Redis:
    return redis.Redis.from_url(url_of(role, server))


def test_a_producer_enqueues(server: redis.Redis, any_redis_url: str) -> None:
    task = queue_of("producer", server).task(name="f")(lambda: 1)
    task()
    task.schedule(delay=60, priority=7)
    assert denied(server) == []
    assert statuses(RedisQueue("mail", url=any_redis_url)) == ["enqueued", "enqueued"]
    assert queue_names(Links(Address(any_redis_url, {}))) == ["mail"]


def test_a_producer_sends_what_hangs_together(server: redis.Redis) -> None:
    queue, consumer = queue_of("producer", server), queue_of_all(server)
    first, second = (queue.task(name=name)(lambda *_: 1) for name in ("first", "second"))
    for name in ("first", "second"):
        consumer.task(name=name)(lambda *_: 1)
    queue.enqueue(first.s().then(second))
    queue.enqueue(chord([first.s(), first.s()], second.s()))
    with consuming(consumer):
        wait_until(lambda: len(told(consumer, status="finished")) == 5)
    assert denied(server) == []


def test_a_caller_reads_results_and_revokes(server: redis.Redis) -> None:
    task = queue_of("caller", server).task(name="f")(lambda: 1)
    task_of_consumer = queue_of("consumer", server)
    task_of_consumer.task(name="f")(lambda: 1)
    revoked, handle = task(), task()
    assert revoked.revoke()
    assert revoked.is_revoked()
    assert revoked.restore()
    assert revoked.revoke()
    task.revoke(revoke_once=True)
    assert task.restore()
    with consuming(task_of_consumer):
        assert handle.get(blocking=True, timeout=10) == 1
        wait_until(lambda: has_ended(RedisQueue("mail", url=any_url(server)), revoked.id))
    assert denied(server) == []


def test_a_caller_is_told_of_an_end_at_once(server: redis.Redis) -> None:
    caller = queue_of("caller", server)
    handle = caller.task(name="f")(lambda: 1)()
    with caller.storage.end_of(handle.id) as (ended, can_tell):
        assert can_tell
        consumer = queue_of("consumer", server)
        consumer.task(name="f")(lambda: 1)
        with consuming(consumer):
            assert ended.wait(10)
    assert denied(server) == []


def any_url(server: redis.Redis) -> str:
    return f"redis://127.0.0.1:{server.connection_pool.connection_kwargs['port']}/0"


def test_a_consumer_does_whatever_consumers_do(server: redis.Redis) -> None:
    queue = queue_of("consumer", server)
    everything(queue, server)
    assert denied(server) == []
    is_accounted_for(RedisQueue("mail", url=any_url(server)))


def test_a_consumer_has_its_tasks_wait_for_their_turn(server: redis.Redis) -> None:
    queue = queue_of("consumer", server)
    lock, limit = queue.lock_task("one"), queue.rate_limit("few", 1, per=60, retry=False)
    guarded = queue.task(name="guarded", expires=60)(lock(limit(lambda: 1)))
    with consuming(queue, workers=1):
        assert guarded().get(blocking=True, timeout=10) == 1
        refused = guarded()
        wait_until(lambda: has_ended(queue_of_all(server), refused.id))
    assert statuses(queue_of_all(server), id=refused.id)[-1] == "rate-limited"
    assert limit.current_usage() == 1
    limit.reset()
    assert not queue.is_locked("one")
    queue.put("kept", 1)
    assert queue.get("kept") == 1
    assert queue.flush() == 0
    assert denied(server) == []


def everything(queue: RedisQueue, server: redis.Redis) -> None:
    """All transitions of a task, and all that consumers do besides."""
    tries: list[int] = []
    release = threading.Event()

    @queue.task(retries=2, retry_delay=0.05)
    def fail() -> None:
        raise ValueError

    @queue.task(retries=1)
    def fail_at_once() -> None:
        raise ValueError

    @queue.task()
    def again() -> None:
        tries.append(1)
        if len(tries) < 2:
            raise RetryTask(delay=0.05)

    @queue.task()
    def stop() -> None:
        raise CancelExecution

    ok = queue.task(name="ok")(lambda: 1)
    hang = queue.task(name="hang")(lambda: release.wait(20))
    queue.periodic_task(crontab(minute="*"), name="tick")(lambda: None)
    server.hset(KEYS["periodic_runs"], "tick:due", 60_000_000)
    reap_one(queue, server)
    with consuming(queue, workers=4, shutdown_timeout=0.1) as consumer:
        handles = [fail(), fail_at_once(), again(), stop(), ok(), ok.schedule(delay=0.1)]
        handles.append(queue.enqueue(Task(options=TaskOptions(name="nobody knows"))))
        for handle in handles:
            wait_until(lambda task_id=handle.id: has_ended(RedisQueue("mail", url=any_url(server)), task_id))
        wait_until(lambda: told(queue_of_all(server), status="finished", task="tick"))
        hang()
        wait_until(lambda: consumer.running)
    release.set()
    seen = set(statuses(queue_of_all(server)))
    assert {"interrupted", "retrying", "scheduled", "dead", "canceled", "checking-periodic"} <= seen
    assert {"lost", "redelivered", "consumer-stopped", "error-internal", "scheduling-periodic"} <= seen


def queue_of_all(server: redis.Redis) -> RedisQueue:
    return RedisQueue("mail", url=any_url(server))


def reap_one(queue: RedisQueue, server: redis.Redis) -> None:
    """A worker that is lost with one task running and one reserved."""
    storage = queue.storage
    for name in ("ok", "ok"):
        queue.enqueue(Task(options=TaskOptions(name=name)))
    for number, names in ((1, ["ok"]), (2, [])):
        request = ReserveRequest("gone", number, count=1, lease_seconds=10, names=names)
        storage.settle_and_reserve([], request, where="", result_ttl_ms=1_000)
    for index in ("running", "reserved"):
        for task_id in server.zrange(KEYS[index], 0, -1):
            server.zadd(KEYS[index], {task_id: 1})
    expired = storage.expired(lease_seconds=10, count=10)
    assert len(expired) == 2
    reaped = [
        storage.reap(task_id, lease_seconds=10, result=b"", result_ttl_ms=1, where="") for task_id in expired
    ]
    assert sorted(filter(None, reaped)) == ["redelivered", "returned"]


@pytest.mark.parametrize("role", ["exporter", "exporter-7"])
def test_an_exporter_folds_saves_and_trims(server: redis.Redis, role: str, tmp_path: Path) -> None:
    if role.endswith("-7") and server.info("server")["redis_version"].startswith("6"):
        pytest.skip("Redis 6 has no rights for reading alone")
    queue = queue_of_all(server)
    task = queue.task(name="f")(lambda: 1)
    with consuming(queue):
        for _ in range(5):
            task().get(blocking=True, timeout=10)
    with ExporterProcess(url_of(role, server), tmp_path / "log").wait_until_ready() as exporter:
        finished = {"queue": "mail", "task": "f", "outcome": "success"}
        scraped = exporter.scrape()
        assert scraped.value("limelight_tasks_completed_total", **finished) == 5
        assert scraped.value("limelight_exporter_scrape_collector_success", collector="queues") == 1
        assert exporter.terminate() == 0
    assert server.exists(KEYS.snapshot("default"))
    server.set(KEYS.snapshot("default"), b"nonsense")
    with ExporterProcess(url_of(role, server), tmp_path / "log").wait_until_ready() as exporter:
        assert exporter.terminate() == 0
    assert server.exists(f"{KEYS.snapshot('default')}:unreadable")
    assert denied(server) == []


def test_a_reader_looks_and_listens(server: redis.Redis) -> None:
    queue = queue_of_all(server)
    task = queue.task(name="f")(lambda: 1)
    task()
    links = Links(Address(url_of("reader", server), {}))
    assert queue_names(links) == ["mail"]
    assert queue_view(links, "mail").ready == 1
    assert server_view(links).memory_used > 0
    listener = queue_of("reader", server).storage.listener()
    with consuming(queue):
        assert next(message for message in listener.listen() if b'"started"' in message["data"])
    listener.close()
    assert denied(server) == []


def test_an_operator_looks_after_a_queue(server: redis.Redis) -> None:
    queue, env = queue_of_all(server), {"LIMELIGHT_REDIS_URL": url_of("operator", server)}

    def run(*args: str) -> str:
        done = run_limelight(*args, env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    fail = queue.task(name="fail")(lambda: 1 // 0)
    with consuming(queue):
        dead = fail().id
        wait_until(lambda: has_ended(queue, dead))
    waiting, later = fail().id, fail.schedule(delay=60).id
    server.hset(KEYS["tasks"], "broken", b"no record")
    assert "mail" in run("queue", "ls")
    for words in (
        ("show", "mail"),
        ("show", "mail", waiting),
        ("peek", "mail"),
        ("pause", "mail"),
        ("resume", "mail"),
    ):
        run("queue", *words)
    run("queue", "revoke", "mail", waiting)
    run("queue", "cancel", "mail", waiting, "--yes")
    run("queue", "dead", "ls", "mail")
    run("queue", "dead", "show", "mail", dead)
    run("queue", "dead", "requeue", "mail", dead)
    run("queue", "dead", "purge", "mail", "--all", "--yes")
    run("queue", "flush", "mail", "--yes")
    assert later in run("events", "replay", "--json")
    assert denied(server) == []
    doctor = run_limelight("doctor", "mail", "--repair", "--json", env=env).stdout
    assert "could not be" not in doctor
    assert "put back" in doctor or "nothing to repair" in doctor


# -- What each may not do --------------------------------------------------------------------------------
Attempt = Callable[[redis.Redis, redis.Redis], Any]


def attempt_script(name: str, *args: Any) -> Attempt:
    def attempt(client: redis.Redis, server: redis.Redis) -> None:
        sha = server.script_load(SCRIPTS[name].source.decode())
        keys = SCRIPTS[name].keys(KEYS)
        client.execute_command("EVALSHA", sha, len(keys), *keys, "0", "mail", "", "1000", "me", *args)

    return attempt


FORBIDDEN: dict[str, dict[str, Attempt]] = {
    "producer": {
        "settle": attempt_script("settle"),
        "reserve": attempt_script("reserve"),
        "revoke": attempt_script("revoke", "0"),
        "touch running": lambda client, _: client.zadd(KEYS["running"], {"x": 1}),
        "read a result": lambda client, _: client.get(KEYS.result("x")),
        "delete tasks": lambda client, _: client.delete(KEYS["tasks"]),
        "touch another queue": lambda client, _: client.hset("limelight:{shop}:tasks", "x", 1),
        "flush": lambda client, _: client.flushall(),
    },
    "caller": {
        "settle": attempt_script("settle"),
        "reserve": attempt_script("reserve"),
        "write a result": lambda client, _: client.set(KEYS.result("x"), 1),
        "touch running": lambda client, _: client.zadd(KEYS["running"], {"x": 1}),
    },
    "consumer": {
        "touch another queue": lambda client, _: client.hset("limelight:{shop}:tasks", "x", 1),
        "touch another application": lambda client, _: client.set("session:1", 1),
        "publish elsewhere": lambda client, _: client.publish("news", "x"),
        "flush": lambda client, _: client.flushall(),
        "configure": lambda client, _: client.config_get("*"),
    },
    "operator": {
        "write a result": lambda client, _: client.set(KEYS.result("x"), 1),
        "touch another queue": lambda client, _: client.hset("limelight:{shop}:tasks", "x", 1),
        "configure": lambda client, _: client.config_set("maxmemory", 1),
        "flush": lambda client, _: client.flushall(),
    },
    "exporter": {
        "enqueue": attempt_script("enqueue", "lane", 1),
        "settle": attempt_script("settle"),
        "touch ready": lambda client, _: client.zadd(KEYS["ready"], {"x": 1}),
        "write an event": lambda client, _: client.xadd(KEYS["events"], {"e": "x"}),
        "read a result": lambda client, _: client.get(KEYS.result("x")),
    },
    "exporter-7": {
        "enqueue": attempt_script("enqueue", "lane", 1),
        "change a task": lambda client, _: client.hset(KEYS["tasks"], "x", 1),
        "write an event": lambda client, _: client.xadd(KEYS["events"], {"e": "x"}),
    },
    "reader": {
        "enqueue": attempt_script("enqueue", "lane", 1),
        "change a task": lambda client, _: client.hset(KEYS["tasks"], "x", 1),
        "trim": lambda client, _: client.xtrim(KEYS["events"], maxlen=0),
        "publish": lambda client, _: client.publish(KEYS.channel(0), "x"),
    },
}


@pytest.mark.parametrize(
    ("role", "what"), [(role, what) for role, attempts in FORBIDDEN.items() for what in attempts]
)
def test_nobody_may_do_more_than_his_work(server: redis.Redis, role: str, what: str) -> None:
    if role.endswith("-7") and server.info("server")["redis_version"].startswith("6"):
        pytest.skip("Redis 6 has no rights for reading alone")
    with as_role(role, server) as client, pytest.raises(redis.exceptions.NoPermissionError):
        FORBIDDEN[role][what](client, server)
    things = ("tasks", "ready", "running", "lanes", "revoked")
    assert not server.exists(*(KEYS[thing] for thing in things), KEYS.result("x"))


def test_a_right_that_is_missing_is_one_clear_error(server: redis.Redis) -> None:
    queue = queue_of("producer", server)
    with pytest.raises(RedisRefused, match=r"lacks a right: see docs/redis.md"):
        queue.storage.promote(1, "")


# -- The page itself -------------------------------------------------------------------------------------
def test_a_consumers_line_has_every_command_that_a_script_calls() -> None:
    called = {
        command.lower()
        for script in SCRIPTS.values()
        for command in re.findall(r"\b(?:p?call|each|many)\('([A-Z]+)'", script.source.decode())
    }
    granted = {rule.removeprefix("+") for rule in ROLES["consumer"] if rule.startswith("+")}
    assert called <= granted, f"add to the consumer's line in docs/redis.md: {called - granted}"


@pytest.mark.parametrize(
    ("role", "scripts"), [("producer", {"enqueue"}), ("caller", {"enqueue", "revoke", "await"})]
)
def test_a_line_has_the_keys_of_its_scripts_and_no_others(role: str, scripts: set[str]) -> None:
    needed = {key for name in scripts for key in SCRIPTS[name].keys(KEYS)} | {"limelight:queues"}
    granted = {rule.removeprefix("~") for rule in ROLES[role] if rule.startswith("~")}
    if role == "caller":
        needed.add(KEYS.result("*"))
    assert needed == granted


@pytest.mark.parametrize("role", Role)
def test_doctor_tries_the_commands_that_the_page_grants(role: Role) -> None:
    tried = {need.name for need in needs(role, KEYS, 0)} | {command.lower() for command in COMMANDS[role]}
    granted = {rule.removeprefix("+") for rule in ROLES[role] if rule.startswith("+")}
    assert tried == granted - {"unsubscribe"}


@pytest.mark.parametrize("role", Role)
def test_doctor_finds_nothing_missing_in_a_role_of_the_page(server: redis.Redis, role: Role) -> None:
    server.execute_command("ACL", "SETUSER", f"limelight-{role}", "+multi", "+discard")
    lacking = lacking_rights(Link(Address(url_of(role, server), {})), "mail", 0)
    assert lacking is not None
    assert lacking[role] == ()
    assert any(lacking[other] for other in Role if other is not role)


# -- Elsewhere than on one server ------------------------------------------------------------------------
def test_on_a_cluster_the_page_names_what_is_needed_besides(tmp_path: Path) -> None:
    (also,) = also_needed("on a Cluster")
    with Cluster(find_binary(), tmp_path) as cluster, contextlib.ExitStack() as stack:
        for node in cluster.nodes:
            stack.enter_context(users(node.client, "producer", "consumer", "exporter", also=tuple(also)))
        urls = {
            role: cluster.url.replace("://", f"://limelight-{role}:{PASSWORD}@")
            for role in ("producer", "consumer", "exporter")
        }
        handle = RedisQueue("mail", url=urls["producer"]).task(name="f")(lambda: 1)()
        consumer = RedisQueue("mail", url=urls["consumer"])
        consumer.task(name="f")(lambda: 1)
        with consuming(consumer):
            assert consumer.result_handle(handle.id).get(blocking=True, timeout=10) == 1
        with ExporterProcess(urls["exporter"], tmp_path / "log").wait_until_ready() as exporter:
            finished = {"queue": "mail", "task": "f", "outcome": "success"}
            assert exporter.scrape().value("limelight_tasks_completed_total", **finished) == 1
            assert exporter.terminate() == 0
        for node in cluster.nodes:
            assert denied(node.client) == []


def test_with_sentinels_the_page_names_what_is_needed_besides(tmp_path: Path) -> None:
    also, at_sentinels = also_needed("with Sentinels")
    with SentinelGroup(find_binary(), tmp_path) as group, contextlib.ExitStack() as stack:
        stack.enter_context(users(group.master.client, "producer", "consumer", also=tuple(also)))
        for node in group.sentinels:
            node.client.execute_command("ACL", "SETUSER", "app", "on", ">hush", "-@all", *at_sentinels)
        url = group.url.replace("://", f"://limelight-producer:{PASSWORD}@")
        queue = RedisQueue("mail", url=url, sentinel_username="app", sentinel_password="hush")
        queue.task(name="f")(lambda: 1)()
        assert denied(group.master.client) == []
        for node in group.sentinels:
            assert denied(node.client) == []
