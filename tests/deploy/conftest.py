"""What the tests of the deployment share: the image, built once by the steps of our Dockerfile."""

from __future__ import annotations

import subprocess

import pytest
from dockerfile import Image
from missing import missing


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The image; the packages that it is made of come from the registry, so a laptop without one skips."""
    made = Image(tmp_path_factory.mktemp("image"))
    try:
        made.build()
    except subprocess.CalledProcessError as error:
        if "Failed to establish a new connection" in error.output:
            missing("the image's packages cannot be fetched; to run this test: connect to a package registry")
        pytest.fail(f"{error.cmd}\n{error.output[-3_000:]}", pytrace=False)
    return made
