"""Sends spans, one batch at a time, and says whether a batch is done.

No batch processor is between us and the answer, because it would drop what a collector refuses for now.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from limelight_exporter import catalog
from limelight_exporter.ops import SpanRecord
from limelight_exporter.ports import DELIVERED, Delivery, Tally

from .answer import Answer, Channel, Verdict
from .channel import connected
from .encoding import SpanEncoding, span_encoding
from .limits import limits_of
from .settings import Signal, target

REQUEST_BYTES: Final = 3_500_000
"""Below the 4 MiB that a collector takes over gRPC."""
_EMPTY: Final = b""
"""An encoded request without spans; the specification has servers accept it."""
_PATIENCE: Final = 5
"""So often a collector may fail over the same batch before we look for a span in it that makes it fail."""
_MOST_SUSPECTS: Final = 8
_MOST_REMEMBERED: Final = 1_000
_log = logging.getLogger(__name__)

_Batch: TypeAlias = Sequence[SpanRecord]


@dataclass(slots=True)
class _Delivering:
    """How far one batch is.

    Attributes:
        suspects: Spans that were refused each by itself.
        broken: Whether the collector failed over one of them, instead of refusing it.
        taken: Whether anything of the batch was.
        probed: Whether a request without spans was taken, None if none was sent yet.
    """

    suspects: list[SpanRecord] = field(default_factory=list)
    broken: bool = False
    taken: bool = False
    probed: bool | None = None


class OtlpSink:
    """Exports spans through a channel.

    A batch that is refused for what is in it is halved until the culprits stand alone. They are dropped, and counted,
    only if the collector takes something else: one that takes nothing at all is set up wrong, and loses us nothing.

    Args:
        channel: To the collector.
        encoder: Makes requests of records.
        tally: Counts what was sent, refused and failed.
    """

    def __init__(self, channel: Channel, encoder: SpanEncoding, tally: Tally) -> None:
        self._channel = channel
        self._encoder = encoder
        self._tally = tally
        self._closed = False
        self._failed_over: dict[str, int] = {}
        self._said = ""

    def export(self, spans: Sequence[SpanRecord]) -> Delivery:
        """As `ports.SpanSink.export`."""
        state = _Delivering()
        for part, request in self._requests(spans):
            refusal = self._send(part, request, state)
            if refusal is not None:
                return self._not_taken(refusal)
        if state.suspects:
            if not self._is_their_fault(state):
                return Delivery(done=False, said="it takes none of the spans, and nothing else")
            refusal = self._drop_culprits(state.suspects)
            if refusal is not None:
                return self._not_taken(refusal)
        if spans:
            self._failed_over.pop(spans[0].span_id, None)
        return DELIVERED

    def close(self) -> None:
        """As `ports.SpanSink.close`."""
        self._closed = True
        self._channel.close()

    def _requests(self, batch: _Batch) -> Iterator[tuple[_Batch, bytes]]:
        """Parts that a collector takes by their size; a span that cannot be encoded is in none of them."""
        if not batch:
            return
        try:
            request = self._encoder.request(batch)
        except (ValueError, TypeError, OverflowError) as error:
            if len(batch) == 1:
                self._tally.add(catalog.SPANS_DROPPED, ("poison",))
                _log.debug("a span that cannot be encoded: %s", error)
                return
        else:
            if len(batch) == 1 or len(request) <= REQUEST_BYTES:
                yield batch, request
                return
        for half in _halves(batch):
            yield from self._requests(half)

    def _send(self, batch: _Batch, request: bytes, state: _Delivering) -> Answer | None:
        """Have the batch taken, or its culprits among the suspects; else the answer that ended the attempt."""
        if self._closed:
            return Answer("CANCELLED", Verdict.LATER)
        answer = self._channel.send(request)
        if answer.verdict is Verdict.TAKEN:
            state.taken = True
            self._count_taken(answer, len(batch))
            return None
        self._tally.add(catalog.SPAN_FAILURES, (answer.code,))
        if not self._is_for_its_content(answer, batch, state):
            return answer
        if len(batch) == 1:
            state.suspects.append(batch[0])
            state.broken |= answer.verdict is Verdict.BROKEN
            many = len(state.suspects) >= _MOST_SUSPECTS
            return answer if many and not self._is_their_fault(state) else None
        refusals = (self._send(half, self._encoder.request(half), state) for half in _halves(batch))
        return next((refusal for refusal in refusals if refusal is not None), None)

    def _count_taken(self, answer: Answer, count: int) -> None:
        rejected = max(0, min(answer.rejected, count))
        self._tally.add(catalog.SPANS_EXPORTED, (), count - rejected)
        self._tally.add(catalog.SPANS_DROPPED, ("rejected",), rejected)
        if answer.message and answer.message != self._said:
            self._said = answer.message
            _log.warning("the collector rejected %d of %d spans: %s", rejected, count, answer.message)

    def _is_for_its_content(self, answer: Answer, batch: _Batch, state: _Delivering) -> bool:
        """Whether it pays to send it in parts."""
        if answer.verdict is Verdict.UNREADABLE or state.suspects:
            return answer.verdict is not Verdict.LATER
        if answer.verdict is not Verdict.BROKEN:
            return False
        first = batch[0].span_id
        if len(self._failed_over) >= _MOST_REMEMBERED:
            self._failed_over.clear()
        self._failed_over[first] = self._failed_over.get(first, 0) + 1
        return self._failed_over[first] >= _PATIENCE or state.taken

    def _is_their_fault(self, state: _Delivering) -> bool:
        """Whether the collector takes anything but the suspects."""
        if not state.taken and state.probed is None and not state.broken:
            state.probed = self._channel.send(_EMPTY).verdict is Verdict.TAKEN
        return state.taken or bool(state.probed)

    def _drop_culprits(self, suspects: Sequence[SpanRecord]) -> Answer | None:
        """Ask once more, each alone: a collector that was set right meanwhile takes what it refused before."""
        again = _Delivering(taken=True)
        for one in suspects:
            if (refusal := self._send([one], self._encoder.request([one]), again)) is not None:
                return refusal
        self._drop(again.suspects)
        return None

    def _drop(self, culprits: Sequence[SpanRecord]) -> None:
        self._tally.add(catalog.SPANS_DROPPED, ("poison",), len(culprits))
        for record in culprits:
            _log.warning(
                "the collector takes no span like %s of trace %s; dropped", record.name, record.trace_id
            )

    def _not_taken(self, answer: Answer) -> Delivery:
        said = f"{answer.code}: {answer.message}" if answer.message else answer.code
        everything = answer.verdict is Verdict.LATER
        return Delivery(done=False, said=said, wait_seconds=answer.wait_seconds, everything=everything)


def _halves(batch: _Batch) -> tuple[_Batch, _Batch]:
    half = len(batch) // 2
    return batch[:half], batch[half:]


def sink_from(endpoint: str | None, environment: Mapping[str, str], tally: Tally) -> OtlpSink | None:
    """The sink that flag and ``OTEL_*`` variables ask for.

    Args:
        endpoint: Base URL of the receiver; takes the place of the variables'.
        environment: Usually ``os.environ``.
        tally: Counts for the sink.

    Returns:
        None if no endpoint is named anywhere, or the variables turn traces off.

    Raises:
        ConfigurationError: A variable asks for what we cannot do; names each fault, a line each.
    """
    found = target(Signal.TRACES, endpoint, environment)
    return OtlpSink(connected(found), span_encoding(limits_of(environment)), tally) if found else None
