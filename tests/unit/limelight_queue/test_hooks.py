"""The user's functions around runs and workers."""

import logging
from typing import Any

import pytest

from limelight import CancelExecution, ConfigurationError, RedisQueue, Task
from limelight.hooks import QueueHooks
from limelight.task import TaskOptions

TASK = Task(options=TaskOptions(name="send"))


@pytest.fixture
def queue() -> RedisQueue:
    return RedisQueue("mail")


def test_hooks_are_called_in_the_order_in_which_they_were_registered(queue: RedisQueue) -> None:
    called: list[Any] = []
    queue.pre_execute()(lambda task: called.append(("first", task)))
    queue.pre_execute(name="second")(lambda task: called.append(("second", task)))
    queue.hooks.before(TASK)
    assert called == [("first", TASK), ("second", TASK)]


def test_a_second_hook_of_one_name_takes_the_place_of_the_first(queue: RedisQueue) -> None:
    called: list[str] = []
    queue.on_startup(name="connect")(lambda: called.append("old"))
    queue.on_startup(name="other")(lambda: called.append("other"))
    queue.on_startup(name="connect")(lambda: called.append("new"))
    queue.hooks.on_startup.call()
    assert called == ["new", "other"]


@pytest.mark.parametrize("kind", ["pre_execute", "post_execute", "on_startup", "on_shutdown"])
def test_a_hook_is_forgotten_by_its_name_or_as_the_function(queue: RedisQueue, kind: str) -> None:
    def watch(*args: Any) -> None:
        raise AssertionError("it was forgotten")

    register, unregister = getattr(queue, kind), getattr(queue, f"unregister_{kind}")
    assert register()(watch) is watch
    assert unregister("watch")
    assert not unregister("watch")
    register(name="other")(watch)
    assert not unregister(watch), "it has another name"
    assert unregister("other")
    register()(watch)
    assert unregister(watch)
    assert not getattr(queue.hooks, kind)


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit(1)])
def test_a_hook_that_raises_is_logged_and_stops_no_other(
    queue: RedisQueue, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    called: list[Any] = []

    @queue.post_execute()
    def broken(task: Task, value: Any, exc: BaseException | None) -> None:
        raise error

    queue.post_execute(name="counted")(lambda *args: called.append(args))
    with caplog.at_level(logging.ERROR):
        queue.hooks.after(TASK, 7, None)
    assert called == [(TASK, 7, None)]
    assert "post_execute hook 'broken' raised" in caplog.text


def test_only_a_hook_before_the_run_may_cancel_it() -> None:
    hooks, later = QueueHooks(), []

    def cancel(*args: Any) -> None:
        raise CancelExecution("not today")

    hooks.pre_execute.register()(cancel)
    hooks.pre_execute.register("later")(later.append)
    with pytest.raises(CancelExecution):
        hooks.before(TASK)
    assert not later
    hooks.post_execute.register()(cancel)
    hooks.after(TASK, None, None)


def test_a_decorator_without_its_parentheses_is_refused(queue: RedisQueue) -> None:
    with pytest.raises(ConfigurationError, match=r"write @queue.on_startup\(\), with its parentheses"):
        queue.on_startup(lambda: None)  # type: ignore[arg-type]
