"""What a test does when a server that it needs is not installed."""

from __future__ import annotations

import os
from typing import NoReturn, TypeVar

import pytest

Found = TypeVar("Found")


def needed(found: Found | None, what: str, install: str) -> Found:
    """Return what was found; without it the test fails in CI (``CI=true``) and is skipped elsewhere.

    Args:
        found: The thing, or None.
        what: Its name, such as ``prometheus``.
        install: How to get it, such as ``apt install prometheus``.
    """
    return missing(f"{what} was not found; to run this test: {install}") if found is None else found


def missing(reason: str) -> NoReturn:
    """Fail in CI, skip elsewhere, and say why."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
