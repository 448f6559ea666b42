"""The Dockerfile: its steps, taken in a clean folder, give an image that runs; and it keeps the rules of such files."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from dockerfile import ROOT, Image, context, is_sent, steps
from packaging.requirements import Requirement
from servers import free_port, wait_until

from limelight.embedded import bound_to_parent

pytestmark = pytest.mark.timeout(300)  # building the image may wait for a registry

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.mark.parametrize("page", ["Dockerfile", "docs/deployment.md"])
def test_it_keeps_the_rules_of_hadolint(page: str, tmp_path: Path) -> None:
    """So does the one that the documentation shows, for an application on top of ours."""
    text = (ROOT / page).read_text(encoding="utf-8")
    if page != "Dockerfile":
        (text,) = re.findall(r"```dockerfile\n(.*?)```", text, re.DOTALL)
    (tmp_path / "Dockerfile").write_text(text)
    done = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--no-color", "Dockerfile"],
        cwd=tmp_path, text=True, capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_image_knows_its_version_and_both_commands(image: Image) -> None:
    assert PROJECT["version"] in image.run("--version").stdout
    for command in ("consumer", "exporter"):
        done = image.run(command, "--help")
        assert done.returncode == 0, done.stderr


def test_the_image_holds_nothing_but_limelight_and_what_it_needs(image: Image) -> None:
    installed = Path(image.here("/opt/limelight/lib"))
    names = {path.name for path in installed.glob("python*/site-packages/*")}
    (packages,) = installed.glob("python*/site-packages")
    for package in ("queue/limelight", "exporter/limelight_exporter"):
        sources = {path.relative_to(ROOT / Path(package).parent) for path in (ROOT / package).rglob("*.*")}
        inside = {source for source in sources if "__pycache__" not in source.parts}
        assert not [source for source in inside if not (packages / source).exists()]
    assert not names & {"pip", "hatchling", "pytest", "setuptools"}
    assert not Path(image.here("/opt/build")).exists()


def test_its_health_check_says_whether_an_exporter_is_there(image: Image, redis_url: str) -> None:
    port = str(free_port())
    asked = image.last("HEALTHCHECK").rest.partition("CMD ")[2]
    (check,) = [step.words for step in steps(f"CMD {asked}")]
    check[0] = shutil.which(check[0], path=image.env()["PATH"]) or check[0]
    settings = {"LIMELIGHT_PORT": port, "LIMELIGHT_REDIS_URL": redis_url}
    assert check[0].startswith(image.here("/opt/limelight"))

    def healthy() -> bool:
        return (
            subprocess.run(check, env=image.env(**settings), capture_output=True, check=False).returncode == 0
        )

    assert not healthy()
    exporter = subprocess.Popen(
        bound_to_parent(image.command(*image.last("CMD").words)),
        env=image.env(**settings),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(healthy, 30, "the health check says yes")
    finally:
        exporter.terminate()
        assert exporter.wait(20) == 0


def test_it_runs_as_a_number_that_is_not_root() -> None:
    users = [step.rest for step in steps(TEXT) if step.word == "USER"]
    assert users, "no USER"
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", users[-1])


def test_its_entry_point_takes_signals_itself() -> None:
    """A shell before it would keep SIGTERM, and every stop would be a kill."""
    for step in steps(TEXT):
        if step.word in {"ENTRYPOINT", "CMD"}:
            assert step.rest.startswith("[")


def test_labels_say_what_it_is_and_of_which_version() -> None:
    label = " ".join(step.rest for step in steps(TEXT) if step.word == "LABEL")
    for key in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{key}=" in label
    assert f"ARG VERSION={PROJECT['version']}" in TEXT


def test_only_what_the_image_is_made_of_is_sent_to_a_build() -> None:
    sent = set(context())
    assert "queue/limelight/storage/lua/settle.lua" in sent
    assert "exporter/limelight_exporter/py.typed" in sent
    outside = {
        path for path in sent if not path.startswith(("queue/limelight/", "exporter/limelight_exporter/"))
    }
    assert outside == {
        "LICENSE", "README.md", "pyproject.toml", "deploy/requirements.txt", "deploy/build-requirements.txt"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("queue/limelight/task.py", True),
        ("queue/limelight/__pycache__/task.cpython-313.pyc", False),
        ("queue/notes.txt", False),
        (".git/config", False),
        ("deploy/compose/compose.yaml", False),
        ("secret.env", False),
    ],
)
def test_dockerignore_is_an_allow_list(path: str, sent: bool) -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert is_sent(path, [line for line in lines if line and not line.startswith("#")]) is sent


def test_every_dependency_is_locked_to_a_version_that_fits_and_to_hashes() -> None:
    text = (ROOT / "deploy/requirements.txt").read_text(encoding="utf-8")
    locked = dict(re.findall(r"(?m)^([\w.-]+)==(\S+)", text))
    for line in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["exporter"]]:
        wanted = Requirement(line)
        assert wanted.name in locked, f"{wanted.name}: run `make lock`"
        assert wanted.specifier.contains(locked[wanted.name]), f"{line}: run `make lock`"
    for entry in re.findall(r"(?ms)^[\w.-]+==.*?(?=^[\w.-]+==|\Z)", text):
        assert "--hash=sha256:" in entry, entry
