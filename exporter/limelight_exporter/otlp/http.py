"""OTLP over HTTP: protobuf in a POST."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Mapping
from typing import Final

import requests

from .answer import MESSAGE_LIMIT, Answer, Verdict, partial_success, retry_after, verdict_on_status
from .settings import Target

_ANSWER_LIMIT_BYTES: Final = 65_536
_COMPRESSORS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    # mtime: the same request is the same bytes, whenever it is sent
    "gzip": lambda body: gzip.compress(body, compresslevel=1, mtime=0),
    "deflate": lambda body: zlib.compress(body, 1),
}


class HttpChannel:
    """Sends requests by HTTP, on a connection that is kept.

    Args:
        target: Where to; proxies are taken from the environment, as ever.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._session = requests.Session()
        self._session.auth = _unchanged  # or requests would let ~/.netrc replace our headers
        self._compress = _COMPRESSORS.get(target.compression)
        encoding = {"Content-Encoding": target.compression} if self._compress else {}
        self._headers = {**target.headers, "Content-Type": "application/x-protobuf", **encoding}
        pair = (target.certificate_file or "", target.key_file or "")
        self._certificate = pair if all(pair) else None

    def send(self, request: bytes) -> Answer:
        """As `Channel.send`. No redirect is followed: it would lead our headers elsewhere."""
        timeout = self._target.timeout_seconds
        try:
            with self._session.post(
                self._target.url,
                data=self._compress(request) if self._compress else request,
                headers=self._headers,
                timeout=(timeout, timeout),
                verify=self._target.authority_file or True,
                cert=self._certificate,
                allow_redirects=False,
                stream=True,
            ) as response:
                return self._answer(response)
        except requests.exceptions.Timeout:
            return Answer("timeout", Verdict.LATER)
        except requests.exceptions.SSLError as error:
            return Answer("tls", Verdict.LATER, message=_reason(error)[:MESSAGE_LIMIT])
        except (requests.exceptions.RequestException, OSError) as error:
            return Answer("unreachable", Verdict.LATER, message=type(error).__name__)

    def close(self) -> None:
        """As `Channel.close`; a request under way ends by its time-out."""
        self._session.close()

    def _answer(self, response: requests.Response) -> Answer:
        body: bytes = response.raw.read(_ANSWER_LIMIT_BYTES, decode_content=True) or b""
        is_json = "json" in response.headers.get("Content-Type", "")
        status = response.status_code
        verdict = verdict_on_status(status)
        if verdict is Verdict.TAKEN:
            rejected, message = partial_success(self._target.signal, body, is_json=is_json)
            return Answer(str(status), verdict, rejected, self._target.hidden(message)[:MESSAGE_LIMIT])
        said = body.decode("utf-8", "replace") if is_json or _is_text(response) else ""
        return Answer(
            str(status),
            verdict,
            message=self._target.hidden(said)[:MESSAGE_LIMIT],
            wait_seconds=retry_after(response.headers.get("Retry-After")),
        )


def _reason(error: requests.exceptions.SSLError) -> str:
    """What went wrong, without the URL."""
    return str(getattr(error.args[0], "reason", "") if error.args else "")


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _is_text(response: requests.Response) -> bool:
    return response.headers.get("Content-Type", "").startswith("text/plain")
