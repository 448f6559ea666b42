"""Cases of the exporter and what it counts about itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from limelight_exporter import catalog

from .case import CRITICAL, QUEUE, WARNING, Case, series

_ONE: Final = [{**QUEUE, **WARNING}]
_COUNTERS: Final[Sequence[tuple[str, str, Mapping[str, str], Mapping[str, str]]]] = (
    ("EventsLost", catalog.EVENTS_LOST, {}, CRITICAL),
    ("StreamRolledBack", catalog.ROLLBACKS, {}, WARNING),
    ("MalformedEvents", catalog.MALFORMED, {"reason": "oversized"}, WARNING),
    ("SeriesOverflow", catalog.OVERFLOW, {"metric": catalog.ERRORS}, WARNING),
    ("SnapshotSetAside", catalog.SET_ASIDE, {}, WARNING),
)

_TARGETS: Final = (
    Case(
        alert="ExporterDown",
        rule="one of two is a warning, both are critical; both clear",
        given=[series("up", "1x5 0x20 1x20"), series("up", "1x12 0x10 1x20", instance="b")],
        firing={
            "6m": [],
            "10m": [{"instance": "a", **WARNING}],
            "18m": [{"instance": "a", **WARNING}, {"instance": "b", **WARNING}, CRITICAL],
            "24m": [{"instance": "a", **WARNING}],
            "35m": [],
        },
    ),
    Case(
        alert="ExporterDown",
        rule="one missed scrape is nothing, nor is a target of another job",
        given=[series("up", "1x5 0 1x30"), series("up", "0x30", job="node")],
        firing={"5m": [], "6m": [], "10m": []},
    ),
    Case(
        alert="ExporterAbsent",
        rule="a target that vanishes fires with its job, its return clears; another job goes on",
        given=[
            series("up", "1x5 _x20 1x20"),
            series(catalog.BUILD_INFO, "1x5 _x20 1x20", version="1"),
            series("up", "1x50", job="limelight-eu"),
            series(catalog.BUILD_INFO, "1x50", job="limelight-eu", version="1"),
        ],
        firing={"5m": [], "20m": [CRITICAL], "30m": []},
    ),
    Case(
        alert="ExporterAbsent",
        rule="the only job that vanishes is told once, by its name",
        given=[
            series("up", "1x5 stale"),
            series(catalog.BUILD_INFO, "1x5 stale", version="1"),
        ],
        firing={"5m": [], "20m": [CRITICAL]},
    ),
    Case(
        alert="ExporterAbsent",
        rule="where there never was one it fires without a job",
        given=[series("up", "1x30", job="node")],
        firing={"3m": [], "10m": [{"job": "", **CRITICAL}]},
    ),
    Case(
        alert="ExporterAbsent",
        rule="one that does not answer is there all the same",
        given=[series("up", "1x5 0x30"), series(catalog.BUILD_INFO, "1x5 _x30", version="1")],
        firing={"20m": [], "30m": []},
    ),
    Case(
        alert="QueueUnmonitored",
        rule="a shard that leaves while the job lives on fires, its return clears",
        given=[
            series(catalog.QUEUE_TASKS, "5x10 _x40 5x20", state="ready"),
            series(catalog.QUEUE_CURRENT, "1x10 _x40 1x20"),
            series(catalog.QUEUE_CURRENT, "1x80", queue="other", instance="b"),
        ],
        firing={"9m": [], "30m": _ONE, "55m": []},
    ),
    Case(
        alert="QueueUnmonitored",
        rule="workers without tasks are worth a watch too; an exporter that restarts is back in time",
        given=[
            series(catalog.WORKERS, "2x10 stale", state="idle"),
            series(catalog.QUEUE_CURRENT, "1x10 stale"),
            series(catalog.QUEUE_TASKS, "5x60", queue="back", state="ready"),
            series(catalog.QUEUE_CURRENT, "1x10 stale _x4 1x40", queue="back"),
        ],
        firing={"9m": [], "14m": [], "30m": _ONE},
    ),
    Case(
        alert="QueueUnmonitored",
        rule="a queue without tasks or workers may go; one whose Redis is away is still watched",
        given=[
            series(catalog.QUEUE_TASKS, "0x10 _x60", state="ready"),
            series(catalog.WORKERS, "0x10 _x60", state="idle"),
            series(catalog.QUEUE_CURRENT, "1x10 _x60"),
            series(catalog.QUEUE_TASKS, "5x10 _x60", queue="away", state="ready"),
            series(catalog.QUEUE_CURRENT, "1x10 0x60", queue="away"),
        ],
        firing={"30m": [], "50m": []},
    ),
    Case(
        alert="QueuesLeftOut",
        rule="a queue that is left out fires, and clears when it is served",
        given=[series(catalog.QUEUES_LEFT_OUT, "0x5 1x15 0x10")],
        firing={"5m": [], "15m": [WARNING], "25m": []},
    ),
    Case(
        alert="QueuesLeftOut",
        rule="none left out is fine, one for a moment too",
        given=[series(catalog.QUEUES_LEFT_OUT, "0x5 1x2 0x20")],
        firing={"7m": [], "20m": []},
    ),
    Case(
        alert="GroupDisagrees",
        rule="settings that differ fire once for two exporters, and clear when they are one again",
        given=[
            series(catalog.GROUP_AGREES, "1x5 0x20 1x10"),
            series(catalog.GROUP_AGREES, "1x35", instance="b"),
        ],
        firing={"10m": [], "20m": _ONE, "30m": []},
    ),
    Case(
        alert="GroupDisagrees",
        rule="while settings are rolled out they may differ",
        given=[series(catalog.GROUP_AGREES, "1x5 0x8 1x20")],
        firing={"12m": [], "16m": [], "30m": []},
    ),
)

_FOLD: Final = (
    Case(
        alert="EventLag",
        rule="a lag of minutes fires once for two exporters, catching up clears",
        given=[
            series(catalog.LAG_SECONDS, "0x5 120x10 0x20"),
            series(catalog.LAG_SECONDS, "0x5 130x10 0x20", instance="b"),
        ],
        firing={"5m": [], "10m": _ONE, "20m": []},
    ),
    Case(
        alert="EventLag",
        rule="a minute's lag, or a short burst, is fine",
        given=[
            series(catalog.LAG_SECONDS, "60x30"),
            series(catalog.LAG_SECONDS, "0x5 120x1 0x30", queue="burst"),
        ],
        firing={"6m": [], "7m": [], "20m": []},
    ),
    *(
        Case(
            alert=alert,
            rule="one more fires at once, and clears; born at one as well",
            given=[
                series(metric, "7x17 8x25", **labels),
                series(catalog.BUILD_INFO, "1x45", version="1"),
                series(metric, "_x17 1x25", queue="new", **labels),
            ],
            firing={
                "16m": [],
                "19m": [{**QUEUE, **labels, **severity}, {"queue": "new", **labels, **severity}],
                "40m": [],
            },
        )
        for alert, metric, labels, severity in _COUNTERS
    ),
    *(
        Case(
            alert=alert,
            rule="a total that stands still is quiet, also when another exporter takes over",
            given=[
                series(catalog.BUILD_INFO, "1x60", version="1"),
                series(metric, "7x17 _x20", **labels),
                series(metric, "_x18 7x20", instance="b", **labels),
            ],
            firing={"10m": [], "19m": [], "35m": []},
        )
        for alert, metric, labels, _ in _COUNTERS
    ),
    Case(
        alert="SnapshotStale",
        rule="a save that is missing for minutes fires, the next clears",
        given=[series(catalog.SNAPSHOT_TIME, "0+60x5 300x15 1200+60x20")],
        firing={"5m": [], "15m": _ONE, "25m": []},
    ),
    Case(
        alert="SnapshotStale",
        rule="three minutes are fine, six for once too",
        given=[
            series(catalog.SNAPSHOT_TIME, "-200+60x30"),
            series(catalog.SNAPSHOT_TIME, "0+60x5 300x5 720+60x20", queue="late"),
        ],
        firing={"5m": [], "11m": [], "20m": []},
    ),
    Case(
        alert="SnapshotStale",
        rule="one exporter of the group that saves is enough",
        given=[series(catalog.SNAPSHOT_TIME, "0x30"), series(catalog.SNAPSHOT_TIME, "0+60x30", instance="b")],
        firing={"15m": [], "25m": []},
    ),
    Case(
        alert="CollectorFailing",
        rule="a part that fails in one of two exporters fires, and clears",
        given=[
            series(catalog.COLLECTOR_SUCCESS, "1x5 0x10 1x10", collector="queues"),
            series(catalog.COLLECTOR_SUCCESS, "1x30", collector="queues", instance="b"),
        ],
        firing={"5m": [], "12m": [{"collector": "queues", **WARNING}], "18m": []},
    ),
    Case(
        alert="CollectorFailing",
        rule="three scrapes without it are a restart of Redis",
        given=[series(catalog.COLLECTOR_SUCCESS, "1x5 0x3 1x20", collector="queues")],
        firing={"8m": [], "15m": []},
    ),
    Case(
        alert="ScrapeSlow",
        rule="scrapes of six seconds fire, quick ones clear",
        given=[series("scrape_duration_seconds", "0.01x5 6x10 0.01x10")],
        firing={"5m": [], "12m": [{"instance": "a", **WARNING}], "18m": []},
    ),
    Case(
        alert="ScrapeSlow",
        rule="two seconds are fine, six for once, or of another job, too",
        given=[
            series("scrape_duration_seconds", "2x30"),
            series("scrape_duration_seconds", "0.01x5 6x3 0.01x20", instance="b"),
            series("scrape_duration_seconds", "9x30", job="node"),
        ],
        firing={"9m": [], "25m": []},
    ),
    Case(
        alert="WebConfigRefused",
        rule="a wrong file fires, its repair clears",
        given=[series(catalog.WEB_CONFIG_TAKEN, "1x5 0x10 1x10")],
        firing={"5m": [], "8m": [{"instance": "a", **WARNING}], "18m": []},
    ),
    Case(
        alert="WebConfigRefused",
        rule="half a file, while it is being written, is nothing",
        given=[series(catalog.WEB_CONFIG_TAKEN, "1x5 0 1x20")],
        firing={"6m": [], "8m": []},
    ),
)

_SPANS: Final = (
    Case(
        alert="SpanExportFailing",
        rule="a collector that is down fires, its return clears",
        given=[series(catalog.SPAN_FAILURES, "0x5 0+2x20 40x20", code="503")],
        firing={"5m": [], "15m": [{"effect": "delayed", **WARNING}], "35m": []},
    ),
    Case(
        alert="SpanExportFailing",
        rule="a dropped span fires at once, also as the first of its reason, and clears",
        given=[
            series(catalog.BUILD_INFO, "1x70", version="1"),
            series(catalog.SPANS_DROPPED, "_x20 1x40", reason="rejected"),
        ],
        firing={"19m": [], "22m": [{"effect": "lost", **WARNING}], "45m": []},
    ),
    Case(
        alert="SpanExportFailing",
        rule="an exporter that is new brings no news of drops",
        given=[
            series(catalog.BUILD_INFO, "_x9 1x40", version="1"),
            series(catalog.SPANS_DROPPED, "_x9 4x40", reason="rejected"),
        ],
        firing={"11m": [], "20m": []},
    ),
    Case(
        alert="SpanExportFailing",
        rule="what sampling leaves out is not lost, and a single failed export is repeated",
        given=[
            series(catalog.SPANS_DROPPED, "0+9x40", reason="unsampled"),
            series(catalog.SPAN_FAILURES, "0x5 1x30", code="503"),
        ],
        firing={"8m": [], "11m": [], "30m": []},
    ),
    Case(
        alert="SpanLag",
        rule="spans that wait for ten minutes fire, and clear",
        given=[series(catalog.SPAN_LAG, "0x5 600x10 0x10")],
        firing={"5m": [], "10m": _ONE, "18m": []},
    ),
    Case(
        alert="SpanLag",
        rule="five minutes are fine, ten for a moment too",
        given=[series(catalog.SPAN_LAG, "300x30"), series(catalog.SPAN_LAG, "0x5 600x1 0x20", queue="burst")],
        firing={"7m": [], "20m": []},
    ),
)

_RETENTION: Final = (
    Case(
        alert="RetentionHalfUsed",
        rule="six tenths of the events, or of the time, for metrics or for spans, fire and clear",
        given=[
            series(catalog.LAG_EVENTS, "0x5 300000x10 0x10"),
            series(catalog.LAG_SECONDS, "0x5 52000x10 0x10", queue="late"),
            series(catalog.SPAN_LAG, "0x5 52000x10 0x10", queue="dark"),
        ],
        firing={
            "5m": [],
            "10m": [*_ONE, {"queue": "late", **WARNING}, {"queue": "dark", **WARNING}],
            "18m": [],
        },
    ),
    Case(
        alert="RetentionHalfUsed",
        rule="four tenths are fine, six for once too",
        given=[
            series(catalog.LAG_EVENTS, "200000x20"),
            series(catalog.LAG_SECONDS, "34000x20"),
            series(catalog.SPAN_LAG, "34000x20"),
            series(catalog.LAG_EVENTS, "0x5 300000x1 0x10", queue="burst"),
        ],
        firing={"6m": [], "7m": [], "15m": []},
    ),
)

CASES: Final[Sequence[Case]] = (*_TARGETS, *_FOLD, *_SPANS, *_RETENTION)
