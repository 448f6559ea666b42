"""Finding the queue that a command line names."""

from __future__ import annotations

import importlib
import sys
import traceback
from pathlib import Path

from limelight.errors import ConfigurationError
from limelight.task_queue import RedisQueue


def find_queue(target: str, path: Path | None = None) -> RedisQueue:
    """Import ``module:name`` (or ``module.name``) and return the queue it holds.

    Args:
        target: Where the queue is, e.g. ``app.tasks:queue``.
        path: Folder to look in first; the current one by default.

    Raises:
        ConfigurationError: It cannot be imported, or is no queue; the message says what to do.
    """
    module_name, separator, name = target.partition(":")
    if not separator:
        module_name, _, name = target.rpartition(".")
    if not module_name or not name:
        raise ConfigurationError(f"{target!r} names no queue: write module:name, for example app.tasks:queue")
    folder = str((path or Path.cwd()).resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    queue = getattr(_imported(target, module_name, folder), name, None)
    if isinstance(queue, RedisQueue):
        return queue
    if queue is None:
        raise ConfigurationError(
            f"{target}: module {module_name!r} has no {name!r}.{_queues_of(module_name)}"
        )
    raise ConfigurationError(
        f"{target} is a {type(queue).__qualname__}, not a RedisQueue.{_queues_of(module_name)}"
    )


def _imported(target: str, module_name: str, folder: str) -> object:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if module_name == missing or module_name.startswith(f"{missing}."):
            raise ConfigurationError(
                f"{target} could not be imported: {error} (looked in {folder}, sys.path).\n"
                "  Run it from the project's folder, or give --path DIR."
            ) from None
        raise ConfigurationError(f"{target} could not be imported: it needs {missing!r}: {error}") from error
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise ConfigurationError(
            f"{target} could not be imported: {type(error).__name__}: {error}\n"
            f"  at {where.filename}:{where.lineno}"
        ) from error


def _queues_of(module_name: str) -> str:
    names = sorted(
        name for name, value in vars(sys.modules[module_name]).items() if isinstance(value, RedisQueue)
    )
    if not names:
        return " Declare one there: queue = RedisQueue(…)"
    return f" Did you mean {' or '.join(f'{module_name}:{name}' for name in names)}?"
