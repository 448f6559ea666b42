"""Opening a queue by its name, without its application, and finding a dead letter by what was typed."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from limelight.cli.redis_options import checked
from limelight.emitter import RedisEventEmitter
from limelight.errors import ConfigurationError, TaskNotFound
from limelight.inspection import queue_names, queue_view
from limelight.keys import checked_queue_name
from limelight.storage.links import Links
from limelight.task_queue import RedisQueue

_NEVER_TRIMS: Final = RedisEventEmitter(max_events=10**12)
"""How many events a queue keeps is its application's business, and no reason to trim its stream."""
_LEAST_PREFIX: Final = 4
_SHOWN_MATCHES: Final = 5


def open_queue(name: str, url: str) -> RedisQueue:
    """A queue that has announced itself, to look at and to administer.

    It tells events where its application does. Raises UnknownQueue, with what there is.
    """
    queue = RedisQueue(checked_queue_name(name), url=url, emitter=_NEVER_TRIMS)
    links = Links(queue.storage.address)
    checked([name], queue_names(links), links.address.shown)
    if queue_view(links, name).seq == 0:  # its application wants none, or was never used
        return RedisQueue(name, url=url, events=False)
    return queue


def full_id(queue: RedisQueue, typed: str) -> str:
    """The id of the dead letter that a whole id or its first digits (at least 4) mean.

    Raises TaskNotFound where there is none, ConfigurationError where there are several.
    """
    word = typed.strip().lower()
    if _is_uuid(word):
        return str(UUID(word))
    if len(word) < _LEAST_PREFIX:
        raise ConfigurationError(f"{typed!r} is too short for an id: give its first 4 digits at least")
    found = queue.dead.find(word)
    if not found:
        raise TaskNotFound(
            f"queue {queue.name!r} has no dead letter whose id begins with {typed!r}. "
            f"Look at them: limelight queue dead ls {queue.name}"
        )
    if len(found) > 1:
        more = f" and {len(found) - _SHOWN_MATCHES} more" if len(found) > _SHOWN_MATCHES else ""
        raise ConfigurationError(
            f"{typed!r} begins {len(found)} ids: {', '.join(found[:_SHOWN_MATCHES])}{more}. Give more digits"
        )
    return found[0]


def checked_task_id(typed: str) -> str:
    """A whole id in its usual form; raises ConfigurationError for anything else."""
    if not _is_uuid(typed.strip()):
        raise ConfigurationError(
            f"{typed!r} is no task id: give all 36 characters, as in `limelight queue peek`"
        )
    return str(UUID(typed.strip()))


def _is_uuid(word: str) -> bool:
    try:
        UUID(word)
    except ValueError:
        return False
    return True
