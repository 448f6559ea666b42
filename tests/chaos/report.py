"""The account of a run as people read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.table import Table

from .evidence import Evidence
from .story import stories
from .verdict import Finding

_SHOWN: int = 5


def happened(evidence: Evidence) -> Table:
    """What was thrown at the queue, and what it made of it."""
    table = Table(title="what happened", title_justify="left")
    table.add_column("what")
    table.add_column("how often", justify="right")
    told = stories(evidence.events)
    struck = Counter(
        f"{' '.join(w for w in d.target.split() if not w.isdigit())}: {d.fault}"
        for d in evidence.disturbances
    )
    said = Counter(fact["say"] for fact in evidence.noted)
    outcomes = Counter(event.outcome for event in evidence.events if event.outcome)
    ends = Counter(story.end for story in told.values())
    for name, counts in {
        "fault": struck,
        "noted": said,
        "run closed as": outcomes,
        "task ended as": ends,
    }.items():
        for what, count in sorted(counts.items()):
            table.add_row(f"{name} · {what or 'nothing'}", f"{count:,}")
        table.add_section()
    table.add_row("tasks", f"{len(told):,}")
    table.add_row("events", f"{len(evidence.events):,}")
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
