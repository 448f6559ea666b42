import logging
import random
import uuid

import pytest

from limelight.sampling import RootSampler, root_sampler
from limelight.tracecontext import trace_id_of

RATIO_ARG = "OTEL_TRACES_SAMPLER_ARG"


@pytest.mark.parametrize("version", [4, 7])
@pytest.mark.parametrize("ratio", [0.01, 0.1, 0.5, 0.9])
def test_a_ratio_keeps_that_share_of_tasks_ids(ratio: float, version: int) -> None:
    chance = random.Random(7)
    ids = [
        trace_id_of(str(uuid.UUID(int=chance.getrandbits(128), version=version if version < 6 else 4)))
        for _ in range(20_000)
    ]
    if version == 7:  # the time above, chance below
        ids = [f"0199f3a1b2c37{one[13:]}" for one in ids]
    kept = sum(RootSampler(ratio).flags(one) for one in ids) / len(ids)
    assert kept == pytest.approx(ratio, abs=4 * (ratio * (1 - ratio) / len(ids)) ** 0.5)


def test_who_is_kept_at_a_small_ratio_is_kept_at_a_larger_one() -> None:
    ids = [trace_id_of(str(uuid.uuid4())) for _ in range(2_000)]
    for one in ids:
        decisions = [RootSampler(ratio).flags(one) for ratio in (0.0, 0.2, 0.4, 0.8, 1.0)]
        assert decisions == sorted(decisions)
        assert (decisions[0], decisions[-1]) == (0, 1)


@pytest.mark.parametrize(
    ("environment", "ratio"),
    [
        ({}, 1.0),
        ({"OTEL_TRACES_SAMPLER": ""}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "always_on"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "always_off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "ParentBased_Always_Off"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", RATIO_ARG: "0.25"}, 0.25),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", RATIO_ARG: "0"}, 0.0),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio"}, 1.0),
        ({"OTEL_TRACES_SAMPLER": "always_on", RATIO_ARG: "0.1"}, 1.0),
        ({RATIO_ARG: "0.1"}, 1.0),
        ({"OTEL_SDK_DISABLED": "True"}, 0.0),
    ],
)
def test_the_standard_variables_name_the_sampler(
    environment: dict[str, str], ratio: float, caplog: pytest.LogCaptureFixture
) -> None:
    assert root_sampler(environment) == RootSampler(ratio)
    assert not caplog.records


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_SAMPLER": "jaeger_remote"}, "jaeger_remote"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", RATIO_ARG: "10%"}, "10%"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", RATIO_ARG: "1.5"}, "1.5"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", RATIO_ARG: "nan"}, "nan"),
    ],
)
def test_a_value_that_cannot_be_used_is_warned_of_and_the_default_taken(
    environment: dict[str, str], named: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "limelight"):
        assert root_sampler(environment) == RootSampler(1.0)
    assert named in caplog.text
