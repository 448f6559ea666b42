"""Events as Huey 1.x tells them over pub/sub: no number, no stream, no end. Pure.

The format names what happened and little else. What it cannot tell is not guessed: no wait, no latency, no enqueued
tasks, no queue. A failure is the end of its task if no retry remains, which `retries` tells.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from limelight import events as contract

OVERSIZED_BYTES: Final = 1_000_000
_PREFIXES: Final = ("queuecmd_", "queue_task_")
_FRAME: Final = '\n  File "'
_RAISED: Final = re.compile(r"\n([A-Za-z_][\w.]*)(?::|\n|$)")


class DocumentEvent(msgspec.Struct, frozen=True, gc=False):
    """One event, as far as metrics are concerned; all other keys are passed over.

    Attributes:
        retries: How many retries remain; None where the event is about no task.
        duration: Seconds.
    """

    status: str
    task: str | None = None
    retries: float | None = None
    traceback: str | None = None
    duration: float | None = None

    @property
    def name(self) -> str:
        """The task's name as its author knows it: Huey 1.x puts a word before it."""
        name = self.task or contract.UNKNOWN_TASK
        return next((name.removeprefix(word) for word in _PREFIXES if name.startswith(word)), name) or name

    @property
    def outcome(self) -> str | None:
        """How the run went that this closes; None if it closes none."""
        return _OUTCOMES.get(self.status)

    @property
    def end(self) -> str | None:
        """How the task went that this ends; None if it does not, or may not."""
        if self.status in _FINAL:
            return _FINAL[self.status]
        return _LAST.get(self.status) if self.retries == 0 else None

    @property
    def error_type(self) -> str:
        """The class that the traceback ends in, ``unknown`` if it cannot be found."""
        _, _, last = f"\n{self.traceback or ''}".rpartition(_FRAME)
        found = _RAISED.search(last)
        return found[1] if found else "unknown"


_OUTCOMES: Final = {
    contract.EVENT_FINISHED: "success",
    contract.EVENT_ERROR_TASK: "error",
    contract.EVENT_ERROR_STORING_RESULT: "result_error",
    contract.EVENT_LOCKED: "locked",
}
_FINAL: Final = {
    contract.EVENT_FINISHED: "success",
    contract.EVENT_ERROR_STORING_RESULT: "result_error",
    contract.EVENT_REVOKED: "revoked",
}
_LAST: Final = {contract.EVENT_ERROR_TASK: "dead", contract.EVENT_LOCKED: "locked"}
TOLD_OUTCOMES: Final = ("success", "error", "result_error")
"""What every task may come to; `locked` is told by some versions only."""
TOLD_ENDS: Final = ("success", "dead", "result_error", "revoked")

_decoder: Final = msgspec.json.Decoder(DocumentEvent)


def read(raw: bytes) -> DocumentEvent | str:
    """The event of a message, or the reason why there is none."""
    if len(raw) > OVERSIZED_BYTES:
        return "oversized"
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "undecodable"
