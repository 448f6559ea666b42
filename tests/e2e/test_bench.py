"""The bench runs and every figure of ours comes out; nothing is said about how good they are."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench" / "run.py"
FIGURES = {
    "drain": {
        "tasks/s",
        "Redis CPU µs/task",
        "consumer CPU µs/task",
        "Redis bytes/queued task",
        "runs too many",
    },
    "latency": {"p50 ms", "p99 ms"},
    "enqueue": {"tasks/s", "Redis CPU µs/task"},
    "bulk": {"tasks/s"},
    "mixed": {
        "longest wait beside an idle worker ms",
        "started event, latest ms",
        "started event, median ms",
    },
    "idle": {"commands/s"},
    "events": {"bytes/event", "Redis bytes/event", "events/task"},
    "lifetime": {"growth MB/million tasks", "memory MB", "memory when warm MB", "tasks"},
    "depth": {"enqueue µs", "enqueue, Redis µs", "reserve and settle, Redis µs"},
}


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCH), *words], text=True, capture_output=True, check=False, timeout=280
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_quick_run_measures_every_figure_of_ours(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    words = ("queues", "--size", "quick", "--rounds", "1", "--peers", "none", "--out", str(out))
    done = bench(*words)
    assert done.returncode == 0, done.stderr
    record = json.loads(out.read_text())
    rows = record["rows"]
    found = {name: {row["figure"] for row in rows if row["scenario"] == name} for name in FIGURES}
    assert found == FIGURES
    unexplained = [
        row for row in rows if not row["values"] or (row["values"] == [None] and not row["missing"])
    ]
    assert not unexplained
    assert "Targets" in done.stdout
    (drained,) = [
        row["values"][0]
        for row in rows
        if (row["setting"], row["contender"], row["figure"])
        == ("one process, results off", "limelight, 8 threads, events on", "tasks/s")
    ]
    assert drained > 0


AWAY = {
    "events told",
    "series served",
    "growth of memory since the first piece, MB",
    "Redis' memory per event, bytes",
}
FLOOD = {"until it is ready, s", "events counted ÷ told", "scrapes that were not answered", "events lost"}


@pytest.mark.slow
def test_an_exporter_that_was_away_and_one_that_is_flooded_are_measured(tmp_path: Path) -> None:
    out = tmp_path / "run.json"
    sizes = ("--parts", "away,flood", "--events", "3000", "--backlog", "3000", "--rounds", "1")
    done = bench("exporter", *sizes, "--out", str(out))
    assert done.returncode == 0, done.stderr
    rows = json.loads(out.read_text())["rows"]
    found = {(row["scenario"], row["contender"]): row["values"][0] for row in rows}
    assert found.keys() >= {("exporter, away", name) for name in AWAY}
    assert found.keys() >= {("exporter, flood", name) for name in FLOOD}
    assert found["exporter, away", "events told"] >= 3_000
    assert found["exporter, flood", "events counted ÷ told"] == 1
    assert found["exporter, flood", "events lost"] == 0


def test_a_peer_or_scenario_that_nobody_knows_is_refused_with_those_there_are() -> None:
    done = bench("queues", "--peers", "hury")
    assert done.returncode == 2
    assert "no peer named hury; there are huey, taskiq" in done.stderr
    done = bench("queues", "--only", "drains")
    assert "no scenario named drains; there are drain, latency" in done.stderr
