"""What is served, held against Prometheus' own tools and against the one table of metrics."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from exporters import OPENMETRICS, get
from missing import needed
from servers import wait_until
from stream_writer import StreamWriter

from limelight import RedisQueue
from limelight_exporter.catalog import CATALOG, Section
from limelight_exporter.config import Settings
from limelight_exporter.exporter import Exporter

OWN = re.compile(r"limelight_\w+")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def live(redis_url: str) -> str:
    """What an exporter serves of a queue that saw a little of everything, as Prometheus' text."""
    return scraped(redis_url, "text/plain; version=0.0.4")


def scraped(redis_url: str, accept: str) -> str:
    queue = RedisQueue("mail", redis_url)
    queue.enqueue(queue.task(name="real")(int).s())
    queue.close()
    writer = StreamWriter(redis_url, "other")
    writer.tell("consumer-started", tasks=["send"], workers=1, consumer="c")
    writer.finish_tasks(3)
    failed = {
        "task": 'a "quoted"\n\\name',
        "outcome": "error",
        "error": True,
        "error_type": "KeyError",
        "run": 1,
    }
    writer.tell("error-task", duration=0.2, **failed)
    writer.tell("error-internal", error=True, dropped=2)
    writer.raw(b"garbage")
    with Exporter(Settings(redis_url=redis_url, port=0)) as running:
        wait_until(lambda: get(f"{running.url}/-/ready")[0] == 200)
        text = get(f"{running.url}/metrics", Accept=accept)[1].decode()
    assert 'limelight_exporter_queue_current{queue="other"} 1' in text
    return text


def test_promtool_has_nothing_to_say_against_a_live_scrape(live: str) -> None:
    promtool = needed(shutil.which("promtool"), "promtool", "apt install prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=live, capture_output=True, text=True, timeout=30, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_promtool_would_have(live: str) -> None:
    promtool = needed(shutil.which("promtool"), "promtool", "apt install prometheus")
    wrong = live + "# HELP somethingCount Bad.\n# TYPE somethingCount counter\nsomethingCount 1\n"
    checked = subprocess.run(
        [promtool, "check", "metrics"], input=wrong, text=True, capture_output=True, check=False
    )
    assert checked.returncode != 0


@pytest.mark.parametrize("accept", ["text/plain; version=0.0.4", OPENMETRICS])
def test_every_family_that_is_served_has_its_help_and_type_from_the_table(
    redis_url: str, accept: str
) -> None:
    text = scraped(redis_url, accept)
    helps = dict(re.findall(r"^# HELP (limelight_\w+) (.+)$", text, re.MULTILINE))
    kinds = dict(re.findall(r"^# TYPE (limelight_\w+) (\w+)$", text, re.MULTILINE))
    assert len(re.findall(r"^# HELP ", text, re.MULTILINE)) == len(
        set(re.findall(r"^# HELP (\S+)", text, re.MULTILINE))
    )
    family = {name.removesuffix("_total").removesuffix("_info"): metric for name, metric in CATALOG.items()}
    for name, told in helps.items():
        metric = CATALOG.get(name) or family[name]
        assert told == metric.help
        assert kinds[name] in {metric.kind, "gauge" if metric.kind == "info" else metric.kind}


def test_every_label_that_is_served_is_in_the_table(live: str) -> None:
    for line in live.splitlines():
        if not line.startswith("limelight_"):
            continue
        name = OWN.match(line)[0]  # type: ignore[index]
        metric = CATALOG.get(name) or CATALOG[re.sub(r"_(bucket|count|sum)$", "", name)]
        labels = set(re.findall(r'[{,](\w+)="', line.partition("} ")[0])) - {"le"}
        assert labels == set(metric.labels), line


def test_every_metric_from_events_is_served_once_there_was_cause_for_it(live: str) -> None:
    served = set(re.findall(r"^# TYPE (limelight_\w+)", live, re.MULTILINE))
    from_events = {name for name, metric in CATALOG.items() if metric.section is Section.EVENTS}
    # Objectives are declared by tasks that have some; periodic tasks tell when they are scheduled.
    rare = {name for name in from_events if "_slo_" in name or name == "limelight_periodic_scheduled_total"}
    assert from_events - served <= rare


def test_the_documented_table_is_the_table() -> None:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    for metric in CATALOG.values():
        row = f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '–'} | {metric.help} |"
        assert row in page, f"{metric.name}: run python docs/check.py --write"
