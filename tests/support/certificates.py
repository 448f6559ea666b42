"""Certificates for servers on loopback and for their clients."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final

import trustme

__all__ = ["Authority", "Pair", "tls_options"]

_LONG_AGO: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


class Pair:
    """A certificate and its key, as files."""

    def __init__(self, made: trustme.LeafCert, folder: Path, name: str) -> None:
        self.certificate = folder / f"{name}.crt"
        self.key = folder / f"{name}.key"
        made.cert_chain_pems[0].write_to_path(self.certificate)
        made.private_key_pem.write_to_path(self.key)


class Authority:
    """A CA, its certificate in a file.

    Args:
        folder: Where files go.
        name: Of those files.
    """

    def __init__(self, folder: Path, name: str = "ca") -> None:
        self._folder, self._name = folder, name
        self._ca = trustme.CA()
        self.certificate = folder / f"{name}.crt"
        self._ca.cert_pem.write_to_path(self.certificate)

    def server(self, *names: str, expired: bool = False) -> Pair:
        """A certificate for some names or IPs."""
        until = _LONG_AGO + dt.timedelta(days=1) if expired else None
        made = self._ca.issue_cert(*names, not_before=_LONG_AGO, not_after=until)
        return Pair(made, self._folder, f"{self._name}-{names[0]}-{'old' if expired else 'new'}")

    def client(self) -> Pair:
        """A certificate for one who connects."""
        return Pair(self._ca.issue_cert("app@example.org"), self._folder, f"{self._name}-client")


def tls_options(port: int, pair: Pair, authority: Authority, *, clients: str = "no") -> list[str]:
    """Words of a server's command line; `clients`: whether they need a certificate (yes, no, optional)."""
    return [
        *("--tls-port", str(port)),
        *("--tls-cert-file", str(pair.certificate)),
        *("--tls-key-file", str(pair.key)),
        *("--tls-ca-cert-file", str(authority.certificate)),
        *("--tls-auth-clients", clients),
    ]
