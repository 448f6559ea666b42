"""Our systemd units without systemd: what they would run, with what environment."""

from __future__ import annotations

import re
import shlex
from collections import defaultdict
from pathlib import Path
from typing import Final

from dockerfile import ROOT

FOLDER: Final = ROOT / "deploy/systemd"


class Unit:
    """A unit's file.

    Args:
        name: Of the file.
        instance: What stands for ``%i`` and ``%I``.
        credentials: The folder that stands for ``%d``.
    """

    def __init__(
        self, name: str, *, instance: str = "", credentials: Path = Path("/run/credentials")
    ) -> None:
        self.settings: dict[str, list[str]] = defaultdict(list)
        for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
            if "=" in line and not line.startswith("#"):
                key, _, value = line.partition("=")
                value = value.replace("%i", instance).replace("%d", str(credentials))
                self.settings[key].append(value)

    def environment(self, **changes: str) -> dict[str, str]:
        """The variables of its lines and of the environment file beside it, in the order of systemd."""
        lines = [shlex.split(line)[0] for line in self.settings["Environment"]]
        for path in self.settings["EnvironmentFile"]:
            text = (FOLDER / Path(path).name).read_text(encoding="utf-8")
            lines += [line for line in text.splitlines() if line and not line.startswith("#")]
        return dict(line.split("=", 1) for line in lines) | changes

    def command(self, environment: dict[str, str]) -> list[str]:
        """The words of ExecStart: ``$NAME`` alone becomes several, ``${NAME}`` one."""
        words: list[str] = []
        for word in shlex.split(self.settings["ExecStart"][0]):
            if found := re.fullmatch(r"\$(\w+)", word):
                words += environment[found[1]].split()
            else:
                words.append(re.sub(r"\$\{(\w+)\}", lambda name: environment[name[1]], word))
        return words
