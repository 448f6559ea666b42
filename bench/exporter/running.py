"""The exporter as a process: started, watched, paused, and asked as Prometheus asks."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from limelight.embedded import free_port
from queues.processes import Child, poll

_CURRENT = "limelight_exporter_queue_current"


class Answer(NamedTuple):
    """What a page said, and how long it took."""

    status: int
    text: str
    seconds: float


class Running(Child):
    """``limelight exporter``; ended with the block.

    Args:
        redis_url: Where Redis is.
        folder: Takes its log.
        group: Exporter group.
    """

    def __init__(self, redis_url: str, folder: Path, group: str) -> None:
        self._url = f"http://127.0.0.1:{(port := free_port())}"
        words = [sys.executable, "-m", "limelight", "exporter", "--redis-url", redis_url, "--group", group]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("LIMELIGHT_")}
        super().__init__([*words, "--port", str(port)], environment, folder, group)

    def get(self, path: str) -> Answer:
        """A page; status 0 where nobody answers."""
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"{self._url}{path}", timeout=10) as reply:
                status, text = reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read().decode()
        except OSError:
            status, text = 0, ""
        return Answer(status, text, time.monotonic() - began)

    def value(self, name: str) -> float:
        """The sum of a metric over its labels; 0 where it is not served."""
        lines = self.get(f"/metrics?name[]={name}").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))

    def wait_ready(self, seconds: float) -> None:
        """Return when it has caught up with what it found. Raises Failed when time is up."""
        for _ in poll(seconds, 0.05):
            self.check()
            if self.get("/-/ready").status == 200:
                return

    def wait_current(self, seconds: float) -> None:
        """Return when a scrape held all there was. Raises Failed when time is up."""
        for _ in poll(seconds, 0.05):
            self.check()
            if self.value(_CURRENT):
                return

    def pause(self) -> None:
        """Have it stand still."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it."""
        self.process.send_signal(signal.SIGCONT)

    def memory_mb(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
