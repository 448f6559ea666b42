"""What an enqueue waits for before it says yes."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from kinds import KINDS
from proxy import FaultyProxy
from running import told
from servers import wait_until
from starters import OwnRedis
from topology import Node, replica_of

from limelight import ConfigurationError, NotConfirmed, RedisQueue, Task
from limelight.storage.scripts import SCRIPTS
from limelight.task import TaskOptions


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """A master and its replica, of each kind of Redis."""
    kind = KINDS[request.param]
    if not kind.fits:
        pytest.skip(f"{request.param} cannot be had for this Python and machine")
    master = Node(kind.binary(), tmp_path / "master", ["--repl-diskless-sync-delay", "0"]).start()
    replica = replica_of(master, kind.binary(), tmp_path / "replica")
    yield master, replica
    for node in (master, replica):
        node.kill()


def call(name: str = "f") -> Task:
    return Task(options=TaskOptions(name=name))


def is_there(queue: RedisQueue, task: Task) -> bool:
    return [event["id"] for event in told(queue, status="enqueued")] == [task.id]


def test_what_a_replica_has_confirmed_is_at_the_replica(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    queue = RedisQueue("mail", url=f"redis://{master.place}", durability="replica")
    for _ in range(20):
        queue.enqueue(call())
        assert replica.client.hlen(queue.keys["tasks"]) == master.client.hlen(queue.keys["tasks"])


def test_what_no_replica_confirms_is_said_and_may_be_asked_again(pair: tuple[Node, Node]) -> None:
    master, replica = pair
    queue = RedisQueue("mail", url=f"redis://{master.place}", durability="replica")
    task = call()
    replica.signal(signal.SIGSTOP)
    with pytest.raises(NotConfirmed, match=f"{task.id}.* is on queue 'mail', but no replica") as raised:
        queue.enqueue(task)
    assert raised.value.task_id == task.id
    assert is_there(queue, task)
    with pytest.raises(NotConfirmed):
        queue.enqueue(task)
    replica.signal(signal.SIGCONT)
    wait_until(lambda: master.client.execute_command("WAIT", 1, 100) == 1)
    assert queue.enqueue(task).id == task.id
    assert is_there(queue, task)


def test_a_repeat_after_a_lost_answer_is_not_taken_for_confirmed(pair: tuple[Node, Node]) -> None:
    """Some versions confirm at once what a new connection wrote: nothing."""
    master, replica = pair
    with FaultyProxy(master.port) as proxy:
        queue = RedisQueue("mail", url=proxy.url, durability="replica")
        queue.enqueue(call("first"))
        replica.signal(signal.SIGSTOP)
        proxy.drop_reply(SCRIPTS["enqueue"].sha)
        task = call()
        with pytest.raises(NotConfirmed):
            queue.enqueue(task)
        assert proxy.dropped == 1
        replica.signal(signal.SIGCONT)
    assert [event["task"] for event in told(queue_at(master), status="enqueued")] == ["first", "f"]


def queue_at(node: Node) -> RedisQueue:
    return RedisQueue("mail", url=f"redis://{node.place}")


def test_without_a_replica_nothing_is_confirmed(redis_url: str) -> None:
    task = call()
    with pytest.raises(NotConfirmed, match="no replica"):
        RedisQueue("mail", url=redis_url, durability="replica").enqueue(task)
    assert is_there(RedisQueue("mail", url=redis_url), task)


@pytest.mark.parametrize("kind", ["redis_8", "valkey_8", "valkey_9"])
def test_what_is_on_disk_outlives_a_crash(kind: str, own_redis: OwnRedis, tmp_path: Path) -> None:
    if not KINDS[kind].fits:
        pytest.skip(f"{kind} cannot be had for this Python and machine")
    server = own_redis(binary=KINDS[kind].binary(), persist_dir=tmp_path)
    queue = RedisQueue("mail", url=server.url, durability="disk")
    task = call()
    queue.enqueue(task)
    server.kill()
    server.start()
    assert is_there(queue, task)


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_that_nothing_is_written_to_is_refused_before_the_first_task(
    kind: str, own_redis: OwnRedis
) -> None:
    if not KINDS[kind].fits:
        pytest.skip(f"{kind} cannot be had for this Python and machine")
    queue = RedisQueue("mail", url=own_redis(binary=KINDS[kind].binary()).url, durability="disk")
    with pytest.raises(ConfigurationError, match=r"needs Redis 7\.2 or Valkey, with appendonly yes"):
        queue.enqueue(call())
    assert not told(queue)


def test_a_durability_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'safe': take one of memory, replica, disk"):
        RedisQueue("mail", durability="safe")  # type: ignore[arg-type]
