"""A frame looks as it was drawn, and fits."""

import io
from typing import Any

import pytest
from rich.console import Console

from limelight.events import Event
from limelight_exporter.demo.screen import ASCII, UNICODE, Glyphs, Surroundings, draw, sparkline
from limelight_exporter.demo.timeline import Kind, Phase
from limelight_exporter.demo.watch import Frame, QueueRow, TaskRow

NOW = 1_795_366_269.0
FOOTER = (("Metrics", "/metrics"), ("Traces", "http://localhost:16686"), ("Tasks", "examples/demo_tasks.py"))


def event(status: str, **keys: Any) -> Event:
    return Event(
        status=status, queue="mail", seq=1, timestamp=NOW - 1, id="77d1e0b4-aaaa-4bbb-8ccc-123456789abc",
        task="send_email", worker="worker-1", max_attempts=4, attempt=3, **keys,
    )  # fmt: skip


FRAME = Frame(
    now=NOW,
    up_seconds=42,
    verdict="mail is failing a little, as it should. Everything else keeps up.",
    queues=(
        QueueRow(
            name="mail", ready=3, oldest=0.1, running=3, workers=4, scheduled=5, dead=1, came=24.0, went=23.8,
            wait_p95=0.064, run_p95=0.21, history=(0, 4, 8) * 7, state="4 errors in 1m", failing=True,
        ),
        QueueRow(
            name="a-queue-with-quite-a-long-name", ready=12_345, oldest=400, running=2, workers=2, went=142,
            state="falling behind", late=True,
        ),
    ),
    tasks=(
        TaskRow(
            "f3a81c02-1", "send_email",
            (Phase(Kind.WAITED, NOW - 12.4, NOW - 11), Phase(Kind.FAILED, NOW - 11, NOW - 9),
             Phase(Kind.BACKED_OFF, NOW - 9, NOW - 1), Phase(Kind.RAN, NOW - 1, NOW)),
        ),
    ),
    finished=(event("finished", outcome="success", duration=0.031),),
    notable=(
        event("error-task", outcome="error", error=True, duration=1.9, error_type="smtplib.SMTPServerDisconnected",
              error_message="[bold]Connection\x1b[2J unexpectedly closed " + "x" * 300),
        event("retrying", retries=1, retry_delay=2.0),
        event("error-storing-result", outcome="result_error", error=True, error_type="a.ResultTooLarge"),
    ),
)  # fmt: skip


def rendered(width: int, height: int = 30, frame: Frame = FRAME, glyphs: Glyphs = UNICODE) -> list[str]:
    around = Surroundings(url="http://localhost:9898", footer=FOOTER, keys=True, glyphs=glyphs)
    console = Console(file=io.StringIO(), width=width, height=height, record=True, force_terminal=True)
    console.print(draw(frame, around, width=width, height=height))
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
@pytest.mark.parametrize("height", [10, 24, 30, 60])
def test_no_line_is_wider_than_the_terminal(width: int, height: int) -> None:
    assert max(len(line) for line in rendered(width, height)) <= min(width, 120)


@pytest.mark.parametrize("height", [24, 30, 40])
def test_a_frame_leaves_a_line_for_the_cursor_and_keeps_its_height(height: int) -> None:
    empty = Frame(now=NOW, up_seconds=0, verdict="", queues=FRAME.queues, tasks=(), finished=(), notable=())
    assert len(rendered(80, height)) == len(rendered(80, height, empty)) < height


def test_80_columns_look_as_drawn() -> None:
    lines = rendered(80)
    assert lines[0].startswith(" Limelight demo     http://localhost:9898     up 42 s")
    assert lines[0].endswith("q quit  e cause error")
    assert lines[1] == " mail is failing a little, as it should. Everything else keeps up."
    assert lines[3].split() == ["QUEUE", "READY", "OLDEST", "RUN", "SCHED", "DEAD", "IN/S", "OUT/S", "STATE"]
    assert lines[4].split()[:9] == ["mail", "3", "0.1s", "3/4", "5", "1", "24.0", "23.8", "4"]
    assert lines[5].split()[:3] == ["a-queue-with-qu…", "12345", "6m40s"]
    assert lines[7].startswith("LAST 20 s")
    assert lines[7].endswith("░ waiting  █ running  × failed  · back-off")
    assert lines[8].startswith("send_email  f3a81c02  ")
    assert lines[8].endswith("12.4 s")
    assert "░░" in lines[8]
    assert "█×····" in lines[8]
    assert lines[-1] == " Metrics /metrics   Traces http://localhost:16686   Tasks examples/demo_tasks.py"


def test_100_columns_add_percentiles_and_a_history() -> None:
    titles, mail = rendered(120)[3:5]
    assert "WAIT P95  RUN P95  OUT/S" in titles
    assert "64ms" in mail
    assert "210ms" in mail
    assert "▁▅█▁▅█" in mail


def test_events_say_what_happened_and_what_a_terminal_would_obey_is_shown() -> None:
    text = "\n".join(rendered(120))
    assert (
        "error-task  send_email  77d1e0b4    1.9s  worker-1   SMTPServerDisconnected: [bold]Connection\\x1b[2J"
        in text
    )
    assert "retrying    send_email  77d1e0b4          worker-1   again in 2s, 1 left" in text
    assert "finished    send_email  77d1e0b4    31ms  worker-1   attempt 3/4" in text
    assert "error-storing-result  send_email  77d1e0b4" in text
    assert "\x1b[2J" not in text


def test_a_terminal_without_utf_8_gets_ascii() -> None:
    frame = Frame(
        now=NOW,
        up_seconds=1,
        verdict="Fine.",
        queues=FRAME.queues,
        tasks=FRAME.tasks,
        finished=(),
        notable=FRAME.notable,
    )
    assert "\n".join(rendered(120, frame=frame, glyphs=ASCII)).isascii()


def test_a_sparkline_goes_from_nothing_to_its_greatest() -> None:
    assert sparkline((0, 5, 10), UNICODE.sparks) == "▁▅█"
    assert sparkline((0, 0), UNICODE.sparks) == "▁▁"
    assert sparkline((), UNICODE.sparks) == ""
