"""Bugs that can be planted."""

import re

import pytest
from chaos.plants import PLANTS, CodePlant
from chaos.verdict import CHECKS

from limelight.storage.scripts import SCRIPTS


@pytest.mark.parametrize("name", PLANTS)
def test_every_bug_still_has_its_place(name: str) -> None:
    bug = PLANTS[name]
    assert bug.caught_by in CHECKS
    if isinstance(bug, CodePlant):
        assert re.search(bug.pattern, bug.source()), f"{bug.pattern} is not in {bug.place} any more"
        return
    places = [script.name for script in SCRIPTS.values() if bug.fits(script)]
    assert places, f"{bug.pattern} is not in {bug.script or 'any script'} any more: write the plant anew"
