"""The queues as variables, for ``limelight consumer drill.app:failing …``."""

from .queues import from_environment

_queues = from_environment()

failing = _queues.failing
retries = _queues.retries
poison = _queues.poison
paused = _queues.paused
periodic = _queues.periodic
stuck = _queues.stuck
mended = _queues.mended
hung = _queues.hung
killed = _queues.killed
nobody = _queues.nobody
unscheduled = _queues.unscheduled
