"""``limelight exporter``: serve metrics, send spans."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Final, TypeVar

import rich_click as click
from click.core import ParameterSource
from rich_click.utils import OptionGroupDict

from limelight.cli.logs import TextLines
from limelight.errors import ConfigurationError
from limelight.storage.address import hidden
from limelight_exporter import config
from limelight_exporter.config_file import Limits
from limelight_exporter.exporter import check, serve
from limelight_exporter.options import OPTIONS, Option

_Command = TypeVar("_Command", bound=Callable[..., object])
_SECTIONS: Final = tuple(dict.fromkeys(option.section for option in OPTIONS.values()))
_log = logging.getLogger(__name__)


def _options(command: _Command) -> _Command:
    """Add the flags of the table, in its order."""
    for option in reversed(OPTIONS.values()):
        if option.flag:
            command = _flag(option)(command)
    return command


def _flag(option: Option) -> Callable[[_Command], _Command]:
    if option.switch:
        return click.option(
            option.flag, option.name, envvar=option.variable, help=option.help, is_flag=True, show_envvar=True
        )
    return click.option(
        option.flag, option.name, envvar=option.variable, metavar=option.metavar, help=option.help,
        default=option.default, multiple=option.many, show_envvar=True, show_default=option.default is not None,
    )  # fmt: skip


def _panels() -> list[OptionGroupDict]:
    by_section = {
        section: [option.flag for option in OPTIONS.values() if option.section == section and option.flag]
        for section in _SECTIONS
    }
    by_section["General"] += ["--check-config", "--help"]
    return [{"name": section, "options": flags} for section, flags in by_section.items()]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(
    help_config=click.RichHelpConfiguration(option_groups={"*": _panels()}, text_paragraph_linebreaks="\n\n")
)
@_options
@click.option(
    "--check-config", is_flag=True, help="Check all settings and files, say what they are, and end."
)
@click.pass_context
def exporter(ctx: click.RichContext, /, *, check_config: bool, **options: Any) -> None:
    """Serve the queues' metrics to Prometheus and send their spans by OTLP.

    Queues are found by themselves. Redis may be down, now or later: the exporter keeps serving, says so in
    limelight_redis_up, and goes on where it was. Spans are sent if an OTLP endpoint is set here or by
    OTEL_EXPORTER_OTLP_ENDPOINT; all standard OTEL_* variables are honoured.

    A password for Redis belongs into a file or into LIMELIGHT_REDIS_PASSWORD: flags can be seen by everybody.

    \b
    Examples:
    limelight exporter
    limelight exporter --redis-url redis://redis:6379/0 --host 0.0.0.0 --web.config.file web.yml
    limelight exporter --otlp-endpoint http://localhost:4318
    limelight exporter --pubsub myapp            # a Huey 1.x named "my-app"
    """  # noqa: D301 - \b keeps the lines apart
    settings = _checked({**options, "redis_password": os.environ.get(OPTIONS["redis_password"].variable)})
    if check_config:
        click.echo(_described(settings))
        return
    _log_to_stderr(settings.log_level)
    shown_to_all = ctx.get_parameter_source("redis_url") is ParameterSource.COMMANDLINE
    if shown_to_all and hidden(settings.redis_url).partition("?")[0] != settings.redis_url.partition("?")[0]:
        _log.warning(
            "the password in --redis-url can be seen in the process list: put it into a file and name that with "
            "--redis-password-file, or set LIMELIGHT_REDIS_URL"
        )
    serve(settings)


def _checked(options: dict[str, Any]) -> config.Settings:
    """The settings; or raise ConfigurationError with every fault, those of the files that they name included."""
    faults: list[str] = []
    settings = config.Settings(web_config_file=options["web_config_file"] or "")
    try:
        settings = config.settings(**options)
    except ConfigurationError as error:
        faults += str(error).split("\n")
    faults += check(settings)
    if len(faults) > 1:
        raise ConfigurationError("\n  ".join([f"{len(faults)} settings cannot be used:", *faults]))
    if faults:
        raise ConfigurationError(faults[0])
    return settings


def _described(settings: config.Settings) -> str:
    file = settings.file
    values = {
        "Redis": settings.redis_address + (" with a password" if settings.redis_password else ""),
        "Listens on": f"{settings.host} port {settings.port}",
        "Web configuration": settings.web_config_file or "none: plain HTTP, everybody is served",
        "Live page": _page(settings),
        "Group": settings.group,
        "State folder": str(settings.state_dir)
        if settings.state_dir
        else "none: Redis alone keeps the state",
        "Queues": " ".join(file.queues.include) + "".join(f" !{pattern}" for pattern in file.queues.exclude),
        "Pub/sub channels": " ".join(settings.pubsub) or "none",
        "Spans": settings.otlp_endpoint or "as the OTEL_ variables say",
        "Buckets": " ".join(f"{bound:g}" for bound in file.buckets),
        "Limits": _limits(file.limits),
        "Log level": settings.log_level,
    }
    return "\n".join(
        ["The configuration is good.", *(f"  {name + ':':<20}{text}" for name, text in values.items())]
    )


def _page(settings: config.Settings) -> str:
    if not settings.page:
        return "none"
    return f"tracebacks {settings.page_tracebacks}, {settings.page_max_clients} viewers at a time"


def _limits(limits: Limits) -> str:
    per_queue = f"{limits.tasks} tasks, {limits.error_types} error types, {limits.series} series"
    return f"{limits.queues} queues; per queue {per_queue}"


def _log_to_stderr(level: str) -> None:
    """Our own words from `level` on; libraries only when they warn, and OTLP's exporters not even then."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(TextLines("%(asctime)s limelight %(levelname)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("limelight_exporter").setLevel(level.upper())
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
