"""The queues that are broken, each in its own way, so that many things can be broken at once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from limelight import RedisQueue, every

TOO_MANY: Final = 15
"""Names of tasks, for an exporter that keeps `MOST_NAMES`."""
MOST_NAMES: Final = 10


class Queues:
    """All queues, for one Redis.

    Args:
        url: Where it is.
        marks: Folder of marks: while one is there, the tasks that look at it misbehave.
    """

    def __init__(self, url: str, marks: Path) -> None:
        self.url = url
        self._marks = marks
        self.failing = RedisQueue("failing", url)
        self.retries = RedisQueue("retries", url)
        self.poison = RedisQueue("poison", url)
        self.paused = RedisQueue("paused", url)
        self.periodic = RedisQueue("periodic", url)
        self.stuck = RedisQueue("stuck", url)
        self.mended = RedisQueue("mended", url)
        self.hung = RedisQueue("hung", url)
        self.killed = RedisQueue("killed", url)
        self.nobody = RedisQueue("nobody", url)
        self.unscheduled = RedisQueue("unscheduled", url)
        self.crowded = RedisQueue("crowded", url)
        self._declare_failures()
        self._declare_holders()
        self._declare_rest()

    def _declare_failures(self) -> None:
        @self.failing.task(name="fails")
        def fails() -> None:
            raise ValueError

        @self.failing.task(name="promised", slo={"success": 0.9})
        def promised() -> None:
            raise ValueError

        @self.failing.task(name="rare")
        def rare() -> None:
            if self.marked("rare"):
                raise ValueError

        @self.retries.task(name="again", retries=1_000, retry_delay=0.2)
        def again() -> None:
            if self.marked("again"):
                raise ValueError

        @self.periodic.periodic_task(every(2), name="beat", grace=2)
        def beat() -> None:
            if self.marked("beat"):
                raise ValueError

        self.fails, self.promised, self.rare, self.again = fails, promised, rare, again

    def _declare_holders(self) -> None:
        @self.hung.task(name="hang")
        def hang() -> None:
            self.hold_while("hang")

        @self.killed.task(name="hold")
        def hold() -> None:
            self.hold_while("hold")

        @self.stuck.task(name="stick", timeout=0.5)
        def stick() -> None:
            end = time.monotonic() + 60
            while self.marked("stick") and time.monotonic() < end:
                try:
                    time.sleep(0.05)
                except BaseException:
                    continue

        self.hang, self.hold, self.stick = hang, hold, stick

    def _declare_rest(self) -> None:
        @self.poison.task(name="known")
        def known() -> None:
            """Do nothing."""

        @self.nobody.task(name="waits")
        def waits() -> None:
            """Do nothing."""

        @self.unscheduled.periodic_task(every(30), name="tick")
        def tick() -> None:
            """Do nothing."""

        @self.unscheduled.task(name="later")
        def later() -> None:
            """Do nothing."""

        @self.mended.task(name="strays")
        def strays() -> None:
            """Do nothing."""

        self.waits, self.later, self.strays = waits, later, strays
        self._crowd = [self.crowded.task(name=f"name_{number}")(len) for number in range(TOO_MANY)]
        self._stranger = RedisQueue("poison", self.url)
        self._nobody_knows = self._stranger.task(name="nobody_knows")(len)

    def crowd(self) -> None:
        """Enqueue one task of each of too many names."""
        for task in self._crowd:
            self.crowded.enqueue(task.s(""))

    def unknown(self) -> None:
        """Enqueue a task that no consumer knows."""
        self._stranger.enqueue(self._nobody_knows.s(""))

    def hold_while(self, mark: str) -> None:
        """Return when the mark is gone, after a minute and a half at the latest."""
        end = time.monotonic() + 90
        while self.marked(mark) and time.monotonic() < end:
            time.sleep(0.05)

    def marked(self, name: str) -> bool:
        """Whether the mark is there."""
        return (self._marks / name).exists()

    def mark(self, name: str) -> None:
        """Put it there."""
        (self._marks / name).touch()

    def unmark(self, name: str) -> None:
        """Take it away."""
        (self._marks / name).unlink(missing_ok=True)


def from_environment() -> Queues:
    """The queues of a consumer: DRILL_REDIS and DRILL_MARKS say where."""
    return Queues(os.environ["DRILL_REDIS"], Path(os.environ["DRILL_MARKS"]))
