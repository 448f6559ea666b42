"""Whether we may do in Redis what a producer, a caller, a consumer or an exporter must. Pure."""

from __future__ import annotations

from .facts import RightsFacts
from .finding import Finding, Status
from .rights import Role


def rights(facts: RightsFacts) -> Finding:
    """Right for at least one role, or a user of no use."""
    who = f"User {facts.user}" if facts.user else "This user"
    if facts.lacking is None:
        return _finding(
            facts,
            Status.WARN,
            f"{who} may not begin a transaction, so its rights could not be tried",
            fix="+multi +exec +discard",
        )
    able = [role for role in Role if not facts.lacking[role]]
    unable = [role for role in Role if facts.lacking[role]]
    if not unable:
        return _finding(
            facts, Status.OK, f"{who} may do all that producers, callers, consumers and exporters do"
        )
    rules = {rule for role in unable for rule in facts.lacking[role]}
    what = "; ".join(f"for {role}: {' '.join(facts.lacking[role])}" for role in unable)
    found = f"{who} may be {_listed(able)}, not {_listed(unable)}" if able else f"{who} can be nothing here"
    fix = f"ACL SETUSER {facts.user or 'USER'} {' '.join(sorted(rules))}"
    return _finding(
        facts,
        Status.WARN if able else Status.FAIL,
        found,
        detail=what,
        fix=f"if that is not meant: {fix}" if able else fix,
    )


def _listed(roles: list[Role]) -> str:
    return " or ".join(f"{'an' if role is Role.EXPORTER else 'a'} {role}" for role in roles)


def _finding(facts: RightsFacts, status: Status, found: str, *, detail: str = "", fix: str = "") -> Finding:
    return Finding(check="rights", status=status, found=found, detail=detail, fix=fix, queue=facts.queue)
