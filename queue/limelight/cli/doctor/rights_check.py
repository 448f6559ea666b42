"""Whether we may do in Redis what a producer, a caller, a consumer or an exporter must. Pure."""

from __future__ import annotations

from typing import Final

from .facts import ChannelFacts, RightsFacts
from .finding import Finding, Status
from .rights import Role

_UNTRIED: Final = "may not begin a transaction, so its rights could not be tried"
_TO_TRY: Final = "+multi +exec +discard"


def rights(facts: RightsFacts) -> Finding:
    """Right for at least one role, or a user of no use."""
    who = _who(facts.user)
    if facts.lacking is None:
        return _finding(facts, Status.WARN, f"{who} {_UNTRIED}", fix=_TO_TRY)
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


def channel(facts: ChannelFacts) -> Finding:
    """Right for an exporter that listens to a channel of Huey 1.x, or deaf."""
    who, what = _who(facts.user), f"listen to channel {facts.channel}"
    if facts.lacking is None:
        return Finding(check="pubsub", status=Status.WARN, found=f"{who} {_UNTRIED}", fix=_TO_TRY)
    if not facts.lacking:
        return Finding(check="pubsub", status=Status.OK, found=f"{who} may {what}")
    rule = f"ACL SETUSER {facts.user or 'USER'} {' '.join(facts.lacking)}"
    return Finding(check="pubsub", status=Status.FAIL, found=f"{who} may not {what}", fix=rule)


def _who(user: str) -> str:
    return f"User {user}" if user else "This user"


def _listed(roles: list[Role]) -> str:
    return " or ".join(f"{'an' if role is Role.EXPORTER else 'a'} {role}" for role in roles)


def _finding(facts: RightsFacts, status: Status, found: str, *, detail: str = "", fix: str = "") -> Finding:
    return Finding(check="rights", status=status, found=found, detail=detail, fix=fix, queue=facts.queue)
