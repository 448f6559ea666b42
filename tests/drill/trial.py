"""Strikes every fault, waits for its alerts to reach Alertmanager, mends it, and waits for them to go."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from .alertmanager import Active, Alertmanager
from .fault import Fault, Labels
from .stage import Stage

PATIENCE_SECONDS: Final = 120.0
_LOOK_SECONDS: Final = 0.1


@dataclass(slots=True)
class Course:
    """What became of one expected alert.

    Attributes:
        fired: Seconds from the strike until Alertmanager had it; None if it never came.
        cleared: Seconds from the repair until it was gone; None if it stayed, 0 if it went before.
        hidden: Whether another alert hid it.
    """

    fault: str
    labels: Labels
    fired: float | None = None
    cleared: float | None = None
    hidden: bool = False


@dataclass(slots=True)
class Drill:
    """All courses so far, what failed beside them, and every alert that was seen."""

    courses: list[Course] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    seen: list[Active] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


Told = Callable[[str], None]


def run(stage: Stage, tracks: Sequence[Sequence[Fault]], told: Told) -> Drill:
    """Strike the faults of a track one after another, all tracks at once.

    Args:
        stage: Where nothing fires yet.
        tracks: Faults that must not disturb each other stand in one track.
        told: Called with what happens, by several threads.
    """
    drill = Drill()
    with ThreadPoolExecutor(len(tracks)) as pool:
        for track in [pool.submit(_track, stage, faults, drill, told) for faults in tracks]:
            track.result()
    drill.seen = list(stage.alertmanager.seen)
    return drill


def wait_until_calm(stage: Stage, calm_seconds: float, seconds: float = 60.0) -> bool:
    """Return once everything is scraped and nothing has fired for some seconds on end; False if that never was."""
    deadline = time.monotonic() + seconds
    calm_since = time.monotonic()
    while time.monotonic() - calm_since < calm_seconds:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
        if not stage.alertmanager.calm or not _is_scraped(stage):
            calm_since = time.monotonic()
    return True


def _is_scraped(stage: Stage) -> bool:
    targets = sum(len(site.targets) for site in stage.sites)
    return stage.prometheus.value("count(limelight_exporter_ready == 1)") == targets


def _track(stage: Stage, faults: Sequence[Fault], drill: Drill, told: Told) -> None:
    for fault in faults:
        courses = [Course(fault.what, labels) for labels in fault.alerts]
        with drill.lock:
            drill.courses += courses
        try:
            _play(stage, fault, courses, told)
        except Exception as error:  # one that cannot be struck must not end the others
            with drill.lock:
                drill.problems.append(f"{fault.what}: {error!r}")


def _play(stage: Stage, fault: Fault, courses: list[Course], told: Told) -> None:
    alertmanager = stage.alertmanager
    with fault.strike(stage):
        told(f"struck    {fault.what}")
        struck = time.monotonic()
        _until(lambda: _all_fired(alertmanager, courses, struck))
        told(
            f"fired     {fault.what}"
            if all(one.fired is not None for one in courses)
            else f"MISSED    {fault.what}"
        )
    mended = time.monotonic()
    _until(lambda: _all_cleared(alertmanager, courses, mended))
    told(f"cleared   {fault.what}")


def _all_fired(alertmanager: Alertmanager, courses: list[Course], struck: float) -> bool:
    for course in courses:
        if (alert := alertmanager.active(course.labels)) is not None:
            course.hidden |= alert.inhibited
            if course.fired is None:
                course.fired = time.monotonic() - struck
    return all(course.fired is not None for course in courses)


def _all_cleared(alertmanager: Alertmanager, courses: list[Course], mended: float) -> bool:
    for course in courses:
        alert = alertmanager.active(course.labels)
        if alert is not None:
            course.hidden |= alert.inhibited
        elif course.cleared is None:
            course.cleared = time.monotonic() - mended
    return all(course.cleared is not None for course in courses)


def _until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done() and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
