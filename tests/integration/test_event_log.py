"""What is on the streams can be read again, and followed, and what was missed is said."""

import collections
import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from servers import wait_until
from starters import OwnRedis
from stream_writer import StreamWriter, event

from limelight.errors import RedisRefused, RedisUnavailable
from limelight.event_log import Entry, EventLog, Item, Missed, Outage, Recovered, Unreadable, WentBack
from limelight.keys import REGISTRY
from limelight.storage.address import Address


class Following:
    """A log that is followed in a thread; what it yields is kept."""

    def __init__(self, url: str, queues: list[str] | None = None, since: float | None = None) -> None:
        self.items: list[Item] = []
        self._log = EventLog(Address(url, {}), queues, poll_seconds=0.02)
        self._items = self._log.follow(since)
        self.error: Exception | None = None
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        try:
            for item in self._items:
                self.items.append(item)
        except Exception as error:
            self.error = error

    def seqs(self, queue: str = "mail") -> list[int]:
        return [i.event.seq for i in self.items if isinstance(i, Entry) and i.event.queue == queue]

    def of(self, kind: type) -> list[Any]:
        return [item for item in self.items if isinstance(item, kind)]

    def wait_for_seq(self, seq: int, queue: str = "mail") -> None:
        wait_until(lambda: seq in self.seqs(queue), 10, f"event {seq} of {queue} in {self.items[-5:]}")


def began(following: Following, writer: StreamWriter) -> Following:
    """Once it shows what is told, it follows."""
    told = 0
    deadline = time.monotonic() + 10
    while not following.seqs(writer.queue):
        assert time.monotonic() < deadline, following.error
        told += 1
        writer.tell("enqueued", task="first")
        time.sleep(0.02)
    return following


def entries(items: Iterator[Any]) -> list[int]:
    return [item.event.seq for item in items if isinstance(item, Entry)]


def test_what_is_on_the_streams_is_read_in_the_order_of_time_over_all_queues(redis_url: str) -> None:
    writers = {name: StreamWriter(redis_url, name) for name in ("mail", "reports")}
    for name in ("mail", "reports", "reports", "mail", "reports"):
        writers[name].tell("enqueued")
        time.sleep(0.002)  # ids count milliseconds
    log = EventLog(Address(redis_url, {}))
    told = [(item.event.queue, item.event.seq) for item in log.between() if isinstance(item, Entry)]
    assert told == [("mail", 1), ("reports", 1), ("reports", 2), ("mail", 2), ("reports", 3)]
    backwards = log.between(newest_first=True)
    assert [(item.event.queue, item.event.seq) for item in backwards if isinstance(item, Entry)] == told[::-1]
    assert entries(EventLog(Address(redis_url, {}), ["mail"]).between()) == [1, 2]


