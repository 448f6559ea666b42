"""An event looks the same everywhere, fits, and cannot mislead."""

import json
from typing import Any

import pytest
from rich.cells import cell_len

from limelight.cli.event_line import (
    ASCII,
    EventColumns,
    day,
    json_line,
    plain_line,
    traceback_lines,
)
from limelight.events import Event, decode

ID = "77d1e0b4-aaaa-4bbb-8ccc-123456789abc"
HOSTILE = "\x1b]0;gone\x07\x1b[2J[bold red]x[/] \u202e\x9b31m\r\n:smile:"


def event(status: str, **keys: Any) -> Event:
    known = {"task": "send_email", "id": ID, "run": 2, "attempt": 2, "max_attempts": 4, "host": "web-1"}
    return Event(status=status, **{"queue": "mail", "seq": 1, "timestamp": 1_795_366_269.25, **known, **keys})


FAILED = event(
    "error-task", outcome="error", error=True, duration=1.9, worker="worker-1",
    error_type="smtplib.SMTPServerDisconnected", error_message='closed "now"\n\x1b[2J',
)  # fmt: skip


def lines(width: int, *told: Event) -> list[str]:
    columns = EventColumns()
    return [columns.line(one, width).plain for one in told]


def test_into_a_pipe_an_event_is_one_line_with_its_full_id_and_an_iso_time() -> None:
    assert plain_line(FAILED) == (
        f"2026-11-22T16:51:09.250Z error-task queue=mail task=send_email id={ID} run=2 attempt=2/4 duration=1.9 "
        'outcome=error error_type=smtplib.SMTPServerDisconnected error_message="closed \\"now\\"\\n\\u001b[2J" '
        "host=web-1 worker=worker-1"
    )


def test_an_event_about_no_task_names_none() -> None:
    checking = Event(status="checking-periodic", queue="mail", seq=1, timestamp=0)
    assert plain_line(checking) == "1970-01-01T00:00:00.000Z checking-periodic queue=mail"
    (line,) = lines(80, checking)
    assert line.split() == [*line.split()[:1], "checking-periodic", "–", "–"]


@pytest.mark.parametrize(
    ("told", "detail"),
    [
        (event("started", wait=0.024), "attempt 2/4 after 24ms of waiting"),
        (event("started", wait=0.024, run=3), "attempt 2/4 (run 3) after 24ms of waiting"),
        (event("retrying", retries=3, retry_delay=10), "again in 10s, 3 attempts remain"),
        (event("retrying", retries=1, retry_delay=0), "again at once, 1 attempt remains"),
        (event("finished", outcome="success", attempt=1, run=1, max_attempts=1), ""),
        (event("finished", outcome="success"), "attempt 2/4"),
        (event("dead", error_type="a.Broken", error_message="x"), "gave up after attempt 2/4: Broken: x"),
        (event("consumer-started", workers=4, tasks=["a", "b"]), "4 workers: a, b"),
    ],
)
def test_what_an_event_says_beyond_its_columns(told: Event, detail: str) -> None:
    (line,) = lines(160, told)
    assert line.endswith(detail)


@pytest.mark.parametrize("width", [40, 80, 99, 100, 120, 200])
def test_a_line_fits_and_its_columns_stand_under_each_other(width: int) -> None:
    names = [
        "send",
        "build_pdf",
        "a_task_with_quite_a_long_name_indeed",
        "你好你好你好你好你好你好你好你好",
        "send",
    ]
    told = [event("finished", task=name, error_message="m" * 300, duration=0.031) for name in names]
    drawn = lines(width, *told, FAILED)
    assert all(cell_len(line) <= width for line in drawn)
    if width >= 80:
        places = {cell_len(line.partition(ID[:8])[0]) for line in drawn[2:]}
        assert len(places) == 1, drawn


def test_a_long_status_takes_its_room_from_the_name_after_it() -> None:
    drawn = lines(80, event("error-task", task="send_report"), event("error-internal", task="mail"))
    assert drawn[0].index(ID[:8]) == drawn[1].index(ID[:8])


def test_with_room_the_queue_and_the_worker_are_shown_too() -> None:
    assert "mail" not in lines(99, FAILED)[0].split()
    assert {"mail", "web-1/worker-1"} <= set(lines(120, FAILED)[0].split())


def test_where_the_terminal_knows_ascii_only_so_do_we() -> None:
    line = EventColumns(ASCII).line(event("finished", error_message="x" * 200, task="n" * 60), 80)
    assert line.plain.isascii()


@pytest.mark.parametrize(
    "key", ["status", "queue", "task", "id", "error_type", "error_message", "host", "worker"]
)
def test_hostile_text_reaches_no_terminal_and_no_pipe(key: str) -> None:
    told = Event(**{**_keys(FAILED), "traceback": f"a\n  {HOSTILE}\nb", key: HOSTILE})
    for shown in (*lines(120, told), *lines(80, told), plain_line(told), *traceback_lines(told)):
        assert shown.isprintable(), shown
        assert "\x1b" not in shown
    assert not EventColumns().line(told, 120).markup.count("[/bold red]"), "markup was taken for markup"
    assert len(list(traceback_lines(told))) >= 3


def _keys(told: Event) -> dict[str, Any]:
    return {name: getattr(told, name) for name in told.__struct_fields__}


def test_json_is_shown_as_it_was_told() -> None:
    told = (
        b'{"status":"finished","queue":"mail","seq":1,"timestamp":1.500000,"of_a_newer_version":[1e400,0.10]}'
    )
    assert json_line(told).encode() == told


def test_json_of_hostile_text_says_the_same_in_other_letters() -> None:
    text = "\x9b31m\u202e\u2028🙂\U000e0001ü"
    told = f'{{"status":"finished","queue":"mail",\r\n\t"seq":1,"timestamp":1,"task":"{text}"}}'.encode()
    line = json_line(told)
    assert line.isprintable()
    assert "ü" in line
    assert json.loads(line) == json.loads(told)
    assert decode(line.encode()).task == text


@pytest.mark.parametrize("timestamp", [1e300, -1e300, 253_402_300_800 * 10])
def test_a_time_that_no_calendar_holds_is_no_error(timestamp: float) -> None:
    told = event("finished", timestamp=timestamp, execute_time=timestamp)
    assert lines(80, told)[0].startswith("??:??:??.???")
    assert plain_line(told).startswith(repr(timestamp))
    assert day(timestamp) == ""
