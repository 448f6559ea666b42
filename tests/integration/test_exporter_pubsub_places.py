"""Huey 1.x is heard wherever Redis may be: behind Sentinels, on a Cluster, by a user with no right too many."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis
from acl import PASSWORD, ROLES, also_needed, denied, users
from exporters import Scraped, get
from processes import run_limelight
from servers import wait_until
from topology import Cluster, SentinelGroup

from limelight.cli.doctor.examination import Examination
from limelight.cli.doctor.finding import Status
from limelight.embedded import find_binary
from limelight.storage.address import Address
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

CHANNEL = "myapp"
(TO_LISTEN,) = also_needed(f"with `--pubsub {CHANNEL}`, the exporter")
EVENT = {
    "status": "finished",
    "error": False,
    "id": "1",
    "task": "queue_task_send",
    "retries": 0,
    "duration": 0.5,
}


def as_exporter(url: str) -> str:
    return url.replace("://", f"://limelight-exporter:{PASSWORD}@")


def grant(client: redis.Redis, also: Sequence[str]) -> None:
    """Have the page's exporter be a user of a server that ends with the test."""
    client.execute_command("ACL", "SETUSER", "limelight-exporter", *ROLES["exporter"], *also)


@contextlib.contextmanager
def listening(url: str) -> Iterator[Exporter]:
    with Exporter(Settings(redis_url=url, port=0, pubsub=(CHANNEL,))) as running:
        wait_until(lambda: is_ready(running), 20, "ready")
        yield running


def is_ready(running: Exporter) -> bool:
    return get(f"{running.url}/-/ready")[0] == 200


def heard(running: Exporter) -> float | None:
    labels = {"queue": CHANNEL, "task": "send", "outcome": "success"}
    return Scraped(running.url).value("limelight_tasks_completed_total", **labels)


def breaks(running: Exporter) -> float:
    return Scraped(running.url).value("limelight_exporter_subscription_breaks_total", queue=CHANNEL) or 0


def tell(client: redis.Redis) -> int:
    """Tell that a task finished; returns how many listened at this very node."""
    return int(client.publish(CHANNEL, json.dumps(EVENT)))  # type: ignore[arg-type]


@pytest.mark.slow
def test_behind_sentinels_it_is_heard_at_the_master_and_after_a_failover_at_the_next(tmp_path: Path) -> None:
    also, _ = also_needed("with Sentinels")
    rights = (*also, *TO_LISTEN)
    with SentinelGroup(find_binary(), tmp_path) as group, contextlib.ExitStack() as stack:
        for node in (group.master, group.replica):
            grant(node.client, rights)
        running = stack.enter_context(listening(as_exporter(group.url)))
        assert tell(group.master.client) == 1
        wait_until(lambda: heard(running) == 1)
        assert denied(group.master.client) == []
        group.master.kill()
        wait_until(lambda: not is_ready(running), 15, "the break is noticed")
        group.wait_for_failover()
        wait_until(lambda: is_ready(running), 30, "subscribed at the next master")
        assert tell(group.replica.client) == 1
        wait_until(lambda: heard(running) == 2)
        assert breaks(running) == 1
        assert denied(group.replica.client) == []


@pytest.mark.slow
def test_on_a_cluster_it_is_heard_from_every_node_also_when_one_is_gone(tmp_path: Path) -> None:
    (also,) = also_needed("on a Cluster")
    options = ["--cluster-require-full-coverage", "no"]
    with Cluster(find_binary(), tmp_path, replicas=1, options=options) as cluster:
        for node in cluster.nodes:
            grant(node.client, (*also, *TO_LISTEN))
        with listening(as_exporter(cluster.url)) as running:
            for node in cluster.nodes:
                tell(node.client)
            wait_until(lambda: heard(running) == len(cluster.nodes))
            subscribed = [node for node in cluster.nodes if tell(node.client)]
            assert [cluster.owner(CHANNEL)] == subscribed, "one of them has our subscription"
            subscribed[0].kill()
            wait_until(lambda: breaks(running) == 1, 20)
            wait_until(lambda: is_ready(running), 30, "subscribed at another")
            others = [node for node in cluster.nodes if node is not subscribed[0]]
            before = heard(running) or 0
            for node in others:
                tell(node.client)
            wait_until(lambda: heard(running) == before + len(others))
            assert all(denied(node.client) == [] for node in others)


def test_an_exporters_user_needs_what_the_page_says_besides_and_doctor_says_what_is_missing(
    any_redis_url: str,
) -> None:
    client = redis.Redis.from_url(any_redis_url)
    url = as_exporter(any_redis_url)

    def examined() -> Any:
        examination = Examination(Address(url, {}), cap=1_000)
        list(examination.servers())
        return examination.channel(CHANNEL)

    with users(client, "exporter", also=("+discard", "+acl|whoami")):
        found = examined()
        assert (found.check, found.status) == ("pubsub", Status.FAIL)
        assert set(found.fix.split()) >= {"limelight-exporter", "+subscribe", "+unsubscribe", "+ping"}
        with Exporter(Settings(redis_url=url, port=0, pubsub=(CHANNEL,))) as running:
            wait_until(
                lambda: "limelight doctor --pubsub myapp" in unready(running),
                10,
                "it says why it hears nothing",
            )
            client.execute_command("ACL", "SETUSER", "limelight-exporter", *found.fix.split()[3:])
            found = examined()
            assert found.status is Status.FAIL
            assert found.fix.split()[3:] == [f"&{CHANNEL}"], "a channel is refused where the command is not"
            client.execute_command("ACL", "SETUSER", "limelight-exporter", *found.fix.split()[3:])
            assert examined().status is Status.OK
            wait_until(lambda: is_ready(running), 20, "it tries again until it may")


def unready(running: Exporter) -> str:
    return get(f"{running.url}/-/ready")[1].decode()


def test_doctor_takes_channels_on_its_command_line(redis_url: str) -> None:
    done = run_limelight(
        "doctor", "--json", "--pubsub", "myapp", "--pubsub", "shop", env={"LIMELIGHT_REDIS_URL": redis_url}
    )
    found = [json.loads(line) for line in done.stdout.splitlines()]
    told = [one["found"] for one in found if one["check"] == "pubsub"]
    assert told == [f"User default may listen to channel {name}" for name in ("myapp", "shop")]


def test_what_is_told_in_another_database_is_heard_too(own_redis: Callable[..., Any]) -> None:
    server = own_redis()
    with listening(server.url) as running, redis.Redis.from_url(server.url, db=3) as elsewhere:
        tell(elsewhere)
        wait_until(lambda: heard(running) == 1)
