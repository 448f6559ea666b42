"""Rules and groups of them as values; what they look like in YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .settings import Settings

PREFIX: Final = "Limelight"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """A series that is computed once for many readers.

    Attributes:
        record: Name; it ends in the operation.
        expr: PromQL.
    """

    record: str
    expr: str

    def as_yaml(self, _: Settings) -> dict[str, object]:
        """The rule as Prometheus reads it."""
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alerting rule; several may share a name, with other severities or windows.

    Attributes:
        name: Without the prefix; the runbook's page has the whole.
        expr: PromQL.
        severity: ``critical``: somebody has to act now; ``warning``: during the day.
        summary: One sentence without values.
        description: What, where, how much; a template.
        dashboard: Which one shows it.
        about: Labels that the dashboard is opened with.
        wait: How long it must hold, "" for at once.
        keep: How long it goes on after it held last, "" for not at all.
        labels: Further labels.
    """

    name: str
    expr: str
    severity: str
    summary: str
    description: str
    dashboard: str
    about: Sequence[str] = ()
    wait: str = ""
    keep: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def as_yaml(self, settings: Settings) -> dict[str, object]:
        """The rule as Prometheus reads it."""
        damping = {"for": self.wait, "keep_firing_for": self.keep}
        return {
            "alert": PREFIX + self.name,
            "expr": self.expr,
            **{key: duration for key, duration in damping.items() if duration},
            "labels": {"severity": self.severity, **self.labels},
            "annotations": {
                "summary": self.summary,
                "description": self.description,
                "dashboard_url": f"{settings.grafana}/d/limelight-{self.dashboard}/{self._variables()}",
                "runbook_url": f"{settings.runbooks}/{PREFIX}{self.name}/",
            },
        }

    def _variables(self) -> str:
        chosen = "&".join(f"var-{label}={{{{ $labels.{label} | urlquery }}}}" for label in self.about)
        return f"?{chosen}" if chosen else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules that are evaluated together, one after another.

    Attributes:
        interval: How often, "" for the server's own.
    """

    name: str
    rules: Sequence[Recording | Alert]
    interval: str = ""

    def as_yaml(self, settings: Settings) -> dict[str, object]:
        """The group as Prometheus reads it."""
        every = {"interval": self.interval} if self.interval else {}
        return {"name": self.name, **every, "rules": [rule.as_yaml(settings) for rule in self.rules]}
