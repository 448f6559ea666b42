"""`limelight demo`: everything at once, to see what it is."""

from __future__ import annotations

import os
import sys

import rich_click as click

from limelight_exporter import config
from limelight_exporter.demo.stage import Options, run


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(
    help_config={
        "options_table_column_types": ["opt_long", "opt_short", "help"],
        "padding_helptext_first_line": (0, 0, 1, 0),
    }
)
@click.option(
    "--rate",
    type=click.FloatRange(0.1, 500),
    default=10.0,
    show_default=True,
    metavar="TASKS",
    help="Tasks per second that customers enqueue; what these enqueue themselves comes on top.",
)
@click.option(
    "--duration",
    type=click.FloatRange(1),
    metavar="SECONDS",
    help="End after so long; without it the demo runs until Ctrl-C or q.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=config.DEFAULT_PORT,
    show_default=True,
    help="Where the exporter listens; 0 takes any free port.",
)
@click.option(
    "--host",
    default=config.DEFAULT_HOST,
    show_default=True,
    metavar="ADDRESS",
    help="On which address it listens.",
)
@click.option(
    "--redis-url",
    metavar="URL",
    help="Use this Redis, and leave the queues demo-shop and demo-mail there; without it the demo has one of its own.",
)
@click.option(
    "--otlp-endpoint",
    metavar="URL",
    envvar="LIMELIGHT_OTLP_ENDPOINT",
    show_envvar=True,
    help="Where traces go, http://localhost:4318 for a Jaeger on this machine.",
)
@click.option("--no-color", is_flag=True, help="Draw without colour, as NO_COLOR does.")
def demo(
    rate: float,
    duration: float | None,
    port: int,
    host: str,
    redis_url: str | None,
    otlp_endpoint: str | None,
    no_color: bool,
) -> None:
    """Run an order shop in the light: tasks, consumers, metrics and traces, in one terminal.

    \b
    It starts a Redis, two consumers, some impatient customers and the exporter.
    Orders are placed, cards are charged (some banks do not answer), mails are
    sent, invoices are drawn. You watch. At the end it holds the numbers of
    /metrics against what it counted itself, says whether anything was lost,
    and ends with 1 if so.

    \b
    q or Ctrl-C   stop; tasks that run may end, then everything goes away
    e             cause an error: a customer pays with a stolen card

    \b
    limelight demo
    limelight demo --rate 100 --duration 60
    limelight demo --otlp-endpoint http://localhost:4318
    limelight demo --port 0 --duration 10 > demo.log
    curl -s localhost:9898/metrics | grep limelight_tasks   (meanwhile)
    """  # noqa: D301 - \b keeps the lines apart
    options = Options(
        redis_url=redis_url, rate=rate, duration=duration, host=host, port=port,
        otlp_endpoint=otlp_endpoint, color=not no_color,
    )  # fmt: skip
    try:
        sys.exit(run(options))
    except BrokenPipeError:  # whoever read our lines has gone, which is no fault
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
