"""Bugs that can be planted."""

import re

import pytest
from chaos.plants import PLANTS
from chaos.verdict import CHECKS

from limelight.storage.scripts import SCRIPTS


@pytest.mark.parametrize("name", PLANTS)
def test_every_bug_still_has_its_place_in_the_scripts(name: str) -> None:
    bug = PLANTS[name]
    places = [
        script.name
        for script in SCRIPTS.values()
        if bug.script in {"", script.name} and re.search(bug.pattern, script.source.decode())
    ]
    assert places, f"{bug.pattern} is not in {bug.script or 'any script'} any more: write the plant anew"
    assert bug.caught_by in CHECKS
