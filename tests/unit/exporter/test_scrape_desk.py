"""Who asks for a scrape at the same time shares the work, the packing of the answer included."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time

import pytest

from limelight_exporter.web import desk
from limelight_exporter.web.desk import Page, ScrapeDesk

BODY = b"up 1.0\n" * 1_000


class Shared:
    """Gives all who ask at once the same answer, as `Scrape` does; `begun` counts who asked."""

    def __init__(self, *bodies: bytes) -> None:
        self.bodies, self.begun = list(bodies), threading.Semaphore(0)
        self.gate = threading.Event()

    def metrics(self, accept: str, budget_seconds: float) -> tuple[bytes, str]:
        self.begun.release()
        self.gate.wait(10)
        return self.bodies[0] if len(self.bodies) == 1 else self.bodies.pop(), "text/plain"

    def unready(self) -> tuple[str, ...]:
        return ()

    def facts(self) -> tuple[tuple[str, str], ...]:
        return ()


@pytest.fixture
def packed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was zipped, each time; it takes long enough for two to meet."""
    compress, found = gzip.compress, list[bytes]()

    def slowly(body: bytes, compresslevel: int) -> bytes:
        found.append(body)
        time.sleep(0.05)
        return compress(body, compresslevel)

    monkeypatch.setattr(desk.gzip, "compress", slowly)
    return found


def orders(pages: Shared, count: int) -> list[Page]:
    """So many orders, each in a thread of its own until threads are wanting."""

    async def all_of_them() -> list[Page]:
        at = ScrapeDesk(pages)
        asked = []
        for _ in range(count):
            asked.append(asyncio.create_task(at.page("text/plain", 10.0, zipped=True)))
            await asyncio.sleep(0)
            if len(asked) <= desk.AT_ONCE:
                await asyncio.to_thread(pages.begun.acquire)
        pages.gate.set()
        made = await asyncio.gather(*asked)
        at.close()
        return list(made)

    return asyncio.run(all_of_them())


def test_one_answer_that_several_orders_share_is_zipped_once(packed: list[bytes]) -> None:
    made = orders(Shared(BODY), 4)
    assert [gzip.decompress(page.zipped) for page in made] == [BODY] * 4
    assert packed == [BODY]


def test_different_answers_are_each_their_own(packed: list[bytes]) -> None:
    bodies = [b"a" * 9, b"b" * 9, b"c" * 9]
    made = orders(Shared(*bodies), 3)
    assert sorted(gzip.decompress(page.zipped) for page in made) == sorted(packed) == bodies


def test_a_page_that_nobody_holds_is_kept_by_nobody() -> None:
    at = ScrapeDesk(Shared(BODY))
    page = at._page(BODY, "text/plain")
    assert at._page(BODY, "text/plain") is page
    del page
    assert not at._known
    at.close()
