"""What is on the page, as a tree of plain values: drawn as HTML here, and as patches by the script in the browser.

A node that may change has a key; its keyed children change by themselves. Everything from outside is text or the
value of an attribute, and both are escaped in the one place where HTML is made.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

import msgspec

Child: TypeAlias = "Node | str"
Children: TypeAlias = "Child | Iterable[Children] | None"

_VOID: Final = frozenset({"input", "link", "meta", "br"})
_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Node:
    """One element.

    Attributes:
        tag: Its name.
        attributes: By name.
        children: Elements and text, in order.
        key: Names it on its page, "" for one that changes only with its parent.
    """

    tag: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    children: tuple[Child, ...] = ()
    key: str = ""


def el(tag: str, *children: Children, key: str = "", cls: str = "", **attributes: str | float | None) -> Node:
    """An element.

    Args:
        tag: Its name.
        *children: Elements, text, or iterables of both; None is left out.
        key: See `Node`.
        cls: Its classes.
        **attributes: ``data_l`` is ``data-l``; None leaves one out.
    """
    told = {
        name.rstrip("_").replace("_", "-"): _text(value)
        for name, value in attributes.items()
        if value is not None
    }
    if cls.strip():
        told["class"] = " ".join(cls.split())
    return Node(tag, told, tuple(_flat(children)), key)


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:g}" if abs(value) < 1e6 else repr(value)


def _flat(children: Iterable[Children]) -> Iterator[Child]:
    for child in children:
        if isinstance(child, str | Node):
            yield child
        elif child is not None:
            yield from _flat(child)


def render(node: Child, wanted: str = "") -> str:
    """The HTML of a node.

    Args:
        node: Element or text.
        wanted: Rows that say what is found in them (``data-f``) and do not hold this are hidden.
    """
    if isinstance(node, str):
        return html.escape(node, quote=False)
    told = "".join(f' {name}="{html.escape(value)}"' for name, value in node.attributes.items())
    if node.key:
        told += f' data-k="{html.escape(node.key)}"'
    if wanted and wanted not in node.attributes.get("data-f", wanted):
        told += " hidden"
    if node.tag in _VOID:
        return f"<{node.tag}{told}>"
    return f"<{node.tag}{told}>{''.join(render(child, wanted) for child in node.children)}</{node.tag}>"


def entries(root: Node) -> dict[str, bytes]:
    """Each keyed node by itself, as JSON ``[key, tag, attributes, children]``, parents first.

    Children are text, ``[tag, attributes, children]``, or ``{"k": key}`` for one that has an entry of its own. The
    text of a time that goes on (``data-at``) is left out: the browser counts it on.
    """
    told: dict[str, bytes] = {}
    _enter(root, told)
    return told


def _enter(node: Node, told: dict[str, bytes]) -> Any:
    """The node as its parent shows it; notes the entries of all keyed ones."""
    if not node.key:
        return [node.tag, node.attributes, _inside(node, told)]
    told[node.key] = b""  # its place is before those of its children
    told[node.key] = _encode([node.key, node.tag, node.attributes, _inside(node, told)])
    return {"k": node.key}


def _inside(node: Node, told: dict[str, bytes]) -> list[Any]:
    if "data-at" in node.attributes:
        return []
    return [child if isinstance(child, str) else _enter(child, told) for child in node.children]
