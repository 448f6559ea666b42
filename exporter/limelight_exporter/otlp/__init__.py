"""The way to a collector: OTLP over HTTP or gRPC, for spans and for metrics."""

from __future__ import annotations

from .channel import connected
from .settings import Signal, Target, target
from .sink import OtlpSink, sink_from

__all__ = ["OtlpSink", "Signal", "Target", "connected", "sink_from", "target"]
