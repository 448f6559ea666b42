from typing import Any

import pytest

from limelight.events import Event
from limelight.trace_tree import Node, trees, walk

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def event(status: str, span: str | None, parent: str = "", *, at: float = 1.0, **more: Any) -> Event:
    keys: dict[str, Any] = {"trace_id": TRACE, "task": "send", "id": "i", "span_start": f"{int(at * 1e9)}"}
    return Event(
        status=status,
        queue="mail",
        seq=1,
        timestamp=at + 1,
        span_id=span,
        parent_span_id=parent,
        **(keys | more),
    )


def drawn(events: list[Event]) -> list[str]:
    return ["  " * depth + node.name for roots in trees(events).values() for depth, node in walk(roots)]


def test_children_are_below_their_parents_in_the_order_in_which_they_began() -> None:
    told = [
        event("finished", "c", "a", at=3, outcome="success"),
        event("enqueued", "d", "c", at=4),
        event("error-task", "b", "a", at=2, outcome="error"),
        event("enqueued", "a", "of the application"),
    ]
    assert drawn(told) == ["enqueue send", "  process send", "  process send", "    enqueue send"]


def test_a_run_that_goes_on_is_there_and_its_close_takes_its_place() -> None:
    started, closed = event("started", "b", "a"), event("finished", "b", "a", outcome="success")
    (node,) = trees([started])[TRACE]
    assert (node.name, node.end) == ("process send", None)
    for order in ([started, closed], [closed, started]):
        (node,) = trees(order)[TRACE]
        assert node.end == 2.0


def test_a_task_that_died_is_buried_below_its_last_run() -> None:
    told = [event("error-task", "b", outcome="error"), event("dead", "b", end="dead", at=5)]
    assert drawn(told) == ["process send", "  dead-letter send"]


def test_a_task_of_a_bulk_that_is_not_its_first_has_no_enqueue_span() -> None:
    told = [event("enqueued", "a", batch=2), event("enqueued", None, "a"), event("started", "b", "a")]
    assert drawn(told) == ["enqueue send", "  process send"]


def test_what_stems_from_elsewhere_says_so() -> None:
    origin, before = {"trace_id": "t", "span_id": "s"}, {"trace_id": TRACE, "span_id": "x"}
    (node,) = trees([event("started", "b", origin=origin, links=[before])])[TRACE]
    assert node.links == [(TRACE, "x"), ("t", "s")]


@pytest.mark.parametrize("span_start", ["", "no number", "9" * 30, "-1", None])
def test_a_time_that_is_none_is_replaced_by_the_one_that_redis_gave(span_start: str | None) -> None:
    (node,) = trees([event("finished", "b", outcome="success", span_start=span_start)])[TRACE]
    assert node.start == 2.0


def test_a_thousand_generations_and_a_ring_are_no_trouble() -> None:
    told = [event("enqueued", f"{number}", f"{number - 1}", at=number) for number in range(1, 5_000)]
    assert sum(1 for _ in walk(trees(told)[TRACE])) == 4_999
    ring: list[Node] = trees([event("enqueued", "a", "b"), event("enqueued", "b", "a")]).get(TRACE, [])
    assert ring == []
