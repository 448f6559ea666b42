"""Mutates bytes at random, the same way for the same seed: fast, for sweeps of many inputs."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence


def mutated(seeds: Sequence[bytes], tokens: Sequence[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Inputs made from `seeds` by cutting, doubling, flipping and by putting `tokens` in between."""
    chance = random.Random(seed)
    for _ in range(count):
        made = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 6)):
            _change(made, chance, tokens)
        yield bytes(made)


def pieces(whole: bytes, seed: int) -> list[bytes]:
    """The same bytes, as a network might deliver them."""
    chance = random.Random(seed)
    cuts = sorted(chance.randint(0, len(whole)) for _ in range(chance.randint(0, 3)))
    return [
        whole[start:end] for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True) if start < end
    ]


def _change(made: bytearray, chance: random.Random, tokens: Sequence[bytes]) -> None:
    at = chance.randint(0, len(made))
    end = min(len(made), at + chance.randint(1, 20))
    match chance.randint(0, 5):
        case 0:
            del made[at:end]
        case 1:
            made[at:at] = made[at:end] * chance.choice((1, 2, 50))
        case 2 if at < len(made):
            made[at] ^= 1 << chance.randint(0, 7)
        case 3:
            made[at:end] = chance.choice(tokens)
        case 4:
            made[at:at] = chance.randbytes(chance.randint(1, 8))
        case _:
            made[at:at] = chance.choice(tokens)
