"""What Huey 3.5 offers under a name is found here under that name, or the migration page says what there is instead."""

from pathlib import Path

import pytest

from limelight import (
    ChordResult,
    RateLimit,
    RedisQueue,
    Result,
    ResultGroup,
    Task,
    TaskLock,
    TaskWrapper,
    crontab,
)
from limelight.cli.consumer import consumer as command
from limelight.consumer import Consumer
from limelight.task import TaskOptions

PAGE = (Path(__file__).parents[2] / "docs" / "migrating-from-huey.md").read_text(encoding="utf-8")

QUEUE = RedisQueue("names")
TASK = Task(options=TaskOptions(name="send"))
OURS = {
    "queue": QUEUE,
    "task": TASK,
    "wrapper": QUEUE.task(name="send")(lambda: None),
    "result": QUEUE.result_handle(TASK.id),
    "ResultGroup": ResultGroup,
    "ChordResult": ChordResult,
    "lock": TaskLock,
    "rate limit": RateLimit,
    "crontab": crontab,
    "consumer": Consumer,
}
assert isinstance(OURS["wrapper"], TaskWrapper)
assert isinstance(OURS["result"], Result)

HUEYS = {
    "queue": (
        *("name", "results", "immediate", "immediate_use_memory", "serializer", "storage"),
        *("task", "periodic_task", "context_task", "create_consumer", "get_storage"),
        *("pre_execute", "post_execute", "on_startup", "on_shutdown", "signal", "disconnect_signal"),
        *(
            "unregister_pre_execute",
            "unregister_post_execute",
            "unregister_on_startup",
            "unregister_on_shutdown",
        ),
        *("enqueue", "dequeue", "execute", "ready_to_run", "add_schedule", "read_schedule", "read_periodic"),
        *("serialize_task", "deserialize_task", "build_error_result", "notify_interrupted_tasks"),
        *("put", "get", "delete", "put_if_empty", "put_result", "get_raw"),
        *("revoke", "revoke_all", "revoke_by_id", "restore", "restore_all", "restore_by_id", "is_revoked"),
        *("pending", "pending_count", "scheduled", "scheduled_count", "all_results", "result_count"),
        *("__len__", "__bool__", "flush", "lock_task", "is_locked", "flush_locks", "rate_limit", "result"),
    ),
    "task": (
        *("args", "kwargs", "id", "eta", "retries", "retry_delay", "retry_backoff", "priority", "expires"),
        *(
            "expires_resolved",
            "timeout",
            "on_complete",
            "on_error",
            "chord_config",
            "revoke_id",
            "name",
            "data",
        ),
        *("then", "error", "execute", "extend_data", "time_remaining", "is_timed_out", "check_timeout"),
    ),
    "wrapper": (
        *("__call__", "s", "schedule", "map", "call_local", "revoke", "is_revoked", "restore", "unregister"),
        *("task_class", "func", "retries", "retry_delay"),
    ),
    "result": (
        *("id", "get", "__call__", "is_ready", "reset", "revoke", "restore", "is_revoked", "reschedule"),
        "get_raw_result",
    ),
    "ResultGroup": ("get", "as_completed", "__iter__", "__getitem__", "__len__"),
    "ChordResult": ("get", "reset"),
    "lock": ("acquire", "release", "clear", "locked", "__enter__", "__call__"),
    "rate limit": ("acquire", "reset", "current_usage", "__enter__", "__call__"),
    "crontab": ("hourly", "daily"),
    "consumer": ("run", "start", "stop", "worker_class", "scheduler_class"),
}
OPTIONS = (
    "store_none",
    "utc",
    "compression",
    "use_zlib",
    "storage_class",
    "store_intermediate_errors",
    "clean_name",
)
FLAGS = [f"-{letter}" for letter in "lvqSwkdmbcCfLMsntg"]
CLASSES = (
    "PriorityRedisHuey",
    "RedisExpireHuey",
    "PriorityRedisExpireHuey",
    "MemoryHuey",
    "Error",
    "SKIPPED",
)


@pytest.mark.parametrize(("of", "name"), [(of, name) for of, names in HUEYS.items() for name in names])
def test_a_name_of_huey_is_there_or_explained(of: str, name: str) -> None:
    ours = OURS[of]
    there = hasattr(ours, name) or name in getattr(type(ours), "__annotations__", {})
    assert there or f"`{name}" in PAGE, f"{of}.{name} is neither there nor on the migration page"


@pytest.mark.parametrize("flag", FLAGS)
def test_an_option_of_the_command_is_there_or_explained(flag: str) -> None:
    there = {word for option in command.params for word in option.opts}
    assert flag in there or f"`{flag}`" in PAGE


@pytest.mark.parametrize("name", [*OPTIONS, *CLASSES])
def test_an_option_or_a_class_that_is_not_here_is_explained(name: str) -> None:
    assert f"`{name}" in PAGE
