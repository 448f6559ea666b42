"""Bugs to plant into Lua scripts and Python, so that chaos can be seen to find them. Nothing here runs unasked."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from limelight.storage import scripts

VARIABLE: Final = "CHAOS_PLANT"


@dataclass(frozen=True, slots=True)
class Plant:
    """One bug in the scripts.

    Attributes:
        script: Where it is planted; "" for every script that has the pattern.
        pattern: A regular expression that must be found there, keys and fields by their names.
        instead: What is put in its place.
        caught_by: The check that must name it.
    """

    script: str
    pattern: str
    instead: str
    caught_by: str

    def fits(self, script: scripts.Script) -> bool:
        """Whether it can be planted there."""
        return self.script in {"", script.name} and bool(
            re.search(self._written(script), script.source.decode())
        )

    def planted(self, script: scripts.Script) -> str:
        """The script's source with the bug."""
        instead = scripts.with_names(self.instead, script.names)
        return re.sub(self._written(script), instead, script.source.decode())

    def _written(self, script: scripts.Script) -> str:
        return scripts.with_names(
            self.pattern, {name: re.escape(there) for name, there in script.names.items()}
        )


@dataclass(frozen=True, slots=True)
class CodePlant:
    """One bug in Python.

    Attributes:
        place: A method, as ``module:Class.method``.
        pattern: A regular expression that must be found in its source.
        instead: What is put in its place.
        caught_by: The check that must name it.
    """

    place: str
    pattern: str
    instead: str
    caught_by: str

    @property
    def holder(self) -> Any:
        """The class."""
        module, _, path = self.place.partition(":")
        return getattr(importlib.import_module(module), path.partition(".")[0])

    @property
    def method(self) -> str:
        """The method's name."""
        return self.place.rpartition(".")[2]

    def source(self) -> str:
        """The method as it is written."""
        return textwrap.dedent(inspect.getsource(getattr(self.holder, self.method)))


_CONSUMER: Final = "limelight.consumer"
PLANTS: Final[Mapping[str, Plant | CodePlant]] = {
    "settle-without-token": Plant("settle", r"r\[TOKEN\] == s\[2\] and ", "", "executions"),
    "enqueue-without-lane": Plant(
        "enqueue", r"if tonumber\(ARGV\[7\]\) <= tonumber\(call\('HGET', LANES[^\n]*", "", "enqueues"),
    "close-untold": Plant("settle", r"if s\[3\] ~= 'retrying' then tell", "if r[RUN] == 1 then tell", "runs"),
    "lost-untold": Plant("reap", r"tell\('lost'", "type('lost'", "runs"),
    "number-skipped": Plant("", r"seq \+ n\)", "seq + n + (now % 50 == 0 and 1 or 0))", "numbers"),
    "run-number-reused": Plant("", r"'running', r\[RUN\] \+ 1", "'running', r[ATTEMPT] + 1", "runs"),
    "retry-for-free": Plant(
        "settle", r"r\[RETRIES\] - 1", "r[RETRIES] - (now % 3 == 0 and 0 or 1)", "attempts"),
    "promoted-into-nothing": Plant(
        "promote", r"to_ready\(id, r, tail, dues\[n\]\)", "if now % 9 > 0 then \\g<0> end", "drained"),
    "too-early": Plant("schedule", r"r\[EXECUTE\] > now ", "r[EXECUTE] > now + 2000000 ", "due times"),
    "revoked-runs": Plant("", r"if by_id and \(", "if now % 2 == 0 and by_id and (", "revoked"),
    "expired-runs": Plant("", r"r\[EXPIRES\] <= now", "r[EXPIRES] + 2000000 <= now", "kinds"),
    "mark-outlives-task": Plant("", r"  remove\(REVOKED, id\)\n", "", "keys"),
    "result-for-ever": Plant("settle", r"KEYS\[first\], value, 'PX', ttl", "KEYS[first], value", "keys"),
    "result-dropped": Plant("settle", r"if value ~= '' and s\[9\] > 0", "\\g<0> and now % 20 > 0", "results"),
    "requests-for-ever": Plant("expired", r"redis\.call\('HDEL', REQUESTS, [^\n]*? end\n", "end\n", "keys"),
    "due-twice": Plant("fire", r"last ~= tonumber\(ARGV\[8\]\) or due <= last or ", "", "periodic"),
    "follower-forgotten": Plant("", r"elseif f\[at\] ~= ''", "\\g<0> and now % 3 > 0", "promises"),
    "chord-too-early": Plant("", r"== tonumber\(g\[1\]\) then", "== tonumber(g[1]) - 1 then", "promises"),
    "lock-for-all": Plant("lock", r"if ends == '0' or [^\n]*\n", "", "locks"),
    "dead-worker-untold": Plant("lost", r"tell\('lost'", "type('lost'", "runs"),
    "dead-worker-unaccounted": CodePlant(
        f"{_CONSUMER}.warden:Warden.account", r"station\.courier\.take_lost\(.*\)", "pass", "durations"),
    "dead-worker-told-idle": CodePlant(
        f"{_CONSUMER}.warden:Warden.account", r"number <= begun", "number < begun", "durations"),
    "workers-outlive": CodePlant(f"{_CONSUMER}.child:Child._listen", r"os\._exit\(0\)", "return", "processes"),
    "coroutines-mixed-up": CodePlant(
        f"{_CONSUMER}.async_crew:AsyncCrew._begin", r"self\._loop\.create_task\(self\._await\(job\)",
        "\\g<0>, context=vars(self).setdefault('one', __import__('contextvars').copy_context())", "executions"),
    "coroutine-forgotten": CodePlant(
        f"{_CONSUMER}.async_crew:AsyncCrew._finish", r"self\._done\.append\(job\)",
        "job.handed.run == 1 and \\g<0>", "drained"),
    "no-grace": Plant("expired", r"if grace\(lease\) then return \{\} end", "grace(lease)", "lost"),
}  # fmt: skip
"""Bug → where it goes. Scripts: the end of a task and its start are in many, as `_end` and `_start` are."""


def plant_from(environment: Mapping[str, str]) -> None:
    """Plant the bug that CHAOS_PLANT names, if any."""
    if name := environment.get(VARIABLE):
        plant(name)


def plant(name: str) -> None:
    """Change this process' scripts or code. Raises LookupError if the pattern is nowhere to be found any more."""
    bug = PLANTS[name]
    if isinstance(bug, CodePlant):
        _rewrite(name, bug)
        return
    changed = {script.name: _changed(script, bug) for script in scripts.SCRIPTS.values() if bug.fits(script)}
    if not changed:
        raise LookupError(f"plant {name!r}: {bug.pattern!r} is not in {bug.script or 'any'}.lua")
    cast("dict[str, Any]", scripts.SCRIPTS).update(changed)


def _rewrite(name: str, bug: CodePlant) -> None:
    source, places = re.subn(bug.pattern, bug.instead, bug.source())
    if not places:
        raise LookupError(f"plant {name!r}: {bug.pattern!r} is not in {bug.place}")
    made: dict[str, Any] = {}
    module = vars(inspect.getmodule(bug.holder))
    exec(f"from __future__ import annotations\n{source}", module, made)  # our own words
    setattr(bug.holder, bug.method, made[bug.method])


def _changed(script: scripts.Script, bug: Plant) -> scripts.Script:
    source = bug.planted(script).encode()
    sha = hashlib.sha1(source, usedforsecurity=False).hexdigest().encode()
    return replace(script, source=source, sha=sha)
