"""The colours of the live page: readable in both schemes, and told apart by whoever sees fewer of them."""

from __future__ import annotations

import re

import pytest

from limelight_exporter.page.document import ASSETS

CSS = ASSETS["limelight.css"].body.decode()
SCHEMES = {
    scheme: dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for scheme, block in zip(("light", "dark"), re.findall(r":root \{(.*?)\}", CSS, re.S), strict=True)
}
TEXT = [
    ("ink", "paper"), ("ink-2", "paper"), ("ink-3", "paper"), ("ink-3", "sunk"), ("ink-3", "raised"), ("ink-2", "sunk"),
    ("run", "run-soft"), ("run", "paper"), ("fail", "fail-soft"), ("fail", "paper"), ("fail", "sunk"),
    ("warn", "warn-soft"), ("warn", "paper"), ("ink", "warn-soft"), ("paper", "ink"),
]  # fmt: skip
FORMS = [
    ("wait", "paper"),
    ("line-strong", "paper"),
    ("focus", "paper"),
    ("lime-ring", "paper"),
    ("run", "raised"),
]
# Machado, Oliveira & Fernandes 2009, severity 1.
SIGHTS = {
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}


def _linear(colour: str) -> list[float]:
    channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in channels]


def _luminance(colour: str) -> float:
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), _linear(colour), strict=True))


def contrast(one: str, other: str) -> float:
    """By WCAG 2.2."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _lab(rgb: list[float]) -> list[float]:
    red, green, blue = rgb

    def root(value: float) -> float:
        return max(value, 0.0) ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116

    x = root((0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047)
    y = root(0.2126 * red + 0.7152 * green + 0.0722 * blue)
    z = root((0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883)
    return [116 * y - 16, 500 * (x - y), 200 * (y - z)]


def _seen(colour: str, sight: str) -> list[float]:
    rgb = _linear(colour)
    rows = SIGHTS[sight]
    return [min(1.0, max(0.0, sum(a * b for a, b in zip(row, rgb, strict=True)))) for row in rows]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_has_a_contrast_of_four_and_a_half_and_forms_of_three(scheme: str) -> None:
    colours = SCHEMES[scheme]
    low = [(pair, ratio) for pair in TEXT if (ratio := contrast(*(colours[name] for name in pair))) < 4.5]
    low += [(pair, ratio) for pair in FORMS if (ratio := contrast(*(colours[name] for name in pair))) < 3]
    assert low == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", SIGHTS)
def test_what_ran_and_what_failed_differ_for_every_eye(scheme: str, sight: str) -> None:
    ran, failed = (_lab(_seen(SCHEMES[scheme][name], sight)) for name in ("run", "fail"))
    assert sum((a - b) ** 2 for a, b in zip(ran, failed, strict=True)) ** 0.5 > 40


def test_both_schemes_name_the_same_colours() -> None:
    assert SCHEMES["dark"].keys() == SCHEMES["light"].keys()


def test_nothing_is_loaded_from_elsewhere() -> None:
    assert not re.search(r"@import|@font-face|https?:|data:", CSS)
    assert re.findall(r"url\(([^)]*)\)", CSS) == ["#hatch"]
