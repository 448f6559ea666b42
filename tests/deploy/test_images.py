"""Images of containers: one list names them, every one has a tag, and what was written from the list is fresh."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import stat
from pathlib import Path
from types import ModuleType

import pytest
from dockerfile import ROOT

DIGEST = "sha256:" + "0123456789abcdef" * 4
OURS = "limelight"


@pytest.fixture(scope="module")
def images() -> ModuleType:
    spec = importlib.util.spec_from_file_location("images", ROOT / "deploy/images.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def named(text: str) -> list[str]:
    return re.findall(r"(?m)^(?:FROM|\s*image:)\s+([^\s{]+)", text)


@pytest.fixture
def copy(tmp_path: Path, images: ModuleType) -> Path:
    for name in (images.LIST, *images.FILES):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_image_has_a_tag_that_stands_still(images: ModuleType) -> None:
    for name, image in images.listed(ROOT).items():
        assert re.search(r"\d", image["tag"]), f"{name}: {image['tag']} names no version"
        assert image["digest"] is None or re.fullmatch(r"sha256:[0-9a-f]{64}", image["digest"])


def test_no_file_names_an_image_that_the_list_does_not(images: ModuleType) -> None:
    listed = {images.reference(image) for image in images.listed(ROOT).values()}
    for name in images.FILES:
        for found in named((ROOT / name).read_text(encoding="utf-8")):
            assert found in listed or found.startswith(f"{OURS}:"), f"{name}: {found}"
            assert not found.endswith(":latest")
            assert ":" in found.rpartition("/")[2]


def test_what_was_written_from_the_list_is_fresh(images: ModuleType) -> None:
    assert not [str(path) for path, _ in images.stale(ROOT)], "run `make generate`"


def test_a_new_digest_reaches_every_file(images: ModuleType, copy: Path) -> None:
    path = copy / images.LIST
    path.write_text(path.read_text().replace("digest: null", f"digest: {DIGEST}"))
    written = {file.name: fresh for file, fresh in images.stale(copy)}
    assert set(written) == {"Dockerfile", "compose.yaml"}
    for text in written.values():
        assert all(found.endswith(f"@{DIGEST}") for found in named(text) if not found.startswith(f"{OURS}:"))
        assert images.with_references(text, images.listed(copy)) == text


def docker(folder: Path, script: str) -> str:
    """A `docker` that does as the script says; returns the PATH that has it."""
    program = folder / "bin" / "docker"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return f"{program.parent}:{os.environ['PATH']}"


def test_digests_are_asked_for_tag_by_tag(
    images: ModuleType, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = copy / "asked"
    monkeypatch.setenv("PATH", docker(copy, f'echo "$4" >> {asked}; echo {DIGEST}'))
    images.resolve(copy)
    found = images.listed(copy)
    assert {image["digest"] for image in found.values()} == {DIGEST}
    assert asked.read_text().split() == [f"{image['name']}:{image['tag']}" for image in found.values()]


def test_an_answer_that_is_no_digest_changes_nothing(
    images: ModuleType, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (copy / images.LIST).read_text()
    monkeypatch.setenv("PATH", docker(copy, "echo no such manifest >&2; exit 1"))
    with pytest.raises(SystemExit, match=r"python:3\.13-slim: docker knows no digest: no such manifest"):
        images.resolve(copy)
    assert (copy / images.LIST).read_text() == before
