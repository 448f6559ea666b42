"""What exporters count stays exact, whatever becomes of Redis, of its stream and of themselves."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
import redis
from exporters import ExporterProcess, Scraped, get
from old_snapshot import snapshot_of_version_1
from running import client_of
from servers import wait_until
from starters import OwnRedis
from stream_writer import StreamWriter, event, finished

from limelight import RedisEventEmitter, RedisQueue
from limelight.errors import ConfigurationError
from limelight.keys import REGISTRY
from limelight.storage.address import Address
from limelight.storage.links import Links
from limelight_exporter import catalog
from limelight_exporter.attendance import AWAY_HOURS
from limelight_exporter.config import Settings
from limelight_exporter.config_file import FileSettings, Limits, QueueChoice
from limelight_exporter.exporter import Exporter
from limelight_exporter.queue_fold import QueueFold
from limelight_exporter.snapshot import _SAVE, Cursor, Saved
from limelight_exporter.snapshot_format import VERSION, Snapshot, pack, unpack

FINISHED = {"queue": "mail", "task": "send", "outcome": "success"}


@pytest.fixture
def links(redis_url: str) -> Links:
    return Links(Address(redis_url, {}))


def ready(running: Exporter) -> Exporter:
    wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200, 10, "ready")
    return running


def exporter(redis_url: str, **settings: Any) -> Exporter:
    return Exporter(Settings(redis_url=redis_url, port=0, **settings))


def completed(scraped: Scraped) -> float | None:
    return scraped.value("limelight_tasks_completed_total", **FINISHED)


def own(scraped: Scraped, name: str, **labels: str) -> float | None:
    return scraped.value(f"limelight_exporter_{name}", queue="mail", **labels)


def loaded(links: Links, group: str = "default") -> QueueFold:
    fold = QueueFold(links, "mail", group)
    fold.load()
    return up_to_date(fold)


def up_to_date(fold: QueueFold) -> QueueFold:
    while fold.step():
        pass
    return fold


def counted(
    fold: QueueFold, metric: str = catalog.COMPLETED, labels: tuple[str, ...] = ("send", "success")
) -> float:
    return dict(fold.state.save().counters[metric]).get(labels, 0)


class Memory:
    """All that Redis holds at a moment, so that it can be taken back there."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._kept = {key: client.dump(key) for key in client.scan_iter()}

    def restore(self) -> None:
        self._client.flushall()
        for key, value in self._kept.items():
            self._client.restore(key, 0, value)  # type: ignore[arg-type]


# -- A Redis that goes back -----------------------------------------------------------------------------
def test_a_redis_that_went_back_by_any_number_of_events_has_none_counted_twice(
    redis_url: str, links: Links
) -> None:
    writer = StreamWriter(redis_url)
    fold = loaded(links)
    for _ in range(20):  # a mark at the end of each
        writer.finish_tasks(3)
        up_to_date(fold)
    writer.finish_tasks(7)
    memory = Memory(writer.client)  # between two marks
    writer.finish_tasks(13)
    up_to_date(fold)
    memory.restore()
    writer.finish_tasks(40)
    up_to_date(fold)
    assert counted(fold) == 60 + 7 + 13 + 40
    assert counted(fold, catalog.ROLLBACKS, ()) == 1
    assert counted(fold, catalog.EVENTS_LOST, ()) == 0


