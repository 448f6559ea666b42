"""Tasks that are not where their records say, and entries without a record: finding them, and putting them right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

from limelight.emitter import Speaker
from limelight.keys import QueueKeys
from limelight.storage.link import Call, Link
from limelight.storage.scripts import load

from .facts import Stray

INDEXES: Final = ("delayed", "scheduled", "ready", "reserved", "running", "dead")
_MOST: Final = 100_000
_BATCH: Final = 100
_NO_CAP: Final = 2**53
"""How many events a repair leaves on the stream: all. Its real cap is known to the application only."""
_STRAYS: Final = load("strays", "limelight.cli.doctor.lua")
_MEND: Final = load("mend", "limelight.cli.doctor.lua")


def strays(link: Link, queue: str) -> tuple[Stray, ...]:
    """What fits nowhere, some 100,000 at most, each once. Walks over all tasks, a few hundred a trip; reads only.

    Raises:
        RedisUnavailable: Redis cannot be reached.
        OutcomeUnknown: It does not answer.
        RedisRefused: It answered with an error.
    """
    found: dict[str, Stray] = {}
    for place in ("tasks", *INDEXES):
        cursor = b"0"
        while len(found) < _MOST:
            cursor, *words = link.idempotent(_look(queue, place, cursor))
            texts = [word.decode("utf-8", "replace") for word in words]
            for at in range(0, len(texts), 3):
                found.setdefault(texts[at], Stray(*texts[at : at + 3]))
            if cursor == b"0":
                break
    return tuple(found.values())


def _look(queue: str, place: str, cursor: bytes) -> Call:
    return Call(_STRAYS, _STRAYS.keys(QueueKeys(queue)), ("0", queue, "", "0", "", place, cursor))


def mend(
    link: Link, queue: str, ids: Iterable[str], *, speaker: Speaker, channel: str, tells: bool
) -> Counter[str]:
    """Put strays right, each in one guarded step that changes nothing where nothing is wrong (any more).

    A task that runs, or that a worker holds, gets one lease of time: a worker that is alive renews it, from any
    other the reaper takes it when it is over. Raises as `strays`; then a part is mended, and to repeat it is safe.

    Args:
        link: To the server that has the queue.
        queue: Its name.
        ids: Of the strays.
        speaker: Who we are in the events that tell of it.
        channel: Where live events are published.
        tells: Whether the queue tells events.

    Returns:
        Index → tasks put back into it; "gone" → entries without a record that were taken out.
    """
    keys = _MEND.keys(QueueKeys(queue))
    head = ("0", queue, channel, _NO_CAP if tells else 0, speaker.id)
    mended: Counter[str] = Counter()
    calls = [Call(_MEND, keys, (*head, task_id, speaker.where)) for task_id in ids]
    for start in range(0, len(calls), _BATCH):
        for put in link.pipeline(calls[start : start + _BATCH]):
            if isinstance(put, Exception):
                raise put
            if isinstance(put, bytes):
                mended[put.decode()] += 1
    return mended
