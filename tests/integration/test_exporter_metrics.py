from __future__ import annotations

import gzip
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from exporters import OPENMETRICS, ExporterProcess, Scraped, get
from servers import wait_until
from stream_writer import StreamWriter

from limelight.storage.address import Address
from limelight.storage.links import Links
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter
from limelight_exporter.queue_fold import QueueFold
from limelight_exporter.snapshot import _SAVE

FINISHED = {"queue": "mail", "task": "send", "outcome": "success"}


def exporter(redis_url: str, **settings: Any) -> Exporter:
    return Exporter(Settings(redis_url=redis_url, port=0, **settings))


def ready(running: Exporter) -> Exporter:
    wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200, 10, "ready")
    return running


def test_a_scrape_holds_every_event_told_before_it(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    with exporter(redis_url) as running:
        ready(running)
        for count in range(1, 30):
            writer.finish_tasks(1)
            scraped = Scraped(running.url)
            assert scraped.value("limelight_tasks_completed_total", **FINISHED) == count
            assert scraped.value("limelight_exporter_queue_current", queue="mail") == 1
        assert (
            scraped.value("limelight_task_duration_seconds_count", queue="mail", task="send", result="ok")
            == count
        )
        assert scraped.value(
            "limelight_task_time_seconds_total", queue="mail", task="send", phase="running"
        ) == (pytest.approx(0.02 * count))


def test_a_queue_born_while_the_exporter_runs_is_in_the_next_scrape(redis_url: str) -> None:
    with exporter(redis_url) as running:
        ready(running)
        StreamWriter(redis_url, "new").finish_tasks(3)
        scraped = Scraped(running.url)
        assert scraped.value("limelight_tasks_enqueued_total", queue="new", task="send") == 3


def test_kill_9_and_restart_keep_every_total_exact(redis_url: str, tmp_path: Path) -> None:
    writer = StreamWriter(redis_url)
    told, last = 0, None
    for _ in range(3):
        with ExporterProcess(redis_url, tmp_path / "log") as running:
            running.wait_until_ready()
            for _ in range(5):
                writer.finish_tasks(40)
                told += 40
                scraped = running.scrape()
                assert scraped.value("limelight_tasks_completed_total", **FINISHED) == told
                if last is not None:
                    assert all(scraped.counters()[key] >= value for key, value in last.items())
                last = scraped.counters()
            running.kill()
        writer.finish_tasks(10)
        told += 10
    with exporter(redis_url) as running:
        scraped = Scraped(ready(running).url)
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == told
        assert scraped.value("limelight_events_total", queue="mail", event="finished") == told
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 0


def test_sigterm_saves_everything_and_exits_with_0(redis_url: str, tmp_path: Path) -> None:
    writer = StreamWriter(redis_url)
    with ExporterProcess(redis_url, tmp_path / "log") as running:
        running.wait_until_ready()
        writer.finish_tasks(7)
        assert running.terminate() == 0
    writer.client.delete(writer.keys["events"])  # what was saved does not need the stream any more
    with exporter(redis_url) as running_again:
        scraped = Scraped(ready(running_again).url)
    assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 7
    assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 0


def test_two_exporters_agree_to_the_last_digit(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(500, duration=0.1)
    with exporter(redis_url) as first, exporter(redis_url, group="other") as second:
        ready(first), ready(second)
        writer.finish_tasks(333, duration=0.3)
        counted = Scraped(first.url).counters()
        assert counted == Scraped(second.url).counters()
    with exporter(redis_url) as third:
        assert Scraped(ready(third).url).counters() == counted


def test_events_trimmed_before_they_were_read_are_counted_exactly(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    with exporter(redis_url) as running:
        assert Scraped(ready(running).url).value("limelight_tasks_completed_total", **FINISHED) == 10
    writer.finish_tasks(20)
    writer.client.xtrim(writer.keys["events"], maxlen=15, approximate=False)
    with exporter(redis_url) as running:
        scraped = Scraped(ready(running).url)
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 60 - 15
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 10 + 5
        assert scraped.value("limelight_exporter_stream_rollbacks_total", queue="mail") == 0


def test_a_stream_that_was_emptied_meanwhile_is_lost_exactly(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(2)
    with exporter(redis_url) as running:
        ready(running)
    writer.finish_tasks(3)
    writer.client.xtrim(writer.keys["events"], maxlen=0, approximate=False)
    with exporter(redis_url) as running:
        assert Scraped(ready(running).url).value("limelight_exporter_events_lost_total", queue="mail") == 9
        writer.finish_tasks(1)
        scraped = Scraped(running.url)
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 9
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 3


def test_flushall_makes_no_counter_fall(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(50)
    with exporter(redis_url) as running:
        before = Scraped(ready(running).url).counters()
        writer.client.flushall()
        emptied = Scraped(running.url)
        assert emptied.counters() == before
        assert emptied.value("limelight_exporter_stream_rollbacks_total", queue="mail") == 1
        reborn = StreamWriter(redis_url, epoch="second")
        reborn.finish_tasks(5)
        scraped = Scraped(running.url)
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 55
        assert scraped.value("limelight_exporter_stream_rollbacks_total", queue="mail") == 1
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 0
        assert all(scraped.counters()[key] >= value for key, value in before.items())
    with exporter(redis_url) as running:
        assert Scraped(ready(running).url).counters() == scraped.counters()


def test_a_redis_that_went_back_and_grew_past_is_noticed(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    kept = {key: writer.client.dump(key) for key in (writer.keys["events"], writer.keys["meta"])}
    with exporter(redis_url) as running:
        ready(running)
        writer.finish_tasks(20)
        assert Scraped(running.url).value("limelight_tasks_completed_total", **FINISHED) == 30
        for key, value in kept.items():
            writer.client.restore(key, 0, value, replace=True)
        writer.finish_tasks(40)
        scraped = Scraped(running.url)
        wait_until(lambda: Scraped(running.url).value("limelight_exporter_queue_current", queue="mail") == 1)
        scraped = Scraped(running.url)
        assert scraped.value("limelight_exporter_stream_rollbacks_total", queue="mail") == 1
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 70
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 0


def test_a_paused_replica_takes_its_mates_snapshot_and_invents_no_loss(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("limelight_exporter.queue_fold.SAVE_SECONDS", 0.05)
    writer = StreamWriter(redis_url)
    writer.finish_tasks(5)
    links = Links(Address(redis_url, {}))
    paused, mate = QueueFold(links, "mail", "default"), QueueFold(links, "mail", "default")
    for fold in (paused, mate):
        fold.load()
        fold.step()
    writer.finish_tasks(10)
    mate.step()
    assert mate.save()
    writer.client.xtrim(writer.keys["events"], maxlen=3, approximate=False)
    writer.finish_tasks(1)
    while paused.step():
        pass
    mate.step()
    assert paused.state.save() == mate.state.save()
    assert dict(paused.state.save().counters["limelight_exporter_events_lost_total"])[()] == 0
    assert not QueueFold(links, "mail", "default").save(), "nothing was loaded, so there is nothing to save"


def test_an_exporter_that_is_behind_never_overwrites_a_later_snapshot(redis_url: str) -> None:
    writer, links = StreamWriter(redis_url), Links(Address(redis_url, {}))
    writer.finish_tasks(5)
    behind, ahead = QueueFold(links, "mail", "default"), QueueFold(links, "mail", "default")
    for fold in (behind, ahead):
        fold.load()
        fold.step()
    writer.finish_tasks(5)
    ahead.step()
    assert ahead.save()
    assert not behind.save()
    fresh = QueueFold(links, "mail", "default")
    fresh.load()
    assert fresh.state.save() == ahead.state.save()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "undecodable"),
        (b"{", "undecodable"),
        (b"\xff\xfe", "undecodable"),
        (b'{"status":"started"}', "undecodable"),
        (b'{"status":"\\ud800","queue":"mail","seq":1,"timestamp":1}', "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (b"x" * 1_000_001, "oversized"),
        (b'{"status":"started","queue":"mail","seq":4,"timestamp":1,"v":99}', "version"),
        (b'{"status":"started","queue":"other","seq":4,"timestamp":1}', "foreign"),
    ],
)
def test_what_is_no_event_is_counted_and_skipped(redis_url: str, body: bytes, reason: str) -> None:
    writer = StreamWriter(redis_url)
    with exporter(redis_url) as running:
        ready(running)
        writer.finish_tasks(1)
        writer.raw(body)
        writer.finish_tasks(1)
        scraped = Scraped(running.url)
        assert scraped.value("limelight_exporter_events_malformed_total", queue="mail", reason=reason) == 1
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 2
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 0


def test_an_event_that_became_unreadable_is_malformed_and_not_lost_as_well(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    with exporter(redis_url) as running:
        writer.finish_tasks(1)
        writer.client.hincrby(writer.keys["meta"], "seq", 1)
        writer.raw(b"was number 4")
        writer.finish_tasks(1)
        scraped = Scraped(ready(running).url)
        assert (
            scraped.value("limelight_exporter_events_malformed_total", queue="mail", reason="undecodable")
            == 1
        )
        assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 0


def test_a_snapshot_that_cannot_be_read_is_set_aside_and_the_stream_replayed(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(4)
    key = writer.keys.snapshot("default")
    with exporter(redis_url) as running:
        ready(running)
    whole = writer.client.get(key)
    assert isinstance(whole, bytes)
    broken = whole.replace(b"send", b"sent", 1)  # still msgpack, no longer the truth
    assert broken != whole
    writer.client.set(key, broken)
    with exporter(redis_url) as running:
        assert Scraped(ready(running).url).value("limelight_tasks_completed_total", **FINISHED) == 4
    assert writer.client.exists(f"{key}:unreadable")


def test_a_scrape_is_answered_with_redis_down_from_the_start(tmp_path: Path) -> None:
    with ExporterProcess("redis://127.0.0.1:1/0", tmp_path / "log") as running:
        running.wait_until_up()
        scraped = running.scrape()
        assert scraped.value("limelight_redis_up", redis="127.0.0.1:1/0") == 0
        assert scraped.value("limelight_exporter_ready") == 0
        status, body, _ = get(f"{running.url}/-/ready")
        assert status == 503
        assert b"cannot reach Redis" in body
        assert running.terminate() == 0
    assert running.log.read_text().count("cannot reach Redis") == 1


def test_redis_away_in_the_middle_hides_the_queue_and_loses_nothing(
    own_redis: Callable[..., Any], tmp_path: Path
) -> None:
    server = own_redis(persist_dir=tmp_path)
    writer = StreamWriter(server.url)
    writer.finish_tasks(5)
    with exporter(server.url) as running:
        before = Scraped(ready(running).url)
        assert before.value("limelight_tasks_completed_total", **FINISHED) == 5
        server.stop()
        away = Scraped(running.url)
        assert away.value("limelight_redis_up", redis=f"127.0.0.1:{server.port}/0") == 0
        assert away.value("limelight_exporter_queue_current", queue="mail") == 0
        assert away.value("limelight_tasks_completed_total", **FINISHED) is None
        assert away.value("limelight_exporter_events_lost_total", queue="mail") == 0
        server.start()
        writer.announce()
        wait_until(
            lambda: Scraped(running.url).value("limelight_exporter_queue_current", queue="mail") == 1, 15
        )
        back = Scraped(running.url)
        assert back.value("limelight_tasks_completed_total", **FINISHED) == 5
        # What is folded is served at once, the turn that brought it is over a little later.
        wait_until(lambda: Scraped(running.url).value("limelight_exporter_redis_reconnects_total") == 1)


def test_a_redis_that_hangs_does_not_hold_a_scrape_beyond_its_time(faulty_proxy: Any, redis_url: str) -> None:
    StreamWriter(redis_url).finish_tasks(1)
    with exporter(faulty_proxy.url) as running:
        ready(running)
        faulty_proxy.hole()
        began = time.monotonic()
        status, body, _ = get(f"{running.url}/metrics", X_Prometheus_Scrape_Timeout_Seconds="1.5")
        assert status == 200
        assert time.monotonic() - began < 1.5
        assert b'limelight_exporter_queue_current{queue="mail"} 0.0' in body
        assert get(f"{running.url}/-/healthy")[0] == 200


def test_one_broken_queue_does_not_blank_another(redis_url: str) -> None:
    StreamWriter(redis_url).finish_tasks(2)
    broken = StreamWriter(redis_url, "broken")
    broken.client.set(broken.keys["events"], "no stream")
    with exporter(redis_url) as running:
        wait_until(lambda: Scraped(running.url).value("limelight_exporter_queue_current", queue="mail") == 1)
        scraped = Scraped(running.url)
        assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 2
        assert scraped.value("limelight_exporter_scrape_collector_success", collector="queues") == 0


def test_the_stream_is_trimmed_only_behind_what_every_reader_saved_a_minute_ago(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(400)
    client, keys = writer.client, writer.keys
    entries = client.xrange(keys["events"])
    half, tail = entries[600][0], entries[-1][0]

    def save(reader: str, at: bytes, seq: int, seconds: int) -> Any:
        names = [keys["events"], keys["meta"], keys.cursors, keys.snapshot("")]
        clock = (1_700_000_000 + seconds) * 1_000_000
        own = [clock, "mail", "", "0", "", reader, "first", at, seq, b"", 0, "", "", "-"]
        return client.eval(_SAVE.source.decode(), 4, *names, *own)[0]

    assert save("slow", half, 601, 0) == save("fast", tail, 1_200, 0) == 1
    save("slow", half, 601, 30)
    save("fast", tail, 1_200, 59)
    assert client.xlen(keys["events"]) == 1_200, "nobody's position is a minute old"
    save("fast", tail, 1_200, 61)
    assert client.xlen(keys["events"]) == 1_200, "the slow one has not said so again"
    save("slow", half, 601, 62)
    left = client.xrange(keys["events"])
    assert len(left) < 1_200
    assert half in {entry[0] for entry in left}, "the slow one's own entry stays"
    assert save("slow", entries[0][0], 1, 63) == -1, "a cursor does not go back"
    client.hset(keys["meta"], "epoch", "second")
    assert save("fast", tail, 1_200, 200) == 0, "a position of another epoch is worth nothing"


def test_the_gauges_show_what_stands_in_redis(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    client, keys = writer.client, writer.keys
    now = int(time.time() * 1_000_000)
    for number, (thing, count) in enumerate(
        {"ready": 3, "reserved": 1, "delayed": 2, "scheduled": 4, "running": 5, "dead": 6}.items()
    ):
        ids = [f"{number}-{n}" for n in range(count)]
        client.hset(keys["tasks"], mapping=dict.fromkeys(ids, "x"))
        client.zadd(keys[thing], dict.fromkeys(ids, now + 60_000_000 * number))
    client.hset(keys["tasks"], "nowhere", "x")
    client.zadd(keys["ready_since"], {"0-0": now - 5_000_000})
    client.zadd(keys["running_since"], {"4-0": now - 7_000_000})
    client.hset(keys["meta"], "last_check", now // 60_000_000)
    client.hset(
        keys["periodic_runs"], mapping={"night:next": now, "night:success": now - 1, "a:b:next": 5_000_000}
    )
    client.hset(
        keys["consumers"], "c1", f'{now} 8 {{"host":"h","busy":3,"version":"1","interval":5,"new":[]}}'
    )
    client.hset(keys["consumers"], "c2", f"{now - 31_000_000} 8 {{}}")
    client.hset(keys["consumers"], "c3", "nonsense")
    with exporter(redis_url) as running:
        scraped = Scraped(ready(running).url)
    states = {state: scraped.value("limelight_queue_tasks", queue="mail", state=state) for state in
              ("ready", "scheduled", "running", "dead")}  # fmt: skip
    assert states == {"ready": 4, "scheduled": 6, "running": 5, "dead": 6}
    assert scraped.value("limelight_queue_index_mismatch_tasks", queue="mail") == 1
    oldest = scraped.value("limelight_queue_oldest_ready_timestamp_seconds", queue="mail")
    assert oldest == pytest.approx(now / 1e6 - 5)
    assert scraped.value("limelight_queue_oldest_due_timestamp_seconds", queue="mail") == pytest.approx(
        now / 1e6 + 120
    )
    assert scraped.value("limelight_queue_workers", queue="mail", state="busy") == 3
    assert scraped.value("limelight_queue_workers", queue="mail", state="idle") == 5
    assert scraped.value("limelight_consumer_info", queue="mail", consumer="c1", host="h", version="1") == 1
    assert scraped.value("limelight_periodic_next_run_timestamp_seconds", queue="mail", task="a:b") == 5
    assert (
        scraped.value("limelight_scheduler_last_check_timestamp_seconds", queue="mail")
        == now // 60_000_000 * 60
    )
    assert scraped.value("limelight_redis_eviction_safe", redis=redis_url.split("//")[1]) == 1


def test_prometheus_and_openmetrics_and_gzip_are_negotiated(redis_url: str) -> None:
    StreamWriter(redis_url).finish_tasks(1)
    with exporter(redis_url) as running:
        url = f"{ready(running).url}/metrics"
        assert get(url)[2]["content-type"].startswith("text/plain")
        assert get(url, Accept=OPENMETRICS)[1].endswith(b"# EOF\n")
        _, body, headers = get(url, Accept_Encoding="gzip")
        assert headers["content-encoding"] == "gzip"
        assert b"limelight_tasks_completed_total" in gzip.decompress(body)
        assert b"process_resident_memory_bytes" in get(url)[1]


def test_the_other_pages(redis_url: str) -> None:
    StreamWriter(redis_url, "mail")
    with exporter(redis_url.replace("redis://", "redis://:hush@")) as running:
        status, body, _ = get(running.url)
        assert status == 200
        assert b"<title>Limelight" in body
        assert b"hush" not in body
        assert get(f"{running.url}/-/healthy")[:2] == (200, b"healthy\n")
        assert get(f"{running.url}/nothing")[0] == 404
        with socket.create_connection(running.url.removeprefix("http://").split(":")) as raw:  # type: ignore[arg-type]
            raw.sendall(b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert b" 405 " in raw.recv(1_000)


def test_scrapes_at_once_all_succeed(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(100)
    found: list[float | None] = []
    with exporter(redis_url) as running:
        ready(running)
        threads = [
            threading.Thread(
                target=lambda: found.append(
                    Scraped(running.url).value("limelight_tasks_completed_total", **FINISHED)
                )
            )
            for _ in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [100] * 12


def test_a_flood_does_not_hold_readiness_off_for_ever(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(400)
    fold = QueueFold(Links(Address(redis_url, {})), "mail", "default")
    fold.load()
    writer.finish_tasks(1_000)
    assert fold.step()
    assert fold.step()
    assert not fold.caught_up, "1,000 of the 1,200 events that were there at the start"
    assert fold.step(), "there is more to read"
    assert fold.caught_up


def test_a_queue_that_is_behind_at_the_deadline_is_left_out_and_named(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(3)
    with exporter(redis_url) as running:
        ready(running)
        monkeypatch.setattr(QueueFold, "step", lambda _: False)
        writer.finish_tasks(4)
        status, body, _ = get(f"{running.url}/metrics", X_Prometheus_Scrape_Timeout_Seconds="1")
        assert status == 200
        assert b'limelight_exporter_queue_current{queue="mail"} 0.0' in body
        assert b'limelight_exporter_stream_lag_events{queue="mail"} 12.0' in body
        assert b'limelight_queue_tasks{queue="mail",state="ready"} 0.0' in body
        assert b"limelight_tasks_completed_total{" not in body


def test_a_new_life_that_has_outgrown_the_old_one_is_told_by_its_epoch(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    with exporter(redis_url) as running:
        ready(running)
    kept = writer.client.dump(writer.keys.snapshot("default"))
    writer.client.flushall()
    reborn = StreamWriter(redis_url, epoch="second")
    reborn.finish_tasks(30)
    reborn.client.xtrim(reborn.keys["events"], maxlen=30, approximate=False)
    reborn.client.restore(reborn.keys.snapshot("default"), 0, kept)
    with exporter(redis_url) as running:
        scraped = Scraped(ready(running).url)
    assert scraped.value("limelight_exporter_stream_rollbacks_total", queue="mail") == 1
    assert scraped.value("limelight_exporter_events_lost_total", queue="mail") == 60
    assert scraped.value("limelight_tasks_completed_total", **FINISHED) == 10 + 10


def test_prometheus_reads_the_same_numbers(redis_url: str, prometheus: Callable[..., Any]) -> None:
    writer = StreamWriter(redis_url)
    writer.tell("consumer-started", tasks=["send"])
    with exporter(redis_url) as running:
        ready(running)
        server = prometheus(running.url.removeprefix("http://"))
        wait_until(lambda: server.value('limelight_tasks_completed_total{outcome="success"}') == 0, 20)
        writer.finish_tasks(142)
        wait_until(lambda: server.value('limelight_tasks_completed_total{outcome="success"}') == 142, 20)
        assert server.value('sum(limelight_task_duration_seconds_count{result="ok"})') == 142
        assert server.value("sum(limelight_task_time_seconds_total)") == pytest.approx(
            server.value("limelight_task_latency_seconds_sum")
        )
