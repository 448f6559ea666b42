"""The page of all queues, and that of one."""

from __future__ import annotations

from dataclasses import dataclass

from . import formats
from .facts import Facts, Own
from .figures import figures
from .links import Links
from .lists import consumer_table, failure_list, schedule_table, task_table
from .nodes import Child, Node, el
from .queue_table import queue_table
from .verdict import Verdict, verdict_of
from .waterfall import recent_tasks
from .words import since

_EXAMPLE = """from limelight import RedisQueue

queue = RedisQueue("mail", url="{url}")

@queue.task(retries=3)
def send_email(to): ..."""


@dataclass(frozen=True, slots=True)
class Style:
    """How somebody wants the page.

    Attributes:
        links: To other tools.
        tracebacks: Whether they are shown.
    """

    links: Links
    tracebacks: bool


@dataclass(frozen=True, slots=True)
class View:
    """What a page shows at one moment.

    Attributes:
        title: Of the document.
        kind: The class of its state, as `Verdict.kind`.
        verdict: The sentence.
        roots: The parts that change: where, main, footer.
        since: Since when the state is what it is, where that is worth saying.
    """

    title: str
    kind: str
    verdict: str
    roots: tuple[Node, ...]
    since: float | None = None


def overview(facts: Facts, style: Style) -> View:
    """All queues."""
    verdict = verdict_of(facts)
    body = steps(facts.own) if verdict.kind == "empty" else _sections(facts, style, verdict)
    main = _main(facts, verdict, body)
    return View(
        _title(verdict), verdict.kind, verdict.text, (where(facts), main, footer(facts)), facts.down_since
    )


def queue_page(name: str, facts: Facts, style: Style) -> View:
    """One queue; what is told of a queue that is not known says so."""
    mine = facts.only(name)
    crumb = el("p", el("a", "Overview", href="./"), f" / {formats.visible(name)}", cls="crumb", key="crumb")
    if mine is None:
        verdict = Verdict(
            "empty", "", f"No queue named “{formats.visible(name)}”.", ("It may not have told anything yet.",)
        )
        body: Node | None = None
    else:
        verdict = verdict_of(mine)
        body = _sections(mine, style, verdict, alone=True)
    link = style.links.dashboard(name, "", "Open dashboard", cls="btn main") if mine else None
    ways = el("p", link, cls="ways") if link else None
    main = _main(facts, verdict, body, crumb, ways)
    title = f"{formats.visible(name)} · {_title(verdict)}"
    return View(title, verdict.kind, verdict.text, (where(facts), main, footer(facts)), facts.down_since)


def _title(verdict: Verdict) -> str:
    return f"Limelight · {verdict.text.rstrip('.')}"


def _main(facts: Facts, verdict: Verdict, body: Node | None, *above: Node | None) -> Node:
    return el(
        "main", _banner(facts), above, _said(verdict, facts), body, key="main", id="main", tabindex="-1"
    )


def _said(verdict: Verdict, facts: Facts) -> Node:
    subject = el("span", verdict.subject, cls=f"q {verdict.kind}") if verdict.subject else None
    rest = f" {verdict.sentence}" if verdict.subject else verdict.sentence
    reasons = el("p", " ".join(verdict.reasons), key="reasons") if verdict.reasons else None
    progress = None
    if verdict.kind == "replay" and facts.replay is not None:
        done = f"{100 * facts.replay[0]:.0f}"
        progress = el("progress", key="progress", value=done, max="100", aria_label="Read so far, in percent")
    return el("div", el("h1", subject, rest, key="verdict"), reasons, progress, cls="verdict")


def _banner(facts: Facts) -> Node | None:
    if facts.down_since is None:
        return None
    why = facts.trouble[:1].upper() + facts.trouble[1:].rstrip(".")
    told = f"{why}. Numbers below are from {formats.clock(facts.now)} UTC; the exporter's own metrics are still served."
    return el(
        "div", el("b", "Redis does not answer."), el("span", told), key="banner", cls="banner", role="status"
    )


def _sections(facts: Facts, style: Style, verdict: Verdict, *, alone: bool = False) -> Node:
    parts = (
        el("div", figures(facts), key="figures"),
        queue_table(facts),
        el(
            "div",
            recent_tasks(facts),
            failure_list(facts, style.links, tracebacks=style.tracebacks, opened=verdict.kind == "fail"),
            cls="cols",
        ),
        task_table(facts, most=200) if alone else task_table(facts),
        el("div", consumer_table(facts), schedule_table(facts), cls="cols even"),
    )
    return el("div", parts, key="sections", cls="stale" if facts.down_since is not None else "")


def steps(own: Own) -> Node:
    """What to do where there is no queue."""

    def step(words: str, code: str, place: str = "") -> Node:
        told = el("p", words, el("code", place) if place else None)
        return el("li", el("div", told, el("pre", code, tabindex="0")))

    return el(
        "ol",
        step("Name a queue and a task, in ", _EXAMPLE.format(url=own.redis), "app/tasks.py"),
        step("Start a consumer", "limelight consumer app.tasks:queue --workers 8"),
        step("Or look at a made-up one first", "limelight demo"),
        cls="steps", key="sections",
    )  # fmt: skip


def where(facts: Facts) -> Node:
    """Which Redis, and how many queues."""
    many = formats.plural(len(facts.queues), "queue") if facts.queues else "no queue"
    return el("span", f"{_short(facts.own.redis)} · {many}", key="where", cls="where", title=facts.own.redis)


def _short(address: str) -> str:
    return address.partition("://")[2] or address


def footer(facts: Facts) -> Node:
    """The exporter's own health, and links."""
    own = facts.own
    behind = max((queue.behind_seconds for queue in facts.queues), default=0.0)
    items: list[Child | tuple[Child | None, ...]] = [
        ("Event lag ", _mono(formats.duration(round(behind, 1)))),
        ("Events lost ", _mono(formats.count(own.events_lost))),
        ("Snapshot ", since(own.saved_at, facts.now)) if own.saved_at else "No snapshot yet",
        f"{formats.count(own.series)} series",
        el("a", "/metrics", href="metrics"),
        (
            f"Limelight {own.version} · up ",
            formats.uptime(facts.now - own.started_at),
        ),
    ]
    if own.tracing:
        items.insert(3, ("Spans behind ", _mono(formats.duration(own.span_lag_seconds))))
    return el(
        "ul",
        (el("li", item) if isinstance(item, str | Node) else el("li", *item) for item in items),
        key="footer",
    )


def _mono(text: str) -> Node:
    return el("span", text, cls="mono")
