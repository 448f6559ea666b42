"""A Redis Cluster of three masters: each queue lives on the node of its slot, wherever that goes."""

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import redis
from exporters import ExporterProcess
from kinds import KINDS
from otlp import OtlpReceiver
from running import client_of, consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from topology import Cluster, low_port

from limelight import ConfigurationError, OutcomeUnknown, RedisQueue, RedisRefused, RedisUnavailable
from limelight.embedded import find_binary
from limelight.inspection import queue_names, queue_view, server_view
from limelight.keys import REGISTRY
from limelight.storage.address import Address
from limelight.storage.link import Link
from limelight.storage.links import Links

NAMES = ("alpha", "beta", "delta")
"""Queues on three different nodes, while the slots are shared evenly."""


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(find_binary(), tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    """The module's Cluster, empty."""
    for node in shared_cluster.nodes:
        node.client.flushall()
    return shared_cluster


def queues(cluster: Cluster, **options: Any) -> list[RedisQueue]:
    made = [RedisQueue(name, url=cluster.url, **options) for name in NAMES]
    assert len({cluster.owner(queue.keys["meta"]).port for queue in made}) == 3
    return made


@contextlib.contextmanager
def enqueuing(enqueue: Callable[[int], Any]) -> Iterator[list[Any]]:
    """Enqueue without a pause until the block ends; yields what was enqueued so far."""
    handles: list[Any] = []
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            handles.append(enqueue(len(handles)))

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield handles
    finally:
        stop.set()
        thread.join()


def test_queues_on_different_nodes_run_and_are_counted_exactly(cluster: Cluster, tmp_path: Path) -> None:
    with contextlib.ExitStack() as running:
        handles = {}
        for number, queue in enumerate(queues(cluster), 1):
            task = queue.task(name="double")(lambda x: 2 * x)
            running.enter_context(consuming(queue))
            handles[queue] = [task.schedule((x,), delay=0.05 * (x % 2)) for x in range(10 * number)]
        for queue, results in handles.items():
            assert [handle.get(blocking=True, timeout=10) for handle in results] == [
                2 * x for x in range(len(results))
            ]
            is_accounted_for(queue)
        exporter = running.enter_context(ExporterProcess(cluster.url, tmp_path / "log").wait_until_ready())
        scraped = exporter.scrape()
        for queue, results in handles.items():
            finished = {"queue": queue.name, "task": "double", "outcome": "success"}
            assert scraped.value("limelight_tasks_completed_total", **finished) == len(results)
            assert scraped.value("limelight_exporter_queue_current", queue=queue.name) == 1
            assert scraped.value("limelight_queue_workers", queue=queue.name, state="idle") == 2
        assert scraped.value("limelight_redis_up", redis=cluster.url) == 1
        for node in cluster.nodes:
            used = scraped.value("limelight_redis_memory_used_bytes", redis=node.place)
            assert used is not None
            assert used > 0
        assert exporter.terminate() == 0
    for queue in handles:
        client = client_of(queue)
        assert client.exists(queue.keys.snapshot("default")), "the state was saved beside its queue"


def test_the_registry_is_found_on_a_node_of_its_own(cluster: Cluster) -> None:
    for queue in queues(cluster):
        queue.task(name="f")(lambda: 1)()
    links = Links(Address(cluster.url, {}))
    assert queue_names(links) == list(NAMES)
    assert [queue_view(links, name).ready for name in NAMES] == [1, 1, 1]
    registry = cluster.owner(REGISTRY)
    assert server_view(links).address == registry.place
    assert registry.client.zcard(REGISTRY) == 3


def test_live_events_are_heard_from_a_cluster(cluster: Cluster) -> None:
    for queue in queues(cluster):
        task = queue.task(name="f")(lambda: 1)
        listener = queue.storage.listener()
        with consuming(queue):
            task()
            message = next(message for message in listener.listen() if b'"finished"' in message["data"])
        assert b'"queue":"%s"' % queue.name.encode() in message["data"]
        listener.close()


def test_a_slot_that_moves_while_tasks_run_loses_nothing(cluster: Cluster) -> None:
    queue = RedisQueue("alpha", url=cluster.url, patience=30)
    task = queue.task(name="double", retries=1)(lambda x: 2 * x)
    source = cluster.owner(queue.keys["meta"])
    targets = [node for node in cluster.nodes if node is not source]
    with consuming(queue, workers=4), enqueuing(task) as handles:
        for target in [*targets, source]:
            there = len(handles)
            wait_until(functools.partial(lambda least: len(handles) > least, there + 50), 20)
            cluster.migrate(queue.keys["meta"], target, seconds=0.3)
            assert cluster.owner(queue.keys["meta"]) is target
        wait_until(functools.partial(lambda least: len(handles) > least, len(handles) + 20), 20)
    with consuming(queue):
        for x, handle in enumerate(handles):
            assert handle.get(blocking=True, timeout=20) == 2 * x
    is_accounted_for(queue)
    assert len(told(queue, status="enqueued")) == len(handles)
    assert not [event for event in told(queue) if event["status"] == "lost"]


def test_waiting_workers_follow_a_slot_that_moves(cluster: Cluster) -> None:
    queue = RedisQueue("beta", url=cluster.url)
    task = queue.task(name="f")(lambda: 1)
    source = cluster.owner(queue.keys["meta"])
    target = next(node for node in cluster.nodes if node is not source)
    with consuming(queue, workers=2):
        assert task().get(blocking=True, timeout=10) == 1
        cluster.migrate(queue.keys["meta"], target)
        assert task().get(blocking=True, timeout=10) == 1
        cluster.migrate(queue.keys["meta"], source)
        assert task().get(blocking=True, timeout=10) == 1
    is_accounted_for(queue)


def test_a_key_that_is_half_way_is_read_where_it_is(cluster: Cluster) -> None:
    key = "limelight:{gone-ahead}:meta"
    source, slot = cluster.owner(key), Address(cluster.url, {}).slot(key)
    target = next(node for node in cluster.nodes if node is not source)
    link = Link(Address(cluster.url, {}), key)
    link.command("HSET", key, "seq", 7)
    target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.id_of(source))
    source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", cluster.id_of(target))
    source.client.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5_000)
    assert link.read("HGET", key, "seq") == b"7"
    assert link.read_all(("HGET", key, "seq"), ("HLEN", key)) == [b"7", 1]
    for node in (target, source):
        node.client.execute_command("CLUSTER SETSLOT", slot, "NODE", cluster.id_of(target))
    assert link.read("HGET", key, "seq") == b"7"
    assert link.transaction(("HGET", key, "seq")) == [b"7"]
    cluster.migrate(key, source)


