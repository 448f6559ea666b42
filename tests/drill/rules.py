"""The very rules that are deployed, in a hurry: an hour takes a minute, and thresholds fit to that."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from alerting.document import files
from alerting.settings import Limits, Settings

DEPLOY: Final = Path(__file__).parents[2] / "deploy"
PACE: Final = 1 / 60
SETTINGS: Final = Settings(
    pace=PACE,
    limits=Limits(
        fewest_completions=5,
        queue_age=6,
        wait=3,
        stalled=10,
        no_consumers=4,
        fewest_retried_attempts=10,
        running_too_long=10,
        paused_long=8,
        dead_letters_kept=12,
        errors_lasting=15,
        overdue_schedule=6,
        scheduler_stalled=66,  # the gauge is that of a minute
        consumer_silent=6,
        event_lag=15,
        span_lag=10,
        stream=24,
        snapshot_age=45,  # a queue where nothing happens is saved every 30 s
    ),
)


def configuration(folder: Path, jobs: Mapping[str, Sequence[str]], alertmanager: str) -> dict[str, Any]:
    """`deploy/prometheus/prometheus.yml` with these jobs and this hurry; writes the rules beside it.

    The targets of a job stand in a file of their own, `<job>.targets.json`, which Prometheus follows.
    """
    for name, text in files(SETTINGS).items():
        (folder / name).write_text(text, encoding="utf-8")
    deployed: dict[str, Any] = yaml.safe_load(
        (DEPLOY / "prometheus" / "prometheus.yml").read_text(encoding="utf-8")
    )
    (scrape,) = deployed["scrape_configs"]
    del scrape["static_configs"]
    for job, targets in jobs.items():
        write_targets(folder, job, targets)
    return {
        **deployed,
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / name) for name in deployed["rule_files"]],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]},
        "scrape_configs": [
            {**scrape, "job_name": job, "file_sd_configs": [{"files": [str(targets_file(folder, job))]}]}
            for job in jobs
        ],
    }


def targets_file(folder: Path, job: str) -> Path:
    """Where the targets of a job stand."""
    return folder / f"{job}.targets.json"


def write_targets(folder: Path, job: str, targets: Sequence[str]) -> None:
    """Have a job scrape these from now on."""
    scratch = folder / f"{job}.new"
    scratch.write_text(json.dumps([{"targets": list(targets)}]))
    scratch.replace(targets_file(folder, job))
