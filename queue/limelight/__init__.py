"""Limelight: a Redis task queue whose every task is in the light."""

from importlib.metadata import version

from .crontab import Crontab, crontab
from .deadline import check_timeout, time_remaining
from .emitter import RedisEventEmitter
from .errors import (
    CancelExecution,
    CannotCarry,
    ConfigurationError,
    LimelightError,
    OutcomeUnknown,
    RedisRefused,
    RedisUnavailable,
    ResultTimeout,
    RetryTask,
    TaskException,
    TaskTimeout,
    UndecodableMessage,
    UnknownTask,
)
from .results import Result
from .task import Task
from .task_queue import RedisHuey, RedisQueue, TaskWrapper
from .wire import MessagePack, SignedPickle

__version__ = version("limelight")

__all__ = [
    "CancelExecution",
    "CannotCarry",
    "ConfigurationError",
    "Crontab",
    "LimelightError",
    "MessagePack",
    "OutcomeUnknown",
    "RedisEventEmitter",
    "RedisHuey",
    "RedisQueue",
    "RedisRefused",
    "RedisUnavailable",
    "Result",
    "ResultTimeout",
    "RetryTask",
    "SignedPickle",
    "Task",
    "TaskException",
    "TaskTimeout",
    "TaskWrapper",
    "UndecodableMessage",
    "UnknownTask",
    "check_timeout",
    "crontab",
    "time_remaining",
]
