"""`limelight queue`: the group of the commands on queues."""

from __future__ import annotations

import rich_click as click

from .changing import cancel, flush, pause, resume, revoke
from .dead import dead
from .looking import list_queues, peek, show
from .options import SETTINGS, InOrder


@click.group(cls=InOrder, context_settings=SETTINGS)
def queue() -> None:
    """Look at queues, and do what an operator does.

    QUEUE is the name of a queue that has been used; its application is not needed.

    Exit codes: 0 done, 1 not done, 2 used wrongly, 3 Redis, 4 not found.

    \b
    See all:       limelight queue ls --watch
    See one:       limelight queue show mail
    See tasks:     limelight queue peek mail
    See failures:  limelight queue dead ls mail
    """  # noqa: D301 - \b keeps the lines apart


for command in (list_queues, show, peek, flush, cancel, pause, resume, revoke, dead):
    queue.add_command(command)
