"""Every error of Limelight, one root and a leaf per cause.

::

    LimelightError
    ├── ConfigurationError          a setting, a declaration or a name is wrong (also a ValueError)
    │   └── UnknownTask             a message asks for a task that is not registered
    ├── UnknownQueue                no queue of that name has announced itself
    ├── TaskNotFound                a queue holds nothing of a task, or not where it is looked for
    ├── CannotCarry                 a value does not fit the wire format (also a TypeError)
    ├── UndecodableMessage          bytes on the queue are not a message of ours
    ├── RedisError
    │   ├── RedisUnavailable        the command was not sent: nothing has changed (also a ConnectionError)
    │   ├── OutcomeUnknown          it was sent, its answer never came: it may or may not have happened
    │   └── RedisRefused            Redis answered with an error
    ├── TaskException               the task failed; raised where its result is read
    ├── ResultTimeout               no result within the time given (also a TimeoutError)
    ├── TaskLocked                  a lock is somebody else's; in a task: it ends as locked, or is retried
    ├── RateLimitExceeded           a rate is used up; in a task: it runs again when there is room
    ├── RunLost                     this run is not ours any more: its lease ran out
    ├── RetryTask                   raised by a task: run me again
    └── CancelExecution             raised by a task: stop here, this is no failure

    TaskTimeout                     raised in a task whose time is over; no Exception, so that `except Exception`
                                    in a task does not hold it up

A message says what failed, on which object, and what to do next. No message holds a password.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any


class LimelightError(Exception):
    """Root of all errors that Limelight raises on purpose."""


class ConfigurationError(LimelightError, ValueError):
    """A setting, a declaration or a name cannot be used; the message names each fault."""


class UnknownTask(ConfigurationError):
    """A message asks for a task that this queue's registry does not hold."""


class UnknownQueue(LimelightError):
    """No queue of that name has announced itself in this Redis; the message names those that have."""


class TaskNotFound(LimelightError):
    """A queue holds nothing of a task, or not in the state that was asked for; the message says what to look at."""


class CannotCarry(LimelightError, TypeError):
    """A value cannot travel in a message; the message names the argument and its type."""


class UndecodableMessage(LimelightError):
    """Bytes found on the queue are no message of this version."""


class RedisError(LimelightError):
    """Something between us and Redis went wrong."""


class RedisUnavailable(RedisError, ConnectionError):
    """Redis could not be reached before the command was sent, so nothing has changed."""


class OutcomeUnknown(RedisError):
    """A command was sent and its answer never came.

    Repeating the same call with the same task is safe: the script behind it does nothing a second time.

    Attributes:
        task_id: The task in question (UUID text), or None where there is none.
    """

    def __init__(self, message: str, task_id: str | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id


class RedisRefused(RedisError):
    """Redis answered with an error: no permission, out of memory, a key that holds something else.

    Attributes:
        may_pass: Waiting may help (a failover, a full disk, a password being changed).
    """

    may_pass: bool = False


class TaskException(LimelightError):
    """The task ended in failure; raised where its result is read.

    Attributes:
        metadata: ``error`` (type and message), ``error_type``, ``traceback`` (or None), ``retries`` (how many
            were used, as far as is known) and ``task_id``.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        super().__init__(str(metadata.get("error") or "unknown error"))
        self.metadata = dict(metadata)


class ResultTimeout(LimelightError, TimeoutError):
    """The result did not arrive within the time that the caller was willing to wait."""


class TaskLocked(LimelightError):
    """Somebody else holds the lock."""


class RateLimitExceeded(LimelightError):
    """The rate is used up.

    Attributes:
        delay: Seconds until there is room again.
        retry: Whether a task that meets it runs again then.
    """

    def __init__(self, message: str, delay: float, *, retry: bool) -> None:
        super().__init__(message)
        self.delay = delay
        self.retry = retry


class RunLost(LimelightError):
    """The lease of this run ran out, and the task is somebody else's now: what it does has no effect."""


class RetryTask(LimelightError):
    """Raise it in a task to have the task run again; it is no failure and always grants one more attempt.

    Args:
        msg: Why, for logs.
        eta: When to run again (aware, or naive in the server's local time).
        delay: Seconds (or a timedelta) to wait; without both the task's own ``retry_delay`` applies.
    """

    def __init__(
        self, msg: str | None = None, eta: datetime | None = None, delay: float | timedelta | None = None
    ) -> None:
        super().__init__(*([] if msg is None else [msg]))
        self.eta = eta
        self.delay = delay


class CancelExecution(LimelightError):
    """Raise it in a task to stop without failing: the task ends as canceled, unless it is to run again.

    In a ``pre_execute`` hook it always ends the task.

    Args:
        msg: Why, for logs and the result.
        retry: True: run again, once more if no retries remain; False: never; None: while retries remain.
    """

    def __init__(self, msg: str | None = None, retry: bool | None = None) -> None:
        super().__init__(*([] if msg is None else [msg]))
        self.retry = retry


class TaskTimeout(BaseException):
    """Raised in a task whose time is over, to make it stop; catch it to tidy up, then let it go on.

    Like `KeyboardInterrupt` it is no `Exception`: a task that catches all exceptions is to be stopped as well.
    """

    def __init__(self, msg: str = "the task ran longer than its timeout") -> None:
        super().__init__(msg)
