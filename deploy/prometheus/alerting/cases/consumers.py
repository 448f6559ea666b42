"""Cases of consumers, schedules and clocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limelight_exporter import catalog

from .case import CRITICAL, QUEUE, TASK, WARNING, Case, series

_ERROR: Final = {**QUEUE, "event": "error-internal"}
_ALL_ERRORS: Final = (
    "error-dequeueing",
    "error-enqueueing",
    "error-internal",
    "error-scheduling",
    "error-storing-result",
)
_CONSUMER: Final = [{**QUEUE, "consumer": "c1", **WARNING}]
_QUEUE_CRITICAL: Final = [{**QUEUE, **CRITICAL}]
_READY, _BUSY, _IDLE = ({"state": state} for state in ("ready", "busy", "idle"))

_ERRORS: Final = (
    Case(
        alert="ErrorEvents",
        rule="the first of each of the five fires at once, and clears after five quiet minutes",
        given=[series(catalog.CONSUMER_ERRORS, "0x10 1x30", event=event) for event in _ALL_ERRORS],
        firing={"9m": [], "11m": [{**QUEUE, "event": event, **WARNING} for event in _ALL_ERRORS], "20m": []},
    ),
    Case(
        alert="ErrorEvents",
        rule="a series that is born at one fires, if the exporter was there before",
        given=[
            series(catalog.BUILD_INFO, "1x40", version="1"),
            series(catalog.CONSUMER_ERRORS, "_x20 1x20", event="error-internal"),
        ],
        firing={"19m": [], "21m": [{**_ERROR, **WARNING}], "30m": []},
    ),
    Case(
        alert="ErrorEvents",
        rule="an exporter that is new, and one that takes over, bring no news",
        given=[
            series(catalog.BUILD_INFO, "_x9 1x40", version="1"),
            series(catalog.CONSUMER_ERRORS, "_x9 4x15 _x20", event="error-internal"),
            series(catalog.CONSUMER_ERRORS, "_x25 4x20", event="error-internal", instance="b"),
        ],
        firing={"11m": [], "14m": [], "26m": [], "40m": []},
    ),
    Case(
        alert="ErrorEvents",
        rule="errors for a quarter of an hour on end are critical; two exporters tell them once",
        given=[
            series(catalog.CONSUMER_ERRORS, "0x5 1+1x30 31x20", event="error-internal"),
            series(catalog.CONSUMER_ERRORS, "0x5 1+1x30 31x20", event="error-internal", instance="b"),
        ],
        firing={
            "10m": [{**_ERROR, **WARNING}],
            "28m": [{**_ERROR, **WARNING}, {**_ERROR, **CRITICAL}],
            "50m": [],
        },
    ),
)

_WORKERS: Final = (
    Case(
        alert="NoConsumers",
        rule="work and no worker fires, workers clear it a quarter of an hour later; an empty queue is quiet",
        given=[
            series(catalog.QUEUE_TASKS, "3x50", **_READY),
            series(catalog.WORKERS, "4x5 0x15 4x30", **_IDLE),
            series(catalog.WORKERS, "0x50", **_BUSY),
            series(catalog.QUEUE_TASKS, "0x50", queue="idle", **_READY),
            series(catalog.WORKERS, "0x50", queue="idle", **_IDLE),
        ],
        firing={"4m": [], "9m": [], "13m": _QUEUE_CRITICAL, "30m": _QUEUE_CRITICAL, "40m": []},
    ),
    Case(
        alert="NoConsumers",
        rule="it fires too where there is no series of workers, and where a scheduled task is due",
        given=[
            series(catalog.QUEUE_TASKS, "3x30", state="running"),
            series(catalog.OLDEST_DUE, "600x30", queue="timed"),
            series(catalog.QUEUE_TASKS, "1x30", queue="timed", state="scheduled"),
        ],
        firing={"9m": _QUEUE_CRITICAL, "17m": [*_QUEUE_CRITICAL, {"queue": "timed", **CRITICAL}]},
    ),
    Case(
        alert="NoConsumers",
        rule="scaled to zero with a task for tomorrow, dead letters, or a pause, is fine",
        given=[
            series(catalog.OLDEST_DUE, "86400x30"),
            series(catalog.QUEUE_TASKS, "1x30", state="scheduled"),
            series(catalog.QUEUE_TASKS, "0x30", **_READY),
            series(catalog.QUEUE_TASKS, "5x30", state="dead"),
            series(catalog.WORKERS, "0x30", **_IDLE),
            series(catalog.QUEUE_TASKS, "7x30", queue="held", **_READY),
            series(catalog.PAUSED, "1x30", queue="held"),
        ],
        firing={"10m": [], "25m": []},
    ),
    Case(
        alert="ConsumersSaturated",
        rule="all busy while tasks wait fires, more workers clear it",
        given=[
            series(catalog.WORKERS, "8x30 4x20", **_BUSY),
            series(catalog.WORKERS, "0x30 4x20", **_IDLE),
            series(catalog.OLDEST_READY, "0x30 1800+60x20"),
            series(catalog.QUEUE_TASKS, "9x50", **_READY),
        ],
        firing={"10m": [], "20m": [{**QUEUE, **WARNING}], "40m": []},
    ),
    Case(
        alert="ConsumersSaturated",
        rule="all busy while nothing waits is what workers are for; four in five busy is headroom",
        given=[
            series(catalog.WORKERS, "8x40", **_BUSY),
            series(catalog.WORKERS, "0x40", **_IDLE),
            series(catalog.QUEUE_TASKS, "0x40", **_READY),
            series(catalog.WORKERS, "8x40", queue="room", **_BUSY),
            series(catalog.WORKERS, "2x40", queue="room", **_IDLE),
            series(catalog.OLDEST_READY, "0x40", queue="room"),
        ],
        firing={"30m": []},
    ),
    Case(
        alert="ConsumersSaturated",
        rule="a wait of forty seconds is one, of twenty-five is none",
        given=[
            series(catalog.WORKERS, "8x30", **_BUSY),
            series(catalog.OLDEST_READY, "-40+60x30"),
            series(catalog.WORKERS, "8x30", queue="quick", **_BUSY),
            series(catalog.OLDEST_READY, "-25+60x30", queue="quick"),
        ],
        firing={"25m": [{**QUEUE, **WARNING}]},
    ),
    Case(
        alert="ConsumerGone",
        rule="a consumer that falls silent fires, and clears when it is forgotten",
        given=[series(catalog.HEARTBEAT, "0+60x5 300x10 stale")],
        firing={"5m": [], "8m": _CONSUMER, "20m": []},
    ),
    Case(
        alert="ConsumerGone",
        rule="forty seconds are too long, twenty-five are not",
        given=[
            series(catalog.HEARTBEAT, "-40+60x10"),
            series(catalog.HEARTBEAT, "-25+60x10", consumer="late"),
        ],
        firing={"8m": _CONSUMER},
    ),
    Case(
        alert="ConsumerGone",
        rule="one that stops in good order vanishes at once; one scrape too late is nothing",
        given=[
            series(catalog.HEARTBEAT, "0+60x5 stale"),
            series(catalog.HEARTBEAT, "0+60x5 300 420+60x9", consumer="late"),
        ],
        firing={"6m": [], "8m": []},
    ),
    Case(
        alert="ThreadsAbandoned",
        rule="a stuck thread fires, a fresh consumer clears",
        given=[
            series(catalog.ABANDONED, "0x5 2x10 stale"),
            series(catalog.ABANDONED, "_x15 0x10", consumer="c2"),
        ],
        firing={"5m": [], "10m": _CONSUMER, "18m": []},
    ),
    Case(
        alert="ThreadsAbandoned",
        rule="a consumer that was replaced within the minute is fine",
        given=[series(catalog.ABANDONED, "0x5 1 0x20")],
        firing={"6m": [], "7m": []},
    ),
    Case(
        alert="ClockSkew",
        rule="a clock behind and one ahead fire, the repair clears",
        given=[
            series(catalog.CLOCK_SKEW, "0x5 -9x10 0x10"),
            series(catalog.CLOCK_SKEW, "0x5 9x10 0x10", host="w2"),
        ],
        firing={"5m": [], "12m": [{"host": "w1", **WARNING}, {"host": "w2", **WARNING}], "18m": []},
    ),
    Case(
        alert="ClockSkew",
        rule="four seconds are fine, nine for a moment too",
        given=[series(catalog.CLOCK_SKEW, "4x30"), series(catalog.CLOCK_SKEW, "0x5 9x3 0x20", host="w2")],
        firing={"9m": [], "12m": []},
    ),
)

_SCHEDULES: Final = (
    Case(
        alert="PeriodicMissed",
        rule="a due time without success fires after the grace, success clears; an every-minute task too",
        given=[
            series(catalog.PERIODIC_UNMET, "0x5 300x20 0x10"),
            series(catalog.PERIODIC_GRACE, "300x40"),
            series(catalog.PERIODIC_NEXT, "0+60x40"),
        ],
        firing={"10m": [], "13m": [{**TASK, **WARNING}], "30m": []},
    ),
    Case(
        alert="PeriodicMissed",
        rule="within its own grace, with nothing due, or paused it is quiet",
        given=[
            series(catalog.PERIODIC_UNMET, "0x5 300x20"),
            series(catalog.PERIODIC_GRACE, "3600x40"),
            series(catalog.PERIODIC_UNMET, "0x30", task="idle"),
            series(catalog.PERIODIC_GRACE, "60x30", task="idle"),
            series(catalog.PERIODIC_UNMET, "60x30", queue="held"),
            series(catalog.PERIODIC_GRACE, "60x30", queue="held"),
            series(catalog.PAUSED, "1x30", queue="held"),
        ],
        firing={"20m": [], "25m": []},
    ),
    Case(
        alert="SchedulerStalled",
        rule="four minutes without a look fire, looks clear it a quarter of an hour later",
        given=[
            series(catalog.SCHEDULER_CHECK, "0+60x5 300x10 900+60x40"),
            series(catalog.PERIODIC_NEXT, "600x60"),
        ],
        firing={"5m": [], "10m": _QUEUE_CRITICAL, "25m": _QUEUE_CRITICAL, "35m": []},
    ),
    Case(
        alert="PeriodicMissed",
        rule="a success that comes a minute after the grace comes in time",
        given=[series(catalog.PERIODIC_UNMET, "0x5 300x5 0x10"), series(catalog.PERIODIC_GRACE, "300x40")],
        firing={"11m": [], "13m": []},
    ),
    Case(
        alert="SchedulerStalled",
        rule="a look that is a minute late is none that is missing",
        given=[
            series(catalog.SCHEDULER_CHECK, "0+60x5 300x2 540+60x20"),
            series(catalog.PERIODIC_NEXT, "600x60"),
        ],
        firing={"8m": [], "10m": []},
    ),
    Case(
        alert="SchedulerStalled",
        rule="without periodic tasks nobody has to look; a look two minutes ago is the usual",
        given=[
            series(catalog.SCHEDULER_CHECK, "0x60"),
            series(catalog.SCHEDULER_CHECK, "0x1 0+60x50", queue="usual"),
            series(catalog.PERIODIC_NEXT, "600x60", queue="usual"),
        ],
        firing={"10m": [], "30m": []},
    ),
    Case(
        alert="OverdueScheduled",
        rule="a due task that nobody puts on the queue fires, and clears a quarter of an hour later",
        given=[series(catalog.OLDEST_DUE, "300x15 stale")],
        firing={"7m": [], "10m": _QUEUE_CRITICAL, "25m": _QUEUE_CRITICAL, "35m": []},
    ),
    Case(
        alert="OverdueScheduled",
        rule="one that is taken after three minutes was late and is gone",
        given=[series(catalog.OLDEST_DUE, "300x8 stale")],
        firing={"8m": [], "10m": []},
    ),
    Case(
        alert="OverdueScheduled",
        rule="one that is due tomorrow, and those that are always taken within two minutes, are fine",
        given=[
            series(catalog.OLDEST_DUE, "86400x30"),
            series(catalog.OLDEST_DUE, "0x1 0+60x30", queue="busy"),
        ],
        firing={"10m": [], "25m": []},
    ),
)

CASES: Final[Sequence[Case]] = (*_ERRORS, *_WORKERS, *_SCHEDULES)
