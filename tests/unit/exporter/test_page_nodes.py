"""The tree that the live page is made of: escaped in one place, cut into parts by keys, changed part by part."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import page_states as states
import pytest
from page_states import EMAIL, ShownPage

from limelight_exporter.page.document import ASSETS, document
from limelight_exporter.page.frame import Frame
from limelight_exporter.page.nodes import Node, el, entries, render
from limelight_exporter.page.overview import overview

QUERIES = ("", "queue=mail", f"task={EMAIL}", "queue=none", "task=none")


def _all(node: Node) -> list[Node]:
    return [node, *(found for child in node.children if isinstance(child, Node) for found in _all(child))]


def _roots(state: str, query: str = "") -> list[Node]:
    return [one for root in ShownPage(states.STATES[state]())._view(query).roots for one in _all(root)]


def test_everything_from_outside_is_escaped() -> None:
    evil = '"><img src=x onerror=alert(1)>'
    html = render(el("a", evil, title=evil, key=evil))
    assert "<img" not in html
    assert html.count("&lt;img") == 3
    assert html.count("&quot;&gt;") == 2


def test_keyed_parts_are_told_apart_and_parents_come_first() -> None:
    tree = el("ul", (el("li", el("b", str(at)), key=f"row:{at}") for at in range(3)), key="rows")
    told = {key: json.loads(part) for key, part in entries(tree).items()}
    assert list(told) == ["rows", "row:0", "row:1", "row:2"]
    assert told["rows"] == ["rows", "ul", {}, [{"k": "row:0"}, {"k": "row:1"}, {"k": "row:2"}]]
    assert told["row:1"] == ["row:1", "li", {}, [["b", {}, ["1"]]]]


@pytest.mark.parametrize("state", states.STATES)
@pytest.mark.parametrize("query", QUERIES)
def test_no_key_stands_twice_on_a_page(state: str, query: str) -> None:
    keys = [node.key for node in _roots(state, query) if node.key]
    assert len(keys) == len(set(keys))


def _list_of(script: str, name: str) -> set[str]:
    found = re.search(rf"const {name} = new Set\(\[(.*?)\]\)", script, re.S)
    assert found
    return set(re.findall(r'"([^"]+)"', found[1]))


def test_the_script_makes_every_element_and_attribute_that_the_server_draws_and_nothing_that_acts() -> None:
    script = ASSETS["live.js"].body.decode()
    tags, attributes = _list_of(script, "TAGS") | _list_of(script, "SVG"), _list_of(script, "ATTRIBUTES")
    nodes = [node for state in states.STATES for query in QUERIES for node in _roots(state, query)]
    assert {node.tag for node in nodes} <= tags
    assert {name for node in nodes for name in node.attributes} - {"open"} <= attributes
    assert not {"script", "style", "img", "iframe", "form", "object"} & tags
    assert not [name for name in attributes if name == "style" or name.startswith("on")]
    assert "innerHTML" not in script.replace("no HTML", "")
    assert len(script.splitlines()) <= 260


def test_who_has_the_frame_is_told_what_changed_and_who_has_it_all_nothing() -> None:
    page = ShownPage(states.busy())
    first, same = page.frame(""), page.frame("")
    assert same.news(first) == b""
    page.facts = states.failing()
    changed = json.loads(page.frame("").news(first))
    whole = json.loads(page.frame("").news(None))
    assert len(changed["parts"]) < len(whole["parts"])
    assert {"fig:failed", "q:mail:failed"} <= {part[0] for part in changed["parts"]}
    assert "q:media:ready" not in {part[0] for part in changed["parts"]}
    assert json.loads(first.pulse())["parts"] == []


def test_times_that_go_on_are_no_news() -> None:
    moment = states.busy()
    one, other = (Frame(overview(moment, ShownPage(moment).style), at) for at in (states.NOW, states.NOW + 1))
    assert other.news(one) == b""


class _Checker(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, Any]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in {"input", "link", "meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("state", states.STATES)
@pytest.mark.parametrize("query", QUERIES)
def test_pages_are_well_formed_and_hold_nothing_inline(state: str, query: str) -> None:
    checker = _Checker()
    checker.feed(ShownPage(states.STATES[state]()).html(query).decode())
    assert not checker.open
    tags = [tag for tag, _ in checker.found]
    assert tags.count("h1") == tags.count("main") == 1
    for tag, attributes in checker.found:
        assert tag != "style"
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("href", "src", "action"):
            address = attributes.get(name, "")
            assert re.match(
                r"^$|\?|\./$|static/|metrics$|#main$|https://(jaeger|grafana)\.example/", address
            ), address
    ids = [attributes["id"] for _, attributes in checker.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert all(
        attributes.get("role") or attributes.get("scope") for tag, attributes in checker.found if tag == "th"
    )


def test_what_the_reader_looks_for_hides_the_rest_without_a_script_too() -> None:
    moment = states.busy()
    html = document(overview(moment, ShownPage(moment).style), states.NOW, wanted="Mail").decode()
    rows = re.findall(r"<tr[^>]*data-f=\"([^\"]*)\"[^>]*?( hidden)?>", html)
    assert rows
    assert all(("mail" in found) != bool(hidden) for found, hidden in rows)


def test_the_files_of_the_page_are_small() -> None:
    assert len(ASSETS["limelight.css"].body) < 20_000
    assert not list(Path("exporter/limelight_exporter/page/static").glob("*.map"))
