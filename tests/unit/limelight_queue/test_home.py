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


def test_a_variable_that_an_import_does_not_make_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "other_app", types.ModuleType("other_app"))
    with pytest.raises(ConfigurationError, match="importing other_app makes no variable queue"):
        Home("other_app", "queue", (), ()).queue()


def test_the_module_that_declares_its_tasks_is_taken_before_one_that_is_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = types.ModuleType("third_app")
    exec(
        "from limelight import RedisQueue\nqueue = RedisQueue('third')\nqueue.task(name='note')(lambda: 1)",
        vars(app),
    )
    monkeypatch.setitem(sys.modules, "third_app", app)
    monkeypatch.setattr(sys.modules["__main__"], "borrowed", app.queue, raising=False)
    home = Home.of(app.queue)
    assert (home.module, home.name) == ("third_app", "queue")
