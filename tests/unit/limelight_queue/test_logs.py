import logging
import sys

from limelight.cli.logs import TextLines

FORGED = "gone\n2026-11-23 03:00:00,000 INFO    MainThread all is well\x1b[2J"


def text(message: str, *args: object, exc_info: bool = False) -> str:
    info = sys.exc_info() if exc_info else None
    record = logging.LogRecord("limelight", logging.WARNING, "a.py", 1, message, args, info)
    return TextLines("%(levelname)s %(message)s").format(record)


def test_what_a_record_quotes_cannot_pass_for_another_record() -> None:
    lines = text("failed: %s", FORGED).split("\n")
    assert lines[0] == "WARNING failed: gone"
    assert all(line.startswith("    ") for line in lines[1:])
    assert len(lines) == 2


def test_a_traceback_is_indented_as_a_whole() -> None:
    try:
        int(FORGED)
    except ValueError:
        first, *rest = text("failed", exc_info=True).split("\n")
    assert first == "WARNING failed"
    assert rest[0] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in rest)


def test_nothing_that_is_logged_steers_a_terminal() -> None:
    seen = text("%s", "\x1b[31m\x07\x9b2J\u202e" + FORGED)
    assert all(char.isprintable() or char == "\n" for char in seen), ascii(seen)
