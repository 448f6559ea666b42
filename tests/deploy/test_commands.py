"""What README and quick start tell a stranger to type works, in a clean checkout, from top to bottom."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import limelight
from dockerfile import ROOT
from missing import needed
from servers import free_port
from stranger import Stranger, shows

pytestmark = pytest.mark.timeout(300)  # building the image may wait for a registry

README = (ROOT / "README.md").read_text(encoding="utf-8")
QUICK_START = (ROOT / "docs/quick-start.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would give somebody: no environment, no caches."""
    folder = tmp_path_factory.mktemp("checkout")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "queue", "exporter", "pyproject.toml",
         "README.md", "LICENSE", "CHANGELOG.md", "Makefile", "examples"],
        cwd=ROOT, text=True, capture_output=True, check=True,
    )  # fmt: skip
    for name in set(listed.stdout.splitlines()):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def stranger(checkout: Path) -> Iterator[Stranger]:
    needed(shutil.which("redis-server"), "redis-server", "apt install redis-server")
    needed(shutil.which("curl"), "curl", "apt install curl")
    redis_port, exporter_port = free_port(), free_port()
    changed = {
        "--port 6379": f"--port {redis_port}",
        "localhost:6379/0": f"localhost:{redis_port}/0",
        "9898": str(exporter_port),
        'RedisQueue("shop")': f'RedisQueue("shop", url="redis://localhost:{redis_port}/0")',
        "limelight exporter --": f"limelight exporter --port {exporter_port} --",
        "limelight events replay": f"limelight events replay --url redis://localhost:{redis_port}/0",
        "limelight queue ls": f"limelight queue ls --url redis://localhost:{redis_port}/0",
        "limelight queue dead ls shop": f"limelight queue dead ls shop --url redis://localhost:{redis_port}/0",
        "limelight doctor": f"limelight doctor --url redis://localhost:{redis_port}/0",
    }
    with Stranger(checkout, changed) as follower:
        yield follower


def test_the_quick_start_works_from_top_to_bottom(stranger: Stranger) -> None:
    assert len(stranger.follow(QUICK_START)) >= 6


def test_the_readme_installs_as_it_says(stranger: Stranger) -> None:
    """After the quick start, whose environment is there: two more installations of the same checkout."""
    (block,) = re.findall(r"```\n(pip install \..*?)```", README, re.DOTALL)
    assert stranger.follow(f"```sh\n{block}```\n")


def test_the_readmes_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"`?\bmake ([a-z-]+)", README))
    assert {"demo", "test"} <= targets
    assert all(re.search(rf"(?m)^{target}:", makefile) for target in targets), targets


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"`(limelight [a-z][^`…]*)`", README + QUICK_START)))
)
def test_every_command_that_is_mentioned_exists_with_its_flags(command: str) -> None:
    words = command.split()[1:]
    known = [word for word in words if not word.startswith("-")][:2]
    for names in (known, known[:1]):
        told = limelight(*names, "--help")
        if told.code == 0:
            break
    assert told.code == 0, told.err
    for word in words:
        if word.startswith("--"):
            assert word in told.out, f"{command}: {word}"


@pytest.mark.parametrize(
    ("output", "expected", "yes"),
    [
        ("a\nb\nc", "a\nc", True),
        ("a\nb\nc", "c\na", False),
        ("shop  7", "shop…", True),
        ("[x] y", "[x]…", True),
        ("anything", "", True),
        ("4", "3", False),
    ],
)
def test_expected_output_is_held_against_what_is_printed(output: str, expected: str, yes: bool) -> None:
    assert shows(output, expected) is yes
