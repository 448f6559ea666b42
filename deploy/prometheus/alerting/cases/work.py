"""Cases of the work itself: ages, stalls, retries, dead letters, losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limelight_exporter import catalog

from .case import CRITICAL, QUEUE, TASK, WARNING, Case, series

_READY: Final = {"state": "ready"}
_DEAD: Final = {"state": "dead"}
_ONE: Final = [{**QUEUE, **WARNING}]
_STALLED: Final = [{**QUEUE, **CRITICAL}]

_AGE: Final = (
    Case(
        alert="QueueAge",
        rule="a task that waits for ten minutes fires, an empty queue clears it, depth alone does nothing",
        given=[
            series(catalog.OLDEST_READY, "_x5 300x15 _x20"),
            series(catalog.QUEUE_TASKS, "0x5 5x15 0x20", **_READY),
            series(catalog.OLDEST_READY, "0+60x40", queue="busy"),
            series(catalog.QUEUE_TASKS, "90000x40", queue="busy", **_READY),
        ],
        firing={"4m": [], "10m": [], "15m": _ONE, "30m": []},
    ),
    Case(
        alert="QueueAge",
        rule="five minutes are not more than five minutes",
        given=[series(catalog.OLDEST_READY, "0x4 0+60x30")],
        firing={"5m": [], "20m": []},
    ),
    Case(
        alert="QueueAge",
        rule="where a task declares how long it may wait, that counts: less or more than the usual",
        given=[
            series(catalog.OLDEST_READY, "0x2 60+60x30"),
            series(catalog.SLO_THRESHOLD, "50x30", objective="wait"),
            series(catalog.OLDEST_READY, "0x30", queue="night"),
            series(catalog.SLO_THRESHOLD, "3600x30", queue="night", objective="wait"),
        ],
        firing={"1m": [], "10m": _ONE},
    ),
    Case(
        alert="QueueAge",
        rule="a paused queue ages with somebody's consent",
        given=[series(catalog.OLDEST_READY, "0x30"), series(catalog.PAUSED, "1x30")],
        firing={"20m": []},
    ),
)

_STALL: Final = (
    Case(
        alert="QueueStalled",
        rule="a backlog without progress fires, progress clears it a quarter of an hour later",
        given=[
            series(catalog.QUEUE_TASKS, "40x90", **_READY),
            series(catalog.ATTEMPTS, "0+5x10 50x30 50+5x50", outcome="success"),
            series(catalog.PAUSED, "0x90"),
        ],
        firing={"20m": [], "35m": _STALLED, "50m": _STALLED, "60m": []},
    ),
    Case(
        alert="QueueStalled",
        rule="workers that die, are interrupted or find a lock taken are no progress",
        given=[
            series(catalog.QUEUE_TASKS, "4x60", **_READY),
            *(
                series(catalog.ATTEMPTS, "0+1x60", outcome=outcome)
                for outcome in ("lost", "interrupted", "locked", "rate_limited")
            ),
        ],
        firing={"20m": _STALLED},
    ),
    Case(
        alert="QueueStalled",
        rule="it fires too where nothing was ever finished",
        given=[series(catalog.QUEUE_TASKS, "4x60", **_READY)],
        firing={"4m": [], "20m": _STALLED},
    ),
    Case(
        alert="QueueStalled",
        rule="a run of twenty minutes where a quarter of an hour is usual is no stall; one of three hours is",
        given=[
            series(catalog.QUEUE_TASKS, "0x5 4x300", **_READY),
            series(catalog.OLDEST_RUNNING, "_x9 600x300"),
            series(f"{catalog.DURATION}_bucket", "0x2 0+1x5 5x300", result="ok", le="3600.0"),
            series(f"{catalog.DURATION}_bucket", "0x300", result="ok", le="600.0"),
            series(f"{catalog.DURATION}_bucket", "0x2 0+1x5 5x300", result="ok", le="+Inf"),
        ],
        firing={"30m": [], "60m": [], "150m": _STALLED},
    ),
    Case(
        alert="QueueStalled",
        rule="runs that always begin anew are no long run, wherever long ones are usual",
        given=[
            series(catalog.QUEUE_TASKS, "4x60", **_READY),
            series(catalog.OLDEST_RUNNING, "-300+60x60"),
            series(f"{catalog.DURATION}_bucket", "0x2 0+1x5 5x60", result="ok", le="3600.0"),
            series(f"{catalog.DURATION}_bucket", "0x60", result="ok", le="600.0"),
            series(f"{catalog.DURATION}_bucket", "0x2 0+1x5 5x60", result="ok", le="+Inf"),
        ],
        firing={"20m": _STALLED},
    ),
    Case(
        alert="QueueStalled",
        rule="a lag of fifty seconds hides no stall, one of a hundred says that nothing is known",
        given=[
            series(catalog.QUEUE_TASKS, "9x30", **_READY),
            series(catalog.LAG_SECONDS, "50x30"),
            series(catalog.QUEUE_TASKS, "9x30", queue="behind", **_READY),
            series(catalog.LAG_SECONDS, "100x30", queue="behind"),
        ],
        firing={"20m": _STALLED},
    ),
    Case(
        alert="QueueStalled",
        rule="paused, idle or not known for lag stays quiet",
        given=[
            series(catalog.QUEUE_TASKS, "40x60", **_READY),
            series(catalog.PAUSED, "1x60"),
            series(catalog.QUEUE_TASKS, "0x60", queue="idle", **_READY),
            series(catalog.QUEUE_TASKS, "9x60", queue="behind", **_READY),
            series(catalog.LAG_SECONDS, "300x60", queue="behind"),
        ],
        firing={"40m": []},
    ),
)

_RUNS: Final = (
    Case(
        alert="TaskRunningTooLong",
        rule="a run of more than six hours fires, its end clears it; five hours are fine",
        given=[
            series(catalog.OLDEST_RUNNING, "0x15 27000x10"),
            series(catalog.OLDEST_RUNNING, "7200x10 stale", queue="long"),
        ],
        firing={"5h30m": [], "6h30m": [], "7h": _ONE, "8h": []},
        minutes=30,
    ),
    Case(
        alert="TaskRunningTooLong",
        rule="many runs of an hour each are fine",
        given=[
            series(
                catalog.OLDEST_RUNNING,
                "0 0 3600 3600 7200 7200 10800 10800 14400 14400 18000 18000 21600 21600 25200 25200",
            )
        ],
        firing={"6h30m": [], "7h30m": []},
        minutes=30,
    ),
    Case(
        alert="RetryStorm",
        rule="half of the runs are repeated: fires, and clears",
        given=[
            series(catalog.RETRIES, "0x10 0+2x30 60x30"),
            series(catalog.ATTEMPTS, "0x10 0+2x30 60x30", outcome="error"),
            series(catalog.ATTEMPTS, "0+2x70", outcome="success"),
        ],
        firing={"10m": [], "30m": [{**TASK, **WARNING}], "60m": []},
    ),
    Case(
        alert="RetryStorm",
        rule="twenty in ten minutes are too few, a bad minute among good ones is over",
        given=[
            series(catalog.RETRIES, "0+2x40", task="few"),
            series(catalog.ATTEMPTS, "0+2x40", task="few", outcome="error"),
            series(catalog.RETRIES, "0x10 40x30"),
            series(catalog.ATTEMPTS, "0x10 40x30", outcome="error"),
            series(catalog.ATTEMPTS, "0x13 400x30", outcome="success"),
        ],
        firing={"12m": [], "20m": [], "30m": []},
    ),
    Case(
        alert="RetryStorm",
        rule="two retries of two runs are no storm, nor is one in five",
        given=[
            series(catalog.RETRIES, "0x5 2x40"),
            series(catalog.ATTEMPTS, "0x5 2x40", outcome="error"),
            series(catalog.RETRIES, "0+2x40", task="mixed"),
            series(catalog.ATTEMPTS, "0+2x40", task="mixed", outcome="error"),
            series(catalog.ATTEMPTS, "0+8x40", task="mixed", outcome="success"),
        ],
        firing={"10m": [], "14m": [], "30m": []},
    ),
    Case(
        alert="RetryStorm",
        rule="who waits for a lock or a rate limit, and who was interrupted, is not in trouble",
        given=[
            series(catalog.RETRIES, "0+10x40"),
            series(catalog.ATTEMPTS, "0+10x40", outcome="locked"),
            series(catalog.ATTEMPTS, "0+5x40", outcome="success"),
            series(catalog.ATTEMPTS, "0+9x40", outcome="interrupted"),
        ],
        firing={"20m": [], "35m": []},
    ),
)

_LOSSES: Final = (
    Case(
        alert="DeadLettersGrowing",
        rule="one more fires at once, and clears",
        given=[series(catalog.COMPLETED, "0x10 1x40", outcome="dead")],
        firing={"9m": [], "11m": _ONE, "30m": []},
    ),
    Case(
        alert="DeadLettersGrowing",
        rule="the first of a task that nobody announced fires as well",
        given=[
            series(catalog.BUILD_INFO, "1x60", version="1"),
            series(catalog.COMPLETED, "_x29 1x30", outcome="dead", task="_unknown"),
        ],
        firing={"28m": [], "31m": _ONE, "50m": []},
    ),
    Case(
        alert="DeadLettersGrowing",
        rule="a gauge that grows fires, one that falls because somebody requeues does not",
        given=[series(catalog.QUEUE_TASKS, "0x10 2x20 1x30", **_DEAD)],
        firing={"12m": _ONE, "29m": [], "35m": []},
    ),
    Case(
        alert="DeadLettersGrowing",
        rule="those of last month are no news, also to an exporter with another name",
        given=[
            series(catalog.BUILD_INFO, "1x60", version="1"),
            series(catalog.COMPLETED, "7x20 _x40", outcome="dead"),
            series(catalog.COMPLETED, "_x20 7x40", outcome="dead", instance="b"),
            series(catalog.QUEUE_TASKS, "7x60", **_DEAD),
        ],
        firing={"10m": [], "22m": [], "40m": []},
    ),
    Case(
        alert="DeadLettersPresent",
        rule="after a day it fires, after a purge it clears",
        given=[series(catalog.QUEUE_TASKS, "0x3 2x55 0x10", **_DEAD)],
        firing={"24h": [], "26h": _ONE, "30h": []},
        minutes=30,
    ),
    Case(
        alert="DeadLettersPresent",
        rule="some every day, purged within the day, are fine",
        given=[series(catalog.QUEUE_TASKS, "2x40 0x2 2x40 0", **_DEAD)],
        firing={"20h": [], "30h": [], "40h": []},
        minutes=30,
    ),
    Case(
        alert="TasksLost",
        rule="a lost run fires at once, and clears",
        given=[series(catalog.ATTEMPTS, "0x10 1x40", outcome="lost")],
        firing={"9m": [], "11m": _ONE, "30m": []},
    ),
    Case(
        alert="TasksLost",
        rule="the first of a task that nobody announced fires as well; an exporter that takes over brings no news",
        given=[
            series(catalog.BUILD_INFO, "1x60", version="1"),
            series(catalog.ATTEMPTS, "_x29 1x30", outcome="lost"),
            series(catalog.ATTEMPTS, "7x20 _x40", outcome="lost", queue="old"),
            series(catalog.ATTEMPTS, "_x20 7x40", outcome="lost", queue="old", instance="b"),
        ],
        firing={"22m": [], "28m": [], "31m": _ONE, "50m": []},
    ),
    Case(
        alert="TasksLost",
        rule="an exporter that is new brings no news either",
        given=[
            series(catalog.BUILD_INFO, "_x9 1x40", version="1"),
            series(catalog.ATTEMPTS, "_x9 4x40", outcome="lost"),
        ],
        firing={"11m": [], "20m": []},
    ),
    Case(
        alert="TasksLost",
        rule="a clean stop loses nothing, and what was lost before is no news",
        given=[
            series(catalog.ATTEMPTS, "0x10 9x40", outcome="interrupted"),
            series(catalog.ATTEMPTS, "3x50", outcome="lost"),
        ],
        firing={"5m": [], "12m": [], "30m": []},
    ),
    Case(
        alert="QueueIndexMismatch",
        rule="a difference in either direction fires, its repair clears",
        given=[
            series(catalog.INDEX_MISMATCH, "0x5 2x10 0x10"),
            series(catalog.INDEX_MISMATCH, "0x5 -1x10 0x10", queue="less"),
        ],
        firing={"5m": [], "12m": [{**QUEUE, **WARNING}, {"queue": "less", **WARNING}], "18m": []},
    ),
    Case(
        alert="QueueIndexMismatch",
        rule="a difference of a moment, between two reads, is none",
        given=[series(catalog.INDEX_MISMATCH, "0x5 2x3 0x10")],
        firing={"8m": [], "12m": []},
    ),
    Case(
        alert="PausedLong",
        rule="after a day it fires, resumed it clears",
        given=[series(catalog.PAUSED, "0x3 1x55 0x10")],
        firing={"24h": [], "26h": _ONE, "30h": []},
        minutes=30,
    ),
    Case(
        alert="PausedLong",
        rule="a pause of a night is fine",
        given=[series(catalog.PAUSED, "0x3 1x45 0x20")],
        firing={"23h30m": [], "30h": []},
        minutes=30,
    ),
)

CASES: Final[Sequence[Case]] = (*_AGE, *_STALL, *_RUNS, *_LOSSES)