def test_a_range_of_time_includes_both_ends_and_pages_are_seamless(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    ids = writer.tell_all([("enqueued", {})] * 1_700)
    log = EventLog(Address(redis_url, {}))
    assert entries(log.between()) == list(range(1, 1_701))
    assert entries(log.between(newest_first=True)) == list(range(1_700, 0, -1))
    first, last = (int(stream_id.partition("-")[0]) / 1_000 for stream_id in (ids[0], ids[-1]))
    assert len(entries(log.between(since=first, until=last))) == 1_700
    assert entries(log.between(until=first - 0.001)) == []
    assert entries(log.between(since=last + 0.001)) == []
    assert entries(itertools.islice(log.between(newest_first=True), 3)) == [1_700, 1_699, 1_698]


def test_the_newest_are_found_without_reading_the_rest(redis_url: str) -> None:
    StreamWriter(redis_url).tell_all([("enqueued", {})] * 3_000)
    client = redis.Redis.from_url(redis_url)
    client.config_resetstat()
    assert (
        entries(itertools.islice(EventLog(Address(redis_url, {})).between(newest_first=True), 10))[0] == 3_000
    )
    assert client.info("commandstats")["cmdstat_xrevrange"]["calls"] == 1


def test_following_shows_what_comes_and_nothing_that_was(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.tell_all([("enqueued", {})] * 5)
    following = began(Following(redis_url), writer)
    ids = writer.tell_all([("finished", {"task": "send"})] * 700)
    following.wait_for_seq(writer_seq(writer))
    seqs = following.seqs()
    assert min(seqs) > 5
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    assert len(ids) == 700
    assert not following.of(Missed)


def writer_seq(writer: StreamWriter) -> int:
    return int(writer.client.hget(writer.keys["meta"], "seq") or 0)


def test_following_since_a_moment_first_shows_what_happened_after_it(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    ids = writer.tell_all([("enqueued", {})] * 3)
    following = Following(redis_url, since=int(ids[0].partition("-")[0]) / 1_000)
    following.wait_for_seq(3)
    writer.tell("finished")
    following.wait_for_seq(4)
    assert following.seqs() == [1, 2, 3, 4]
    assert not following.of(Missed)


def test_a_queue_that_announces_itself_later_is_followed_from_its_first_event(redis_url: str) -> None:
    first = StreamWriter(redis_url, "mail")
    following = began(Following(redis_url), first)
    StreamWriter(redis_url, "reports").tell_all([("enqueued", {})] * 3)
    following.wait_for_seq(3, "reports")
    assert following.seqs("reports") == [1, 2, 3]


def test_a_name_in_the_registry_that_no_queue_can_have_is_passed_over(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.client.zadd(REGISTRY, {"{evil}\x1b[2J": 1})
    writer.tell("enqueued")
    assert entries(EventLog(Address(redis_url, {})).between()) == [1]


def test_events_that_were_trimmed_unread_are_counted_exactly(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    following = began(Following(redis_url), writer)
    last = writer_seq(writer)
    writer.client.hset(writer.keys["meta"], "seq", last + 10)  # told, and on the stream no more
    writer.tell("finished")
    following.wait_for_seq(last + 11)
    assert following.of(Missed) == [Missed("mail", last + 1, last + 10)]
    assert following.of(Missed)[0].count == 10


def test_events_that_were_told_and_trimmed_between_two_looks_are_counted_too(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    following = began(Following(redis_url), writer)
    last = writer_seq(writer)
    following.wait_for_seq(last)
    pipeline = writer.client.pipeline()
    pipeline.hset(writer.keys["meta"], "seq", last + 5)
    pipeline.xtrim(writer.keys["events"], maxlen=0)
    pipeline.execute()
    wait_until(lambda: following.of(Missed), 10)
    writer.tell("finished")
    following.wait_for_seq(last + 6)
    assert following.of(Missed) == [Missed("mail", last + 1, last + 5)]


def test_a_flush_is_told_and_what_comes_after_it_is_shown(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    following = began(Following(redis_url, ["mail"]), writer)
    last = writer_seq(writer)
    following.wait_for_seq(last)
    writer.client.flushall()
    StreamWriter(redis_url, epoch="second").tell_all([("enqueued", {"task": "anew"})] * 3)
    wait_until(lambda: following.seqs()[-3:] == [1, 2, 3], 10, str(following.items[-5:]))
    assert following.of(WentBack) == [WentBack("mail", last, 0)]
    assert not following.of(Missed)


def test_a_new_life_of_the_stream_that_outgrew_the_old_one_is_no_loss(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    following = began(Following(redis_url, ["mail"]), writer)
    last = writer_seq(writer)
    following.wait_for_seq(last)
    pipeline = writer.client.pipeline()  # a restart without persistence, and a busy minute unseen
    pipeline.flushall()
    pipeline.hset(writer.keys["meta"], mapping={"seq": last + 10, "epoch": "second"})
    pipeline.xadd(writer.keys["events"], {"e": json.dumps(event("finished", last + 10))})
    pipeline.execute()
    following.wait_for_seq(last + 10)
    assert following.of(WentBack) == [WentBack("mail", last, last + 9)]
    assert not following.of(Missed)


def test_a_stream_that_lost_its_end_is_told_and_followed_on(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.tell_all([("enqueued", {})] * 10)
    following = began(Following(redis_url), writer)
    last = writer_seq(writer)
    following.wait_for_seq(last)
    pipeline = writer.client.pipeline()  # a failover to a replica that had not got the last two
    newest = writer.client.xrevrange(writer.keys["events"], count=2)
    for stream_id, _ in newest:
        pipeline.xdel(writer.keys["events"], stream_id)
    pipeline.hset(writer.keys["meta"], "seq", last - 2)
    pipeline.execute()
    wait_until(lambda: following.of(WentBack), 10)
    writer.tell("finished")
    wait_until(lambda: following.seqs()[-1] == last - 1, 10)
    assert following.of(WentBack) == [WentBack("mail", last, last - 2)]
    assert not following.of(Missed)


def test_entries_that_are_no_events_are_named_and_no_event_is_missed_for_them(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    following = began(Following(redis_url), writer)
    writer.raw(b'{"status":')
    writer.client.xadd(writer.keys["events"], {"other": "field"})
    writer.raw(b'{"status":"finished","queue":"reports","seq":7,"timestamp":1}')
    writer.tell("finished")
    following.wait_for_seq(writer_seq(writer))
    assert len(following.of(Unreadable)) == 3
    assert not following.of(Missed)
    assert not following.of(WentBack)


def test_an_unreadable_entry_may_be_the_event_whose_number_is_missing(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    following = began(Following(redis_url), writer)
    pipeline = writer.client.pipeline()
    pipeline.hincrby(writer.keys["meta"], "seq", 1)
    pipeline.xadd(writer.keys["events"], {"e": b"of a version to come"})
    pipeline.execute()
    writer.tell("finished")
    following.wait_for_seq(writer_seq(writer))
    assert len(following.of(Unreadable)) == 1
    assert not following.of(Missed)


def test_an_outage_is_told_and_nothing_is_missed_over_it(own_redis: OwnRedis, tmp_path: Any) -> None:
    server = own_redis(persist_dir=tmp_path)
    writer = StreamWriter(server.url)
    writer.client.config_set("appendfsync", "always")
    following = began(Following(server.url), writer)
    server.kill()
    wait_until(lambda: following.of(Outage), 10)
    server.start()
    again = StreamWriter(server.url)
    again.tell_all([("finished", {})] * 4)
    following.wait_for_seq(writer_seq(again))
    assert len(following.of(Outage)) == len(following.of(Recovered)) == 1
    seqs = following.seqs()
    assert seqs == list(range(seqs[0], seqs[-1] + 1))
    assert not following.of(WentBack) + following.of(Missed)


def test_a_redis_that_is_away_at_the_beginning_is_an_error(own_redis: OwnRedis) -> None:
    server = own_redis()
    server.stop()
    log = EventLog(Address(server.url, {}))
    with pytest.raises(RedisUnavailable, match="cannot reach Redis"):
        next(log.follow())
    with pytest.raises(RedisUnavailable, match="cannot reach Redis"):
        next(log.between())


def test_a_redis_that_wants_a_password_is_not_waited_for(own_redis: OwnRedis) -> None:
    server = own_redis()
    redis.Redis.from_url(server.url).config_set("requirepass", "secret")
    with pytest.raises(RedisRefused, match="wants a password"):
        next(EventLog(Address(server.url, {})).follow())


def test_reading_sends_nothing_but_reads(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.tell_all([("enqueued", {})] * 3)
    client = redis.Redis.from_url(redis_url)
    client.config_resetstat()
    log = EventLog(Address(redis_url, {}), poll_seconds=0.01)
    list(log.between())
    list(itertools.islice(log.follow(since=0), 3))
    log.oldest()
    used = collections.Counter(name.removeprefix("cmdstat_") for name in client.info("commandstats"))
    assert set(used) <= {
        "time", "hmget", "xrange", "xrevrange", "zrange",
        "config|resetstat", "config", "info", "hello", "client|setinfo", "client", "select",
    }  # fmt: skip
