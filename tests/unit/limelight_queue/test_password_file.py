"""A password that comes from a file which the URL names."""

from pathlib import Path

import pytest

from limelight.errors import ConfigurationError
from limelight.storage.address import Address

FORMS = [
    "redis://app@localhost:6379/0",
    "rediss://app@localhost:6379/0",
    "redis://app:old@localhost:6379/0",
    "redis+cluster://app@node:6379",
]


@pytest.mark.parametrize("form", FORMS)
def test_its_first_line_is_the_password(form: str, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("ge @:/heim\nnot this\n")
    address = Address(f"{form}?password_file={tmp_path}/password", {})
    made = address._made()
    assert made.credential_provider is None
    assert (made.username, made.password) == ("app", "ge @:/heim")
    assert "heim" not in address.shown


def test_it_may_be_an_option(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("geheim")
    assert Address("redis://localhost", {"password_file": tmp_path / "password"})._made().password == "geheim"


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "cannot be read: No such file"), (b"\n", "is empty"), (b"\xff\xfe", "it is no text")],
)
def test_a_file_without_a_password_is_refused_at_the_door(
    content: bytes | None, told: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / "password").write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"^password_file: .*{told}"):
        Address(f"redis://localhost?password_file={tmp_path}/password", {})
