"""Numbers with quiet units, times that go on by themselves, flags: the small parts that all sections share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from . import formats
from .nodes import Child, Node, el

_UNITS: Final = frozenset({"ms", "s", "m", "h", "d", "%", "/s"})


def quiet(text: str) -> Iterator[Child]:
    """``6 m 40 s`` with its units in quiet ink."""
    for at, part in enumerate(text.split(" ")):
        if part in _UNITS:
            yield el("span", part, cls="unit")
        else:
            yield f" {part}" if at else part


def pair(first: str, second: str) -> Node:
    """Two numbers side by side, the dots between them in one line down the table."""
    return el(
        "span", el("span", quiet(first)), el("span", " · ", cls="dim"), el("span", quiet(second)), cls="pair"
    )


def since(moment: float, now: float, *, cls: str = "") -> Node:
    """``48 s ago``, which the browser counts on."""
    return _moving(moment, "ago", formats.ago(now - moment), cls)


def until(moment: float, now: float) -> Node:
    """``in 12 s``, likewise."""
    return _moving(moment, "in", formats.ahead(moment - now), "")


def _moving(moment: float, form: str, text: str, cls: str) -> Node:
    return el(
        "time", text, cls=cls, datetime=formats.iso(moment), title=formats.date(moment),
        data_at=f"{moment:.3f}", data_form=form,
    )  # fmt: skip


def flag(kind: str, word: str) -> Node | None:
    """A word on its colour; None for no word."""
    return el("span", word, cls=f"flag {kind}") if word else None


def zero(number: float) -> str:
    """The class of a cell that a narrow screen leaves out."""
    return "" if number else "zero"


def cell(
    key: str, label: str, *children: Child | Node | None, cls: str = "", hidden_small: bool = False
) -> Node:
    """A cell that changes by itself.

    Args:
        key: Its key.
        label: What a narrow screen writes above it.
        *children: What stands in it.
        cls: Its classes.
        hidden_small: Whether a narrow screen leaves it out.
    """
    cls = f"{cls} hide-s" if hidden_small else cls
    return el("td", children, key=key, cls=cls, role="cell", data_l=label)


def table(
    label: str, heads: Sequence[tuple[str, str]], rows: Sequence[Node], *, key: str, stacks: bool = True
) -> Node:
    """A table whose rows become blocks on a narrow screen, and stay a table for those who listen.

    Args:
        label: What it is called.
        heads: Class and words of each column.
        rows: Of cells.
        key: Of the part that holds the rows.
        stacks: Whether it becomes blocks.
    """
    head = el(
        "tr",
        (el("th", el("span", words[1:], cls="vh") if words.startswith("~") else words,
            cls=cls, scope="col", role="columnheader") for cls, words in heads),
        role="row",
    )  # fmt: skip
    return el(
        "table",
        el("thead", head, role="rowgroup"),
        el("tbody", rows, key=key, role="rowgroup", data_hold="rows"),
        cls="stack" if stacks else "",
        role="table",
        aria_label=label,
    )


def section(key: str, title: str, note: Child | Sequence[Child], *content: Node | None) -> Node:
    """A headed part of the page."""
    head = el(
        "div", el("h2", title, id=f"h-{key}"), el("span", note, key=f"note:{key}", cls="note"), cls="head"
    )
    return el("section", head, content, aria_labelledby=f"h-{key}")
