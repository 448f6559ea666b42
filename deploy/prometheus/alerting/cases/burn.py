"""Cases of budgets that burn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limelight_exporter import catalog

from .case import CRITICAL, TASK, WARNING, Case, series

_WAIT: Final = {**TASK, "objective": "wait"}
_HOUR, _SIX, _DAYS = ({"window": window} for window in ("1h", "6h", "3d"))
_PAGE_HOUR, _PAGE_SIX = ({**_WAIT, **CRITICAL, **window} for window in (_HOUR, _SIX))
_FAILS_HOUR, _FAILS_SIX = ({**TASK, **CRITICAL, **window} for window in (_HOUR, _SIX))
_TICKET, _FAILS_DAYS = ({**labels, **WARNING, **_DAYS} for labels in (_WAIT, TASK))


def _judged(good: str, bad: str, target: str = "0.95", **labels: str) -> list[tuple[str, str]]:
    objective = {"objective": "wait", **labels}
    return [
        series(catalog.SLO_EVALUATIONS, good, result="good", **objective),
        series(catalog.SLO_EVALUATIONS, bad, result="bad", **objective),
        series(catalog.SLO_TARGET, f"{target}x2000", **objective),
    ]


def _ended(success: str, dead: str, **labels: str) -> list[tuple[str, str]]:
    return [
        series(catalog.COMPLETED, success, outcome="success", **labels),
        series(catalog.COMPLETED, dead, outcome="dead", **labels),
    ]


CASES: Final[Sequence[Case]] = (
    Case(
        alert="TaskSLOBurn",
        rule="nine of ten too late for an hour fires in both fast windows, and clears",
        given=_judged("0+10x60 600+1x60 660+10x150", "0x60 0+9x60 540x150"),
        firing={
            "59m": [],
            "110m": [_PAGE_SIX],
            "118m": [_PAGE_HOUR, _PAGE_SIX],
            "130m": [_PAGE_HOUR, _PAGE_SIX, _TICKET],
            "140m": [_PAGE_SIX, _TICKET],
            "150m": [_PAGE_SIX, _TICKET],
            "165m": [_TICKET],
        },
    ),
    Case(
        alert="TaskSLOBurn",
        rule="thirty-five bad ones in an hour are enough",
        given=_judged("0x120", "0+0.5x120"),
        firing={"30m": [], "70m": [_PAGE_HOUR, _PAGE_SIX], "110m": [_PAGE_HOUR, _PAGE_SIX, _TICKET]},
    ),
    Case(
        alert="TaskSLOBurn",
        rule="a bad night is over when the day was good, though three days are spoilt",
        given=_judged("0x20 0+600x60", "0+600x20 12000x60"),
        firing={"12h": [_TICKET], "30h": []},
        minutes=30,
    ),
    Case(
        alert="TaskSLOBurn",
        rule="seven in ten are below fourteen times a budget of 0.05, but not below six times",
        given=_judged("0+3x90", "0+7x90"),
        firing={"10m": [], "50m": [{**_WAIT, **CRITICAL, **_SIX}]},
    ),
    Case(
        alert="TaskSLOBurn",
        rule="a target of 0.5 can be missed too: when all but everything is bad",
        given=_judged("0x70", "0+2x70", target="0.5"),
        firing={"50m": [{**_WAIT, **CRITICAL, **_HOUR}, {**_WAIT, **CRITICAL, **_SIX}]},
    ),
    Case(
        alert="TaskSLOBurn",
        rule="nine bad ones in an hour are too few, also when two exporters tell of them",
        given=[
            *_judged("0x130", "0x10 1x5 5x5 9x110"),
            *_judged("0x130", "0x10 1x5 5x5 9x110", instance="b"),
        ],
        firing={"20m": [], "40m": [], "70m": [], "110m": []},
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="three in ten fail for half an hour: fires in both fast windows, and clears",
        given=_ended("0+7x240", "0x60 0+3x30 90x150"),
        firing={
            "59m": [],
            "85m": [],
            "88m": [_FAILS_HOUR, _FAILS_SIX],
            "105m": [_FAILS_HOUR, _FAILS_SIX],
            "115m": [_FAILS_SIX],
            "125m": [_FAILS_SIX, _FAILS_DAYS],
            "140m": [_FAILS_DAYS],
            "4h": [_FAILS_DAYS],
        },
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="what got better is a page no longer, though some still fail",
        given=[
            *_ended("0+7x170", "0x60 0+3x30 90+0.7x80"),
            *_ended("0+7x170", "0x60 0+3x30 90+0.3x80", task="other"),
        ],
        firing={
            "116m": [_FAILS_SIX, {**_FAILS_SIX, "task": "other"}],
            "150m": [_FAILS_SIX, _FAILS_DAYS, {**_FAILS_DAYS, "task": "other"}],
        },
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="thirty-five failures in an hour are enough",
        given=_ended("0x120", "0+0.5x120"),
        firing={"30m": [], "70m": [_FAILS_HOUR, _FAILS_SIX], "110m": [_FAILS_HOUR, _FAILS_SIX, _FAILS_DAYS]},
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="twelve failures and nothing else are below the least volume, also from two exporters",
        given=[
            *_ended("0x130", "0x10 4x9 8x9 12x100"),
            *_ended("0x130", "0x10 4x9 8x9 12x100", instance="b"),
        ],
        firing={"15m": [], "30m": [], "1h": [], "125m": []},
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="what users cancel and revoke is no failure",
        given=[
            *_ended("0+1x70", "0x70"),
            series(catalog.COMPLETED, "0+9x70", outcome="canceled"),
            series(catalog.COMPLETED, "0+9x70", outcome="revoked"),
        ],
        firing={"1h": []},
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="a task with an objective of its own is left to that",
        given=[
            *_ended("0x130", "0+10x130"),
            series(catalog.SLO_TARGET, "0.1x130", objective="success"),
        ],
        firing={"60m": [], "125m": []},
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="two in a hundred for days are a warning and no page",
        given=_ended("0+588x140", "0+12x140"),
        firing={"30m": [], "4020m": [_FAILS_DAYS]},
        minutes=30,
    ),
    Case(
        alert="TaskFailureBurnRate",
        rule="five in a hundred since this morning are not yet one in three days; what is over is over",
        given=[
            *_ended("0+600x140", "0x120 0+30x20", task="fresh"),
            *_ended("0+600x140", "0+18x120 2160+3.6x20", task="over"),
        ],
        firing={"3480m": [{**_FAILS_DAYS, "task": "over"}], "4080m": []},
        minutes=30,
    ),
    Case(
        alert="TaskAlwaysFails",
        rule="six a day, all expired: fires, and clears with the first success",
        given=[
            series(catalog.COMPLETED, "0x11 1x7 2x7 3x7 4x7 5x7 6x60", outcome="expired"),
            series(catalog.COMPLETED, "0x60 1x60", outcome="success"),
        ],
        firing={"300m": [], "690m": [{**TASK, **WARNING}], "1710m": [{**TASK, **WARNING}], "1890m": []},
        minutes=30,
    ),
    Case(
        alert="TaskAlwaysFails",
        rule="one success in the day is enough",
        given=[
            series(catalog.COMPLETED, "0x4 3x60", outcome="dead"),
            series(catalog.COMPLETED, "0x2 1x60", outcome="success"),
        ],
        firing={"510m": [], "1290m": []},
        minutes=30,
    ),
    Case(
        alert="TaskAlwaysFails",
        rule="a success right after the first failure is in time",
        given=[
            series(catalog.COMPLETED, "0x4 3x60", outcome="dead"),
            series(catalog.COMPLETED, "0x5 1x60", outcome="success"),
        ],
        firing={"150m": [], "180m": []},
        minutes=30,
    ),
    Case(
        alert="TaskAlwaysFails",
        rule="messages that nobody can read are no task",
        given=[series(catalog.COMPLETED, "0x4 3x60", outcome="dead", task="_unknown")],
        firing={"510m": [], "1290m": []},
        minutes=30,
    ),
)
