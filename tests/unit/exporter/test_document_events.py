"""What the original event format tells, and what it does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight import events as contract
from limelight_exporter import catalog
from limelight_exporter.config_file import FileSettings, Limits
from limelight_exporter.document import DocumentEvent, read
from limelight_exporter.exposition import Exposition
from limelight_exporter.hearsay import Hearsay

TRACEBACK = """Traceback (most recent call last):
  File "/app/a.py", line 3, in f
    g()
ValueError: first

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "C:\\app\\b.py", line 9, in g
    raise shop.OutOfStock("none left:
        ^^^^^^^^^^^
shop.errors.OutOfStock: none left:
KeyError: not this one
"""


def event(status: str, **keys: Any) -> bytes:
    common = {
        "error": False,
        "id": "1",
        "task": "queuecmd_send",
        "retries": 0,
        "retry_delay": 0,
        "execute_time": None,
    }
    return json.dumps({"status": status, **common, **keys}).encode()


def told(*messages: bytes, chosen: FileSettings | None = None) -> dict[tuple[str, ...], float]:
    """Samples by name and label values, without the queue."""

    class Remembered(Exposition):
        def __init__(self) -> None:
            super().__init__()
            self.found: dict[tuple[str, ...], float] = {}

        def add(self, name: str, labels: Any, value: float) -> None:
            self.found[name, *labels[1:]] = value

        def add_histogram(self, name: str, labels: Any, counts: Any, total: float) -> None:
            self.found[name, *labels[1:], "count"] = sum(counts)
            self.found[name, *labels[1:], "sum"] = total

    hearsay = Hearsay("shop", chosen or FileSettings())
    for message in messages:
        heard = read(message)
        hearsay.malformed(heard) if isinstance(heard, str) else hearsay.tell(heard)
    exposition = Remembered()
    hearsay.collect(exposition)
    return exposition.found


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("queuecmd_send", "send"),
        ("queue_task_send", "send"),
        ("send", "send"),
        ("queuecmd_queue_task_x", "queue_task_x"),
        ("queuecmd_", "queuecmd_"),
        ("my_queuecmd_x", "my_queuecmd_x"),
    ],
)
def test_names_are_shown_as_their_authors_wrote_them(task: str, name: str) -> None:
    assert DocumentEvent(status="started", task=task).name == name


@pytest.mark.parametrize(
    ("traceback", "error_type"),
    [
        (TRACEBACK, "shop.errors.OutOfStock"),
        (
            'Traceback (most recent call last):\n  File "x.py", line 1, in f\n    exit()\nKeyboardInterrupt\n',
            "KeyboardInterrupt",
        ),
        ("ValueError: bare", "ValueError"),
        ("", "unknown"),
        (None, "unknown"),
        ("  indented: only", "unknown"),
    ],
)
def test_the_error_type_is_what_the_traceback_ends_in(traceback: str | None, error_type: str) -> None:
    assert DocumentEvent(status="error-task", traceback=traceback).error_type == error_type


def test_a_task_that_fails_twice_and_then_succeeds_is_three_attempts_and_one_completion() -> None:
    found = told(
        event("started", retries=2, timestamp=1.0),
        event("error-task", retries=2, error=True, traceback=TRACEBACK, duration=1.5),
        event("retrying", retries=1),
        event("scheduled", retries=1, execute_time=1.0),
        event("started", retries=1),
        event("error-task", retries=1, error=True, traceback=TRACEBACK, duration=0.5),
        event("retrying", retries=0),
        event("started", retries=0),
        event("finished", retries=0, duration=0.25),
    )
    assert found[catalog.ATTEMPTS, "send", "error"] == 2
    assert found[catalog.ATTEMPTS, "send", "success"] == 1
    assert found[catalog.RETRIES, "send"] == 2
    assert found[catalog.COMPLETED, "send", "success"] == 1
    assert found[catalog.COMPLETED, "send", "dead"] == 0
    assert found[catalog.ERRORS, "send", "shop.errors.OutOfStock"] == 2
    assert found[catalog.DURATION, "send", "failed", "sum"] == 2.0
    assert found[catalog.DURATION, "send", "ok", "count"] == 1
    assert found[catalog.EVENTS, "started"] == 3


def test_a_failure_without_a_retry_left_ends_its_task() -> None:
    found = told(event("error-task", retries=0, error=True, duration=1))
    assert found[catalog.COMPLETED, "send", "dead"] == 1
    assert found[catalog.ERRORS, "send", "unknown"] == 1


def test_whether_a_task_goes_on_is_not_guessed() -> None:
    found = told(
        event("error-task", retries=None), event("locked", retries=3, duration=0.1), event("retrying")
    )
    assert not any(value for name, value in found.items() if name[0] == catalog.COMPLETED)
    assert found[catalog.ATTEMPTS, "send", "locked"] == 1


def test_a_result_that_could_not_be_stored_is_an_attempt_that_ended_so() -> None:
    found = told(event("error-storing-result", error=True, duration=0.1))
    assert (
        found[catalog.ATTEMPTS, "send", "result_error"]
        == found[catalog.COMPLETED, "send", "result_error"]
        == 1
    )
    assert found[catalog.CONSUMER_ERRORS, "error-storing-result"] == 1


def test_events_about_no_task_are_counted_without_one() -> None:
    found = told(
        b'{"status": "checking-periodic", "error": false, "timestamp": 1.0}',
        b'{"status": "error-dequeueing", "error": true, "traceback": "x"}',
        event("scheduling-periodic"),
        event("revoked", timestamp=1.0),
    )
    assert found[catalog.PERIODIC_CHECKS,] == 1
    assert found[catalog.CONSUMER_ERRORS, "error-dequeueing"] == 1
    assert found[catalog.PERIODIC_SCHEDULED, "send"] == 1
    assert found[catalog.COMPLETED, "send", "revoked"] == 1


def test_what_the_format_cannot_tell_is_absent() -> None:
    names = {
        name[0]
        for name in told(*(event(status, duration=1.0) for status in sorted(contract.ORIGINAL_STATUSES)))
    }
    absent = {
        catalog.ENQUEUED,
        catalog.WAIT,
        catalog.LATENCY,
        catalog.TIME,
        catalog.EVENTS_LOST,
        catalog.ROLLBACKS,
    }
    assert not names & absent


def test_the_first_failure_of_a_known_task_is_an_increase() -> None:
    found = told(event("started"))
    assert found[catalog.ATTEMPTS, "send", "error"] == found[catalog.COMPLETED, "send", "dead"] == 0


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"", "undecodable"),
        (b"\xff\xfe", "undecodable"),
        (b"[1]", "undecodable"),
        (b'{"task": "x"}', "undecodable"),
        (b'{"status": 7}', "undecodable"),
        (b'{"status": "finished", "duration": NaN}', "undecodable"),
        (b"[" * 100_000, "undecodable"),
        (b'"' + b"x" * 1_000_001, "oversized"),
        (b'{"status": "finished", "task": "x", "duration": -1}', "duration"),
        (b'{"status": "finished", "task": "x", "duration": 1e300}', "duration"),
    ],
)
def test_what_is_no_event_is_counted_and_passed_over(message: bytes, reason: str) -> None:
    assert told(message)[catalog.MALFORMED, reason] == 1


def test_names_beyond_the_limit_are_counted_as_other() -> None:
    chosen = FileSettings(limits=Limits(tasks=2, error_types=1))
    found = told(
        *(event("finished", task=f"t{number}", duration=1.0) for number in range(5)),
        *(event("error-task", task="t0", traceback=f"\nE{number}: x") for number in range(3)),
        event("what-is-this", task="t1"),
        chosen=chosen,
    )
    assert {name[1] for name in found if name[0] == catalog.ATTEMPTS} == {"t0", "t1", "_other"}
    assert found[catalog.ATTEMPTS, "_other", "success"] == 3
    assert found[catalog.ERRORS, "t0", "_other"] == 2
    assert found[catalog.EVENTS, "_other"] == 1
    assert found[catalog.OVERFLOW, catalog.ATTEMPTS] == 3
    assert found[catalog.OVERFLOW, catalog.ERRORS] == 2


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["status", "task", "retries", "duration", "traceback", "x"]), inner, max_size=6),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_no_message_breaks_the_listener(message: bytes) -> None:
    assert sum(told(message).values()) >= 0
