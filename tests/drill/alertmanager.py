"""A real Alertmanager with the deployed configuration, and what it knows of alerts."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from missing import needed
from servers import wait_until

from limelight.embedded import bound_to_parent, free_port

from .rules import DEPLOY

_LOOK_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Active:
    """An alert that is active, hidden by another or not."""

    labels: frozenset[tuple[str, str]]
    inhibited: bool = field(compare=False)


class Alertmanager:
    """``prometheus-alertmanager`` on a free port. A context manager.

    Attributes:
        seen: Every alert that ever was active → Unix time when it was seen first.
    """

    def __init__(self, folder: Path) -> None:
        self._binary = needed(
            shutil.which("prometheus-alertmanager"), "alertmanager", "apt install prometheus-alertmanager"
        )
        self._folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.seen: dict[Active, float] = {}
        self._active: dict[Active, Active] = {}
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._look_on, name="alerts", daemon=True)

    def __enter__(self) -> Self:
        words = [
            self._binary,
            f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
            f"--storage.path={self._folder / 'alertmanager'}",
            f"--web.listen-address={self.address}",
            "--cluster.listen-address=",
        ]
        with (self._folder / "alertmanager.log").open("wb") as log:
            self._process = subprocess.Popen(
                bound_to_parent(words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._answers, 30, f"alertmanager, see {self._folder / 'alertmanager.log'}")
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._watch.join()
        self._process.terminate()
        self._process.wait(15)

    def active(self, labels: Mapping[str, str]) -> Active | None:
        """An active alert that has these labels among its own, also one that is hidden; None if there is none."""
        wanted = set(labels.items())
        return next((alert for alert in list(self._active) if wanted <= alert.labels), None)

    @property
    def calm(self) -> bool:
        """Whether nothing is active."""
        return not self._active

    def names(self) -> list[str]:
        """What is active now, for people."""
        return sorted({dict(alert.labels)["alertname"] for alert in list(self._active)})

    def _look_on(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            try:
                found = self._look()
            except OSError:
                continue
            self._active = {alert: alert for alert in found}
            for alert in found:
                self.seen.setdefault(alert, time.time())

    def _look(self) -> list[Active]:
        url = f"http://{self.address}/api/v2/alerts?active=true&inhibited=true&silenced=true&unprocessed=true"
        with urllib.request.urlopen(url, timeout=5) as reply:
            return [
                Active(frozenset(one["labels"].items()), bool(one["status"]["inhibitedBy"]))
                for one in json.load(reply)
            ]

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self._folder / "alertmanager.log").read_text()
        try:
            return self._look() == []
        except OSError:
            return False