@contextlib.contextmanager
def half_way(cluster: Cluster, queue: RedisQueue) -> Iterator[Callable[[], None]]:
    """The queue's slot is about to move, so that none of its scripts finds all its keys; until what is yielded."""
    key = queue.keys["meta"]
    source, slot = cluster.owner(key), queue.storage.address.slot(key)
    target = next(node for node in cluster.nodes if node is not source)
    target.client.execute_command("CLUSTER SETSLOT", slot, "IMPORTING", cluster.id_of(source))
    source.client.execute_command("CLUSTER SETSLOT", slot, "MIGRATING", cluster.id_of(target))

    def end() -> None:
        for node in (source, target):
            node.client.execute_command("CLUSTER SETSLOT", slot, "STABLE")

    try:
        yield end
    finally:
        end()


def test_keys_that_stay_half_way_are_an_error_that_may_pass(cluster: Cluster) -> None:
    queue = RedisQueue("delta", url=cluster.url)
    task = queue.task(name="f")(lambda: 1)
    task()
    with half_way(cluster, queue):
        with pytest.raises(RedisRefused, match=r"TRYAGAIN|rehashing") as refused:
            task()
        assert refused.value.may_pass
    assert len(told(queue, status="enqueued")) == 1


@pytest.mark.parametrize(("patience", "seconds"), [(0, 0.3), (20, 1.3)])
def test_keys_that_are_half_way_are_waited_for(cluster: Cluster, patience: float, seconds: float) -> None:
    queue = RedisQueue("delta", url=cluster.url, patience=patience)
    task = queue.task(name="f")(lambda: 1)
    task()
    with half_way(cluster, queue) as end, ThreadPoolExecutor() as pool:
        later = pool.submit(task)
        with pytest.raises(TimeoutError):
            later.result(seconds)
        end()
        assert later.result(10)
    assert len(told(queue, status="enqueued")) == 2


