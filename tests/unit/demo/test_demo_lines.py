"""Without a terminal: one fact per line."""

from limelight.events import Event
from limelight_exporter.demo.lines import event_line, summary_line
from limelight_exporter.demo.watch import Frame, QueueRow

ID = "77d1e0b4-aaaa-4bbb-8ccc-123456789abc"


def test_an_event_is_one_line_with_its_full_id_and_an_iso_time() -> None:
    event = Event(
        status="error-task", queue="mail", seq=1, timestamp=1_795_366_269.25, id=ID, task="send_email",
        outcome="error", error=True, duration=1.9, attempt=2, max_attempts=4,
        error_type="smtplib.SMTPServerDisconnected", error_message='closed "now"\n\x1b[2J', worker="worker-1",
    )  # fmt: skip
    assert event_line(event) == (
        f"2026-11-22T16:51:09.250Z error-task queue=mail task=send_email id={ID} duration=1.9 attempt=2/4 "
        'outcome=error error_type=smtplib.SMTPServerDisconnected error_message="closed \\"now\\"\\n\\u001b[2J" '
        "worker=worker-1"
    )


def test_an_event_about_no_task_names_none() -> None:
    event = Event(status="checking-periodic", queue="mail", seq=1, timestamp=0)
    assert event_line(event) == "1970-01-01T00:00:00.000Z checking-periodic queue=mail"


def test_a_summary_has_each_queue() -> None:
    row = QueueRow(
        name="mail", ready=3, running=2, workers=4, scheduled=5, dead=1, came=24, went=23.8, state="busy"
    )
    frame = Frame(now=5, up_seconds=42, verdict="All well.", queues=(row,), tasks=(), finished=(), notable=())
    assert summary_line(frame) == (
        '1970-01-01T00:00:05.000Z summary up=42 verdict="All well." '
        "mail: ready=3 running=2/4 scheduled=5 dead=1 in=24.0/s out=23.8/s state=busy"
    )
