"""Error budgets that are spent too fast: objectives that tasks declare, and failures of those that declare none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from . import recording
from .promql import OBJECTIVE, TASK, by
from .recording import recorded
from .rule import Alert, Group
from .settings import Settings

_KEEP: Final = "15m"
"""An hourly batch that fails is one alert and not one every hour."""


@dataclass(frozen=True, slots=True)
class _Burn:
    """A pair of windows: the long one says that it matters, the short one that it lasts.

    Windows and factors are those of chapter 5 of Google's SRE workbook.
    """

    long: str
    short: str
    factor: float
    severity: str
    wait: str


_BURNS: Final = (
    _Burn("1h", "5m", 14.4, "critical", "2m"),
    _Burn("6h", "30m", 6, "critical", "15m"),
    _Burn("3d", "6h", 1, "warning", "1h"),
)


def group(settings: Settings) -> Group:
    """All of them."""
    rules = [*_objectives(settings), *_failures(settings), *_always(settings)]
    return Group(name="limelight.burn", rules=rules)


def _objectives(settings: Settings) -> Iterator[Alert]:
    limits = settings.limits
    for burn in _BURNS:
        most = f"clamp_max({burn.factor:g} * {recording.BUDGET}, {limits.most_bad_share:g})"
        sides = [
            f"({recorded(settings, recording.bad_ratio(window))} > on ({by(*OBJECTIVE)}) {most})"
            for window in (burn.long, burn.short)
        ]
        volume = f"{recorded(settings, recording.evaluated(burn.long))} * {settings.seconds(burn.long):g}"
        yield Alert(
            name="TaskSLOBurn",
            expr="\nand\n".join((*sides, f"({volume} >= {limits.fewest_completions})")),
            wait=settings.span(burn.wait),
            keep=settings.span(_KEEP) if burn.severity == "critical" else "",
            severity=burn.severity,
            labels={"window": burn.long},
            summary="A task misses its objective so often that its error budget will not last.",
            description="{{ $labels.task }} on {{ $labels.queue }} missed its objective for {{ $labels.objective }} in "
            f"{{{{ $value | humanizePercentage }}}} of cases over {burn.long} ({burn.factor:g} times its budget).",
            dashboard="task",
            about=TASK,
        )


def _failures(settings: Settings) -> Iterator[Alert]:
    limits = settings.limits
    declared = f'{recording.BUDGET}{{objective="success"}}'
    for burn in _BURNS:
        most = f"{burn.factor * limits.failure_budget_share:g}"
        sides = [
            f"({recorded(settings, recording.failed_ratio(window))} > {most})"
            for window in (burn.long, burn.short)
        ]
        volume = f"{recorded(settings, recording.completed(burn.long))} * {settings.seconds(burn.long):g}"
        burning = "\nand\n".join((*sides, f"({volume} >= {limits.fewest_completions})"))
        yield Alert(
            name="TaskFailureBurnRate",
            expr=f"{burning}\nunless on ({by(*TASK)})\n{declared}",
            wait=settings.span(burn.wait),
            keep=settings.span(_KEEP) if burn.severity == "critical" else "",
            severity=burn.severity,
            labels={"window": burn.long},
            summary="A task fails so often that its error budget will not last.",
            description="{{ $value | humanizePercentage }} of {{ $labels.task }} on {{ $labels.queue }} failed over "
            f"{burn.long}; {limits.failure_budget_share:.3g} may, and it declares no objective of its own.",
            dashboard="task",
            about=TASK,
        )


def _always(settings: Settings) -> Iterator[Alert]:
    failed, succeeded = (
        recorded(settings, name).replace("1d[", '1d{task!="_unknown"}[')
        for name in (recording.FAILED_DAY, recording.SUCCEEDED_DAY)
    )
    yield Alert(
        name="TaskAlwaysFails",
        expr=f"{failed} > 0\nunless\n{succeeded} > 0",
        wait=settings.span("15m"),
        severity="warning",
        summary="A task failed all day and never succeeded.",
        description="{{ $labels.task }} on {{ $labels.queue }} failed {{ $value | humanize }} times within a day and "
        "did not succeed once; it is too rare for a burn rate.",
        dashboard="task",
        about=TASK,
    )
