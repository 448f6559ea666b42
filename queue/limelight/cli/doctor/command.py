"""`limelight doctor`: one page of checks, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import rich_click as click

from limelight.cli.redis_options import checked, color_option, url_option
from limelight.cli.terminal import console, quiet_end
from limelight.emitter import RedisEventEmitter
from limelight.errors import OutcomeUnknown, RedisRefused, RedisUnavailable
from limelight.storage.address import Address

from .examination import Examination
from .finding import Finding, Status
from .page import JsonLines, Page


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("queues", nargs=-1, metavar="[QUEUE]...")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="One object per finding: check, status, queue, found, detail, fix.",
)
@click.option("--repair", is_flag=True, help="Put tasks back that fell out of their index; says what it did.")
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings too.")
@click.option(
    "--max-events", type=click.IntRange(1_000), default=RedisEventEmitter().max_events, show_default=True,
    help="What the application gives its RedisEventEmitter; Redis does not know.",
)  # fmt: skip
@click.option(
    "--pubsub", "channels", multiple=True, metavar="CHANNEL",
    help="Whether an exporter may listen to this channel of Huey 1.x, too. May be given more than once.",
)  # fmt: skip
@color_option
@url_option
@click.pass_context
def doctor(
    ctx: click.Context, queues: tuple[str, ...], as_json: bool, repair: bool, strict: bool, max_events: int,
    channels: tuple[str, ...], color: bool, url: str,
) -> None:  # fmt: skip
    """Check a Redis and its queues: what is well, what is not, what to do.

    Without QUEUE all queues are examined. Nothing is changed, unless --repair is given: then a task whose record
    stands in no index (after an eviction, a restore, or somebody's hand) is put back. If it was running, it gets one
    lease of time; a worker that is alive goes on with it, otherwise it is delivered again.

    \b
    Exit code:
    0  no problem      1  a problem was found      3  Redis cannot be reached      4  no such queue

    \b
    Examples:
    limelight doctor
    limelight doctor mail --repair
    limelight doctor --pubsub myapp
    limelight doctor --json --url rediss://app:secret@redis:6379/0 | jq 'select(.status != "ok")'
    """  # noqa: D301 - \b keeps the lines apart
    address = Address(url, {})
    page: Page | JsonLines = JsonLines() if as_json else Page(console(color=color))
    statuses: set[Status] = set()
    with quiet_end():
        try:
            examination = Examination(address, cap=max_events)
            for finding in _findings(examination, queues, channels, address.shown, repair=repair):
                page.show(finding)
                statuses.add(finding.status)
        except (RedisUnavailable, OutcomeUnknown, RedisRefused) as error:
            if as_json:
                page.show(Finding(check="connection", status=Status.FAIL, found=str(error)))
            raise
        page.end()
    ctx.exit(1 if Status.FAIL in statuses or (strict and Status.WARN in statuses) else 0)


def _findings(
    examination: Examination, chosen: Sequence[str], channels: Sequence[str], where: str, *, repair: bool
) -> Iterator[Finding]:
    yield from examination.servers()
    yield from map(examination.channel, channels)
    known = examination.queues()
    queues = checked(chosen, known, where) if known else chosen
    if not queues and not known:
        yield examination.rights()
    for queue in queues or known:
        yield examination.rights(queue)
        yield from examination.queue(queue, repair=repair)
