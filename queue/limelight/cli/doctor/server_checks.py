"""What is well with a server, and what is not. Each check is a pure function of the facts."""

from __future__ import annotations

import ipaddress
import statistics
from collections.abc import Callable
from typing import Final

from limelight.cli.text import counted, duration

from .facts import ServerFacts
from .finding import Finding, Status

SLOW_SECONDS: Final = 0.005
OLDEST_REDIS: Final = (6, 2)
MEMORY_LATE, MEMORY_FULL = 0.8, 0.95
CLOCK_LATE_SECONDS, CLOCK_WRONG_SECONDS = 0.5, 60.0


def connection(facts: ServerFacts) -> Finding:
    """How long one trip takes."""
    trip = statistics.median(facts.trips)
    slow = trip > SLOW_SECONDS
    return Finding(
        check="connection",
        status=Status.WARN if slow else Status.OK,
        found=f"Redis answers in {trip * 1_000:.1f} ms",
        detail=facts.address,
        fix="run consumers nearer to Redis: every start and every end of a task waits for such a trip"
        if slow
        else "",
    )


def version(facts: ServerFacts) -> Finding:
    """Which server it is, and whether it knows all that the scripts need."""
    if not facts.info:
        return _unseen("version", "which server it is", "+info")
    for name in ("valkey", "dragonfly", "redict"):
        if number := facts.info.get(f"{name}_version"):
            known = name == "valkey"
            return Finding(
                check="version",
                status=Status.OK if known else Status.WARN,
                found=f"The server is {name.capitalize()} {number}",
                fix="" if known else "nobody tried Limelight with it: use Redis 6.2 to 8, or Valkey",
            )
    number = facts.info.get("redis_version", "")
    old = _numbers(number) < OLDEST_REDIS
    return Finding(
        check="version",
        status=Status.FAIL if old else Status.OK,
        found=f"The server is Redis {number}" + (", which is too old" if old else ""),
        fix="use Redis 6.2 or newer, or Valkey" if old else "",
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def encryption(facts: ServerFacts) -> Finding:
    """Whether anybody between us and Redis could read along."""
    if facts.encrypted:
        return Finding(check="encryption", status=Status.OK, found="The connection is encrypted")
    if not facts.peer or ipaddress.ip_address(facts.peer.partition("%")[0]).is_loopback:
        return Finding(check="encryption", status=Status.OK, found="The connection stays on this machine")
    return Finding(
        check="encryption",
        status=Status.WARN,
        found="The connection is not encrypted",
        detail=f"tasks and passwords travel readable to {facts.peer}",
        fix="give Redis a certificate (tls-port) and use a rediss:// URL",
    )


def eviction(facts: ServerFacts) -> Finding:
    """Whether a full Redis drops tasks, or refuses new ones."""
    policy = facts.info.get("maxmemory_policy")
    if policy is None:
        return _unseen("eviction", "the maxmemory-policy", "+info")
    if policy == "noeviction":
        return Finding(check="eviction", status=Status.OK, found="maxmemory-policy is noeviction")
    limited = facts.number("maxmemory") > 0
    victims = "results" if policy.startswith("volatile") else "queued tasks, or whole queues"
    return Finding(
        check="eviction",
        status=Status.FAIL if limited else Status.WARN,
        found=f"maxmemory-policy is {policy}",
        detail=f"when memory is full, Redis drops {victims}"
        + ("" if limited else "; maxmemory is not set yet"),
        fix="redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf",
    )


def memory(facts: ServerFacts) -> Finding:
    """How much room is left."""
    used = facts.number("used_memory")
    limit = facts.number("maxmemory") or facts.number("total_system_memory")
    if not used or not limit:
        return _unseen("memory", "how much memory is used", "+info")
    share = used / limit
    full = Status.WARN if share > MEMORY_LATE else Status.OK
    what = "maxmemory" if facts.number("maxmemory") else "the machine's memory; maxmemory is not set"
    return Finding(
        check="memory",
        status=Status.FAIL if share > MEMORY_FULL else full,
        found=f"Redis uses {share:.0%} of its memory",
        detail=f"{bytes_of(used)} of {bytes_of(limit)} ({what})",
        fix=""
        if full is Status.OK
        else "raise maxmemory, let consumers catch up, or keep results for a shorter time",
    )


def persistence(facts: ServerFacts) -> Finding:
    """What a crash, or a power cut, would lose."""
    if not facts.info:
        return _unseen("persistence", "whether tasks are kept on disk", "+info")
    broken = facts.info.get("aof_last_write_status", "ok") != "ok"
    if facts.number("aof_enabled"):
        return _broken_file(facts) if broken else _append_only(facts.settings.get("appendfsync"))
    return _snapshots(facts)


def _broken_file(facts: ServerFacts) -> Finding:
    return Finding(
        check="persistence",
        status=Status.FAIL,
        found="Redis cannot write its append-only file",
        detail=f"aof_last_write_status is {facts.info['aof_last_write_status']}: it refuses writes until it can",
        fix="look for a full or broken disk, and at Redis' log",
    )


def _append_only(fsync: str | None) -> Finding:
    loses = {
        "always": "neither a crash nor a power cut loses anything that was answered",
        "everysec": "a crash of Redis loses nothing, a power cut the last one or two seconds",
        "no": "a crash of Redis loses nothing, a power cut up to half a minute",
    }
    careless = fsync == "no"
    return Finding(
        check="persistence",
        status=Status.WARN if careless else Status.OK,
        found=f"Tasks are kept in an append-only file (appendfsync {fsync or 'could not be seen'})",
        detail=loses.get(fsync or "", "a crash of Redis loses nothing"),
        fix="redis-cli CONFIG SET appendfsync everysec" if careless else "",
    )


def _snapshots(facts: ServerFacts) -> Finding:
    save = facts.settings.get("save")
    fix = "redis-cli CONFIG SET appendonly yes, and the same in redis.conf"
    if save == "":
        return Finding(
            check="persistence",
            status=Status.FAIL,
            found="Nothing is kept on disk",
            detail="a restart of Redis loses every task",
            fix=f"{fix}; or accept that",
        )
    failed = facts.info.get("rdb_last_bgsave_status", "ok") != "ok"
    changes = counted(facts.number("rdb_changes_since_last_save"), "change")
    unseen = "" if save else "; how often one is made is not to be seen"
    return Finding(
        check="persistence",
        status=Status.FAIL if failed else Status.WARN,
        found="The last snapshot failed" if failed else "Tasks are kept in snapshots only",
        detail=f"a crash loses all since the last one, {changes} now{unseen}",
        fix=fix,
    )


def replication(facts: ServerFacts) -> Finding:
    """Whether it is the master, and what a failover would lose."""
    if "role" not in facts.info:
        return _unseen("replication", "whether this is the master", "+info")
    if facts.info["role"] != "master":
        master = f"{facts.info.get('master_host', '?')}:{facts.info.get('master_port', '?')}"
        return Finding(
            check="replication",
            status=Status.FAIL,
            found="This is a replica, which refuses every write",
            detail=f"its master is {master}",
            fix="connect to the master",
        )
    replicas = facts.number("connected_slaves")
    asked = facts.settings.get("min-replicas-to-write", "0")
    required = int(asked) if asked.isdigit() else 0
    if required > replicas:
        return Finding(
            check="replication",
            status=Status.FAIL,
            found=f"Redis refuses writes: it has {counted(replicas, 'replica')} of {required} that it must have",
            fix="bring the replicas back, or lower min-replicas-to-write",
        )
    if not replicas:
        return Finding(check="replication", status=Status.OK, found="This is the master, and has no replicas")
    return Finding(
        check="replication",
        status=Status.OK if required else Status.WARN,
        found=f"This is the master of {counted(replicas, 'replica')}",
        detail="a failover may lose what was written last"
        if not required
        else f"min-replicas-to-write is {required}",
        fix=""
        if required
        else "redis-cli CONFIG SET min-replicas-to-write 1: a master that is cut off stops taking tasks",
    )


def clock(facts: ServerFacts) -> Finding:
    """Whether this machine and Redis agree on the time."""
    if facts.clock_ahead is None:
        return _unseen("clock", "Redis' clock", "+time")
    off = max(0.0, abs(facts.clock_ahead) - facts.clock_doubt)
    late = Status.WARN if off > CLOCK_LATE_SECONDS else Status.OK
    where = "ahead of" if facts.clock_ahead > 0 else "behind"
    if late is Status.OK:
        return Finding(check="clock", status=late, found="This machine's clock agrees with Redis'")
    return Finding(
        check="clock",
        status=Status.FAIL if off > CLOCK_WRONG_SECONDS else late,
        found=f"This machine's clock is {duration(off)} {where} Redis'",
        detail="tasks with an eta run early or late by that much, and traces look shifted",
        fix="have NTP (chrony, systemd-timesyncd) set both clocks",
    )


def _unseen(check: str, what: str, right: str) -> Finding:
    return Finding(
        check=check,
        status=Status.WARN,
        found=f"This user may not see {what}",
        fix=f"run doctor as a user with {right}, or give this one the right",
    )


def bytes_of(count: int) -> str:
    """So many bytes, for reading: ``512 kB``, ``1.5 GB``."""
    size, unit = count / 1_000, "kB"
    for larger in ("MB", "GB", "TB"):
        if size < 1_000:
            break
        size, unit = size / 1_000, larger
    return f"{size:,.0f} {unit}" if size >= 9.95 else f"{size:.1f} {unit}"


SERVER_CHECKS: Final[tuple[Callable[[ServerFacts], Finding], ...]] = (
    connection,
    version,
    encryption,
    eviction,
    memory,
    persistence,
    replication,
    clock,
)
