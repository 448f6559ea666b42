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


_HELP: Final = click.rich_config(
    help_config={"options_table_column_types": ["opt_long", "opt_short", "metavar", "help"]}
)


class InOrder(click.RichGroup):
    """A group that lists its commands in the order in which they were added: that of use."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Their names."""
        return list(self.commands)


def common(command: _Command) -> _Command:
    """Add which Redis, and how to print."""
    json_option = click.option(
        "--json", "as_json", is_flag=True, help="One JSON object per line, for machines."
    )
    return _HELP(json_option(color_option(url_option(command))))
