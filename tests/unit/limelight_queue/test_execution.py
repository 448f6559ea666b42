"""One run and those around it, in a thread or awaited in an event loop."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from limelight import (
    CancelExecution,
    RateLimitExceeded,
    RedisQueue,
    RetryTask,
    Task,
    TaskLocked,
    TaskTimeout,
    wire,
)
from limelight.errors import ConfigurationError
from limelight.execution import Terms, execute, execute_async
from limelight.lifecycle import Canceled, Raised, ResultRefused
from limelight.report import Report, Stopwatch
from limelight.retry import STEADY
from limelight.storage.base import Handed, Lease
from limelight.tracecontext import TraceContext

HANDED = Handed(
    lease=Lease("c9a1fd36-5b0a-4f3c-9e63-3a1b6b0f7a10", "w:1"), started=True, name="send", run=1, attempt=1, retries=2,
    retry_delay=5.0, redeliveries=0, trace_id="", span_id="", trace_flags=1, traced_at=0.0, started_at=0.0, body=b"",
    priority=7, expires_at=2_000_000_000.0, execute_at=1_900_000_000.0,
)  # fmt: skip


async def awaited(call: Callable[[], Awaitable[Any]], seconds: float | None) -> Any:
    return await call()


def run_in_thread(queue: RedisQueue, func: Callable[..., Any], **changed: Any) -> Report:
    queue.task(name="send", context=changed.pop("context", False))(func)
    return execute(queue.registry["send"], *given(queue, **changed))


def run_awaited(queue: RedisQueue, func: Callable[..., Any], **changed: Any) -> Report:
    async def send(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    queue.task(name="send", context=changed.pop("context", False))(send)
    return asyncio.run(execute_async(queue.registry["send"], *given(queue, **changed), awaited))


def given(queue: RedisQueue, *, handed: Handed = HANDED, left: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    body = wire.encode_call(
        "send",
        [1],
        {},
        serializer=queue.serializer,
        backoff=STEADY,
        trace_state="",
        timeout=30,
        due=1_900_000_000,
    )
    terms = Terms(
        handed=handed,
        context=TraceContext("1" * 32, "2" * 16, 1, "", 0.0),
        timeout=None,
        keep_result=True,
        watch=Stopwatch.started(),
        given=left,
    )
    return wire.decode_message(body), queue.surroundings, terms


Run = Callable[..., Report]


@pytest.fixture(params=[run_in_thread, run_awaited], ids=["thread", "awaited"])
def run(request: pytest.FixtureRequest) -> Run:
    made: Run = request.param
    return made


@pytest.fixture
def queue() -> RedisQueue:
    return RedisQueue("mail")


@pytest.mark.parametrize(
    ("error", "signal"),
    [
        (None, None),
        (ValueError("no"), "error"),
        (TaskTimeout("late"), "timeout"),
        (TaskLocked("held"), "locked"),
        (RateLimitExceeded("full", 3.0, retry=True), "rate-limited"),
        (CancelExecution("enough"), "canceled"),
        (RetryTask(), None),
    ],
)
def test_hooks_and_handlers_stand_around_a_run_in_one_order(
    queue: RedisQueue, run: Run, error: BaseException | None, signal: str | None
) -> None:
    heard: list[Any] = []
    queue.signal()(lambda signal, task, *exc: heard.append((signal, *exc)))
    queue.pre_execute("before")(lambda task: heard.append(("before", task.args)))
    queue.post_execute("after")(lambda task, value, exc: heard.append(("after", value, exc)))

    def send(*args: int) -> int:
        heard.append(("ran", args))
        if error is not None:
            raise error
        return 42

    report = run(queue, send, left=(2,))
    told = [(signal, error) if signal == "error" else (signal,)] if signal else []
    assert heard == [
        ("executing",),
        ("before", (1, 2)),
        ("ran", (1, 2)),
        *told,
        ("after", None if error else 42, error),
    ]
    assert report.task is not None
    assert report.task.id == HANDED.task_id


def test_a_run_has_what_its_record_and_its_message_say(queue: RedisQueue, run: Run) -> None:
    seen: list[Task] = []
    report = run(queue, lambda number, task: seen.append(task), context=True)
    (task,) = seen
    assert report.task is task
    assert (task.retries, task.retry_delay, task.priority, task.timeout, task.queue) == (
        2,
        5.0,
        7,
        30,
        "mail",
    )
    assert (task.execute_at, task.options.expires.timestamp()) == (1_900_000_000, 2_000_000_000)  # type: ignore[union-attr]
    assert task.eta == task.due


def test_a_hook_that_cancels_keeps_the_function_from_running(queue: RedisQueue, run: Run) -> None:
    @queue.pre_execute()
    def refuse(task: Task) -> None:
        raise CancelExecution("not today", retry=True)

    assert run(queue, lambda number: pytest.fail("it ran")).outcome == Canceled(retry=False)


def test_a_result_that_is_too_large_is_refused(run: Run) -> None:
    queue = RedisQueue("mail", result_limit=100)
    report = run(queue, lambda number: "x" * 200)
    assert report.outcome == ResultRefused()
    assert "the limit is 100" in report.keys["error_message"]


def test_nobody_is_shown_a_record_that_nobody_can_have_enqueued(queue: RedisQueue, run: Run) -> None:
    strange = Handed(**{name: getattr(HANDED, name) for name in Handed.__slots__} | {"priority": 9_999})
    report = run(queue, lambda number, task: None, context=True, handed=strange)
    assert report.outcome == Raised(final=True)
    assert "is not one of ours" in report.keys["error_message"]


def test_a_limit_that_is_no_number_of_bytes_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="result_limit must be a whole number"):
        RedisQueue("mail", result_limit=0)
