"""The cases as files for ``promtool test rules``, those of one part and one step in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from alerting.document import ALERTS, RECORDING, alerts, dumped
from alerting.recording import groups
from alerting.settings import Settings

from . import burn, consumers, exporter, redis, work
from .case import Case

PARTS: Final[Mapping[str, Sequence[Case]]] = {
    "burn": burn.CASES,
    "work": work.CASES,
    "consumers": consumers.CASES,
    "exporter": exporter.CASES,
    "redis": redis.CASES,
}
_MADE: Final = "# Made by `make generate` from deploy/prometheus/alerting/cases; change it there.\n"


def test_files(settings: Settings) -> dict[str, str]:
    """File name → content."""
    return {
        f"{name}{'' if minutes == 1 else f'-{minutes}m'}.test.yaml": _MADE
        + dumped(_file(some, minutes, settings))
        for name, cases in PARTS.items()
        for minutes in sorted({case.minutes for case in cases})
        for some in [[case for case in cases if case.minutes == minutes]]
    }


def _file(cases: Sequence[Case], minutes: int, settings: Settings) -> dict[str, object]:
    order = [group.name for group in (*groups(settings), *alerts(settings))]
    return {
        "rule_files": [f"../{RECORDING}", f"../{ALERTS}"],
        "evaluation_interval": f"{minutes}m",
        "group_eval_order": order,
        "tests": [case.as_yaml() for case in cases],
    }
