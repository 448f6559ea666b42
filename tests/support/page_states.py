"""The live page in every state that it has, without a Redis: moments made by hand, and a page that shows them."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from limelight.events import Event
from limelight.inspection import Consumer, PeriodicRuns, QueueView
from limelight_exporter.catalog import BUCKETS
from limelight_exporter.page.document import ASSETS, Asset, document
from limelight_exporter.page.facts import Facts, Flow, Own, QueueFacts
from limelight_exporter.page.failures import Group
from limelight_exporter.page.frame import Frame
from limelight_exporter.page.history import SLOTS, slot_of
from limelight_exporter.page.links import Links
from limelight_exporter.page.overview import Style, View, overview, queue_page
from limelight_exporter.page.pulse import Beat
from limelight_exporter.page.tallies import Tally, summed
from limelight_exporter.page.task_page import task_page
from limelight_exporter.page.timelines import Timelines

NOW = 1_795_359_931.5  # 22 November 2026, 15:05:31.5 UTC
EMAIL = "0192f3a8-7c41-7d0e-9b55-2f6f0c1a8e37"
TRACEBACK = """Traceback (most recent call last):
  File "/srv/app/mail/tasks.py", line 41, in send_email
    smtp.send_message(build(to, template))
  File "/usr/lib/python3.12/smtplib.py", line 401, in getreply
    raise SMTPServerDisconnected("Connection unexpectedly closed")
smtplib.SMTPServerDisconnected: Connection unexpectedly closed
"""


def tally(
    completed: int = 0, *, enqueued: int | None = None, failed: int = 0, retries: int = 0, dead: int = 0,
    lost: int = 0, run: float = 0.05, wait: float = 0.01, attempts: int | None = None,
) -> Tally:  # fmt: skip
    """What a task did: `run` and `wait` are about its medians in seconds."""
    attempts = completed + failed - dead if attempts is None else attempts
    numbers = array("q", [0] * (8 + 2 * (len(BUCKETS) + 1)))
    came = completed if enqueued is None else enqueued
    numbers[:8] = array(
        "q", [came, completed, attempts, failed, retries, dead, lost, round(run * attempts * 1e6)]
    )
    for at, typical in ((8, run), (8 + len(BUCKETS) + 1, wait)):
        bucket = sum(bound < typical for bound in BUCKETS)
        numbers[at + bucket] += attempts - attempts // 10
        numbers[at + min(bucket + 1, len(BUCKETS))] += attempts // 10
    return Tally(numbers, BUCKETS)


def flow(
    tasks: Mapping[str, Tally],
    *,
    minute: Tally | None = None,
    out: Sequence[float] = (),
    failed: Sequence[float] = (),
) -> Flow:
    """What came and went on a queue in five minutes; a fifth of it in the last one."""
    total = summed(tasks.values(), BUCKETS)
    fifth = tally(total.completed // 5, enqueued=total.enqueued // 5, failed=total.failed // 5)
    return Flow(
        minute=minute or fifth, minute_seconds=60.0, window=tasks, total=total, window_seconds=300.0,
        out=out or _waves(total.completed / 300), failed=failed or [0.0] * SLOTS,
    )  # fmt: skip


def _waves(level: float) -> list[float]:
    return [level * (0.9 + 0.1 * math.sin(at / 2.5) + 0.012 * ((at * 7) % 5)) for at in range(SLOTS)]


def consumer(name: str, busy: int = 0, workers: int = 4, *, seen: float = 2.0, host: str = "") -> Consumer:
    """A consumer that was heard of `seen` seconds ago."""
    return Consumer(
        id=name, seen_at=NOW - seen, workers=workers, busy=busy, interval=10.0, host=host or name, pid=7,
        version="0.9.0", started_at=NOW - 9_000,
    )  # fmt: skip


def view(
    name: str, *consumers: Consumer, ready: int = 0, oldest: float | None = None, **more: Any
) -> QueueView:
    """A queue's gauges; `oldest` is the age of its oldest ready task in seconds."""
    given: dict[str, Any] = {
        "now": NOW, "scheduled": 0, "running": sum(one.busy for one in consumers), "dead": 0, "records": ready,
        "oldest_running": None, "oldest_due": None, "last_check": None, "periodic": (), "seq": 9, "epoch": "e",
        "last_event_id": f"{int(NOW * 1000)}-0",
    }  # fmt: skip
    return QueueView(
        name=name, ready=ready, consumers=consumers, oldest_ready=NOW - oldest if oldest is not None else None,
        **(given | more),
    )  # fmt: skip


