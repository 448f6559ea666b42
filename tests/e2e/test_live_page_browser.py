"""The live page in a real browser: every state at both sizes and schemes, by hand, by ear, and under attack.

``LIVE_PAGE_IMAGES=docs/images make test ARGS=tests/e2e/test_live_page_browser.py`` writes the documentation's pictures.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import page_states as states
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import Sight, launched, sight, until
from page_states import EMAIL, NOW, ShownPage, consumer, facts, group, queue, tally, view
from playwright.sync_api import Browser, Page, sync_playwright
from servers import wait_until
from stream_writer import StreamWriter
from web_side import Serving

from limelight_exporter.config import settings
from limelight_exporter.exporter import Exporter
from limelight_exporter.page import formats

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
PICTURED = ("idle", "busy", "failing")
EVIL = '"><img src=x onerror=alert(1)>'
QUERIES = {
    "task": f"?task={EMAIL}",
    "unknown": "?task=0192f3a8-0000-7d0e-9b55-2f6f0c1a8e37",
    "queue": "?queue=mail",
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        started = launched(playwright)
        yield started
        started.close()


@pytest.fixture(scope="module")
def serving() -> Iterator[tuple[Serving, ShownPage]]:
    page = ShownPage(states.busy())
    with Serving(live=page) as web:
        yield web, page


@pytest.fixture
def shown(serving: tuple[Serving, ShownPage]) -> ShownPage:
    """What the server shows; busy at first."""
    serving[1].facts = states.busy()
    return serving[1]


@pytest.fixture
def url(serving: tuple[Serving, ShownPage]) -> str:
    return f"http://127.0.0.1:{serving[0].port}/"


@pytest.fixture
def sought(browser: Browser) -> Iterator[Sight]:
    with sight(browser) as seen:
        yield seen
        seen.assert_clean()


@pytest.mark.parametrize(("device", "size"), [("desktop", DESKTOP), ("phone", PHONE)])
def test_every_state_fits_is_accessible_and_says_nothing_on_the_console(
    browser: Browser, shown: ShownPage, url: str, tmp_path: Path, device: str, size: dict[str, int]
) -> None:
    with sight(browser, viewport=size, is_mobile=device == "phone", reduced_motion="reduce") as seen:
        for state in (*states.STATES, *QUERIES):
            shown.facts = states.STATES.get(state, states.failing)()
            seen.page.emulate_media(color_scheme="light")
            page = seen.open(url + QUERIES.get(state, ""))
            assert seen.overflow() <= 0, state
            assert page.title()
            pictures = dict.fromkeys(("light", "dark"), b"")
            for scheme in pictures:
                page.emulate_media(color_scheme=scheme)
                pictures[scheme] = page.screenshot(path=tmp_path / f"{state}-{scheme}.png")
                if device == "desktop" and (scheme == "light" or state in {"failing", "down"}):
                    found = Axe().run(page)
                    assert found.violations_count == 0, (state, scheme, found.generate_report())
            assert pictures["light"] != pictures["dark"]
            if (folder := os.environ.get("LIVE_PAGE_IMAGES")) and state in PICTURED:
                (Path(folder) / f"live-{state}-{device}.png").write_bytes(pictures["light"])
        seen.assert_clean()


def test_a_narrow_window_and_large_letters_need_no_sideways_scroll(
    browser: Browser, shown: ShownPage, url: str
) -> None:
    with sight(browser) as seen:
        for moment in (states.failing(), _named("a_name_that_goes_on_and_on_" * 3)):
            shown.facts = moment
            for query in ("", f"?task={EMAIL}"):
                page = seen.open(url + query)
                for width in (320, 390, 640, 1001, 1280):  # 640 is 1280 at 200 %
                    page.set_viewport_size({"width": width, "height": 700})
                    assert seen.overflow() <= 0, (width, query)


def test_what_changes_is_put_in_place_and_what_does_not_is_left_alone(
    shown: ShownPage, url: str, sought: Sight
) -> None:
    shown.facts = states.failing()
    page = sought.open(url)
    page.locator("summary").nth(1).click()
    page.evaluate("for (const row of document.querySelectorAll('[data-k]')) row.mark = 1")
    page.evaluate("getSelection().selectAllChildren(document.querySelector('[data-k=\"q:media:name\"]'))")
    shown.facts = states.busy()
    until(page, "document.querySelector('h1').textContent === 'All 4 queues keep up.'")
    kept = page.evaluate(
        "[...document.querySelectorAll('[data-k^=\"q:\"]')].every((cell) => cell.mark === 1)"
    )
    assert kept
    assert page.title() == "Limelight · All 4 queues keep up"
    assert page.evaluate("getSelection().toString()") == "media"
    page.mouse.move(5, 5)  # away from the list, which would be held
    until(page, "document.querySelectorAll('.fails li').length === 0")
    shown.facts = states.failing()
    page.wait_for_selector(".fails li")
    assert (
        page.evaluate("document.querySelectorAll('details[open]').length") == 1
    )  # the first, as for whoever comes new
    rows = page.locator('[data-k="queues"] > tr')
    assert [row.get_attribute("data-k") for row in rows.all()][:2] == ["q:mail", "q:billing"]


def test_an_open_traceback_stays_open(shown: ShownPage, url: str, sought: Sight) -> None:
    shown.facts = states.failing()
    page = sought.open(url)
    page.locator("summary").nth(1).click()
    moved = states.failing()
    mail = next(one for one in moved.queues if one.name == "mail")
    later = [
        group(one.task, one.error_type, one.within(0) + 5, 0.1, traceback=one.traceback, message="again")
        for one in mail.failures
    ]
    shown.facts = dataclasses.replace(
        moved,
        queues=[dataclasses.replace(one, failures=later) if one is mail else one for one in moved.queues],
    )
    page.wait_for_selector(".fails p:has-text('again')")
    assert page.locator("details[open]").count() == 2


def test_rows_do_not_move_under_a_pointer(shown: ShownPage, url: str, sought: Sight) -> None:
    page = sought.open(url)
    first = page.locator(".wf li").first
    before = first.get_attribute("data-k")
    first.hover()
    story = states.Story()
    story.task("fresh", (2.0, 1.0, "success"), queued=2.1, id="0192f3a8-7c41-7d0e-9b55-00000000ffff")
    shown.facts = facts(*states.busy().queues, timelines=story.timelines)
    button = page.locator("button.new")
    button.wait_for()
    assert page.locator(".wf li").first.get_attribute("data-k") == before
    assert button.inner_text() == "1 new"
    button.dispatch_event("click")
    page.wait_for_selector(".wf li:has-text('fresh')")
    assert page.locator("button.new").count() == 0
    first.hover()
    shown.facts = states.busy()
    button.wait_for()
    page.mouse.move(5, 5)
    page.wait_for_selector(".wf li:has-text('transcode')")
    assert button.count() == 0


def test_pausing_freezes_the_page_and_resuming_brings_it_up_to_date(
    shown: ShownPage, url: str, sought: Sight
) -> None:
    page = sought.open(url)
    page.keyboard.press("p")
    button = page.locator("#pause")
    assert button.get_attribute("aria-pressed") == "true"
    assert re.fullmatch(r"Paused · \d\d:\d\d:\d\d UTC", page.inner_text("#live"))
    shown.facts = states.failing()
    page.wait_for_timeout(1_300)  # longer than a turn
    assert page.inner_text("h1") == "All 4 queues keep up."
    button.press("Space")
    until(page, "document.querySelector('h1').textContent.startsWith('send_email fails')")
    assert page.inner_text("#live").startswith("Live")


def test_typing_filters_and_an_id_opens_its_task(shown: ShownPage, url: str, sought: Sight) -> None:
    page = sought.open(url)
    page.keyboard.press("/")
    page.keyboard.type("mail")
    until(page, "location.search === '?f=mail'")
    visible = page.locator('[data-k="queues"] > tr:visible')
    assert [row.get_attribute("data-k") for row in visible.all()] == ["q:mail"]
    shown.facts = states.failing()
    until(page, "document.querySelector('h1').textContent.startsWith('send_email fails')")
    assert visible.count() == 1  # what came meanwhile is filtered too
    page.keyboard.press("Escape")
    until(page, "location.search === ''")
    assert visible.count() == 4
    page.keyboard.press("/")
    page.keyboard.type(EMAIL)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/?task={EMAIL}")
    assert page.inner_text("h1") == "send_email"
    page.go_back()
    assert page.locator('[data-k="queues"]').count() == 1


def test_everything_can_be_reached_by_keyboard_and_is_seen_when_it_is(
    shown: ShownPage, url: str, sought: Sight
) -> None:
    shown.facts = states.failing()
    page = sought.open(url)
    page.keyboard.press("p")  # so that nothing moves meanwhile
    page.evaluate("document.activeElement.blur()")
    reachable = page.evaluate(
        "[...document.querySelectorAll('a[href], button, input, summary, [tabindex=\"0\"]')]"
        ".filter((one) => one.checkVisibility()).length"
    )
    seen = []
    for _ in range(reachable + 5):
        page.keyboard.press("Tab")
        at = page.evaluate(
            """() => { const one = document.activeElement, style = getComputedStyle(one);
            return one === document.body ? null
              : [one.outerHTML.slice(0, 200), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2] }"""
        )
        if at is None:
            break
        seen.append(at)
    assert "Skip to queues" in seen[0][0]
    assert [text for text, outlined in seen if not outlined] == []
    assert len(seen) == reachable
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the skip link
    assert page.evaluate("document.activeElement.id") == "main"


def test_what_is_said_aloud_is_the_verdict_when_its_kind_changes(
    shown: ShownPage, url: str, sought: Sight
) -> None:
    page = sought.open(url)
    assert page.inner_text("#said") == ""
    live = page.evaluate("[...document.querySelectorAll('[role=status], [aria-live]')].map((one) => one.id)")
    assert live == ["said"]
    shown.facts = states.failing()
    until(page, "document.getElementById('said').textContent.startsWith('send_email fails')")
    shown.facts = states.falling_behind()
    until(page, "document.querySelector('h1').textContent.startsWith('reports is')")
    assert page.inner_text("#said").startswith("send_email fails")  # not twice in half a minute


def test_without_scripts_the_page_is_whole_and_loads_itself_anew(
    browser: Browser, shown: ShownPage, url: str
) -> None:
    shown.facts = states.failing()
    with sight(browser, java_script_enabled=False) as seen:
        seen.page.goto(url)
        assert seen.page.inner_text("h1").startswith("send_email fails")
        assert seen.page.locator("meta[http-equiv=refresh]").get_attribute("content") == "10"
        assert seen.page.inner_text("#live").startswith("Loaded 15:05:31")
        assert not seen.page.locator("#pause, button[data-copy]").first.is_visible()
        seen.page.locator("summary").nth(1).click()
        assert seen.page.locator("details[open]").count() == 2


def test_a_lost_line_is_told_and_the_numbers_turn_grey(browser: Browser, shown: ShownPage, url: str) -> None:
    with sight(browser) as seen:
        seen.page.clock.install()
        page = seen.open(url)
        page.context.set_offline(True)
        page.evaluate(
            "document.getElementById('pause').click()"
        )  # ends the stream, which being offline does not
        page.evaluate("document.getElementById('pause').click()")
        wait_until(
            lambda: (page.clock.run_for(500), page.inner_text("#live").startswith("Reconnecting"))[1], 10
        )
        assert "stale" not in (page.locator("body").get_attribute("class") or "")
        page.clock.run_for(11_000)
        assert "stale" in (page.locator("body").get_attribute("class") or "")
        assert page.inner_text("h1") == "All 4 queues keep up."
        page.context.set_offline(False)
        wait_until(lambda: (page.clock.run_for(2_000), page.inner_text("#live").startswith("Live"))[1], 10)
        assert "stale" not in (page.locator("body").get_attribute("class") or "")


def test_who_finds_the_house_full_looks_every_ten_seconds(browser: Browser) -> None:
    page = ShownPage(states.busy())
    with Serving(live=page, most_viewers=1) as web, web.connect() as other, sight(browser) as seen:
        other.sendall(b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n")
        other.recv(100)
        seen.page.clock.install()
        seen.open(f"http://127.0.0.1:{web.port}/")
        until(seen.page, "document.querySelector('#live').innerText === 'Every 10 s'")
        page.facts = states.failing()
        seen.page.clock.run_for(10_500)
        until(seen.page, "document.querySelector('h1').textContent.startsWith('send_email fails')")


def _named(name: str) -> Any:
    """A moment in which everything bears one name."""
    late = states.PeriodicRuns(name=name, due=None, next=NOW, success=None, unmet=NOW - 9_000)
    mail = queue(
        view("mail", consumer(name, 1, host=name), ready=3, oldest=1.0, dead=1, periodic=(late,)),
        {name: tally(3, failed=90, attempts=93)},
        failures=[
            group(name, name, 90, 1.0, message=name, traceback=f"{name}\n{name}: {name}", task_id=EMAIL)
        ],
    )
    odd = dataclasses.replace(mail, name=name)  # no queue can have this name, and yet
    story = states.Story()
    story.task(name, (30.0, 2.0, "error"), (5.0, 1.0, "success"), queued=31.0, id=EMAIL)
    return facts(mail, odd, timelines=story.timelines)


def test_hostile_names_are_text_in_both_renderers(shown: ShownPage, url: str, sought: Sight) -> None:
    for query in ("", f"?task={EMAIL}", "?queue=mail"):
        shown.facts = states.busy()
        page = sought.open(url + query)  # then the script draws it …
        shown.facts = _named(EVIL)
        until(page, "document.body.textContent.includes('onerror=alert')")
        _assert_harmless(page)
        page = sought.open(url + query)  # … and then the server
        assert EVIL in page.inner_text("body")
        _assert_harmless(page)
    assert {address.partition("?")[0].removeprefix(url) for address in sought.asked} <= {
        "", "live", "state", "static/limelight.css", "static/live.js", "static/mark.svg",
    }  # fmt: skip


def _assert_harmless(page: Page) -> None:
    assert page.locator("img, script:not([src]), iframe, style").count() == 0
    assert page.evaluate("[...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames())"
                         ".filter((name) => name.startsWith('on') || name === 'style')") == []  # fmt: skip


def test_a_link_that_acts_is_not_set(shown: ShownPage, url: str, sought: Sight) -> None:
    page = sought.open(url)
    shown.style = dataclasses.replace(shown.style, links=states.Links("javascript:alert(1)//{trace_id}"))
    try:
        shown.facts = states.failing()
        page.wait_for_selector(".ways a")
        assert page.locator(".ways a").first.get_attribute("href") is None
    finally:
        shown.style = dataclasses.replace(shown.style, links=states.LINKS)


def test_times_go_on_in_the_browser_by_the_words_of_the_server(
    shown: ShownPage, url: str, sought: Sight
) -> None:
    page = sought.open(url)
    seconds = [
        0,
        0.4,
        1,
        9.9,
        59,
        59.99,
        60,
        61,
        119.6,
        3_569,
        3_570,
        3_600,
        7_500,
        84_599,
        84_600,
        86_400,
        532_800,
        9e6,
    ]
    said = page.evaluate(
        """async (seconds) => { const { moving } = await import(document.querySelector('script[type=module]').src);
        return seconds.map((one) => [moving('ago', 0, one), moving('in', one, 0)]) }""",
        seconds,
    )
    assert said == [[formats.ago(one), formats.ahead(one)] for one in seconds]


def test_nothing_moves_for_whoever_wants_that(browser: Browser, shown: ShownPage, url: str) -> None:
    names = {}
    for wish in ("reduce", "no-preference"):
        with sight(browser, reduced_motion=wish) as seen:
            page = seen.open(url)
            names[wish] = page.evaluate("getComputedStyle(document.getElementById('pulse')).animationName")
    assert names == {"reduce": "none", "no-preference": "breathe"}


def test_copying_works_where_the_browser_forbids_it_too(shown: ShownPage, url: str, sought: Sight) -> None:
    page = sought.open(f"{url}?task={EMAIL}")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.click("text=Copy id")
    assert page.input_value("input.copied") == EMAIL
    assert page.evaluate("document.activeElement.className") == "copied"


def test_an_event_reaches_the_eye_from_a_real_redis(redis_url: str, browser: Browser) -> None:
    chosen = settings(redis_url=redis_url, port=0, trace_url="https://j.example/{trace_id}")
    with Exporter(chosen) as exporter, sight(browser) as seen:
        page = seen.open(exporter.url)
        assert page.inner_text("h1") == "No queue yet."
        writer = StreamWriter(redis_url)
        page.wait_for_selector("text=Nothing to do.")
        writer.finish_tasks(40)
        until(page, "document.querySelector('[data-k=\"n:mail:send:completed\"]')?.textContent === '40'")
        error = {
            "id": EMAIL, "task": "send", "outcome": "error", "error": True, "error_type": "OSError", "run": 1,
            "attempt": 1, "max_attempts": 2, "error_message": "no disk", "traceback": "T\nOSError: no disk",
        }  # fmt: skip
        writer.tell_all([("error-task", error)] * 6)
        page.wait_for_selector(".fails .times:has-text('×6')")
        assert page.inner_text("h1").startswith("send fails")
        page.click(".fails .row a")
        page.wait_for_url(f"**/?task={EMAIL}")
        page.wait_for_selector("text=Traceback of attempt 1")
        seen.assert_clean()
