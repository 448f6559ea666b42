"""Our Dockerfile without Docker: its instructions, and a run of its steps in a folder that stands for ``/``."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
BUILD_SECONDS: Final = 300
_OURS: Final = re.compile(r"(?<![\w/.])/(?=opt/|src\b|app\b)")
_STEERING: Final = ("LIMELIGHT_", "OTEL_", "PYTHON", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Step:
    """One instruction: ``RUN``, ``COPY`` …, and what follows it on its line."""

    word: str
    rest: str

    @property
    def words(self) -> list[str]:
        """What follows as words, whether it is written as JSON or as a shell would have it."""
        return list(json.loads(self.rest)) if self.rest.startswith("[") else shlex.split(self.rest)


def steps(text: str) -> list[Step]:
    """The instructions of a Dockerfile, in order."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [Step(*line.strip().split(None, 1)) for line in joined.splitlines() if line.strip()]


class Image:
    """What our Dockerfile makes, in a folder of its own.

    Args:
        folder: Empty; stands for the root of the file system.

    Attributes:
        environment: What ENV sets in the last stage, with the paths of this machine.
    """

    def __init__(self, folder: Path) -> None:
        self._root = folder
        self._steps = steps((ROOT / "Dockerfile").read_text(encoding="utf-8"))
        self.environment: dict[str, str] = {}

    def here(self, text: str) -> str:
        """The text with the image's own paths led to the folder."""
        return _OURS.sub(f"{self._root}/", text)

    def last(self, word: str) -> Step:
        """The instruction of that name that holds for the finished image."""
        return [step for step in self._steps if step.word == word][-1]

    def build(self) -> None:
        """Take the steps of all stages, and leave only what the last one copied out of those before it.

        Raises:
            subprocess.CalledProcessError: A RUN failed; what it said is in ``output``.
        """
        stages = [at for at, step in enumerate(self._steps) if step.word == "FROM"]
        for step in self._steps[: stages[-1]]:
            self._take(step)
        kept = [step.words for step in self._steps[stages[-1] :] if step.word == "COPY"]
        self._keep([Path(self.here(source)) for flag, source, target in kept if source == target])
        for step in self._steps[stages[-1] :]:
            if step.word == "ENV":
                self.environment |= dict(word.split("=", 1) for word in shlex.split(self.here(step.rest)))

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the entry point with these words, as ``docker run`` would."""
        return subprocess.run(
            self.command(*words), env=self.env(**environment), cwd=self._root / "app", text=True,
            capture_output=True, timeout=60, check=False,
        )  # fmt: skip

    def command(self, *words: str) -> list[str]:
        """The command line of a container with these words: its entry point on the image's PATH, and they."""
        entry, *more = self.last("ENTRYPOINT").words
        found = shutil.which(entry, path=self.env()["PATH"])
        assert found, f"{entry} is not on the image's PATH"
        return [found, *more, *words]

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a container: of this machine nothing but a PATH."""
        path = self.environment.get("PATH", "${PATH}").replace("${PATH}", "/usr/bin:/bin")
        return {**self.environment, "PATH": path, **more}

    def _take(self, step: Step) -> None:
        if step.word == "WORKDIR":
            self._workdir = Path(self.here(step.rest))
            self._workdir.mkdir(parents=True)
        elif step.word == "COPY":
            *sources, target = step.words
            for source in sources:
                self._copy(source, self._workdir / target, into=target.endswith("/"))
        elif step.word == "RUN":
            self._shell(self.here(step.rest))

    def _copy(self, source: str, target: Path, *, into: bool) -> None:
        sent = [path for path in context() if path == source or path.startswith(f"{source}/")]
        assert sent, f"COPY {source}: .dockerignore keeps it out of the build"
        for path in sent:
            inside = Path(path).relative_to(source)
            to = target / Path(source).name if into else target / inside
            if to == target and target.is_dir():
                to = target / Path(source).name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, to)

    def _shell(self, script: str) -> None:
        plain = {name: value for name, value in os.environ.items() if not name.startswith(_STEERING)}
        path = f"{Path(sys.executable).parent}:{plain['PATH']}"
        subprocess.run(
            ["/bin/sh", "-ec", script], cwd=self._workdir, env={**plain, "PATH": path}, check=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BUILD_SECONDS,
        )  # fmt: skip

    def _keep(self, wanted: Sequence[Path]) -> None:
        kept = self._root / "kept"
        for path in wanted:
            path.rename(kept)
            shutil.rmtree(self._root / "opt")
            shutil.rmtree(self._workdir)
            path.parent.mkdir(parents=True)
            kept.rename(path)
        (self._root / "app").mkdir()


def context() -> Iterator[str]:
    """The files that a build is sent: what git has, less what .dockerignore keeps out."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    for path in sorted(set(listed.stdout.splitlines())):
        if is_sent(path, patterns) and (ROOT / path).is_file():
            yield path


def is_sent(path: str, patterns: Sequence[str]) -> bool:
    """Whether a file passes .dockerignore: the last pattern that fits it, or a folder above it, decides."""
    above = [path, *map(str, Path(path).parents)][:-1]
    sent = True
    for pattern in patterns:
        wanted = pattern.removeprefix("!").removeprefix("**/")
        names = [Path(one).name for one in above] if "**/" in pattern else above
        if any(fnmatch.fnmatchcase(name, wanted) for name in names):
            sent = pattern.startswith("!")
    return sent
