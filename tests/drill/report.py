"""The account of a drill, for people and for docs/drill.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.table import Table

from .trial import Course, Drill

_KNOWN_BY: Final = {"alertname", "job", "queue", "severity"}
_NAMED: Final = ("alertname", "job", "queue")
_PREFIX: Final = "Limelight"


def wrong(drill: Drill) -> list[str]:
    """What did not go as it must, one sentence each."""
    found = list(drill.problems)
    for course in drill.courses:
        if course.fired is None:
            found.append(f"{course.fault}: {alert_of(course)} never reached Alertmanager")
        elif course.cleared is None:
            found.append(f"{course.fault}: {alert_of(course)} did not clear")
    return found


def uncalled(drill: Drill) -> list[str]:
    """What came too, though no fault expects it: side effects, or false alarms."""
    expected = {tuple(course.labels.get(name, "") for name in _NAMED) for course in drill.courses}
    seen = {tuple(dict(alert.labels).get(name, "") for name in _NAMED) for alert in drill.seen}
    return [" · ".join(filter(None, one)).removeprefix(_PREFIX) for one in sorted(seen - expected)]


def table(drill: Drill) -> Table:
    """Fault → alert → seconds to fire → seconds to clear."""
    shown = Table(title="drill", title_justify="left")
    for head in ("fault", "alert", "s to fire", "s to clear"):
        shown.add_column(head, justify="right" if head.startswith("s ") else "left")
    for fault, alert, fired, cleared in rows(drill.courses):
        shown.add_row(fault, alert, fired, cleared)
    return shown


def page(drill: Drill) -> str:
    """The same as Markdown."""
    lines = ["| fault | alert | seconds to fire | seconds to clear |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows(drill.courses)]
    return "\n".join(lines) + "\n"


def rows(courses: Sequence[Course]) -> Iterator[tuple[str, str, str, str]]:
    """A row for each alert; a fault is named in its first."""
    before = ""
    for course in courses:
        hidden = " (hidden by another)" if course.hidden else ""
        fault = "" if course.fault == before else course.fault
        yield fault, alert_of(course) + hidden, seconds(course.fired), seconds(course.cleared)
        before = course.fault


def alert_of(course: Course) -> str:
    """Name, severity where it matters, and what sets it apart from its namesakes."""
    labels = course.labels
    more = [value for name, value in labels.items() if name not in _KNOWN_BY]
    more += [labels["severity"]] if "severity" in labels else []
    return labels["alertname"].removeprefix(_PREFIX) + (f" ({', '.join(more)})" if more else "")


def seconds(value: float | None) -> str:
    """As people read it."""
    return "never" if value is None else f"{value:.0f}"
