"""The place in a thread where a task's code runs, and from where it can be driven out when its time is over.

CPython delivers an exception to another thread at its next bytecode: not while C code runs, not while it waits
for a lock or sleeps, and perhaps only when the task has returned already. So it is set only while the thread
is known to be inside, and whoever leaves takes back what was not delivered.
"""

from __future__ import annotations

import ctypes
import math
import sys
import threading
import time
import traceback as tb
from collections.abc import Callable
from types import CoroutineType
from typing import Any, Final

from .coroutines import Coroutines
from .errors import TaskTimeout

AGAIN_SECONDS: Final = 1.0
KICKS: Final = 5

_COROUTINE_GRACE_SECONDS: Final = 1.0
_NOTHING: Final = object()


class Slot:
    """Where one worker thread runs tasks' code. `call` is for that thread, everything else for the watchdog.

    Attributes:
        kick_at: Monotonic seconds at which it is time to kick; infinity while no timeout applies.
        is_abandoned: The code did not leave after many kicks; its thread is lost to us, and must do nothing
            more but end.

    Args:
        expect: Told when to look at `kick_at`.
    """

    def __init__(self, expect: Callable[[float], None]) -> None:
        self.kick_at = math.inf
        self.is_abandoned = False
        self._expect = expect
        self._coroutines = Coroutines()
        self._thread = 0
        self._kicks = 0
        # The two sides of a handshake: each sets its own before it reads the other's. A lock will not do: what
        # is set here may arrive between taking the lock and remembering that it was taken.
        self._is_inside = False
        self._is_being_kicked = False

    def call(self, code: Callable[[], Any], seconds: float | None) -> Any:
        """Run code, coroutines in an event loop of this thread; raises what it raises, or TaskTimeout.

        Args:
            code: What to run.
            seconds: How long it may take, None for as long as it likes.
        """
        if seconds is None:
            return self._run(code, None)
        value: Any = _NOTHING
        error: BaseException | None = None
        try:
            try:
                self._enter(seconds)
                value = self._run(code, seconds)
            except BaseException as raised:
                error = raised
            self._leave()
        except TaskTimeout as late:  # perhaps when the code had ended already; then it ended as it did
            error = late if value is _NOTHING and error is None else error
            self._leave()
        if error is None:
            return value
        try:
            raise error
        finally:
            error = None  # or its traceback would hold us, and we it

    def _run(self, code: Callable[[], Any], seconds: float | None) -> Any:
        value = code()
        if type(value) is not CoroutineType:
            return value
        if seconds is not None:  # it is cancelled in time, and driven out only if that does not help
            self._postpone(_COROUTINE_GRACE_SECONDS)
        return self._coroutines.run(value, seconds)

    def _enter(self, seconds: float) -> None:
        self._thread, self._kicks = threading.get_ident(), 0
        self.kick_at = time.monotonic() + seconds
        self._is_inside = True
        self._expect(self.kick_at)

    def _postpone(self, seconds: float) -> None:
        self.kick_at += seconds

    def _leave(self) -> None:
        while True:
            try:
                self._is_inside = False
                while self._is_being_kicked:
                    time.sleep(0)
                self.kick_at = math.inf
                if self._kicks:
                    _set_exception(self._thread, None)
            except TaskTimeout:
                continue
            return

    def kick(self, now: float) -> None:
        """Drive out what runs here, if its time is over; give it up when that was tried often enough."""
        self._is_being_kicked = True
        try:
            if not self._is_inside or now < self.kick_at:
                return
            if self._kicks >= KICKS:
                self.is_abandoned = True
                self.kick_at = math.inf
                return
            self._kicks += 1
            self.kick_at = now + AGAIN_SECONDS
            _set_exception(self._thread, TaskTimeout)
        finally:
            self._is_being_kicked = False

    def stack(self) -> str:
        """Where the code is that runs here, as text."""
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001
        return "" if frame is None else "".join(tb.format_stack(frame))

    def close(self) -> None:
        """Close the thread's event loop, if it had one; from the thread itself."""
        self._coroutines.close()


def _set_exception(thread: int, kind: type[BaseException] | None) -> None:
    exception = ctypes.py_object() if kind is None else ctypes.py_object(kind)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), exception)
