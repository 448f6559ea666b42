"""The rule files as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import yaml

from . import burn_alerts, consumer_alerts, exporter_alerts, recording, redis_alerts, work_alerts
from .rule import Group
from .settings import Settings

RECORDING: Final = "limelight-recording.rules.yaml"
ALERTS: Final = "limelight-alerts.rules.yaml"
_MADE: Final = "# Made by `make generate` from deploy/prometheus/alerting; change it there.\n"
_WIDTH: Final = 1_000


class _Dumper(yaml.SafeDumper):
    """Writes expressions of several lines as such."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def files(settings: Settings) -> dict[str, str]:
    """File name → content."""
    return {
        RECORDING: _written(recording.groups(settings), settings),
        ALERTS: _written(alerts(settings), settings),
    }


def alerts(settings: Settings) -> list[Group]:
    """All alerts, in groups that are evaluated side by side."""
    parts = (burn_alerts, work_alerts, consumer_alerts, exporter_alerts, redis_alerts)
    return [part.group(settings) for part in parts]


def dumped(content: object) -> str:
    """YAML as a person would write it."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True)


def _written(groups: Sequence[Group], settings: Settings) -> str:
    return _MADE + dumped({"groups": [group.as_yaml(settings) for group in groups]})