def queue(
    seen: QueueView, tasks: Mapping[str, Tally] | None, *, ready_before: int = 0, **more: Any
) -> QueueFacts:
    """All about a queue; None for tasks where its events are still being read."""
    now = QueueFacts(name=seen.name, view=seen, flow=None, beats=()).now
    beats = [
        Beat(
            ready_before + (now.ready - ready_before) * at // (SLOTS - 1), now.oldest_seconds * at / (SLOTS - 1),
            max(0, now.busy - (at * 5) % 3), now.dead if at > SLOTS // 2 else max(0, now.dead - 1),
        )
        for at in range(SLOTS)
    ]  # fmt: skip
    made = flow(tasks, **more.pop("flow", {})) if tasks is not None else None
    return QueueFacts(name=seen.name, view=seen, flow=made, beats=beats, **more)


def group(task: str, error_type: str, times: int, ago: float, *, on: str = "mail", **more: Any) -> Group:
    """A group of failures, the last one `ago` seconds old."""
    return Group(
        queue=on, task=task, error_type=error_type, counts={slot_of(NOW - ago): times}, last_at=NOW - ago,
        described_at=NOW - ago, **more,
    )  # fmt: skip


def facts(*queues: QueueFacts, timelines: Timelines | None = None, **more: Any) -> Facts:
    """A moment."""
    own = Own(
        version="0.9.0", redis="redis-prod:6379/0", started_at=NOW - 532_800, tracing=True, saved_at=NOW - 3,
        series=214,
    )  # fmt: skip
    given: dict[str, Any] = {"now": NOW, "at": NOW, "own": own, **more}
    return Facts(queues=sorted(queues, key=lambda one: one.name), timelines=timelines or Timelines(), **given)


class Story:
    """Tells timelines: each call is a task; times are seconds before now."""

    def __init__(self) -> None:
        self.timelines = Timelines()
        self._told = 0

    def task(
        self,
        name: str,
        *runs: tuple[float, float, str],
        queued: float,
        on: str = "mail",
        id: str = "",  # noqa: A002
    ) -> None:
        """A task that was enqueued `queued` seconds ago; runs are (began ago, seconds, outcome)."""
        self._told += 1
        task_id = id or f"0192f3a8-7c41-7d0e-9b55-{self._told:012x}"
        common: dict[str, Any] = {
            "queue": on,
            "id": task_id,
            "task": name,
            "max_attempts": 4,
            "enqueued_at": NOW - queued,
        }
        self._tell("enqueued", queued, ready_at=NOW - queued, **common)
        ready = queued
        for attempt, (began, seconds, outcome) in enumerate(runs, 1):
            run = common | {
                "attempt": attempt, "run": attempt, "ready_at": NOW - ready, "started_at": NOW - began,
                "host": f"web-{attempt % 2 + 1}", "worker": f"worker-{attempt}", "trace_id": task_id.replace("-", ""),
                "span_id": "b7ad6b7169203331", "trace_flags": 1,
            }  # fmt: skip
            self._tell("started", began, wait=ready - began, **run)
            closed = began - seconds
            if outcome == "running":
                continue
            again = attempt < len(runs)
            if outcome == "success":
                self._tell("finished", closed, outcome=outcome, end="success", duration=seconds, **run)
            else:
                self._fail(closed, seconds, run, last=outcome == "dead")
                ready = runs[attempt][0] + 0.2 if again else closed - 60
                if outcome != "dead":
                    self._tell(
                        "retrying", closed, retries=4 - attempt, retry_delay=round(closed - ready, 1), **run
                    )
                    self._tell("scheduled", closed, execute_time=NOW - ready, **run)

    def _fail(self, closed: float, seconds: float, run: dict[str, Any], *, last: bool) -> None:
        failure = {
            "error": True, "error_type": "smtplib.SMTPServerDisconnected",
            "error_message": "Connection unexpectedly closed", "traceback": TRACEBACK,
        }  # fmt: skip
        self._tell("error-task", closed, outcome="error", duration=seconds, **run, **failure)
        if last:
            self._tell("dead", closed, end="dead", **run)

    def _tell(self, status: str, ago: float, **keys: Any) -> None:
        self.timelines.take(Event(status=status, seq=1, timestamp=NOW - ago, **keys), 8_192)


