"""What the demo says beside events, for pipes and logs: one fact per line."""

from __future__ import annotations

from limelight.cli.event_line import iso, quoted
from limelight.cli.text import rate

from .watch import Frame


def summary_line(frame: Frame) -> str:
    """All queues at one moment."""
    parts = [iso(frame.now), "summary", f"up={frame.up_seconds:.0f}", f"verdict={quoted(frame.verdict)}"]
    parts += [
        f"{row.name}: ready={row.ready} running={row.running}/{row.workers} scheduled={row.scheduled} "
        f"dead={row.dead} in={rate(row.came)}/s out={rate(row.went)}/s state={quoted(row.state)}"
        for row in frame.queues
    ]
    return " ".join(parts)


def skipped_line(now: float, count: int) -> str:
    """Says that events came too fast to be printed; they are counted all the same."""
    return f"{iso(now)} not-shown events={count}"
