"""Write the images of deploy/images.yaml into the files that name them, and look up their digests.

python deploy/images.py              writes Dockerfile and compose.yaml
python deploy/images.py --check      says which of them are stale, and changes nothing
python deploy/images.py --resolve    asks the registries first what each tag is today; needs docker with buildx
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
LIST: Final = "deploy/images.yaml"
FILES: Final = ("Dockerfile", "deploy/compose/compose.yaml")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


def listed(root: Path) -> dict[str, dict[str, Any]]:
    """The images, by what they are for: ``name``, ``tag`` and ``digest``, which may be None."""
    images: dict[str, dict[str, Any]] = yaml.safe_load((root / LIST).read_text(encoding="utf-8"))["images"]
    return images


def reference(image: Mapping[str, Any]) -> str:
    """How the image is named elsewhere: with its digest, where one is known."""
    digest = image["digest"]
    return f"{image['name']}:{image['tag']}{f'@{digest}' if digest else ''}"


def with_references(text: str, images: Mapping[str, Mapping[str, Any]]) -> str:
    """The text with each of the images named as the list says, whatever tag or digest it had there."""
    for image in images.values():
        text = re.sub(rf"{re.escape(image['name'])}:[\w.-]+(?:@sha256:[0-9a-f]+)?", reference(image), text)
    return text


def stale(root: Path) -> Iterator[tuple[Path, str]]:
    """The files that name an image otherwise than the list, each with what it should say."""
    images = listed(root)
    for name in FILES:
        text = (root / name).read_text(encoding="utf-8")
        if (fresh := with_references(text, images)) != text:
            yield root / name, fresh


def resolve(root: Path) -> None:
    """Ask for the digest of each tag (of its index, which serves every architecture), and write it into the list.

    Raises ``SystemExit`` where docker cannot be asked or does not answer with a digest.
    """
    path = root / LIST
    text = path.read_text(encoding="utf-8")
    for key, image in listed(root).items():
        named = f"{image['name']}:{image['tag']}"
        text = re.sub(rf"(?m)^(  {key}: .*digest: )[^}}]*", rf"\g<1>{_digest(named)}", text)
    path.write_text(text, encoding="utf-8")


def _digest(named: str) -> str:
    words = ["docker", "buildx", "imagetools", "inspect", named, "--format", "{{.Manifest.Digest}}"]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise SystemExit(
            "docker was not found; digests are looked up with `docker buildx imagetools`"
        ) from None
    digest = done.stdout.strip()
    if done.returncode or not _DIGEST.fullmatch(digest):
        raise SystemExit(f"{named}: docker knows no digest: {(done.stderr or done.stdout).strip()[-300:]}")
    return digest


def main() -> int:
    """Write, or with ``--check`` say what is stale: then 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--resolve", action="store_true")
    asked = parser.parse_args()
    if asked.resolve:
        resolve(ROOT)
    found = list(stale(ROOT))
    for path, fresh in found:
        if asked.check:
            print(f"{path.relative_to(ROOT)} is stale: run `make generate`")
        else:
            path.write_text(fresh, encoding="utf-8")
    return 1 if found and asked.check else 0


if __name__ == "__main__":
    sys.exit(main())
