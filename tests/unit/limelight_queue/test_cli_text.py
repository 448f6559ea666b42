"""Durations and numbers are written as the design says."""

import pytest

from limelight.cli import text


@pytest.mark.parametrize(
    ("seconds", "long", "compact"),
    [
        (0, "0 ms", "0ms"),
        (0.031, "31 ms", "31ms"),
        (0.31, "310 ms", "310ms"),
        (0.9994, "999 ms", "999ms"),
        (0.9996, "1.0 s", "1.0s"),
        (8.4, "8.4 s", "8.4s"),
        (9.96, "10 s", "10s"),
        (41.2, "41 s", "41s"),
        (59.7, "1 m", "1m"),
        (400, "6 m 40 s", "6m40s"),
        (7_500, "2 h 5 m", "2h5m"),
        (532_800, "6 d 4 h", "6d4h"),
        (-0.2, "0 ms", "0ms"),
    ],
)
def test_a_duration_has_two_units_at_most(seconds: float, long: str, compact: str) -> None:
    assert text.duration(seconds) == long
    assert text.compact(seconds) == compact


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(0, "0.0s"), (0.06, "0.1s"), (0.9, "0.9s"), (2.2, "2.2s"), (41, "41s"), (400, "6m40s")],
)
def test_an_age_is_never_in_milliseconds(seconds: float, expected: str) -> None:
    assert text.age(seconds) == expected


@pytest.mark.parametrize(
    ("per_second", "expected"),
    [
        (0, "0"),
        (0.01, "<0.1"),
        (0.82, "0.8"),
        (24.0, "24.0"),
        (99.96, "100"),
        (142.3, "142"),
        (5860, "5,860"),
    ],
)
def test_a_rate_has_three_digits_that_count(per_second: float, expected: str) -> None:
    assert text.rate(per_second) == expected


def test_numbers_are_grouped_and_agree_with_their_noun() -> None:
    assert text.counted(1, "task") == "1 task"
    assert text.counted(0, "task") == "0 tasks"
    assert text.counted(42_604, "task") == "42,604 tasks"


def test_a_cut_text_is_marked_and_shows_what_a_terminal_would_obey() -> None:
    assert text.cut("SMTPServerDisconnected", 10) == "SMTPServe…"
    assert text.cut("SMTP", 4) == "SMTP"
    assert text.cut("a\x1b[2Jb\n", 20) == "a\\x1b[2Jb\\n"


@pytest.mark.parametrize(
    "hostile", ["\x1b]0;title\x07", "\x9b31m", "\u202egnp.exe", "a\rb", "\x00", "\ue000", "\u200b"]
)
def test_nothing_that_a_terminal_obeys_is_left_in_what_is_shown(hostile: str) -> None:
    assert text.shown(hostile).isprintable()
    assert text.shown("Grüße 你好 🙂") == "Grüße 你好 🙂"
