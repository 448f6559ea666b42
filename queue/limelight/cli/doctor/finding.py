"""What a check has to say."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """How well it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check.

    Attributes:
        check: Its name, which stays the same whatever is found.
        status: How well it is.
        found: What is so, in one sentence without a full stop.
        detail: What else a reader may want to know.
        fix: What to do, "" where there is nothing to do.
        queue: Whose, "" for the server.
    """

    check: str
    status: Status
    found: str
    detail: str = ""
    fix: str = ""
    queue: str = ""