def _story() -> Timelines:
    story = Story()
    story.task("import_rows", (35.0, 14.4, "dead"), queued=36.5, on="billing")
    story.task("sync_ledger", (49.2, 1.5, "success"), queued=49.3, on="billing")
    story.task("build_pdf", (23.0, 10.5, "success"), queued=62.0, on="reports")
    story.task("transcode", (57.0, 46.8, "success"), queued=58.0, on="media")
    story.task("charge_card", (17.8, 2.3, "success"), queued=18.0, on="billing")
    story.task("send_email", (6.9, 1.7, "error"), queued=7.2)
    story.task(
        "send_email", (42.9, 1.9, "error"), (30.5, 1.6, "error"), (4.6, 0.3, "success"), queued=43.3, id=EMAIL
    )
    story.task("build_pdf", (8.4, 8.4, "running"), queued=130.0, on="reports")
    return story.timelines


def _calm(**more: Any) -> list[QueueFacts]:
    nightly = PeriodicRuns(
        name="nightly", due=NOW - 43_500, next=NOW + 42_840, success=NOW - 43_500, unmet=0.0
    )
    ledger = PeriodicRuns(name="sync_ledger", due=NOW - 48, next=NOW + 12, success=NOW - 48, unmet=0.0)
    return [
        queue(
            view("billing", consumer("pay-1", 4, 8, seen=3), ready=5, oldest=0.09, scheduled=1_204, dead=1,
                 periodic=(ledger,)),
            {"charge_card": tally(9_811, run=0.06, wait=0.01), "sync_ledger": tally(5, run=1.5)}, **more,
        ),
        queue(
            view("mail", consumer("web-1", 4), consumer("web-2", 3, seen=1), ready=28, oldest=0.3, scheduled=41,
                 dead=2),
            {"send_email": tally(42_604, run=0.03, wait=0.01)}, **more,
        ),
        queue(
            view("media", consumer("gpu-1", 2), ready=0), {"transcode": tally(11, run=14.0, wait=0.008)}, **more
        ),
        queue(
            view("reports", consumer("pdf-1", 1, 2), ready=2, oldest=1.2, periodic=(nightly,)),
            {"build_pdf": tally(97, run=6.1, wait=0.9)}, **more,
        ),
    ]  # fmt: skip


def empty() -> Facts:
    """No queue yet."""
    return facts()


def idle() -> Facts:
    """Four queues, nothing on them."""
    names = {"billing": 8, "mail": 8, "media": 4, "reports": 2}
    queues = [
        queue(
            view(name, consumer(f"{name}-1", workers=workers)),
            {"send_email": tally()} if name == "mail" else {},
        )
        for name, workers in names.items()
    ]
    return facts(*queues)


def busy() -> Facts:
    """Four queues that keep up."""
    return facts(*_calm(), timelines=_story())


