"""Filters say what they let through."""

from typing import Any

import pytest

from limelight.cli.event_filter import EventFilter, statuses
from limelight.errors import ConfigurationError
from limelight.events import Event

KNOWN: dict[str, Any] = {
    "queue": "mail", "seq": 1, "timestamp": 1.0, "task": "send_email", "id": "77d1e0b4-aaaa", "host": "web-1",
    "worker": "worker-2",
}  # fmt: skip


def wants(
    status: str = "finished", error: bool = False, about: dict[str, Any] | None = None, **asked: Any
) -> bool:
    return EventFilter(**asked).wants(Event(status=status, error=error, **{**KNOWN, **(about or {})}))


def test_without_a_question_everything_passes() -> None:
    assert wants()
    assert wants(about={"task": None, "id": None, "host": None, "worker": None})


def test_a_task_is_asked_for_by_name_or_pattern_and_an_event_about_none_is_not_meant() -> None:
    assert wants(tasks=("send_email",))
    assert wants(tasks=("other", "send_*"))
    assert not wants(tasks=("send",))
    assert not wants(tasks=("*",), about={"task": None})


def test_errors_are_failures_and_tasks_given_up() -> None:
    assert not wants(errors=True)
    assert wants("error-task", error=True, errors=True)
    assert wants("dead", errors=True)


def test_an_id_may_be_short_but_begins_at_the_beginning() -> None:
    assert wants(ids=("77d1e0b4",))
    assert not wants(ids=("d1e0",))
    assert not wants(ids=("77d1e0b4",), about={"id": None})


def test_a_worker_is_asked_for_by_its_name_its_host_or_both() -> None:
    for pattern in ("worker-2", "web-1", "web-*", "web-1/worker-2"):
        assert wants(workers=(pattern,)), pattern
    assert not wants(workers=("web-2",))


def test_all_questions_must_be_answered() -> None:
    assert wants(statuses=frozenset({"finished"}), tasks=("send_email",))
    assert not wants(statuses=frozenset({"dead"}), tasks=("send_email",))


def test_statuses_come_with_commas_or_one_by_one_and_a_wrong_one_is_named() -> None:
    assert statuses(["finished,dead", "lost"]) == {"finished", "dead", "lost"}
    with pytest.raises(ConfigurationError, match=r"no status 'fnished'\. Did you mean 'finished'"):
        statuses(["fnished"])
