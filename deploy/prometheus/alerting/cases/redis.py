"""Cases of Redis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from limelight_exporter import catalog

from .case import CRITICAL, WARNING, Case, series

_SERVER: Final = {"redis": "redis:6379"}

CASES: Final[Sequence[Case]] = (
    Case(
        alert="RedisDown",
        rule="if no exporter reaches it, it is critical, if one does, a warning; both clear",
        given=[
            series(catalog.REDIS_UP, "1x5 0x20 1x10"),
            series(catalog.REDIS_UP, "1x15 0x10 1x10", instance="b"),
        ],
        firing={
            "5m": [],
            "10m": [{**_SERVER, "instance": "a", **WARNING}],
            "20m": [
                {**_SERVER, "instance": "a", **WARNING},
                {**_SERVER, "instance": "b", **WARNING},
                {**_SERVER, **CRITICAL},
            ],
            "30m": [],
        },
    ),
    Case(
        alert="RedisDown",
        rule="one scrape without it is a restart",
        given=[series(catalog.REDIS_UP, "1x5 0 1x30")],
        firing={"6m": [], "8m": []},
    ),
    Case(
        alert="RedisEvictionUnsafe",
        rule="a policy that drops keys fires, noeviction clears",
        given=[series(catalog.EVICTION_SAFE, "1x5 0x10 1x10")],
        firing={"5m": [], "12m": [{**_SERVER, **WARNING}], "18m": []},
    ),
    Case(
        alert="RedisEvictionUnsafe",
        rule="somebody who changes it and back is quicker",
        given=[series(catalog.EVICTION_SAFE, "1x5 0x3 1x20")],
        firing={"8m": [], "12m": []},
    ),
    Case(
        alert="RedisMemoryNearlyFull",
        rule="85 of 100 are a warning, 97 are critical, 40 clear",
        given=[
            series(catalog.MEMORY_USED, "40x5 85x10 97x10 40x10"),
            series(catalog.MEMORY_MAX, "100x40"),
        ],
        firing={
            "5m": [],
            "13m": [{**_SERVER, **WARNING}],
            "23m": [{**_SERVER, **WARNING}, {**_SERVER, **CRITICAL}],
            "33m": [],
        },
    ),
    Case(
        alert="RedisMemoryNearlyFull",
        rule="a peak of a minute passes",
        given=[series(catalog.MEMORY_USED, "40x5 97 40x20"), series(catalog.MEMORY_MAX, "100x40")],
        firing={"6m": [], "8m": []},
    ),
    Case(
        alert="RedisMemoryNearlyFull",
        rule="without a limit nothing is nearly full, and 79 of 100 is not",
        given=[
            series(catalog.MEMORY_USED, "900x40"),
            series(catalog.MEMORY_MAX, "0x40"),
            series(catalog.MEMORY_USED, "79x40", redis="b:6379"),
            series(catalog.MEMORY_MAX, "100x40", redis="b:6379"),
        ],
        firing={"20m": [], "30m": []},
    ),
)
