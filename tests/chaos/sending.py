"""How a task of a kind is enqueued, alone or with others that hang on it."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from limelight import Task, chord

from .sender import Sender

if TYPE_CHECKING:
    from .kinds import Kind

MEMBERS: Final = ("instant", "nap", "flaky", "hopeless", "expiring", "stop")


def tried(task: Task, kind: Kind) -> dict[str, Any]:
    """What is noted of a task that is sent."""
    return {"id": task.id, "kind": kind.name, "key": task.args[0]}


def promised(task: Task, kind: Kind, after: list[Task], when: str) -> dict[str, Any]:
    """What is noted of a task that others will put on the queue: after which, when those ended how."""
    return {**tried(task, kind), "say": "promised", "after": [one.id for one in after], "when": when}


def at_once(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """One task, now and then with a priority."""
    task = kind.task(chance, priority=chance.choice([0, 0, 0, 5, -5]))
    sender.put(task, tried(task, kind))


def with_delay(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """One task for later, by Redis' clock."""
    task = kind.task(chance, delay=chance.uniform(0.1, 4.0))
    sender.put(task, tried(task, kind))


def with_eta(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """One task for a moment by this machine's clock, which is not Redis' clock."""
    at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=chance.uniform(0.0, 3.0))
    task = kind.task(chance, execute_at=at.timestamp())
    sender.put(task, tried(task, kind))


def and_revoke(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """One task for later, revoked meanwhile."""
    task = kind.task(chance, delay=chance.uniform(0.5, 3.0))
    if sender.put(task, tried(task, kind)):
        sender.revoke(task.id)


def and_wait(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """One task, whose result is waited for a little while."""
    task = kind.task(chance)
    if sender.put(task, tried(task, kind)):
        sender.wait(task.id)


def as_pipeline(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """A task that may fail, another that follows its success, and one that follows its failure."""
    first, step, mourner = kind.task(chance), kinds["step"].task(chance), kinds["mourner"].task(chance)
    sender.put(
        first.then(step).error(mourner),
        tried(first, kind),
        promised(step, kinds["step"], [first], "success"),
        promised(mourner, kinds["mourner"], [first], "failure"),
    )


def as_chord(kind: Kind, kinds: Mapping[str, Kind], sender: Sender, chance: random.Random) -> None:
    """Some tasks, and one that is given what they left when all have ended, however."""
    chosen = [kinds[chance.choice(MEMBERS)] for _ in range(chance.randint(2, 5))]
    members = [member.task(chance) for member in chosen]
    callback = kind.task(chance)
    entries = [tried(task, member) for task, member in zip(members, chosen, strict=True)]
    sender.put(chord(members, callback), *entries, promised(callback, kind, members, "all"))