def failing() -> Facts:
    """A task that fails more than it works."""
    mail = queue(
        view("mail", consumer("web-1", 4), consumer("web-2", 3), ready=28, oldest=2.3, scheduled=412, dead=19),
        {
            "send_email": tally(420, failed=686, retries=667, dead=19, attempts=1_106, run=1.9, wait=0.2),
            "ask_review": tally(77, run=0.04),
        },
        failures=[
            group("send_email", "smtplib.SMTPServerDisconnected", 640, 0.6, message="Connection unexpectedly closed",
                  traceback=TRACEBACK, task_id=EMAIL, attempt=2, max_attempts=4, dead_at=NOW - 70,
                  trace_id=EMAIL.replace("-", "")),
            group("send_email", "requests.exceptions.ReadTimeout", 46, 51.0, task_id=EMAIL, attempt=1, max_attempts=4,
                  message="HTTPSConnectionPool(host='api.mail.example', port=443): Read timed out. (read timeout=10)",
                  traceback=TRACEBACK),
        ],
        flow={"failed": [0.0] * 20 + [20.0 + 7 * (at % 4) for at in range(10)]},
    )  # fmt: skip
    billing = queue(
        view("billing", consumer("pay-1", 4, 8), ready=5, oldest=0.09, scheduled=1_204, dead=1),
        {"charge_card": tally(9_811, run=0.06, wait=0.01), "import_rows": tally(8, failed=1, dead=1)},
        failures=[
            group("import_rows", "ValueError", 1, 72.0, on="billing", task_id=EMAIL, dead_at=NOW - 72,
                  message="row 8,114: '<script>alert(1)</script>' is no date", traceback=TRACEBACK),
        ],
    )  # fmt: skip
    others = [one for one in _calm() if one.name in {"media", "reports"}]
    return facts(mail, billing, *others, timelines=_story())


def falling_behind() -> Facts:
    """A queue that is given more than it can do, beside one that is paused."""
    reports = queue(
        view("reports", consumer("pdf-1", 2, 2), ready=312, oldest=400.0),
        {"build_pdf": tally(97, run=6.1, wait=300.0)}, ready_before=118,
    )  # fmt: skip
    media = queue(
        view("media", consumer("gpu-1", 2), ready=2, oldest=41.0, paused=NOW - 60),
        {"transcode": tally(11, run=14.0)},
    )
    return facts(
        reports, media, *[one for one in _calm() if one.name in {"mail", "billing"}], timelines=_story()
    )


def replaying() -> Facts:
    """The exporter was away, and reads."""
    queues = [QueueFacts(name=one.name, view=one.view, flow=None, beats=one.beats) for one in _calm()]
    return facts(*queues, replay=(0.41, 20.0))


def down() -> Facts:
    """Redis is away since a minute."""
    moment = busy()
    return Facts(
        now=NOW, at=NOW + 72, queues=moment.queues, own=moment.own, timelines=moment.timelines,
        down_since=NOW + 1, trouble="cannot reach Redis at redis-prod:6379: connection refused",
    )  # fmt: skip


STATES = {
    "empty": empty, "idle": idle, "busy": busy, "failing": failing, "behind": falling_behind,
    "replaying": replaying, "down": down,
}  # fmt: skip
LINKS = Links(
    "https://jaeger.example/trace/{trace_id}", "https://grafana.example/d/x?var-queue={queue}&var-task={task}"
)


class ShownPage:
    """A live page that shows one moment; give it another, and it shows that."""

    def __init__(self, moment: Facts) -> None:
        self.facts = moment
        self.style = Style(LINKS, tracebacks=True)
        self.drawn = 0

    def html(self, query: str) -> bytes:
        return document(self._view(query), self.facts.at)

    def frame(self, query: str) -> Frame:
        self.drawn += 1
        return Frame(self._view(query), self.facts.at)

    def file(self, name: str) -> Asset | None:
        return ASSETS.get(name)

    def _view(self, query: str) -> View:
        name, _, value = query.partition("=")
        if name == "task":
            return task_page(value, self.facts, self.style)
        return (
            queue_page(value, self.facts, self.style) if name == "queue" else overview(self.facts, self.style)
        )