@pytest.mark.slow
def test_a_master_that_dies_is_an_error_and_its_return_the_end_of_it(
    tmp_path: Path, otlp_receiver: OtlpReceiver
) -> None:
    options = ["--appendonly", "yes", "--cluster-require-full-coverage", "no"]
    with Cluster(find_binary(), tmp_path, options=options) as cluster, contextlib.ExitStack() as running:
        all_queues = queues(cluster)
        tasks = {queue.name: queue.task(name="f")(lambda: 1) for queue in all_queues}
        for queue in all_queues:
            running.enter_context(consuming(queue, workers=2))
            tasks[queue.name]().get(blocking=True, timeout=10)
        tracing = ("--otlp-endpoint", otlp_receiver.http_endpoint)
        exporter = ExporterProcess(cluster.url, tmp_path / "log", *tracing)
        running.enter_context(exporter.wait_until_ready())
        victim = next(q for q in all_queues if cluster.owner(q.keys["meta"]) is not cluster.owner(REGISTRY))
        node = cluster.owner(victim.keys["meta"])
        node.kill()
        with pytest.raises((RedisUnavailable, OutcomeUnknown), match=rf"{node.place} (\(of|broke)"):
            tasks[victim.name]()
        others = [queue for queue in all_queues if queue is not victim]
        for queue in others:
            handle = tasks[queue.name]()
            assert handle.get(blocking=True, timeout=10) == 1
            trace_id = UUID(handle.id).hex
            wait_until(
                lambda trace_id=trace_id: sum(span.trace_id == trace_id for span in otlp_receiver.spans) == 2,
                20,
                "its spans",
            )
        scraped = exporter.scrape()
        for queue in others:
            assert scraped.value("limelight_exporter_queue_current", queue=queue.name) == 1
        assert scraped.value("limelight_exporter_queue_current", queue=victim.name) == 0
        node.start()
        wait_until(lambda: cluster.is_ok(node), 20)
        handle = enqueued_at_last(tasks[victim.name])
        assert handle.get(blocking=True, timeout=20) == 1
        wait_until(lambda: has_ended(victim, handle.id))
        is_accounted_for(victim)


