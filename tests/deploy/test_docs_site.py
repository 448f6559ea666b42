"""The documentation as a site: it builds without a warning, and every page can be reached."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from dockerfile import ROOT
from missing import missing, needed

from limelight_exporter.catalog import CATALOG


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_build", ROOT / "docs/build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(stage: Path) -> subprocess.CompletedProcess[str]:
    if importlib.util.find_spec("zensical") is None:
        missing("zensical was not found; to run this test: pip install '.[docs]'")
    program = Path(sys.executable).with_name("zensical")
    words = [program, "build", "--clean", "--strict"]
    return subprocess.run(words, cwd=stage, text=True, capture_output=True, check=False)


@pytest.fixture(scope="module")
def stage(build: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as laid out, built, in a folder of the test's."""
    folder: Path = tmp_path_factory.mktemp("site")
    build.STAGE = folder / "stage"
    build.lay_out()
    done = built(build.STAGE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in (done.stdout + done.stderr).lower()
    return folder / "stage"


def test_every_page_is_built_and_in_the_navigation(build: ModuleType, stage: Path) -> None:
    home = (stage / "site/index.html").read_text(encoding="utf-8")
    for name in build.pages():
        place = "" if name == "index.md" else f"{name.removesuffix('.md')}/"
        assert (stage / "site" / place / "index.html").exists(), name
        assert re.search(rf'href="(\./)?{re.escape(place or ".")}', home), f"{name} is in no menu"


def test_a_page_that_nobody_placed_is_found_under_more(build: ModuleType) -> None:
    sections = build.navigation([*build.pages(), "stray.md", "stray/index.md"])
    assert sections["More"][-2:] == ["stray.md", "stray/index.md"]


def test_a_link_that_leads_nowhere_stops_the_build(stage: Path, tmp_path: Path) -> None:
    copy = tmp_path / "stage"
    shutil.copytree(stage, copy, ignore=shutil.ignore_patterns("site", ".cache"))
    page = copy / "pages/concepts.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n[nowhere](nowhere.md)\n", encoding="utf-8")
    assert built(copy).returncode != 0


def test_files_of_the_repository_that_pages_link_to_come_along(stage: Path) -> None:
    page = (stage / "pages/deployment.md").read_text(encoding="utf-8")
    assert "](repository/deploy/compose/compose.yaml.txt)" in page
    assert (stage / "site/repository/deploy/compose/compose.yaml.txt").exists()


def test_the_site_asks_nobody_else_for_anything(stage: Path) -> None:
    for page in (stage / "site").rglob("*.html"):
        loaded = re.findall(
            r'<(?:script|link|img)[^>]+(?:src|href)="(https?://[^"]+)"', page.read_text(encoding="utf-8")
        )
        assert not loaded, f"{page}: {loaded}"


def test_rules_that_keep_celerys_names_are_good_and_ask_for_metrics_that_exist(tmp_path: Path) -> None:
    page = (ROOT / "docs/migrating-from-celery.md").read_text(encoding="utf-8")
    (text,) = re.findall(r'```yaml title="celery-names.rules.yaml"\n(.*?)```', page, re.DOTALL)
    (tmp_path / "celery.yaml").write_text(text)
    promtool = needed(shutil.which("promtool"), "promtool", "apt install prometheus")
    done = subprocess.run(
        [promtool, "check", "rules", "celery.yaml"], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rules = yaml.safe_load(text)["groups"][0]["rules"]
    assert len(rules) > 5
    asked = set(re.findall(r"limelight_\w+", page)) - {"limelight_celery_names"}
    known = {name for metric in CATALOG for name in (metric, f"{metric}_bucket")}
    assert not asked - known