@pytest.mark.parametrize("who_saves_first", ["the one that saw more", "the one that saw less"])
def test_mates_that_saw_different_parts_of_what_redis_forgot_agree_on_the_larger(
    redis_url: str, links: Links, who_saves_first: str
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    more, less = loaded(links), loaded(links)
    for fold in (more, less):
        fold.save()
    memory = Memory(writer.client)
    writer.finish_tasks(3)
    up_to_date(less)
    writer.finish_tasks(4)
    up_to_date(more)
    memory.restore()
    writer.finish_tasks(20)
    turns = [more, less, more, less]
    for fold in turns if who_saves_first == "the one that saw more" else reversed(turns):
        up_to_date(fold)
        fold.save()
    up_to_date(less), up_to_date(more)
    assert counted(more) == counted(less) == 10 + 3 + 4 + 20
    assert more.state.save() == less.state.save()


def test_mates_agree_on_the_larger_also_when_redis_forgot_everything(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    less = loaded(links)
    writer.finish_tasks(4)
    more = loaded(links)
    writer.client.flushall()
    StreamWriter(redis_url, epoch="second").finish_tasks(20)
    for fold in (less, more, less, more):
        up_to_date(fold)
        fold.save()
    assert counted(up_to_date(more)) == counted(up_to_date(less)) == 10 + 4 + 20
    assert more.state.save() == less.state.save()


def test_who_was_paused_counts_a_gap_rather_than_go_on_from_a_state_that_counted_less(
    redis_url: str, links: Links
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(30)
    paused = loaded(links)
    writer.client.xtrim(writer.keys["events"], maxlen=3, approximate=False)
    newcomer = loaded(links)
    writer.finish_tasks(2)
    assert up_to_date(newcomer).save()
    writer.client.xtrim(writer.keys["events"], maxlen=3, approximate=False)
    up_to_date(paused)
    assert counted(paused) == 31
    assert counted(paused, catalog.EVENTS_LOST, ()) == 3


def test_a_newcomer_without_memory_never_displaces_who_counted_more(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(30)
    old = loaded(links)
    old.save()
    writer.client.xtrim(writer.keys["events"], maxlen=9, approximate=False)
    writer.client.delete(writer.keys.snapshot("default"))
    newcomer = loaded(links)
    assert counted(newcomer) == 3, "what the stream still has"
    assert newcomer.save(), "nothing better is there"
    assert old.save(), "it counted more"
    writer.finish_tasks(1)
    up_to_date(newcomer)
    assert not newcomer.save()
    assert counted(up_to_date(newcomer)) == counted(up_to_date(old)) == 31


def test_who_lost_events_saves_that_if_nobody_read_them(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    fold = loaded(links)
    assert fold.save()
    writer.finish_tasks(10)
    writer.client.xtrim(writer.keys["events"], maxlen=12, approximate=False)
    up_to_date(fold)
    assert counted(fold, catalog.EVENTS_LOST, ()) == 18
    assert fold.save()
    assert loaded(links).state.save() == fold.state.save()


def test_what_was_served_as_lost_does_not_fall_when_a_mate_turns_out_to_have_it(
    redis_url: str, links: Links
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    paused, mate = loaded(links), loaded(links)
    paused.save()
    writer.finish_tasks(10)
    up_to_date(mate)
    writer.client.xtrim(writer.keys["events"], maxlen=12, approximate=False)
    up_to_date(paused)
    assert counted(paused, catalog.EVENTS_LOST, ()) == 18, "the mate has saved nothing yet"
    assert mate.save()
    assert not paused.save(), "and goes on from its mate's state"
    assert counted(paused) == 20
    shown = served(paused)
    assert shown["limelight_exporter_events_lost_total", ()] == 18


def served(fold: QueueFold) -> dict[tuple[str, tuple[str, ...]], float]:
    shown = {}

    class Exposition:
        began: ClassVar[dict[str, float]] = {}

        def add(self, name: str, labels: tuple[str, ...], value: float, *_: object) -> None:
            shown[name, tuple(labels[1:])] = value

        def add_histogram(self, *_: object) -> None:
            """Not looked at."""

    position = fold.position
    assert fold.collect(Exposition(), position.epoch, position.seq)  # type: ignore[arg-type]
    return shown


# -- The floor outside Redis ----------------------------------------------------------------------------
@pytest.mark.parametrize("what_happens", ["goes back", "forgets everything"])
def test_with_a_state_folder_no_counter_falls_though_redis_and_the_exporter_go_down_together(
    redis_url: str, tmp_path: Path, what_happens: str
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(20)
    options = ("--state-dir", str(tmp_path / "state"))
    with ExporterProcess(redis_url, tmp_path / "log", *options) as running:
        running.wait_until_ready()
        memory = Memory(writer.client)
        writer.finish_tasks(15)
        before = running.scrape()
        assert completed(before) == 35
        running.kill()
    if what_happens == "goes back":
        memory.restore()
    else:
        writer.client.flushall()
        writer = StreamWriter(redis_url, epoch="second")
    writer.finish_tasks(5)
    with ExporterProcess(redis_url, tmp_path / "log", *options) as running:
        after = running.wait_until_ready().scrape()
    assert completed(after) == 40
    assert own(after, "stream_rollbacks_total") == 1
    counters = after.counters()
    assert all(counters[key] >= value for key, value in before.counters().items())


def test_a_queue_whose_very_name_redis_forgot_is_served_from_the_state_folder(
    redis_url: str, tmp_path: Path
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(7)
    state = tmp_path / "state"
    with exporter(redis_url, state_dir=state) as running:
        assert completed(Scraped(ready(running).url)) == 7
    writer.client.flushall()
    with exporter(redis_url, state_dir=state) as running:
        scraped = Scraped(ready(running).url)
        assert completed(scraped) == 7
        assert own(scraped, "queue_current") == 1
        assert own(scraped, "stream_rollbacks_total") == 1
        StreamWriter(redis_url, epoch="second").finish_tasks(2)
        assert completed(Scraped(running.url)) == 9
    chosen = FileSettings(queues=QueueChoice(exclude=("mail",)))
    writer.client.flushall()
    with exporter(redis_url, state_dir=state, file=chosen) as running:
        assert completed(Scraped(ready(running).url)) is None, "nobody wants it"
    week = AWAY_HOURS * 3_600
    (file,) = state.glob("*.snapshot")
    os.utime(file, (time.time() - week - 60, time.time() - week - 60))
    with exporter(redis_url, state_dir=state) as running:
        assert completed(Scraped(ready(running).url)) is None, "it is gone"


def test_without_one_redis_snapshot_is_all_there_is(redis_url: str, tmp_path: Path) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(20)
    with ExporterProcess(redis_url, tmp_path / "log") as running:
        running.wait_until_ready()
        running.kill()
    writer.client.flushall()
    StreamWriter(redis_url, epoch="second").finish_tasks(5)
    with exporter(redis_url) as again:
        assert completed(Scraped(ready(again).url)) == 5, "a reset to zero, which Prometheus understands"


def test_redis_snapshot_counts_where_it_is_ahead_of_the_folder(redis_url: str, tmp_path: Path) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(5)
    with exporter(redis_url, state_dir=tmp_path) as running:
        ready(running)
    writer.finish_tasks(5)
    with exporter(redis_url) as mate:  # it goes on alone
        ready(mate)
    writer.client.xtrim(writer.keys["events"], maxlen=0)
    with exporter(redis_url, state_dir=tmp_path) as running:
        scraped = Scraped(ready(running).url)
    assert completed(scraped) == 10
    assert own(scraped, "events_lost_total") == 0


def test_a_file_that_cannot_be_read_is_set_aside_loudly(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    StreamWriter(redis_url).finish_tasks(5)
    (tmp_path / "default@mail.snapshot").write_bytes(b"limelight-snapshot 2 00000000\nbroken")
    with exporter(redis_url, state_dir=tmp_path) as running:
        scraped = Scraped(ready(running).url)
    assert completed(scraped) == 5
    assert own(scraped, "snapshots_set_aside_total") == 1
    assert (tmp_path / "default@mail.unreadable").exists()
    assert "checksum" in caplog.text


def test_a_state_folder_belongs_to_one_exporter(redis_url: str, tmp_path: Path) -> None:
    with (
        exporter(redis_url, state_dir=tmp_path),
        pytest.raises(ConfigurationError, match="in use by another"),
    ):
        exporter(redis_url, state_dir=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        exporter(redis_url, state_dir=tmp_path / "file")


# -- Snapshots of other versions ------------------------------------------------------------------------
def test_a_snapshot_of_version_1_is_migrated(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(4)
    last = writer.client.xrevrange(writer.keys["events"], count=1)[0][0].decode()
    counters = {
        "limelight_events_total": [(("enqueued",), 400), (("finished",), 400)],
        "limelight_tasks_completed_total": [(("send", "success"), 400)],
        "limelight_task_time_seconds_total": [(("send", "running"), 1.1)],
    }
    old = snapshot_of_version_1(
        {"epoch": "first", "id": last, "seq": 12, "skipped": 0, "begun": True, "marks": [{"id": last, "seq": 12}]},
        counters, ["send"],
    )  # fmt: skip
    snapshot = unpack(old)
    assert (snapshot.position.told, snapshot.state.heard.tasks.keys()) == (800, {"send"})
    assert [cell.micros for cell in snapshot.state.histograms[catalog.WAIT]] == [2_250_000]
    assert snapshot.state.counters[catalog.TIME] == [(("send", "running"), 1_100_000)]
    writer.client.set(writer.keys.snapshot("default"), old)
    writer.finish_tasks(2)
    with exporter(redis_url) as running:
        scraped = Scraped(ready(running).url)
    assert completed(scraped) == 402
    assert own(scraped, "snapshots_set_aside_total") == 0
    saved = writer.client.get(writer.keys.snapshot("default"))
    assert isinstance(saved, bytes)
    assert saved.startswith(b"limelight-snapshot %d " % VERSION)


def test_a_snapshot_of_a_later_version_is_set_aside_and_told_by_metric_and_log(
    redis_url: str, links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(4)
    fold = loaded(links)
    fold.save()
    key = writer.keys.snapshot("default")
    raw = writer.client.get(key)
    assert isinstance(raw, bytes)
    later = raw.replace(b"limelight-snapshot %d" % VERSION, b"limelight-snapshot %d" % (VERSION + 1), 1)
    writer.client.set(key, later)
    with exporter(redis_url) as running:
        scraped = Scraped(ready(running).url)
        assert completed(scraped) == 4
        assert own(scraped, "snapshots_set_aside_total") == 1
    assert writer.client.get(f"{key}:unreadable") == later
    assert f"its version is {VERSION + 1}" in caplog.text
    with exporter(redis_url) as running:
        assert own(Scraped(ready(running).url), "snapshots_set_aside_total") == 1, "and kept"


def test_what_is_packed_is_what_is_read(redis_url: str, links: Links) -> None:
    StreamWriter(redis_url).finish_tasks(5)
    fold = loaded(links)
    snapshot = Snapshot(fold.position, fold.state.save())
    assert unpack(pack(snapshot)) == snapshot


# -- Trimming and readers -------------------------------------------------------------------------------
def test_a_new_group_is_registered_before_it_reads(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(5)
    QueueFold(links, "mail", "new").load()
    cursor = writer.client.hget(writer.keys.cursors, "new")
    assert isinstance(cursor, bytes)
    assert cursor.split()[6] == b"0-0", "nothing may be trimmed on its behalf"


def test_a_reader_unseen_for_longer_than_events_stay_is_forgotten_with_a_log_line_and_a_metric(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(2)
    writer.client.hset(writer.keys.cursors, "gone", "1-0 1 1000 first 1-0 1000 0-0 -1")
    with exporter(redis_url) as running:
        ready(running)
        wait_until(lambda: own(Scraped(running.url), "readers_forgotten_total") == 1)
    assert not writer.client.hexists(writer.keys.cursors, "gone")
    assert "reader gone has not been seen for longer than events are kept" in caplog.text


A_DAY, A_WEEK = 86_400.0, 7 * 86_400.0


@pytest.mark.parametrize(
    ("kept_seconds", "silent_seconds", "forgotten"),
    [
        (None, A_DAY + 60, True),
        (None, A_DAY - 60, False),
        (A_WEEK, A_DAY + 60, False),
        (A_WEEK, A_WEEK + 60, True),
        (3_600.0, 3_660.0, True),
        (1.0, 200.0, False),  # an exporter that has nothing to say saves every half minute
        (1.0, 400.0, True),
        (0.0, 100 * A_WEEK, False),
    ],
)
def test_how_long_a_reader_is_waited_for_is_how_long_consumers_say_that_events_stay(
    redis_url: str, links: Links, kept_seconds: float | None, silent_seconds: float, forgotten: bool
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(2)
    if kept_seconds is not None:
        emitter = RedisEventEmitter(max_age_seconds=kept_seconds)
        RedisQueue("mail", url=redis_url, emitter=emitter).storage.expired(lease_seconds=10, count=1)
    saved_ms = int((time.time() - silent_seconds) * 1_000)
    writer.client.hset(writer.keys.cursors, "away", f"1-0 1 {saved_ms} first 1-0 {saved_ms} 0-0 -1")
    fold = loaded(links)
    assert fold.save()
    assert writer.client.hexists(writer.keys.cursors, "away") is not forgotten
    assert fold.take_forgotten() == int(forgotten)


def test_a_consumer_that_tells_no_events_says_nothing_of_how_long_they_stay(redis_url: str) -> None:
    queue = RedisQueue("mail", url=redis_url, events=False)
    queue.storage.expired(lease_seconds=10, count=1)
    assert not client_of(queue).hexists(queue.keys["meta"], "max_age")


def test_a_forgotten_exporter_that_comes_back_goes_on_from_its_snapshot_and_counts_what_it_missed(
    redis_url: str, links: Links
) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(5)
    fold = loaded(links)
    fold.save()
    writer.client.hdel(writer.keys.cursors, "default")
    writer.finish_tasks(5)
    writer.client.xtrim(writer.keys["events"], maxlen=6, approximate=False)
    back = loaded(links)
    assert counted(back) == 7
    assert counted(back, catalog.EVENTS_LOST, ()) == 9
    assert back.save()


def test_a_save_compares_and_sets(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    keys = writer.keys
    names = [keys["events"], keys["meta"], keys.cursors, keys.snapshot("g")]

    def save(seq: int, credit: int, *agreed: int) -> int:
        script = _SAVE.source.decode()
        answer: Any = writer.client.eval(
            script,
            4,
            *names,
            "0",
            "mail",
            "",
            "0",
            "",
            "g",
            "first",
            "1-0",
            seq,
            b"x",
            credit,
            *(agreed or ("", "")),
            "-",
        )
        return int(answer[0])

    assert save(10, 0) == 1
    assert save(9, 0) == -1, "further on already"
    assert save(20, -5) == -2, "it counted less"
    assert save(20, -5, 0, 9) == -2, "also if it goes on from an earlier state"
    assert save(20, -5, 0, 10) == 1, "unless it goes on from this one"
    assert save(15, 0) == 1, "who counted more may be behind"


def test_exporters_of_a_group_with_different_limits_both_say_so_until_they_agree(
    redis_url: str, links: Links, caplog: pytest.LogCaptureFixture
) -> None:
    def fold_with(tasks: int) -> QueueFold:
        made = QueueFold(links, "mail", "default", FileSettings(limits=Limits(tasks=tasks)))
        made.load()
        return up_to_date(made)

    writer = StreamWriter(redis_url)
    writer.finish_tasks(3)
    before = fold_with(200)
    before.save()
    one, other = fold_with(100), fold_with(100)
    one.save()
    assert not one.differs, "whoever was here before may have had other limits"
    for fold in (other, one, other):
        fold.save()
    assert not one.differs
    assert not other.differs
    assert not caplog.records
    one = fold_with(200)
    for fold in (one, other, one, other):
        fold.save()
    assert one.differs
    assert other.differs
    assert "tasks=100" in caplog.text
    assert "tasks=200" in caplog.text
    assert sum(record.levelname == "ERROR" for record in caplog.records) == 2, "each says it once"
    other = fold_with(200)
    for fold in (other, one, other):
        fold.save()
    assert not one.differs
    assert not other.differs


def test_whether_a_group_agrees_is_a_metric(redis_url: str) -> None:
    StreamWriter(redis_url).finish_tasks(1)
    with exporter(redis_url) as running:
        wait_until(lambda: own(Scraped(ready(running).url), "group_agrees") == 1)


def test_traces_and_metrics_of_one_group_need_not_agree(redis_url: str, links: Links) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(3)
    position = loaded(links).position
    cursor = Cursor(links, "mail", "traces:default")
    for _ in range(3):
        assert cursor.save(position) is Saved.DONE
    assert not cursor.differs


# -- Numbers that somebody forged -----------------------------------------------------------------------
@pytest.mark.parametrize("number", [1, 5, 30, 31, 10**6, 2**63, 10**30])
def test_a_forged_number_invents_neither_loss_nor_a_rollback(redis_url: str, number: int) -> None:
    writer = StreamWriter(redis_url)
    with exporter(redis_url) as running:
        ready(running)
        writer.finish_tasks(10)
        Scraped(running.url)
        writer.raw(json.dumps(event("finished", number, **finished())).encode())
        for _ in range(3):
            Scraped(running.url)  # also while the forged entry is the last one
        writer.finish_tasks(10)
        scraped = Scraped(running.url)
    reason = (
        "undecodable"
        if number > 2**63 and own(scraped, "events_malformed_total", reason="number") == 0
        else "number"
    )
    assert own(scraped, "events_malformed_total", reason=reason) == 1
    assert completed(scraped) == 20
    assert own(scraped, "events_lost_total") == 0
    assert own(scraped, "stream_rollbacks_total") == 0


def test_numbers_that_begin_anew_on_a_stream_that_survived_are_one_rollback(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.finish_tasks(10)
    with exporter(redis_url) as running:
        ready(running)
        writer.client.delete(writer.keys["meta"])
        StreamWriter(redis_url, epoch="second").finish_tasks(4)
        wait_until(lambda: own(Scraped(running.url), "queue_current") == 1)
        scraped = Scraped(running.url)
    assert completed(scraped) == 14
    assert own(scraped, "events_lost_total") == 0
    assert own(scraped, "stream_rollbacks_total") == 1


# -- Who is gone ----------------------------------------------------------------------------------------
def test_a_queue_that_is_empty_and_silent_for_a_week_is_not_shown_and_comes_back_with_all_it_counted(
    redis_url: str,
) -> None:
    writer = StreamWriter(redis_url)
    told = json.dumps(event("enqueued", 1, task="send"))
    writer.client.hset(writer.keys["meta"], mapping={"seq": 1, "epoch": "first"})
    now = writer.client.time()[0]  # type: ignore[index]
    writer.client.xadd(writer.keys["events"], {"e": told}, id=f"{(now - AWAY_HOURS * 3_600 - 60) * 1_000}-0")
    with exporter(redis_url) as running:
        ready(running)
        scraped = Scraped(running.url)
        shown = {name for name, labels in scraped.samples if ("queue", "mail") in labels}
        assert shown == {"limelight_exporter_readers_forgotten_total"}, "what the exporter itself saw happen"
        writer.tell("enqueued", task="send")
        assert Scraped(running.url).value("limelight_tasks_enqueued_total", queue="mail", task="send") == 2


def test_a_queue_with_dead_letters_or_consumers_is_shown_however_silent(redis_url: str) -> None:
    writer = StreamWriter(redis_url)
    writer.client.hset(writer.keys["meta"], mapping={"seq": 1, "epoch": "first"})
    writer.client.xadd(
        writer.keys["events"], {"e": json.dumps(event("enqueued", 1, task="send"))}, id="1000-0"
    )
    writer.client.hset(writer.keys["tasks"], "1", "x")
    with exporter(redis_url) as running:
        assert own(Scraped(ready(running).url), "queue_current") == 1


def test_queues_beyond_the_limit_are_left_out_and_counted(redis_url: str) -> None:
    StreamWriter(redis_url, "a"), StreamWriter(redis_url, "b"), StreamWriter(redis_url, "c")
    StreamWriter(redis_url).client.zadd(REGISTRY, {"no name": 1})
    with exporter(redis_url, file=FileSettings(limits=Limits(queues=2))) as running:
        scraped = Scraped(ready(running).url)
        assert scraped.value("limelight_exporter_queues_left_out") == 2


def test_a_full_redis_takes_the_save_that_will_let_the_stream_be_trimmed(own_redis: OwnRedis) -> None:
    server = own_redis(options=("--maxmemory-policy", "noeviction"))
    writer = StreamWriter(server.url)
    fold = loaded(Links(Address(server.url, {})))
    writer.finish_tasks(100)
    writer.client.config_set("maxmemory", "100kb")
    with pytest.raises(redis.exceptions.ResponseError):
        writer.tell("enqueued", task="send")
    assert up_to_date(fold).save()
    assert writer.client.get(writer.keys.snapshot("default"))


def test_a_full_redis_does_not_blind_the_scrape(own_redis: OwnRedis) -> None:
    server = own_redis(options=("--maxmemory-policy", "noeviction"))
    writer = StreamWriter(server.url)
    with exporter(server.url) as running:
        ready(running)
        writer.finish_tasks(3)
        writer.client.config_set("maxmemory", "100kb")
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            writer.tell("enqueued", task="send")
        scraped = Scraped(running.url)
    assert (own(scraped, "queue_current"), completed(scraped)) == (1, 3)
    assert scraped.value("limelight_exporter_scrape_collector_success", collector="queues") == 1
    assert scraped.value("limelight_queue_tasks", queue="mail", state="ready") == 0
