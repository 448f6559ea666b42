import datetime as dt
import json
from typing import Any

import pytest

from limelight import Privacy
from limelight.recording import ATTRIBUTES, EVENTS, LINKS, TOTAL_BYTES, Recording, plain


def test_nothing_recorded_is_nothing_told() -> None:
    assert Recording().told() is None


def test_there_is_a_limit_to_everything_and_what_goes_is_counted() -> None:
    recording = Recording()
    for number in range(100):
        recording.attribute(f"a{number}", number)
        recording.event(f"e{number}", {f"x{one}": one for one in range(50)}, number)
        recording.link(f"{number:032x}", f"{number:016x}", {})
    told = recording.told() or {}
    assert (len(told["attributes"]), len(told["links"])) == (ATTRIBUTES, LINKS)
    assert told["dropped_attributes"] == 100 - ATTRIBUTES
    assert len(told["events"]) + told["dropped_events"] == 100
    assert len(told["events"]) <= EVENTS
    assert all(len(event["attributes"]) == 16 for event in told["events"])


def test_an_attribute_may_be_set_again_when_there_are_enough() -> None:
    recording = Recording()
    for number in range(ATTRIBUTES):
        recording.attribute(f"a{number}", number)
    recording.attribute("a0", "again")
    assert (recording.told() or {})["attributes"]["a0"] == "again"


def test_all_together_is_at_most_16_kb() -> None:
    recording = Recording()
    for number in range(32):
        recording.attribute(f"a{number}", "ä" * 2_000)
        recording.event("e", {f"x{one}": "ö" * 2_000 for one in range(16)}, number)
    told = recording.told() or {}
    assert len(json.dumps(told, ensure_ascii=False).encode()) <= TOTAL_BYTES
    assert told["dropped_events"] + told["dropped_attributes"] > 0


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (True, True),
        (7, 7),
        (2**80, hex(2**80)),
        (1.5, 1.5),
        (float("nan"), "nan"),
        ("ä" * 2_000, "ä" * 512),
        (b"abc", "abc"),
        ((1, "a", None, 2.0), [1, "a", 2.0]),
        (list(range(100)), list(range(16))),
        (None, None),
        (dt.date(2026, 1, 1), None),
        ({"a": 1}, None),
    ],
)
def test_a_value_is_told_as_json_and_otlp_can_carry_it(value: Any, told: Any) -> None:
    assert plain(value) == told
    assert type(plain(value)) is type(told)


def test_ok_is_final_and_only_an_error_has_a_description() -> None:
    recording = Recording()
    recording.status("ERROR", "no")
    assert (recording.told() or {})["description"] == "no"
    recording.status("UNSET", "")
    recording.status("OK", "fine")
    recording.status("ERROR", "late")
    assert recording.told() == {"status": "OK"}


def test_what_comes_after_the_end_is_not_kept() -> None:
    recording = Recording()
    recording.close()
    recording.attribute("late", 1)
    recording.event("late", {}, 1)
    recording.link("1" * 32, "2" * 16, {})
    recording.status("ERROR", "late")
    recording.rename("late")
    assert recording.told() is None


def test_a_secret_is_taken_out_wherever_it_stands() -> None:
    recording = Recording(Privacy(redact=("hunter2",)))
    recording.rename("log in hunter2")
    recording.attribute("a", "hunter2")
    recording.attribute("b", ["hunter2", b"hunter2"])
    recording.attribute("c", "x" * 1_020 + "hunter2")
    recording.event("hunter2", {"exception.message": "hunter2"}, 1)
    recording.link("1" * 32, "2" * 16, {"l": "hunter2"})
    recording.status("ERROR", "hunter2")
    assert "hunt" not in json.dumps(recording.told())


def test_without_messages_an_exception_keeps_its_type_alone() -> None:
    recording = Recording(Privacy(messages=False))
    recording.event(
        "exception", {"exception.type": "E", "exception.message": "m", "exception.stacktrace": "s"}, 1
    )
    recording.status("ERROR", "m")
    told = recording.told() or {}
    assert told["events"][0]["attributes"] == {"exception.type": "E"}
    assert "description" not in told
