"""Every error of Limelight, one root and a leaf per cause.

::

    LimelightError
    ├── ConfigurationError          a setting, a declaration or a name is wrong (also a ValueError)
    │   └── UnknownTask             a message asks for a task that is not registered
    ├── CannotCarry                 a value does not fit the wire format (also a TypeError)
    ├── UndecodableMessage          bytes on the queue are not a message of ours
    ├── RedisError
    │   ├── RedisUnavailable        the command was not sent: nothing has changed (also a ConnectionError)
    │   ├── OutcomeUnknown          it was sent, its answer never came: it may or may not have happened
    │   ├── NotConfirmed            it happened, but is not known to be as safe as was asked for
    │   └── RedisRefused            Redis answered with an error
    ├── TaskException               the task failed; raised where its result is read
    ├── ResultTimeout               no result within the time given (also a TimeoutError)
    ├── RetryTask                   raised by a task: run me again
    └── CancelExecution             raised by a task: stop here, this is no failure

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


class NotConfirmed(RedisError):
    """A task is on the queue, but is not known to be as safe as ``durability`` asks for.

    It will run unless Redis loses it. Enqueueing the very same task again enqueues nothing twice and asks again.

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


class RetryTask(LimelightError):
    """Raise it in a task to have the task run again; it is no failure and always grants one more attempt.

    Args:
        msg: Why, for logs.
        eta: When to run again (aware, or naive in the server's local time).
        delay: Seconds (or a timedelta) to wait; without both the task's own ``retry_delay`` applies.
    """

    def __init__(
        self, msg: str = "", eta: datetime | None = None, delay: float | timedelta | None = None
    ) -> None:
        super().__init__(msg)
        self.eta = eta
        self.delay = delay


class CancelExecution(LimelightError):
    """Raise it in a task to stop without failing: the task ends as canceled, unless a retry is asked for.

    Args:
        msg: Why, for logs and the result.
        retry: True: run again if retries remain; False: never; None: never.
    """

    def __init__(self, msg: str = "", retry: bool | None = None) -> None:
        super().__init__(msg)
        self.retry = retry
