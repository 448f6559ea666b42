"""A headless Chromium for tests, and pages that tell of everything that goes wrong in them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from missing import needed
from playwright.sync_api import Browser, BrowserContext, Page, Playwright
from servers import wait_until

FLAGS: Final = (
    "--no-sandbox",  # as root there is none; the pages are ours
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_WATCH: Final = """
window.reports = [];
document.addEventListener("securitypolicyviolation", (event) => reports.push(event.violatedDirective));
"""


def launched(playwright: Playwright) -> Browser:
    """Debian's Chromium."""
    binary = needed(shutil.which("chromium"), "chromium", "apt install chromium")
    return playwright.chromium.launch(executable_path=binary, args=list(FLAGS))


def until(page: Page, expression: str) -> None:
    """Return when it is true in the page; what Playwright has for that is forbidden by the page's policy."""
    wait_until(lambda: page.evaluate(expression), message=expression)


class Sight:
    """A page, and what must not happen in it.

    Attributes:
        page: Playwright's.
        asked: Addresses that it asked for.
    """

    def __init__(self, context: BrowserContext) -> None:
        context.add_init_script(_WATCH)
        self.page: Page = context.new_page()
        self.page.set_default_timeout(10_000)
        self.faults: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.faults.append("a dialog"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, url: str) -> Page:
        """Load an address, and wait until the stream has said something."""
        self.page.goto(url)
        self.page.wait_for_function(
            "document.getElementById('live').textContent.startsWith('Loaded') === false"
        )
        return self.page

    def overflow(self) -> int:
        """By how many pixels the page is too wide."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def assert_clean(self) -> None:
        """Nothing was said on the console, nothing thrown, nothing reported."""
        assert self.faults + self.page.evaluate("window.reports") == []


@contextmanager
def sight(browser: Browser, **options: Any) -> Iterator[Sight]:
    """A page in a context of its own: 1280 by 800 unless said otherwise."""
    given = {"viewport": {"width": 1280, "height": 800}, "service_workers": "block", **options}
    context = browser.new_context(**given)
    try:
        yield Sight(context)
    finally:
        context.close()
