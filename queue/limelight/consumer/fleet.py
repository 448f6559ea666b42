"""The worker processes of a consumer."""

from __future__ import annotations

import atexit
import logging
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing import connection
from typing import Any, Final

from .child import Brief
from .home import Home
from .lounge import Lounge
from .plan import Plan
from .relay import Board
from .station import Station
from .threads import Threads
from .warden import Warden, context

log = logging.getLogger("limelight.consumer")

_LOOK_SECONDS: Final = 0.5
_SETTLING_SECONDS: Final = 0.02
_RESTART_SECONDS: Final = (0.1, 5.0)
_KILL_SECONDS: Final = 5.0
_FAILURES: Final = 6


class Fleet:
    """One process per worker; who dies or is worn out is replaced as soon as it is accounted for.

    Attributes:
        owners: Who the workers are to Redis.
        abandoned: Always 0: a process that does not stop is killed.

    Args:
        stations: The queues.
        plan: How to work.
        consumer: Id of the consumer.
        lounge: Where idle workers are counted.
        stopping: Set when nothing new may begin.
        exhausted: Called when no process can be started.

    Raises:
        ConfigurationError: Worker processes could not find a queue.
    """

    def __init__(
        self,
        stations: Sequence[Station],
        plan: Plan,
        *,
        consumer: str,
        lounge: Lounge,
        stopping: threading.Event,
        exhausted: Callable[[], None],
    ) -> None:
        self.owners = [f"{consumer}:{number}" for number in range(1, plan.workers + 1)]
        self.abandoned = 0
        self._stations = stations
        self._stopping = stopping
        self._exhausted = exhausted
        self._homes = tuple(Home.of(station.queue) for station in stations)
        self._how = context()
        self._threads = Threads()
        self._all_ended = threading.Event()
        self._ears, self._mouth = os.pipe()
        self._running = [
            self._warden(plan, lounge, f"worker-{at}", owner) for at, owner in enumerate(self.owners, 1)
        ]
        self._waiting: list[tuple[float, Warden]] = []
        self._failures = 0
        self._was_told = False
        self._look_at = 0.0
        self._relieve_at = math.inf

    def _warden(self, plan: Plan, lounge: Lounge, worker: str, owner: str) -> Warden:
        brief = Brief(self._homes, plan, owner, worker, is_successor=False)
        cells: Any = self._how.RawArray("d", Board.SIZE + len(self._stations))
        return Warden(brief, self._stations, lounge, cells, self._how)

    def start(self) -> None:
        """Start the processes, and the thread that sees to them."""
        modules = [module for home in self._homes for module in (home.module, *home.modules)]
        self._how.set_forkserver_preload(["limelight.consumer.nursery", "__main__", *modules, __name__])
        atexit.register(self._kill_all)
        for warden in self._running:
            warden.start()
        self._threads.start("fleet", self._run)

    def look(self) -> None:
        """Note what the processes have begun by now."""
        now = time.monotonic()
        for warden in list(self._running):
            warden.look(now)

    def wake(self) -> None:
        """Have the fleet's thread look at once: the consumer stops."""
        os.write(self._mouth, b"1")

    def join(self, until: float, given_up: threading.Event) -> None:
        """Wait for the processes to end, until then (monotonic seconds) or until it is given up; then kill them."""
        while not self._all_ended.is_set() and not given_up.is_set():
            left = until - time.monotonic()
            if left <= 0:
                break
            self._all_ended.wait(min(0.1, left))
        if not self._all_ended.is_set():
            self.look()
            for warden in list(self._running):
                warden.end()
            self.wake()
            self._all_ended.wait(_KILL_SECONDS)
        atexit.unregister(self._kill_all)

    def end(self) -> None:
        """The consumer has stopped; no process of ours is left."""
        if self._all_ended.is_set():
            os.close(self._mouth)
            os.close(self._ears)

    def _kill_all(self) -> None:
        for warden in self._running:
            warden.process.kill()

    # -- The fleet's thread -----------------------------------------------------------------------------
    def _run(self) -> None:
        while not (self._stopping.is_set() and not self._running):
            try:
                self._turn()
            except Exception:
                log.exception("fleet: unexpected error")
                time.sleep(1.0)
        self._all_ended.set()

    def _turn(self) -> None:
        if self._stopping.is_set() and not self._was_told:
            self._was_told = True
            for warden in self._running:
                warden.stop()
        by_handle: dict[Any, Warden] = {}
        for warden in self._running:
            by_handle[warden.line.connection] = by_handle[warden.process.sentinel] = warden
        ready = connection.wait([*by_handle, self._ears], self._pause())
        if self._ears in ready:
            os.read(self._ears, 1_000)
        for warden in dict.fromkeys(by_handle[handle] for handle in ready if handle != self._ears):
            warden.listen()
            if not warden.process.is_alive():
                self._see_off(warden)
        now = time.monotonic()
        self._relieve_at = min((warden.relieve(now) for warden in self._running), default=math.inf)
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self.look()
        self._replace_those_accounted_for()

    def _pause(self) -> float:
        """Seconds until the next look, if nothing happens before."""
        until = self._relieve_at - time.monotonic()
        return max(0.0, min(_SETTLING_SECONDS if self._waiting else _LOOK_SECONDS, until))

    def _see_off(self, dead: Warden) -> None:
        dead.account()
        self._running.remove(dead)
        pause = 0.0
        if dead.is_ready:
            self._failures = 0
        elif not self._stopping.is_set():
            log.error("%s ended before it could begin to work", dead.brief.worker)
            pause = self._pause_after_failure()
        self._waiting.append((time.monotonic() + pause, dead))

    def _pause_after_failure(self) -> float:
        """Seconds until a process may be started again; who fails again and again gives up."""
        pause: float = min(_RESTART_SECONDS[0] * 2**self._failures, _RESTART_SECONDS[1])
        self._failures += 1
        if self._failures == _FAILURES:
            log.error("no worker process can be started: this consumer gives up")
            self._exhausted()
        return pause

    def _replace_those_accounted_for(self) -> None:
        now = time.monotonic()
        for item in list(self._waiting):
            at, dead = item
            if self._stopping.is_set():
                self._waiting.remove(item)
            elif now >= at and dead.is_accounted_for:
                self._waiting.remove(item)
                self._replace(dead)

    def _replace(self, dead: Warden) -> None:
        successor = dead.successor()
        try:
            successor.start()
        except (
            OSError,
            EOFError,
        ) as error:  # the server that forks for us is dying itself, or memory is short
            log.error("%s cannot be started: %s", dead.brief.worker, error)
            self._waiting.append((time.monotonic() + self._pause_after_failure(), dead))
        else:
            self._running.append(successor)
