"""Links shared out to threads: one per thread, and on a Cluster one per thread and slot."""

from __future__ import annotations

import contextlib
import threading

from limelight.forks import generation

from .address import Address
from .link import Link


class ThreadLinks:
    """One link per thread, and never one that came through a fork.

    Args:
        address: Where Redis is.
        key: On a Cluster, the key whose node they are for.
    """

    def __init__(self, address: Address, key: str = "") -> None:
        self._address = address
        self._key = key
        self._local = threading.local()
        self._free: list[Link] = []

    def get(self) -> Link:
        """The calling thread's link; a thread that ends leaves it, and its lanes, to the next."""
        loan: _Loan | None = getattr(self._local, "loan", None)
        if loan is None or loan.generation != generation():
            loan = _Loan(self._borrow(), self._free)
            self._local.loan = loan
        return loan.link

    def _borrow(self) -> Link:
        with contextlib.suppress(IndexError):
            while (link := self._free.pop()).generation != generation():
                pass  # it came through a fork, and its socket is the parent's
            return link
        return Link(self._address, self._key)


class _Loan:
    """A thread's hold on a link; given back when the thread is gone."""

    def __init__(self, link: Link, free: list[Link]) -> None:
        self.link, self.generation, self._free = link, generation(), free

    def __del__(self) -> None:
        if self.generation == generation():
            self._free.append(self.link)


class Links:
    """Links to wherever keys are, for those who look at many queues. Safe for many threads.

    Args:
        address: Where Redis is.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._by_slot: dict[int, ThreadLinks] = {}

    def to(self, key: str) -> Link:
        """The calling thread's link to the server that holds a key: one for all, except on a Cluster."""
        slot = self.address.slot(key)
        links = self._by_slot.get(slot) or self._by_slot.setdefault(slot, ThreadLinks(self.address, key))
        return links.get()

    def close(self) -> None:
        """Close the calling thread's links; they may be used again."""
        for links in list(self._by_slot.values()):
            links.get().close()
