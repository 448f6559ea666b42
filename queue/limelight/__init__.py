"""Limelight: a Redis task queue whose every task is in the light."""

from importlib.metadata import version

from .canvas import SKIPPED, chord, group
from .crontab import Crontab, crontab
from .deadline import check_timeout, time_remaining
from .emitter import RedisEventEmitter
from .errors import (
    CancelExecution,
    CannotCarry,
    ConfigurationError,
    LimelightError,
    OutcomeUnknown,
    RateLimitExceeded,
    RedisRefused,
    RedisUnavailable,
    ResultTimeout,
    RetryTask,
    RunLost,
    TaskException,
    TaskLocked,
    TaskTimeout,
    UndecodableMessage,
    UnknownTask,
)
from .locks import TaskLock
from .memory_queue import MemoryQueue
from .rate_limit import RateLimit
from .results import ChordResult, Result, ResultGroup
from .schedule import every
from .task import Task
from .task_queue import RedisHuey, RedisQueue
from .task_wrapper import TaskWrapper
from .wire import MessagePack, SignedPickle

__version__ = version("limelight")

__all__ = [
    "SKIPPED",
    "CancelExecution",
    "CannotCarry",
    "ChordResult",
    "ConfigurationError",
    "Crontab",
    "LimelightError",
    "MemoryQueue",
    "MessagePack",
    "OutcomeUnknown",
    "RateLimit",
    "RateLimitExceeded",
    "RedisEventEmitter",
    "RedisHuey",
    "RedisQueue",
    "RedisRefused",
    "RedisUnavailable",
    "Result",
    "ResultGroup",
    "ResultTimeout",
    "RetryTask",
    "RunLost",
    "SignedPickle",
    "Task",
    "TaskException",
    "TaskLock",
    "TaskLocked",
    "TaskTimeout",
    "TaskWrapper",
    "UndecodableMessage",
    "UnknownTask",
    "check_timeout",
    "chord",
    "crontab",
    "every",
    "group",
    "time_remaining",
]