def enqueued_at_last(task: Callable[[], Any], seconds: float = 20) -> Any:
    """Enqueue, as soon as Redis takes it."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return task()
        except (RedisUnavailable, OutcomeUnknown, RedisRefused):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


@pytest.mark.slow
def test_a_replica_takes_over_and_everybody_follows(tmp_path: Path) -> None:
    with Cluster(find_binary(), tmp_path, replicas=1) as cluster:
        queue = RedisQueue("alpha", url=cluster.url, patience=30)
        task = queue.task(name="double")(lambda x: 2 * x)
        master = cluster.owner(queue.keys["meta"])
        with consuming(queue, workers=4):
            before = [task(x) for x in range(20)]
            assert [handle.get(blocking=True, timeout=10) for handle in before] == [2 * x for x in range(20)]
            assert client_of(queue).execute_command("WAIT", 1, 5_000) == 1
            master.kill()
            after = [task(x) for x in range(20)]
            assert [handle.get(blocking=True, timeout=20) for handle in after] == [2 * x for x in range(20)]
        assert cluster.owner(queue.keys["meta"]) is not master
        is_accounted_for(queue)
        assert len(told(queue, status="enqueued")) == 40


@pytest.mark.parametrize("kind", ["redis_6.2", "redis_8", "valkey_8", "valkey_9"])
def test_every_kind_of_redis_clusters(kind: str, tmp_path: Path) -> None:
    if not KINDS[kind].fits:
        pytest.skip(f"{kind} cannot be had for this Python and machine")
    with Cluster(KINDS[kind].binary(), tmp_path) as cluster:
        queue = RedisQueue("alpha", url=cluster.url, patience=20)
        task = queue.task(name="double")(lambda x: 2 * x)
        target = next(node for node in cluster.nodes if node is not cluster.owner(queue.keys["meta"]))
        with consuming(queue), enqueuing(task) as handles:
            wait_until(lambda: len(handles) > 20)
            cluster.migrate(queue.keys["meta"], target, seconds=0.2)
            wait_until(functools.partial(lambda least: len(handles) > least, len(handles) + 20), 20)
        with consuming(queue):
            assert [handle.get(blocking=True, timeout=20) for handle in handles] == [
                2 * x for x in range(len(handles))
            ]
        is_accounted_for(queue)


# -- What is set up wrongly ------------------------------------------------------------------------------
def test_a_database_other_than_0_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="database 0 only, not 3"):
        RedisQueue("mail", url="redis+cluster://localhost/3")
    with pytest.raises(ConfigurationError, match="database 0 only, not 3"):
        RedisQueue("mail", url="redis+cluster://localhost", db=3)


def test_a_cluster_that_is_taken_for_one_server_is_named(cluster: Cluster) -> None:
    elsewhere = next(node for node in cluster.nodes if node is not cluster.owner("{alpha}"))
    with pytest.raises(RedisRefused, match=r"use redis\+cluster://"):
        RedisQueue("alpha", url=f"redis://{elsewhere.place}").task(name="f")(lambda: 1)()


def test_one_server_that_is_taken_for_a_cluster_is_named(redis_url: str) -> None:
    url = redis_url.replace("redis://", "redis+cluster://")
    with pytest.raises(RedisRefused, match="no Redis Cluster: use redis://"):
        RedisQueue("mail", url=url).task(name="f")(lambda: 1)()


def test_a_cluster_of_which_no_node_answers_names_them_all() -> None:
    ports = low_port(), low_port()
    queue = RedisQueue("mail", url=f"redis+cluster://:geheim@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}")
    with pytest.raises(RedisUnavailable, match=f"(?s){ports[0]}.*refused.*{ports[1]}.*refused") as raised:
        queue.task(name="f")(lambda: 1)()
    assert "geheim" not in str(raised.value)


def test_one_seed_that_is_gone_does_no_harm(cluster: Cluster) -> None:
    queue = RedisQueue("alpha", url=f"redis+cluster://127.0.0.1:{low_port()},{cluster.nodes[2].place}")
    handle = queue.task(name="f")(lambda: 1)()
    assert statuses(queue, id=handle.id) == ["enqueued"]


def test_every_node_is_told_the_password(cluster: Cluster) -> None:
    for node in cluster.nodes:
        node.client.config_set("requirepass", "geheim")
    try:
        with pytest.raises(RedisRefused, match="wants a password"):
            RedisQueue("alpha", url=cluster.url).task(name="f")(lambda: 1)()
        for name in NAMES:
            url = cluster.url.replace("://", "://:geheim@")
            RedisQueue(name, url=url).task(name="f")(lambda: 1)()
    finally:
        for node in cluster.nodes:
            redis.Redis(port=node.port, password="geheim").config_set("requirepass", "")
