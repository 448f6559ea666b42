"""One case as a value: series that are given, alerts that fire; and what it looks like to ``promtool test rules``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from alerting.rule import PREFIX
from limelight_exporter.catalog import CATALOG

JOB: Final = "limelight"
USUAL: Final = {"queue": "mail", "task": "send", "consumer": "c1", "host": "w1", "redis": "redis:6379"}
"""Values of labels that a case does not name."""
Labels = Mapping[str, str]
Firing = Mapping[str, Sequence[Labels]]

QUEUE: Final[Labels] = {"queue": "mail"}
TASK: Final[Labels] = {"queue": "mail", "task": "send"}
WARNING: Final[Labels] = {"severity": "warning"}
CRITICAL: Final[Labels] = {"severity": "critical"}


def series(metric: str, values: str, /, **labels: str) -> tuple[str, str]:
    """A series of exporter ``a`` and its samples, in promtool's notation, one a minute.

    Args:
        metric: Of the catalogue, a histogram's with its suffix; or ``up`` and the like.
        values: Such as ``0x10 1+1x5``; ``_`` is no sample.
        labels: Those that are not the usual ones.
    """
    base = metric if metric in CATALOG else metric.rpartition("_")[0]
    known = CATALOG[base].labels if base in CATALOG else ()
    usual = {label: USUAL[label] for label in known if label in USUAL}
    written = {"job": JOB, "instance": "a", **usual, **labels}
    return f"{metric}{{{_pairs(written)}}}", values


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One case.

    Attributes:
        alert: Whose, without the prefix.
        rule: What it shows, as a sentence.
        given: The series.
        firing: Time → labels of all alerts of that name that fire then, without those that all have.
        minutes: Between two samples, and between two evaluations.
    """

    alert: str
    rule: str
    given: Sequence[tuple[str, str]]
    firing: Firing
    minutes: int = 1

    def as_yaml(self) -> dict[str, object]:
        """The case as promtool reads it."""
        query = f'ALERTS{{alertname="{PREFIX}{self.alert}",alertstate="firing"}}'
        return {
            "name": f"{PREFIX}{self.alert}: {self.rule}",
            "interval": f"{self.minutes}m",
            "input_series": [{"series": name, "values": values} for name, values in self.given],
            "promql_expr_test": [
                {"expr": query, "eval_time": time, "exp_samples": [self._sample(one) for one in fired]}
                for time, fired in self.firing.items()
            ],
        }

    def _sample(self, labels: Labels) -> dict[str, object]:
        job = {} if "job" in labels else {"job": JOB}
        fixed = {"alertname": PREFIX + self.alert, "alertstate": "firing"}
        named = {name: value for name, value in {**fixed, **job, **labels}.items() if value}
        return {"labels": f"ALERTS{{{_pairs(named)}}}", "value": 1}


def _pairs(labels: Labels) -> str:
    return ",".join(f'{name}="{value}"' for name, value in labels.items())
