"""Addresses of other tools with places for names, such as ``https://jaeger.example/trace/{trace_id}``. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final
from urllib.parse import quote, urlsplit

_PLACE: Final = re.compile(r"\{([^{}]*)\}")


def fault_of(template: str, places: Collection[str]) -> str:
    """What is wrong with a template, "" if nothing is.

    Args:
        template: As somebody wrote it.
        places: The names that may stand in braces.
    """
    allowed = ", ".join(f"{{{place}}}" for place in places)
    if unknown := [name for name in _PLACE.findall(template) if name not in places]:
        return f"{{{unknown[0]}}} is not known: there is {allowed}"
    plain = _PLACE.sub("x", template)
    if "{" in plain or "}" in plain or not plain.isprintable() or " " in plain:
        return f"takes an address with {allowed} and no other brace, space or control character"
    try:
        parts = urlsplit(plain)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None:
        return "takes an address that begins with http:// or https://, without a password"
    return ""


def filled(template: str, **names: str) -> str:
    """The address; every name is percent-encoded, so that it stays one part of it."""
    return _PLACE.sub(lambda found: quote(names.get(found[1], ""), safe=""), template)
