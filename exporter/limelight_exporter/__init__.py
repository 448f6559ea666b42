"""Turns the events of Limelight queues into Prometheus metrics and OpenTelemetry spans."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("limelight")
except PackageNotFoundError:  # run from a checkout that was never installed
    __version__ = "0"
