"""What the bench starts: a contender's producer, which answers calls, and its consumer, which is watched."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from limelight.embedded import bound_to_parent
from queues.adapter import NotThere

_STOP_SECONDS: Final = 15.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A measurement could not be made; the message says why."""


class Child:
    """A process and all that it starts, ended with the block.

    Args:
        words: What to run.
        environment: Its environment.
        folder: Where it runs, and where its log is.
        name: Of the log.
        talks: Whether we write to it and read from it.
    """

    def __init__(
        self,
        words: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        name: str,
        *,
        talks: bool = False,
    ) -> None:
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                bound_to_parent(words),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.PIPE if talks else subprocess.DEVNULL,
                stdout=subprocess.PIPE if talks else log,
                stderr=log,
                text=talks,
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End it in good order, then whatever of it is left."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(_STOP_SECONDS)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()

    def check(self) -> None:
        """Raise Failed if it has ended."""
        if self.process.poll() is not None:
            raise Failed(f"ended with {self.process.returncode}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " / ".join(lines[-3:]) or "it said nothing"

    def pids(self) -> list[int]:
        """It and what it started."""
        return [pid for pid, _ in self._members()]

    def cpu_seconds(self) -> float:
        """Processor time that it and what it started have used so far."""
        return sum(int(fields[11]) + int(fields[12]) for _, fields in self._members()) / _TICKS

    def anonymous_bytes(self) -> int:
        """Its memory without mapped files (the notes of tasks are one), all processes together."""
        found = 0
        for pid in self.pids():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
                lines = (line for line in status.splitlines() if line.startswith("RssAnon:"))
                found += sum(int(line.split()[1]) * 1024 for line in lines)
        return found

    def _members(self) -> Iterator[tuple[int, list[str]]]:
        """The processes of its session, with the fields of /proc/PID/stat that follow the name."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    fields = (folder / "stat").read_text(errors="replace").rpartition(") ")[2].split()
                    if fields[3] == str(self.process.pid) and fields[0] != "Z":
                        yield int(folder.name), fields


class Producer(Child):
    """A contender's adapter in a process of its own; see `queues.driver`."""

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        super().__init__(words, environment, folder, "producer", talks=True)
        self._answer(60)

    def call(self, method: str, *, patience: float = 600.0, **arguments: Any) -> Any:
        """Call a method of the adapter, and wait so many seconds for its answer.

        Raises:
            NotThere: The contender has no such thing.
            Failed: The call raised, or took longer.
        """
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([method, arguments]) + "\n")
        self.process.stdin.flush()
        return self._answer(patience)

    def _answer(self, seconds: float) -> Any:
        assert self.process.stdout is not None
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            raise Failed(f"no answer within {seconds:g} s: {self.last_words()}")
        line = self.process.stdout.readline()
        if not line:
            raise Failed(f"its producer ended: {self.last_words()}")
        reply = json.loads(line)
        if "not_there" in reply:
            raise NotThere(reply["not_there"])
        if "fault" in reply:
            raise Failed(reply["fault"].strip().rpartition("\n")[2])
        return reply["answer"]


def poll(seconds: float, interval: float = 0.002) -> Iterator[float]:
    """Yield until time is up, with pauses; the seconds passed. Raises Failed when time is up."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        yield passed
        time.sleep(interval)
    raise Failed(f"not done within {seconds:g} s")
