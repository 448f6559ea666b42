"""Where the page leads: to itself by its query alone, so that any prefix before it works, and to other tools."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from limelight_exporter.url_template import filled

from .nodes import Children, Node, el


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses.

    Attributes:
        trace_url: Of a trace, with ``{trace_id}``; "" for none.
        dashboard_url: Of a dashboard, with ``{queue}`` and ``{task}``; "" for none.
    """

    trace_url: str = ""
    dashboard_url: str = ""

    def trace(self, trace_id: str | None, *words: Children, cls: str = "") -> Node | None:
        """A link to a trace; None where nobody said how, or the trace was not exported."""
        if not self.trace_url or not trace_id:
            return None
        return _outward(filled(self.trace_url, trace_id=trace_id), *words, cls=cls)

    def dashboard(self, queue: str, task: str, *words: Children, cls: str = "") -> Node | None:
        """A link to a dashboard; None where nobody said how."""
        if not self.dashboard_url:
            return None
        return _outward(filled(self.dashboard_url, queue=queue, task=task), *words, cls=cls)


def _outward(address: str, *words: Children, cls: str) -> Node:
    return el("a", *words, cls=cls, href=address, rel="noopener noreferrer")


def to_queue(name: str, *words: Children, cls: str = "") -> Node:
    """A link to a queue's own page."""
    return el("a", *words, cls=cls, href=f"?{urlencode({'queue': name})}")


def to_task(task_id: str, *words: Children, cls: str = "") -> Node:
    """A link to a task's own page."""
    return el("a", *words, cls=cls, href=f"?{urlencode({'task': task_id})}")
