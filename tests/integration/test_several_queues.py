"""One consumer serves several queues by weight; an empty or a broken one costs the others nothing."""

import threading
import time

import pytest
from running import consuming, has_ended, is_accounted_for, statuses, told
from servers import wait_until
from starters import OwnRedis

from limelight import ConfigurationError, RedisQueue
from limelight.consumer import Consumer
from limelight.inspection import queue_view
from limelight.storage.links import Links


@pytest.fixture
def mail(redis_url: str) -> RedisQueue:
    return RedisQueue("mail", url=redis_url)


@pytest.fixture
def reports(redis_url: str) -> RedisQueue:
    return RedisQueue("reports", url=redis_url)


def test_queues_are_asked_by_weight(mail: RedisQueue, reports: RedisQueue) -> None:
    order: list[str] = []

    def note(name: str) -> None:
        order.append(name)
        time.sleep(0.004)  # so that each is a batch of its own

    for queue in (mail, reports):
        task = queue.task(name="note")(note)
        for _ in range(60):
            task(queue.name)
    with consuming([mail, reports], workers=1, weights={"reports": 3}):
        wait_until(lambda: len(order) == 120)
    first = order[4:64]
    assert first.count("reports") == pytest.approx(45, abs=4)
    assert "reports" not in order[-10:]
    for queue in (mail, reports):
        is_accounted_for(queue)


def test_batches_of_two_queues_are_settled_each_where_they_belong(
    mail: RedisQueue, reports: RedisQueue
) -> None:
    tasks = [queue.task(name="note")(lambda: 1) for queue in (mail, reports)]
    with consuming([mail, reports], workers=4):
        handles = [task() for _ in range(300) for task in tasks]
        for handle in handles:
            assert handle.get(blocking=True, timeout=10) == 1
    for queue in (mail, reports):
        assert statuses(queue).count("finished") == 300
        is_accounted_for(queue)


def test_a_consumer_is_told_and_seen_on_each_of_its_queues(mail: RedisQueue, reports: RedisQueue) -> None:
    links = Links(mail.storage.address)
    mail.task(name="send")(lambda: 1)
    reports.task(name="print")(lambda: 1)
    with consuming([mail, reports], workers=3) as consumer:
        for queue in (mail, reports):
            wait_until(lambda queue=queue: queue_view(links, queue.name).consumers)
            (seen,) = queue_view(links, queue.name).consumers
            assert (seen.id, seen.workers) == (consumer.id, 3)
    for queue, name in ((mail, "send"), (reports, "print")):
        (started,) = told(queue, status="consumer-started")
        assert (started["consumer"], started["tasks"], started["workers"]) == (consumer.id, [name], 3)
        assert statuses(queue)[-1] == "consumer-stopped"
        assert not queue_view(links, queue.name).consumers


def test_a_task_on_any_queue_wakes_an_idle_worker_at_once(mail: RedisQueue, reports: RedisQueue) -> None:
    ran = threading.Event()
    tasks = [queue.task(name="note")(ran.set) for queue in (mail, reports)]
    client = mail.storage.address.client()
    with consuming([mail, reports], workers=1):
        for task in tasks * 5:
            wait_until(lambda: client.info("clients")["blocked_clients"] == 2)
            ran.clear()
            called = time.monotonic()
            task()
            assert ran.wait(3)
            assert time.monotonic() - called < 1
            wait_until(lambda: not client.hlen(mail.keys["tasks"]) and not client.hlen(reports.keys["tasks"]))


def test_a_queue_whose_redis_is_away_does_not_hold_up_the_others(
    own_redis: OwnRedis, tmp_path: object
) -> None:
    servers = [own_redis(persist_dir=f"{tmp_path}/{name}") for name in ("mail", "reports")]
    mail, reports = (
        RedisQueue(name, url=server.url) for name, server in zip(("mail", "reports"), servers, strict=True)
    )
    release = threading.Event()
    hang = mail.task(name="hang")(lambda: release.wait(30))
    ok = reports.task(name="ok")(lambda: 7)
    with consuming([mail, reports], workers=1, lease_seconds=30):
        held = hang()
        wait_until(lambda: told(mail, status="started"))
        servers[0].kill()
        release.set()
        for _ in range(20):
            assert ok().get(blocking=True, timeout=3) == 7
        servers[0].start()
        wait_until(lambda: has_ended(mail, held.id), 20)
    for queue in (mail, reports):
        is_accounted_for(queue)


def test_what_makes_no_sense_is_refused_with_every_reason(mail: RedisQueue, reports: RedisQueue) -> None:
    with pytest.raises(ConfigurationError) as raised:
        Consumer([mail, reports, mail], workers=0, weights={"repots": 2, "mail": 0}, kind="fork")
    for part in (
        "queue 'mail' is given twice",
        "workers must be 1 or more",
        "'repots', which is none of mail, reports",
        "the weight of 'mail' must be 1 or more, not 0",
        "kind must be one of thread, process, async, not 'fork'",
    ):
        assert part in str(raised.value)
    with pytest.raises(ConfigurationError, match="at least one queue"):
        Consumer([])
