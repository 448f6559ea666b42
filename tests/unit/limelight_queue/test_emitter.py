import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from limelight.emitter import RedisEventEmitter, Speaker, about_task, cut, failure, fragment, service_of
from limelight.errors import ConfigurationError


def members(text: str) -> dict[str, object]:
    loaded: dict[str, object] = json.loads('{"a":1' + text + "}")
    return loaded


@given(
    st.dictionaries(
        st.sampled_from("bcdef"),
        st.none() | st.text(st.characters(exclude_categories=["Cs"])) | st.integers(),
    )
)
def test_a_fragment_splices_into_any_object_and_leaves_none_out(values: dict[str, object]) -> None:
    assert members(fragment(values)) == {"a": 1} | {k: v for k, v in values.items() if v is not None}


@given(st.text(), st.integers(100, 400))
def test_a_cut_text_fits_and_keeps_both_ends(text: str, limit: int) -> None:
    short = cut(text, limit)
    assert len(short.encode()) <= limit
    if len(text.encode("utf-8", "replace")) > limit:
        assert "bytes left out" in short


def test_a_failure_names_its_type_as_one_would_write_it() -> None:
    assert failure(ValueError("no"))["error_type"] == "ValueError"
    assert failure(ConfigurationError("no"))["error_type"] == "limelight.errors.ConfigurationError"


def test_an_exception_that_cannot_be_printed_is_still_told() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "could not be read" in str(failure(Mute())["error_message"])


def test_the_service_is_the_applications_by_opentelemetrys_variables() -> None:
    assert service_of({}, "shop") == {"service.name": "shop"}
    environment = {
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=a,team=pay%20ments,broken",
        "OTEL_SERVICE_NAME": "b",
    }
    assert service_of(environment, "shop") == {"service.name": "b", "team": "pay ments"}


def test_two_processes_never_speak_with_one_id() -> None:
    assert Speaker({}).id != Speaker({}).id


def test_the_task_keys_are_all_there() -> None:
    assert members(about_task("1", "send", 2, 0.5)) == {
        "a": 1,
        "id": "1",
        "task": "send",
        "retries": 2,
        "retry_delay": 0.5,
        "execute_time": None,
    }


def test_limits_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="max_events"):
        RedisEventEmitter(max_events=10)
    with pytest.raises(ConfigurationError, match="max_events"):
        RedisEventEmitter(max_events=1e6)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="max_age_seconds"):
        RedisEventEmitter(max_age_seconds=-1)
