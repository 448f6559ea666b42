"""`limelight`: one command, whose parts are entry points, so that the queue never imports the exporter."""

from __future__ import annotations

import importlib.util
import logging
import sys
from importlib.metadata import EntryPoint, entry_points, version
from typing import Final

import rich_click as click

from limelight.errors import (
    ConfigurationError,
    LimelightError,
    OutcomeUnknown,
    RedisRefused,
    RedisUnavailable,
    TaskNotFound,
    UnknownQueue,
)

from .text import shown

GROUP: Final = "limelight.commands"
EXIT_USAGE: Final = 2
EXIT_REDIS: Final = 3
EXIT_NOT_FOUND: Final = 4
_EXTRA_OF: Final = {"limelight_exporter": "exporter"}


class Commands(click.RichGroup):
    """Finds its commands among the installed entry points and imports only the one that is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Names of all commands, in the order of use."""
        return sorted(entry_points(group=GROUP).names)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command; a missing extra becomes a command that says what to install."""
        for entry in entry_points(group=GROUP, name=cmd_name):
            return _load(entry)
        return None


def _load(entry: EntryPoint) -> click.Command:
    try:
        command: click.Command = entry.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing == "limelight" or importlib.util.find_spec(missing) is not None:
            raise
        return _explains(entry, missing)
    return command


def _explains(entry: EntryPoint, missing: str) -> click.Command:
    extra = _EXTRA_OF.get(entry.module.partition(".")[0], "exporter")

    @click.command(
        entry.name,
        short_help=f"(needs the extra [{extra}])",
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
    )
    def explain() -> None:
        raise ConfigurationError(
            f"`limelight {entry.name}` needs the package {missing!r}: pip install 'limelight[{extra}]'"
        )

    return explain


@click.rich_config(help_config=click.RichHelpConfiguration(text_paragraph_linebreaks="\n\n"))
@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(version("limelight"), "-V", "--version", prog_name="limelight")
def limelight() -> None:
    """A Redis task queue whose every task is in the light.

    \b
    Start here:   limelight demo
    Run tasks:    limelight consumer app.tasks:queue
    See queues:   limelight queue ls
    Watch them:   limelight events tail
    Follow one:   limelight trace ID
    Metrics:      limelight exporter
    In trouble:   limelight doctor
    """  # noqa: D301 - \b keeps the lines apart


def main() -> None:
    """Run the command; an error of ours becomes one line on stderr and an exit code."""
    try:
        limelight(prog_name="limelight")
    except LimelightError as error:
        logging.shutdown()
        lines = [shown(line) for line in str(error).split("\n")]  # it may quote what stands in Redis
        print("limelight:", "\n".join(lines), file=sys.stderr)  # noqa: T201
        sys.exit(exit_code(error))


def exit_code(error: LimelightError) -> int:
    """2: used wrongly; 3: Redis; 4: no such queue or task; 1: anything else."""
    if isinstance(error, ConfigurationError):
        return EXIT_USAGE
    if isinstance(error, UnknownQueue | TaskNotFound):
        return EXIT_NOT_FOUND
    return EXIT_REDIS if isinstance(error, RedisUnavailable | RedisRefused | OutcomeUnknown) else 1
