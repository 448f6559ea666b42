"""The account of a run as people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from .verdict import Evidence, Finding

_SHOWN: int = 5


def happened(evidence: Evidence, struck: Counter[str]) -> Table:
    """What was thrown, and what came of it."""
    table = Table(title="what happened", title_justify="left")
    table.add_column("what")
    table.add_column("how often", justify="right")
    for fault, count in sorted(struck.items()):
        table.add_row(f"fault · {fault}", f"{count:,}")
    table.add_section()
    for outcome, count in sorted(Counter(one.outcome for one in evidence.events if one.outcome).items()):
        table.add_row(f"run closed as · {outcome}", f"{count:,}")
    table.add_section()
    table.add_row("events", f"{len(evidence.events):,}")
    table.add_row("of them trimmed unread", f"{len(evidence.lost):,}")
    table.add_row("times that Redis went back", f"{evidence.rollbacks:,}")
    table.add_row("series in Prometheus", f"{sum(map(len, evidence.scraped.values())):,}")
    table.add_row(
        "samples in Prometheus",
        f"{sum(len(one.values) for series in evidence.scraped.values() for one in series):,}",
    )
    return table


def account(findings: Sequence[Finding]) -> Table:
    """The verdict, check by check."""
    table = Table(title="verdict", title_justify="left")
    table.add_column("check")
    table.add_column("rule")
    table.add_column("", justify="right")
    for finding in findings:
        count = len(finding.problems)
        table.add_row(finding.check, finding.rule, f"[red]{count} wrong[/]" if count else "[green]holds[/]")
        for problem in finding.problems[:_SHOWN]:
            table.add_row("", f"[red]{problem}[/]")
        if count > _SHOWN:
            table.add_row("", f"[red]… and {count - _SHOWN} more[/]")
    return table
