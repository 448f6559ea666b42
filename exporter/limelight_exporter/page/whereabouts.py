"""Which queue holds a task that the page does not remember: one O(1) read per queue."""

from __future__ import annotations

from collections.abc import Iterable

from limelight.errors import LimelightError
from limelight.keys import QueueKeys
from limelight.storage.link import Link
from limelight.storage.links import Links


def holder_of(links: Links, queues: Iterable[str], task_id: str) -> str:
    """The queue that holds a task, "" if none does, or none of those that answer."""
    by_link: dict[Link, list[str]] = {}
    for queue in queues:
        by_link.setdefault(links.to(QueueKeys(queue)["tasks"]), []).append(queue)
    for link, names in by_link.items():
        try:
            records = link.read_all(*(("HGET", QueueKeys(queue)["tasks"], task_id) for queue in names))
        except LimelightError:
            continue
        for queue, record in zip(names, records, strict=True):
            if isinstance(record, bytes):
                return queue
    return ""
