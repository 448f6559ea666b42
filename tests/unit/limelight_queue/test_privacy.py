import pytest

from limelight import ConfigurationError, Privacy
from limelight.emitter import failure
from limelight.events import MESSAGE_LIMIT_BYTES, TRACEBACK_LIMIT_BYTES
from limelight.privacy import privacy_of

SECRET = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
CARDS = (r"sk_live_\w+",)


def raised(text: str) -> ValueError:
    def refuse() -> None:
        raise ValueError(text)

    try:
        refuse()
    except ValueError as error:
        return error
    raise AssertionError("it was to raise")


def test_what_matches_is_redacted_in_message_and_traceback() -> None:
    privacy, error = Privacy(redact=CARDS), raised(f"card {SECRET} declined")
    keys = failure(error, privacy.traceback(error), privacy)
    assert keys["error_message"] == "card [redacted] declined"
    assert SECRET not in (keys["traceback"] or "")
    assert "ValueError: card [redacted] declined" in (keys["traceback"] or "")


@pytest.mark.parametrize("limit", [MESSAGE_LIMIT_BYTES, TRACEBACK_LIMIT_BYTES])
def test_no_half_of_a_secret_is_left_where_a_text_is_cut(limit: int) -> None:
    privacy = Privacy(redact=CARDS)
    for before in range(limit // 2 - 40, limit // 2 + 1):
        text = "x" * before + SECRET + "y" * limit
        keys = failure(ValueError(text), text, privacy)
        assert "sk_live" not in (keys["error_message"] or "")
        assert "sk_live" not in (keys["traceback"] or "")
        assert "tT1zdp7dc" not in f"{keys}"


def test_without_messages_the_type_and_the_lines_of_code_remain() -> None:
    privacy, error = Privacy(messages=False), raised(SECRET)
    error.add_note(SECRET)
    keys = failure(error, privacy.traceback(error), privacy)
    assert keys["error_type"] == "ValueError"
    assert keys["error_message"] is None
    assert "raise ValueError(text)" in (keys["traceback"] or "")
    assert SECRET not in f"{keys}"


def test_without_tracebacks_there_is_none() -> None:
    privacy, error = Privacy(tracebacks=False), raised("seen")
    keys = failure(error, privacy.traceback(error), privacy)
    assert (keys["error_message"], keys["traceback"]) == ("seen", None)


def test_the_environment_may_ask_for_privacy() -> None:
    assert privacy_of({}) == Privacy()
    asked = {"LIMELIGHT_ERROR_MESSAGES": "off", "LIMELIGHT_TRACEBACKS": "False", "LIMELIGHT_REDACT": r"\d{4}"}
    assert privacy_of(asked) == Privacy(messages=False, tracebacks=False, redact=(r"\d{4}",))


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"LIMELIGHT_ERROR_MESSAGES": "maybe"}, "LIMELIGHT_ERROR_MESSAGES"),
        ({"LIMELIGHT_TRACEBACKS": "-"}, "LIMELIGHT_TRACEBACKS"),
        ({"LIMELIGHT_REDACT": "(open"}, "no regular expression"),
        ({"LIMELIGHT_REDACT": "x*"}, "empty text"),
    ],
)
def test_privacy_that_cannot_be_had_is_refused_and_never_left_out(
    environment: dict[str, str], named: str
) -> None:
    with pytest.raises(ConfigurationError, match=named):
        privacy_of(environment)


def test_one_expression_must_be_written_as_several() -> None:
    with pytest.raises(ConfigurationError, match="several"):
        Privacy(redact="secret")
