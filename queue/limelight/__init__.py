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
from .privacy import Privacy
from .rate_limit import RateLimit
from .results import ChordResult, Result, ResultGroup
from .running import current_task
from .schedule import every
from .task import Task
from .task_queue import RedisHuey, RedisQueue
from .task_wrapper import TaskWrapper
from .tracecontext import continue_trace
from .tracing import Tracing
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
    "Privacy",
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
    "Tracing",
    "UndecodableMessage",
    "UnknownTask",
    "check_timeout",
    "chord",
    "continue_trace",
    "crontab",
    "current_task",
    "every",
    "group",
    "time_remaining",
]
