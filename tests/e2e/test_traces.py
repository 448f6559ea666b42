"""One trace from a web process through retries and tasks of tasks, over real processes; seen in the events alone."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from processes import SUPPORT, Limelight, environment, run_limelight
from running import has_ended, told
from servers import wait_until

from limelight import RedisQueue


def closings(queue: RedisQueue, task_id: str) -> list[dict[str, Any]]:
    return [event for event in told(queue, id=task_id) if "outcome" in event]


def shown_by_the_command(redis_url: str, id_: str) -> list[str]:
    """The tree of a trace, without times, widths, and how far lines are set in."""
    done = run_limelight("trace", id_[:8], env={"LIMELIGHT_REDIS_URL": redis_url, "PYTHONUTF8": "1"})
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()
    bare = (re.sub(r"^\S+ +\S+ ", "", re.sub(r"after [\w.]+,? ?", "", line)) for line in lines)
    return [head.rpartition("  ")[0], *(" ".join(line.split()) for line in bare)]


@pytest.mark.parametrize("kind", ["thread", "process", "async"])
def test_a_request_its_task_the_retry_and_the_task_of_that_are_one_trace(
    redis_url: str, tmp_path: Path, kind: str
) -> None:
    queue, truth = RedisQueue("shop", url=redis_url), tmp_path / "truth"
    env = {"LIMELIGHT_REDIS_URL": redis_url, "TRUTH_FILE": str(truth)}
    with Limelight(
        *("consumer", "trace_app:queue", "-k", kind, "-w", "2"),
        env=env | {"OTEL_SERVICE_NAME": "shop-workers"},
    ):
        web = subprocess.run(
            [sys.executable, str(SUPPORT / "trace_app.py")],
            env=environment(env | {"OTEL_SERVICE_NAME": "shop-web"}),
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        checkout = web.stdout.strip()
        wait_until(lambda: has_ended(queue, checkout), 30)
        receipt = told(queue, task="send_receipt", status="enqueued")[0]["id"]
        wait_until(lambda: has_ended(queue, receipt), 30)
        wait_until(lambda: len(truth.read_text().splitlines()) == 4)
    spans = {
        (span["name"], span["span_id"]): span for span in map(json.loads, truth.read_text().splitlines())
    }
    request = next(span for span in spans.values() if span["name"] == "POST /checkout")
    render = next(span for span in spans.values() if span["name"] == "render")
    pays = {span["parent_span_id"]: span for span in spans.values() if span["name"] == "pay 7"}

    (enqueued,) = told(queue, id=checkout, status="enqueued")
    failed, succeeded = closings(queue, checkout)
    (of_receipt,) = told(queue, id=receipt, status="enqueued")
    (received,) = closings(queue, receipt)
    assert {
        one["trace_id"] for one in (enqueued, failed, succeeded, of_receipt, received, *spans.values())
    } == {request["trace_id"]}
    assert enqueued["parent_span_id"] == request["span_id"]
    assert failed["parent_span_id"] == succeeded["parent_span_id"] == enqueued["span_id"]
    assert set(pays) == {failed["span_id"], succeeded["span_id"]}
    assert of_receipt["parent_span_id"] == pays[succeeded["span_id"]]["span_id"]
    assert received["parent_span_id"] == of_receipt["span_id"]
    assert render["parent_span_id"] == received["span_id"]
    assert succeeded["links"] == [{"trace_id": failed["trace_id"], "span_id": failed["span_id"]}]
    assert received["span"] == {"attributes": {"shop.order_id": 7}}
    assert [one["service"]["service.name"] for one in (enqueued, failed, of_receipt, received)] == [
        "shop-web",
        *["shop-workers"] * 3,
    ]
    assert shown_by_the_command(redis_url, checkout) == [
        f"trace {request['trace_id']}",
        "enqueue checkout shop-web",
        "└─ process checkout shop-workers attempt 1/2, error ConnectionError",
        "└─ process checkout shop-workers attempt 2/2",
        "└─ enqueue send_receipt shop-workers",
        "└─ process send_receipt shop-workers",
    ]
    for run in (failed, succeeded, received):
        assert int(enqueued["span_start"]) <= int(run["span_start"]) <= int(run["span_end"])
