"""What Redis' errors mean to us: not sent, refused, or another node's business; and what to do about each."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import redis

from limelight.errors import RedisError, RedisRefused, RedisUnavailable


@dataclass(frozen=True, slots=True)
class Redirect:
    """A node of a Cluster says who has the key; it did nothing itself.

    Attributes:
        moved: True: the slot lives there from now on; False: only this once (it is being moved).
        slot: Of the key.
        host: "" for the host that was asked.
        port: TCP port.
    """

    moved: bool
    slot: int
    host: str
    port: int


def redirect(error: Exception) -> Redirect | None:
    """Where an error sends us, None if it is another error."""
    match = _REDIRECT.fullmatch(str(error))
    if match is None or not (match[1] or isinstance(error, redis.exceptions.AskError)):
        return None
    moved = match[1] == "MOVED" or isinstance(error, redis.exceptions.MovedError)
    return Redirect(moved, int(match[2]), match[3], int(match[4]))


def is_between_nodes(error: Exception) -> bool:
    """Whether a Cluster did nothing because keys are on their way to another node, or their node is."""
    kinds = (redis.exceptions.TryAgainError, redis.exceptions.ClusterDownError)
    return isinstance(error, kinds) or str(error).startswith(("TRYAGAIN", "CLUSTERDOWN"))


def refused(error: Exception, shown: str) -> RedisRefused:
    """An error that Redis at `shown` answered with, as one of ours."""
    text = str(error).rstrip(".")
    if target := redirect(error):
        text = f"slot {target.slot} is at {target.host}:{target.port}"
    refusal = RedisRefused(f"Redis at {shown} refused: {text}.{_advice(text)}")
    refusal.may_pass = isinstance(error, _PASSING) or any(code in text for code in _PASSING_CODES)
    return refusal


def unreachable(error: Exception, shown: str) -> RedisError:
    """Why there is no connection to Redis at `shown`; nothing was sent."""
    if isinstance(error, redis.exceptions.AuthenticationError):
        return refused(error, shown)
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLError) and (why := _about_certificates(cause)):
            refusal = RedisRefused(f"no TLS with Redis at {shown}: {why}")
            refusal.may_pass = True  # certificates are renewed while consumers run
            return refusal
    plain = reason(error)
    if any(sign in plain for sign in _HANG_UPS):
        return RedisUnavailable(
            f"Redis at {shown} hung up: {plain}. "
            "Does that port want TLS (rediss://), or a certificate of ours (ssl_certfile, ssl_keyfile)?"
        )
    if any("handshake operation timed out" in str(cause) for cause in _causes(error)):
        return RedisUnavailable(
            f"Redis at {shown} does not answer in TLS. Does that port speak it? If not, use redis://"
        )
    return RedisUnavailable(f"cannot reach Redis at {shown}: {plain}. Is it running there?")


def reason(error: BaseException) -> str:
    """Why a connection failed, in a few words that hold no secret."""
    text = str(error) or type(error).__name__
    plain = re.sub(r"^Error (-?\d+ )?(while )?connecting to \S+\. ", "", text).rstrip(".")
    return plain[:1].lower() + plain[1:]


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _about_certificates(error: ssl.SSLError) -> str:
    """Whose certificate is at fault and what to do, "" if none is."""
    if isinstance(error, ssl.SSLCertVerificationError):
        what = error.verify_message.rstrip(".")
        return f"its certificate is not trusted ({what}). {_about_theirs(what)}"
    alert = re.search(r"alert ([a-z ]+)", str(error))
    if alert:
        return (
            f"it does not take our certificate ({alert[1].strip()}). "
            "Give one that its CA signed: ?ssl_certfile=/path/our.crt&ssl_keyfile=/path/our.key"
        )
    if any(sign in str(error) for sign in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")):
        return "that port does not speak TLS. Take its TLS port, or redis:// for a plain connection."
    return ""


def _about_theirs(what: str) -> str:
    if "expired" in what or "not yet valid" in what:
        return "Renew it on the server, or set this machine's clock."
    if "mismatch" in what or "not valid for" in what:
        return "Connect by a name that stands in the certificate."
    return "Name the CA that signed it: ?ssl_ca_certs=/path/ca.crt"


def _advice(text: str) -> str:
    """What to do about an error that Redis answered with."""
    for code, advice in _ADVICE.items():
        if code in text:
            return f" {advice}"
    return ""


_HANG_UPS: Final = ("closed by server", "reset by peer", "broken pipe", "EOF occurred")
_REDIRECT: Final = re.compile(r"(?:(MOVED|ASK) )?(\d+) (.*):(\d+)")
_PASSING: Final = (
    redis.exceptions.AuthenticationError,
    redis.exceptions.AuthorizationError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.OutOfMemoryError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
_PASSING_CODES: Final = (
    *("BUSY", "CLUSTERDOWN", "MASTERDOWN", "MISCONF", "NOREPLICAS", "READONLY", "TRYAGAIN", "UNBLOCKED"),
    *("enough good replicas", "used memory", "unable to persist"),
)
_ADVICE: Final = {
    "NOAUTH": "It wants a password: put it in the URL, redis://:password@host:6379/0.",
    "Authentication required": "It wants a password: put it in the URL, redis://:password@host:6379/0.",
    "WRONGPASS": "Name or password are wrong.",
    "invalid username-password": "Name or password are wrong.",
    "invalid password": "The password is wrong.",
    "NOPERM": "The Redis user lacks a right: see docs/redis.md, ACL.",
    "o permissions": "The Redis user lacks a right: see docs/redis.md, ACL.",
    "user executing the script": "The Redis user lacks a right: see docs/redis.md, ACL.",
    "used memory": "Redis is full: raise maxmemory, or let consumers catch up.",
    "WRONGTYPE": "A key of this queue holds something else: is the name used by another application?",
    "READONLY": "This is a replica: connect to the master.",
    "read only replica": "This is a replica: connect to the master.",
    "slot ": "This is a Redis Cluster: use redis+cluster://host:port.",
    "cluster support disabled": "This is no Redis Cluster: use redis://.",
}
