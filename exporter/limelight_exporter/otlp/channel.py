"""Which channel goes to a target."""

from __future__ import annotations

from .answer import Channel
from .grpc import GrpcChannel
from .http import HttpChannel
from .settings import Target


def connected(target: Target) -> Channel:
    """A channel to a collector; nothing is sent yet."""
    return GrpcChannel(target) if target.protocol == "grpc" else HttpChannel(target)
