"""Write deploy/requirements.txt and deploy/build-requirements.txt anew from pyproject.toml; needs uv."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
_HEAD: Final = "# Made by `make lock` from pyproject.toml: what the image {does}, each file by its hash.\n"
_UV: Final = (
    *(sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-header", "--no-annotate"),
)  # fmt: skip


def locked(*words: str, wanted: str = "") -> str:
    """The newest versions that fit together, with the hashes of their files."""
    done = subprocess.run([*_UV, *words], cwd=ROOT, input=wanted, text=True, capture_output=True, check=False)  # noqa: S603
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stdout


def main() -> None:
    """Write both files."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    build = "\n".join(project["build-system"]["requires"])
    made = {
        "requirements.txt": _HEAD.format(does="installs") + locked("--extra", "exporter", "pyproject.toml"),
        "build-requirements.txt": _HEAD.format(does="is built with") + locked("-", wanted=build),
    }
    for name, text in made.items():
        (ROOT / "deploy" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
