"""What a stranger does with a page of the documentation: save its files, type its commands, look at what they print."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from servers import wait_until

_FENCE: Final = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ELSEWHERE: Final = "# in another terminal\n"
_STEERING: Final = ("LIMELIGHT_", "OTEL_", "PYTHON", "VIRTUAL_ENV", "REDIS_")
SECONDS: Final = 120


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file that it is if it is one, its text, and what follows as expected output."""

    language: str
    file: str
    text: str
    expected: str = ""


def blocks(page: str) -> Iterator[Block]:
    """The blocks of a page; one in ``text`` right after commands is what these print."""
    found = [Block(*match.groups()) for match in _FENCE.finditer(page)]
    for block, following in zip(found, [*found[1:], Block("", "", "")], strict=True):
        if block.language != "text":
            expected = following.text if following.language == "text" and block.language == "sh" else ""
            yield Block(block.language, block.file, block.text, expected)


class Stranger:
    """Follows pages in a folder; a context manager, which ends what still runs in other terminals.

    Args:
        folder: Where commands are typed.
        changed: Words of the page and what stands for them here: ports, as a rule.
    """

    def __init__(self, folder: Path, changed: Mapping[str, str]) -> None:
        self._folder = folder
        self._changed = changed
        self._terminals = ExitStack()
        plain = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
        virtual = folder / ".venv"
        self._environment = {
            **plain,
            "COLUMNS": "120",
            "PATH": f"{virtual}/bin:{plain['PATH']}",
            "HOME": str(folder),
        }

    def __enter__(self) -> Stranger:
        return self

    def __exit__(self, *_: object) -> None:
        self._terminals.close()

    def follow(self, page: str) -> list[str]:
        """Do all that the page says, from top to bottom; returns the commands.

        Raises:
            AssertionError: A command failed, or printed something else than the page says.
        """
        done = []
        for block in blocks(self._here(page)):
            if block.file:
                (self._folder / block.file).write_text(block.text, encoding="utf-8")
            elif block.language == "sh" and block.text.startswith(_ELSEWHERE):
                self._leave_running(block.text.removeprefix(_ELSEWHERE))
            elif block.language == "sh":
                done.append(block.text)
                self._type(block)
        return done

    def _here(self, page: str) -> str:
        for word, here in self._changed.items():
            page = page.replace(word, here)
        return page

    def _leave_running(self, command: str) -> None:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "TERM", "bash", "-ec", f"exec {command}"],
            cwd=self._folder, env=self._environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._terminals.callback(process.wait, 30)
        self._terminals.callback(process.terminate)

    def _type(self, block: Block) -> None:
        """Whoever types is slower than a server starts, so a command gets several chances."""
        said = ""

        def works() -> bool:
            nonlocal said
            done = subprocess.run(
                ["bash", "-eo", "pipefail", "-c", block.text], cwd=self._folder, env=self._environment, text=True,
                capture_output=True, timeout=SECONDS, check=False,
            )  # fmt: skip
            said = done.stdout + done.stderr
            return done.returncode == 0 and shows(done.stdout, block.expected)

        try:
            wait_until(works, 20)
        except AssertionError:
            raise AssertionError(f"$ {block.text}\n{said[-3_000:]}\nexpected:\n{block.expected}") from None


def shows(output: str, expected: str) -> bool:
    """Whether each expected line is among the printed ones, in order; ``…`` stands for anything."""
    lines = iter(output.splitlines())
    patterns = [line.strip().replace("[", "[[]").replace("…", "*") for line in expected.splitlines()]
    return all(any(fnmatch.fnmatchcase(line.strip(), pattern) for line in lines) for pattern in patterns)
