"""The HTML around a view: head, header, footer, and the files that go with it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from . import formats
from .nodes import Node, el, render
from .overview import View

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
REFRESH_SECONDS: Final = 10
"""How often a browser without scripts loads the page anew."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that the page loads.

    Attributes:
        body: What is in it.
        content_type: Its type.
        tag: Changes with its content.
    """

    body: bytes
    content_type: str
    tag: str


def _asset(name: str, content_type: str) -> Asset:
    body = files("limelight_exporter.page").joinpath("static", name).read_bytes()
    return Asset(body, content_type, hashlib.sha256(body).hexdigest()[:12])


ASSETS: Final = {
    "limelight.css": _asset("limelight.css", "text/css; charset=utf-8"),
    "live.js": _asset("live.js", "text/javascript; charset=utf-8"),
    "mark.svg": _asset("mark.svg", "image/svg+xml"),
}
"""All there is under ``static/``."""


def document(view: View, now: float, *, wanted: str = "", live: bool = True) -> bytes:
    """The page as HTML.

    Args:
        view: What it shows.
        now: Unix seconds.
        wanted: What the reader looks for: rows without it are hidden.
        live: Whether the script may keep it up to date.
    """
    where, main, footer = view.roots
    body = el(
        "body",
        el("a", "Skip to queues", cls="skip", href="#main"),
        _hatch(),
        _header(where, now, wanted),
        main,
        el("footer", footer),
        el("p", id="said", cls="vh", role="status"),
        data_now=f"{now:.3f}",
        data_kind=view.kind,
        data_live="on" if live else "off",
    )
    page = el("html", _head(view), body, lang="en")
    return f"<!doctype html>\n{render(page, wanted.strip().lower())}\n".encode()


def _head(view: View) -> Node:
    return el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", view.title),
        el("link", rel="icon", href=_address("mark.svg")),
        el("link", rel="stylesheet", href=_address("limelight.css")),
        el("script", type="module", src=_address("live.js")),
        el("noscript", el("meta", http_equiv="refresh", content=REFRESH_SECONDS)),
    )


def _address(name: str) -> str:
    return f"static/{name}?v={ASSETS[name].tag}"


def _header(where: Node, now: float, wanted: str) -> Node:
    mark = el(
        "svg",
        el("circle", cls="rim", cx="11", cy="11", r="10.2"), el("circle", cls="disc", cx="11", cy="11", r="9"),
        width="22", height="22", viewBox="0 0 22 22", aria_hidden="true",
    )  # fmt: skip
    field = el(
        "input", id="find", name="f", type="search", placeholder="Filter, or paste a task id", value=wanted,
        autocomplete="off", spellcheck="false",
    )  # fmt: skip
    return el(
        "header",
        el("a", mark, "Limelight", cls="brand", href="./"),
        where,
        el("span", cls="grow"),
        el("form", el("label", "Filter, or open a task by its id", cls="vh", for_="find"), field,
           cls="search", role="search", action="./", method="get"),
        el("span", el("span", id="pulse", cls="pulse off", aria_hidden="true"),
           el("span", "Loaded ", el("span", f"{formats.clock(now)} UTC", cls="long"), id="live"), cls="live"),
        el("button", "Pause", id="pause", type="button", aria_pressed="false"),
        cls="top",
    )  # fmt: skip


def _hatch() -> Node:
    """The pattern of failed bars."""
    return el(
        "svg",
        el("defs", el(
            "pattern", el("rect", cls="hatch-bg", width="6", height="6"),
            el("line", cls="hatch-l", x1="0", y1="0", x2="0", y2="6"),
            id="hatch", width="6", height="6", patternUnits="userSpaceOnUse", patternTransform="rotate(45)",
        )),
        width="0", height="0", cls="vh", aria_hidden="true",
    )  # fmt: skip
