"""A queue and its tasks are found again by another process, or the reason why not is named."""

import sys
import types

import pytest

from limelight import ConfigurationError, RedisQueue
from limelight.consumer.home import Home

queue = RedisQueue("at-home")
declared = queue.task(name="declared")(lambda: 1)


def test_a_queue_is_found_by_the_module_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("some_app")
    module.queue = queue  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "some_app", module)
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__, module))
    home = Home.of(queue)
    assert home.tasks == ("declared",)
    assert home.modules == (declared.func.__module__,)
    assert home.queue() is queue


def test_a_queue_that_no_module_has_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="declare it and its tasks at the top of a module"):
        Home.of(RedisQueue("homeless"))


def test_a_task_that_an_import_does_not_declare_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("other_app")
    module.queue = queue  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "other_app", module)
    home = Home("other_app", "queue", ("other_app",), ("declared", "made-later"))
    with pytest.raises(ConfigurationError, match="declares no task made-later of queue 'at-home'"):
        home.queue()
