"""What a site may want otherwise: names, addresses, thresholds; and what the drill wants faster."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from limelight_exporter import thresholds

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"(\d+)(ms|s|m|h|d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """From what on something is worth an alert; in seconds where the name says nothing else."""

    failure_budget_share: float = thresholds.FAILURE_BUDGET
    most_bad_share: float = thresholds.MOST_BAD_SHARE
    fewest_completions: int = thresholds.FEWEST_COMPLETIONS
    queue_age: float = thresholds.QUEUE_AGE_SECONDS
    wait: float = thresholds.WAIT_SECONDS
    stalled: float = thresholds.STALLED_SECONDS
    longest_run_factor: float = thresholds.LONGEST_RUN_FACTOR
    no_consumers: float = thresholds.NO_CONSUMERS_SECONDS
    saturated_share: float = thresholds.SATURATED_SHARE
    retry_share: float = thresholds.RETRY_SHARE
    fewest_retried_attempts: int = thresholds.FEWEST_RETRIED_ATTEMPTS
    running_too_long: float = thresholds.RUNNING_TOO_LONG_SECONDS
    paused_long: float = thresholds.PAUSED_LONG_SECONDS
    dead_letters_kept: float = thresholds.DEAD_LETTERS_KEPT_SECONDS
    errors_lasting: float = thresholds.ERRORS_LASTING_SECONDS
    overdue_schedule: float = thresholds.OVERDUE_SCHEDULE_SECONDS
    scheduler_stalled: float = thresholds.SCHEDULER_STALLED_SECONDS
    consumer_silent: float = thresholds.CONSUMER_SILENT_SECONDS
    event_lag: float = thresholds.EVENT_LAG_SECONDS
    span_lag: float = thresholds.SPAN_LAG_SECONDS
    snapshot_age: float = thresholds.SNAPSHOT_AGE_SECONDS
    stream_events: int = thresholds.STREAM_EVENTS
    stream: float = thresholds.STREAM_SECONDS
    retention_used_share: float = thresholds.RETENTION_USED_SHARE
    scrape: float = thresholds.SCRAPE_SECONDS
    clock_skew: float = thresholds.CLOCK_SKEW_SECONDS
    short_of_memory_share: float = thresholds.RUNNING_SHORT_OF_MEMORY_SHARE
    out_of_memory_share: float = thresholds.OUT_OF_MEMORY_SHARE


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One set of rules.

    Attributes:
        grafana: Where the dashboards are, without a slash at the end.
        runbooks: Where the runbook pages are, likewise.
        jobs: Regular expression of the scrape jobs that are exporters, one job for each Redis.
        limits: The thresholds.
        pace: Factor on every window and waiting time; below 1 for a drill that has no hours to wait.
    """

    grafana: str = "http://localhost:3000"
    runbooks: str = "http://localhost:8000/runbooks"
    jobs: str = "limelight(-.+)?"
    limits: Limits = field(default_factory=Limits)
    pace: float = 1.0

    def span(self, duration: str) -> str:
        """A window or a waiting time as written in a rule, at this pace."""
        return duration if self.pace == 1 else written(self.seconds(duration))

    def seconds(self, duration: str) -> float:
        """The same in seconds."""
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION.findall(duration)) * self.pace


def written(seconds: float) -> str:
    """A duration as Prometheus writes it: ``1d``, ``90m``, ``1500ms``."""
    milliseconds = max(1, round(seconds * 1_000))
    for unit in ("d", "h", "m", "s"):
        whole, rest = divmod(milliseconds, round(_SECONDS[unit] * 1_000))
        if not rest:
            return f"{whole}{unit}"
    return f"{milliseconds}ms"
