"""Without a terminal: one fact per line."""

from limelight_exporter.demo.lines import summary_line
from limelight_exporter.demo.watch import Frame, QueueRow


def test_a_summary_has_each_queue() -> None:
    row = QueueRow(
        name="mail", ready=3, running=2, workers=4, scheduled=5, dead=1, came=24, went=23.8, state="busy"
    )
    frame = Frame(now=5, up_seconds=42, verdict="All well.", queues=(row,), tasks=(), finished=(), notable=())
    assert summary_line(frame) == (
        '1970-01-01T00:00:05.000Z summary up=42 verdict="All well." '
        "mail: ready=3 running=2/4 scheduled=5 dead=1 in=24.0/s out=23.8/s state=busy"
    )
