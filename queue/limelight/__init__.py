"""Limelight: a Redis task queue whose every task is in the light."""

from importlib.metadata import version

from .crontab import Crontab, crontab
from .emitter import RedisEventEmitter
from .errors import (
    CancelExecution,
    CannotCarry,
    ConfigurationError,
    LimelightError,
    NotConfirmed,
    OutcomeUnknown,
    RedisRefused,
    RedisUnavailable,
    ResultTimeout,
    RetryTask,
    TaskException,
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
    "NotConfirmed",
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
    "TaskWrapper",
    "UndecodableMessage",
    "UnknownTask",
    "crontab",
]
