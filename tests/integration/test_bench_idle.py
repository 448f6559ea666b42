"""How the bench counts what an idle consumer sends."""

import threading
from concurrent.futures import ThreadPoolExecutor

import redis
from starters import OwnRedis

from queues.scenarios.idle import commands_sent


def test_commands_that_clients_send_are_counted_and_those_inside_scripts_are_not(own_redis: OwnRedis) -> None:
    server = own_redis()
    with redis.Redis.from_url(server.url) as client, ThreadPoolExecutor(1) as watch:
        counted = watch.submit(commands_sent, server.port, 1.5)
        watching = threading.Event()
        while not watching.wait(0.02):
            told = client.client_list()
            if any(one["cmd"] == "monitor" for one in told):
                watching.set()
        before = client.info("commandstats")
        for _ in range(7):
            client.eval("redis.call('SET', KEYS[1], 'a\\r\\nb') return redis.call('GET', KEYS[1])", 1, "key")
        after = client.info("commandstats")
        assert after["cmdstat_get"]["calls"] == 7
        sent = counted.result()
    asked = 2 + 1  # both INFO, and the CLIENT LIST that saw MONITOR or came just before it
    assert 7 + 2 <= sent <= 7 + asked
    assert "cmdstat_eval" not in before
