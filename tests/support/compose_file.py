"""Our compose file without Docker: the command, environment and files of each service, as this machine has them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


class ComposeFile:
    """A compose file whose services run as plain processes.

    Args:
        path: The file.
        folder: Empty; volumes, temporary folders and changed configuration files go there.
        addresses: What ``service:port`` of the stack is on this machine.
    """

    def __init__(self, path: Path, folder: Path, addresses: Mapping[str, str]) -> None:
        self._home = path.parent
        self._folder = folder
        self._addresses = addresses
        self.services: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))[
            "services"
        ]

    def command(self, service: str) -> list[str]:
        """The words after the image's entry point, with paths and addresses of this machine."""
        given = self.services[service].get("command", [])
        words = shlex.split(given) if isinstance(given, str) else given
        return [self.here(service, str(word)) for word in words]

    def entrypoint(self, service: str) -> list[str]:
        """What the service runs instead of its image's entry point."""
        return [self.here(service, word) for word in self.services[service].get("entrypoint", [])]

    def environment(self, service: str) -> dict[str, str]:
        """The service's variables."""
        given = self.services[service].get("environment", {})
        return {name: self.here(service, str(value)) for name, value in given.items()}

    def here(self, service: str, text: str) -> str:
        """The text with the service's paths and the stack's addresses as they are on this machine."""
        return _replaced(text, {**self._mounts(service), **self._addresses})

    def _mounts(self, service: str) -> dict[str, str]:
        """Path in the container to path here."""
        places = {}
        for mount in self.services[service].get("volumes", []):
            source, target, *_ = mount.split(":")
            places[target] = str(self._source(source))
        for mount in self.services[service].get("tmpfs", []):
            target = mount.partition(":")[0]
            places[target] = str(self._made(self._folder / service / target.strip("/")))
        changed = {target: self._changed(source, places) for target, source in places.items()}
        return places | {target: path for target, path in changed.items() if path}

    def _source(self, source: str) -> Path:
        if not source.startswith("."):
            return self._made(self._folder / "volumes" / source)
        path = (self._home / source).resolve()
        assert path.exists(), f"{source} is mounted, and is not there"
        return path

    def _made(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _changed(self, source: str, places: Mapping[str, str]) -> str | None:
        """A copy of a mounted configuration file in which addresses and paths are this machine's."""
        path = Path(source)
        if not path.is_file() or path.suffix not in {".yml", ".yaml"}:
            return None
        copy = self._folder / path.name
        text = _replaced(path.read_text(encoding="utf-8"), {**places, **self._addresses})
        copy.write_text(text, encoding="utf-8")
        return str(copy)


def _replaced(text: str, places: Mapping[str, str]) -> str:
    """All at once, the longest first: what takes the place of one word may hold another."""
    words = sorted(places, key=len, reverse=True)
    pattern = "|".join(rf"(?<![\w.]){re.escape(word)}(?![\w-])" for word in words)
    return re.sub(pattern, lambda found: places[found[0]], text)
