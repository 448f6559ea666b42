"""What the commands on queues have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import rich_click as click

from limelight.cli.redis_options import color_option, url_option

_Command = TypeVar("_Command", bound=Callable[..., Any])
SETTINGS: Final = {"help_option_names": ["-h", "--help"]}

queue_argument = click.argument("name", metavar="QUEUE")
yes_option = click.option(
    "-y", "--yes", is_flag=True, help="Do not ask first; needed where nobody can be asked."
)


def common(command: _Command) -> _Command:
    """Add which Redis, and how to print."""
    json_option = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object per line, for machines."
    )
    return json_option(color_option(url_option(command)))
