"""Basic authentication against bcrypt hashes: each password is hashed once, however often it comes."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import bcrypt

MOST_WAITING: Final = 16
MOST_REMEMBERED: Final = 100
_LONGEST_PASSWORD_BYTES: Final = 72
"""bcrypt hashes no more; what is longer is refused, not cut."""


class TooManyAttempts(Exception):
    """More unknown passwords are waiting to be hashed than may."""


class Login:
    """Checks ``Authorization`` headers; for use in one event loop.

    One thread hashes, so that guesses cost at most one core; answers are remembered by a keyed digest.
    """

    def __init__(self) -> None:
        self._hasher = ThreadPoolExecutor(1, thread_name_prefix="limelight-login")
        self._key = secrets.token_bytes(32)
        self._remembered: dict[bytes, bool] = {}
        self._under_way: dict[bytes, asyncio.Future[bool]] = {}

    def close(self) -> None:
        """End its thread."""
        self._hasher.shutdown(wait=False, cancel_futures=True)

    async def admits(self, header: str, users: Mapping[str, str]) -> bool:
        """Whether the header names one of the users with the right password.

        A name that nobody has takes as long as a wrong password.

        Args:
            header: The request's ``Authorization``, "" for none.
            users: Name → bcrypt hash.

        Raises:
            TooManyAttempts: Try again later.
        """
        given = _taken_apart(header)
        if given is None or not users:
            return False
        name, password = given
        wanted = users.get(name, next(iter(users.values())))
        right = await self._matches(password, wanted)
        return right and name in users

    async def _matches(self, password: bytes, wanted: str) -> bool:
        mark = hashlib.blake2b(wanted.encode() + b"\0" + password, key=self._key).digest()
        if mark in self._remembered:
            return self._remembered[mark]
        under_way = self._under_way.get(mark) or self._begin(mark, password, wanted)
        return await asyncio.shield(under_way)

    def _begin(self, mark: bytes, password: bytes, wanted: str) -> asyncio.Future[bool]:
        if len(self._under_way) >= MOST_WAITING:
            raise TooManyAttempts
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(self._hasher, bcrypt.checkpw, password, _modern(wanted))
        self._under_way[mark] = future
        future.add_done_callback(lambda done: self._remember(mark, done))
        return future

    def _remember(self, mark: bytes, done: asyncio.Future[bool]) -> None:
        del self._under_way[mark]
        if done.cancelled() or done.exception() is not None:
            return
        if len(self._remembered) >= MOST_REMEMBERED:  # a right answer first pushes out the oldest wrong one
            wrong = (old for old, right in self._remembered.items() if not right)
            del self._remembered[next(wrong, next(iter(self._remembered)))]
        self._remembered[mark] = done.result()


def _modern(wanted: str) -> bytes:
    """The letter behind ``$2`` tells of old mistakes in other programs; all are computed alike here."""
    return b"$2b$" + wanted.encode().split(b"$", 2)[2]


def _taken_apart(header: str) -> tuple[str, bytes] | None:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(credentials.strip(), validate=True).partition(b":")
        if not colon or len(password) > _LONGEST_PASSWORD_BYTES or b"\0" in password:
            return None
        return name.decode(), password
    except (binascii.Error, ValueError):
        return None
