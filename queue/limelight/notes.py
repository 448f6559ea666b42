"""What is to be told of a run beside how it went: what its code put on its span, and arguments that may be shown."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from .privacy import Privacy
from .recording import Recording, plain

ARGUMENT_BYTES: Final = 256


class Notes(msgspec.Struct):
    """Filled while a run goes on.

    Attributes:
        recording: What its code puts on its span; None where that is not kept.
        arguments: Those that its declaration names.
    """

    recording: Recording | None = None
    arguments: Mapping[str, Any] | None = None

    def keys(self) -> dict[str, Any]:
        """The keys of the closing event that tell it; nothing can be added any more."""
        if self.recording is None and self.arguments is None:
            return {}
        keys: dict[str, Any] = {}
        if self.arguments:
            keys["arguments"] = self.arguments
        if self.recording is not None:
            self.recording.close()
            keys["span"] = self.recording.told()
        return keys


def shown(
    function: Callable[..., Any],
    names: Iterable[str],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    privacy: Privacy,
) -> dict[str, Any]:
    """Of the arguments of a call those of these names: numbers, anything else as text of at most 256 bytes."""
    try:
        bound = _signature(function).bind_partial(*args, **kwargs).arguments
    except TypeError:  # a call that its function will refuse
        return {}
    return {name: _shown(bound[name], privacy) for name in names if name in bound}


_signature: Final = functools.lru_cache(maxsize=1_000)(inspect.signature)


def _shown(value: Any, privacy: Privacy) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return plain(value)
    try:
        return plain(str(value), privacy, ARGUMENT_BYTES)
    except Exception:
        return f"(a {type(value).__qualname__} that has no text)"
