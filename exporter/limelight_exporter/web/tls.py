"""From the TLS section of a web configuration to a context that OpenSSL can use, tried once before it is taken."""

from __future__ import annotations

import ssl
import tempfile
import warnings
from pathlib import Path
from typing import Final

import msgspec

from limelight_exporter.yaml_file import Faults

_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_CIPHERS: Final = {
    f"TLS_{exchange}_{cipher}": f"{exchange.replace('_', '-')}-{short}".removeprefix("RSA-")
    for exchange in ("ECDHE_ECDSA", "ECDHE_RSA", "RSA")
    for cipher, short in (
        ("WITH_AES_128_CBC_SHA", "AES128-SHA"),
        ("WITH_AES_256_CBC_SHA", "AES256-SHA"),
        ("WITH_AES_128_GCM_SHA256", "AES128-GCM-SHA256"),
        ("WITH_AES_256_GCM_SHA384", "AES256-GCM-SHA384"),
        ("WITH_CHACHA20_POLY1305_SHA256", "CHACHA20-POLY1305"),
    )
    if (exchange, short) != ("RSA", "CHACHA20-POLY1305")
}
"""Go's names, which the file format uses, and OpenSSL's."""
_ALWAYS_ON: Final = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
"""TLS 1.3 has these; neither Go nor OpenSSL by way of Python lets one choose among them."""
_CURVES: Final = {
    "CurveP256": "prime256v1",
    "CurveP384": "secp384r1",
    "CurveP521": "secp521r1",
    "X25519": "X25519",
}
_NO_CERTIFICATE: Final = {"", "NoClientCert", "RequestClientCert"}
_VERIFIED: Final = {"VerifyClientCertIfGiven", "RequireAndVerifyClientCert"}
_ANY: Final = {"RequireAnyClientCert", "RequireClientCert"}


class TlsSection(msgspec.Struct, frozen=True):
    """``tls_server_config``, as the exporter-toolkit's documentation defines it."""

    cert: str = ""
    key: str = ""
    client_ca: str = ""
    cert_file: str = ""
    key_file: str = ""
    client_auth_type: str = ""
    client_ca_file: str = ""
    client_allowed_sans: list[str] = []
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: list[str] = []
    prefer_server_cipher_suites: bool = True
    curve_preferences: list[str] = []

    @property
    def wanted(self) -> bool:
        """Whether the section asks for TLS at all."""
        return any(
            (self.cert, self.cert_file, self.key, self.key_file, self.client_ca, self.client_ca_file)
        ) or (bool(self.client_auth_type))

    @property
    def needs_client(self) -> bool:
        """Whether nobody is served without a certificate that was verified."""
        return self.client_auth_type == "RequireAndVerifyClientCert"

    @property
    def files(self) -> tuple[str, ...]:
        """The files it names."""
        return tuple(name for name in (self.cert_file, self.key_file, self.client_ca_file) if name)


def context_of(section: TlsSection, folder: Path, faults: Faults) -> ssl.SSLContext | None:
    """The context for a section; None where it asks for no TLS or cannot be used, and then the faults say why.

    A client without a certificate gets through the handshake even where one is needed, so that probes can be
    answered; who serves must turn it away.

    Args:
        section: What is asked for.
        folder: Relative file names begin there.
        faults: Takes what is wrong.
    """
    if not section.wanted:
        return None
    before = len(faults.told)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # Nobody resumes a session: each connection shows its certificate anew.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION | ssl.OP_NO_TICKET
    context.num_tickets = 0
    if not section.prefer_server_cipher_suites:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    _set_versions(context, section, faults)
    _set_ciphers(context, section, faults)
    _set_curve(context, section, faults)
    _set_certificate(context, section, folder, faults)
    _set_clients(context, section, folder, faults)
    if len(faults.told) == before:
        _try_handshake(context, faults)
    return context if len(faults.told) == before else None


def client_names(transport: ssl.SSLObject | None) -> tuple[str, ...] | None:
    """The alternative names in the client's verified certificate; None without one."""
    certificate = transport.getpeercert() if transport is not None else None
    if not certificate:
        return None
    names = certificate.get("subjectAltName", ())
    return tuple(str(name[1]) for name in names)


def expiry_trouble(context: ssl.SSLContext, section: TlsSection, folder: Path) -> str:
    """Why no client will accept our certificate today, "" if its dates are right."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if section.cert_file:
        client.load_verify_locations(cafile=folder / section.cert_file)
    else:
        client.load_verify_locations(cadata=section.cert)
    try:
        _shake_hands(context, client)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLError:
        return ""
    return ""


def _set_versions(context: ssl.SSLContext, section: TlsSection, faults: Faults) -> None:
    for name in ("min_version", "max_version"):
        if getattr(section, name) not in _VERSIONS:
            faults.add(f"tls_server_config.{name}", f"take one of {', '.join(_VERSIONS)}")
            return
    low, high = _VERSIONS[section.min_version], _VERSIONS[section.max_version]
    if low > high:
        faults.add("tls_server_config.min_version", "is above max_version: no client could connect")
        return
    with warnings.catch_warnings(action="ignore"):  # who asks for TLS 1.0 by name knows that it is old
        context.minimum_version, context.maximum_version = low, high


def _set_ciphers(context: ssl.SSLContext, section: TlsSection, faults: Faults) -> None:
    place = "tls_server_config.cipher_suites"
    unknown = [name for name in section.cipher_suites if name not in _CIPHERS and name not in _ALWAYS_ON]
    for name in unknown:
        faults.add(
            place, f"unknown suite {name[:80]!r}: they have Go's names, such as {next(iter(_CIPHERS))}"
        )
    chosen = [_CIPHERS[name] for name in section.cipher_suites if name in _CIPHERS]
    if not chosen or unknown:
        return
    try:
        context.set_ciphers(":".join(chosen))
    except ssl.SSLError:
        faults.add(place, "this machine's OpenSSL has none of them: choose others, or leave it out")


def _set_curve(context: ssl.SSLContext, section: TlsSection, faults: Faults) -> None:
    place, curves = "tls_server_config.curve_preferences", section.curve_preferences
    if any(name not in _CURVES for name in curves):
        faults.add(place, f"take one of {', '.join(_CURVES)}")
    elif len(curves) > 1:
        faults.add(
            place, "only one can be set here: name the first one, or leave it out for OpenSSL's own list"
        )
    elif curves:
        context.set_ecdh_curve(_CURVES[curves[0]])


def _set_certificate(context: ssl.SSLContext, section: TlsSection, folder: Path, faults: Faults) -> None:
    place = "tls_server_config"
    for kind in ("cert", "key"):
        inline, file = getattr(section, kind), getattr(section, f"{kind}_file")
        if bool(inline) == bool(file):
            faults.add(place, f"needs {kind} or {kind}_file" + (", not both" if inline else ""))
            return
    with tempfile.TemporaryDirectory(prefix="limelight-") as private:  # OpenSSL reads keys from files only
        files = {}
        for kind in ("cert", "key"):
            path = folder / getattr(section, f"{kind}_file")
            if inline := getattr(section, kind):
                path = Path(private, kind)
                path.write_text(inline, encoding="utf-8")
            elif not _readable(path, f"{place}.{kind}_file", faults):
                return
            files[kind] = path
        try:
            # Without the password callback OpenSSL would ask for one on the terminal.
            context.load_cert_chain(files["cert"], files["key"], password="")
        except ssl.SSLError as error:
            faults.add(place, _certificate_trouble(error))
        except OSError as error:
            faults.add(place, f"the certificate cannot be read: {error.strerror}")


def _certificate_trouble(error: ssl.SSLError) -> str:
    match error.reason:
        case "KEY_VALUES_MISMATCH":
            return "the key does not belong to the certificate: take the pair that was made together"
        case "BAD_DECRYPT" | "BAD_PASSWORD_READ" | "EMPTY_PASSWORD":
            return "the key is protected by a password: take one that is not"
    return "certificate and key cannot be used: both must be PEM, and whole"


def _set_clients(context: ssl.SSLContext, section: TlsSection, folder: Path, faults: Faults) -> None:
    kind, place = section.client_auth_type, "tls_server_config"
    has_authority = bool(section.client_ca or section.client_ca_file)
    if kind in _ANY:
        faults.add(
            f"{place}.client_auth_type", f"{kind} cannot be done here: take RequireAndVerifyClientCert"
        )
    elif kind not in _NO_CERTIFICATE | _VERIFIED:
        known = ", ".join(sorted((_NO_CERTIFICATE | _VERIFIED) - {""}))
        faults.add(f"{place}.client_auth_type", f"take one of {known}")
    elif has_authority and kind in {"", "NoClientCert"}:
        faults.add(place, "a client CA is given, but client_auth_type asks for no certificate")
    elif section.client_allowed_sans and not section.needs_client:
        faults.add(f"{place}.client_allowed_sans", "needs client_auth_type: RequireAndVerifyClientCert")
    elif kind in _VERIFIED and not has_authority:
        faults.add(place, f"{kind} needs client_ca_file or client_ca: who signed the clients' certificates?")
    elif kind in _VERIFIED:
        context.verify_mode = ssl.CERT_OPTIONAL
        _load_authority(context, section, folder, faults)


def _load_authority(context: ssl.SSLContext, section: TlsSection, folder: Path, faults: Faults) -> None:
    place = "tls_server_config.client_ca"
    try:
        if section.client_ca:
            context.load_verify_locations(cadata=section.client_ca)
        elif _readable(folder / section.client_ca_file, f"{place}_file", faults):
            context.load_verify_locations(cafile=folder / section.client_ca_file)
    except (ssl.SSLError, ValueError, OSError):
        faults.add(place, "holds no certificate in PEM that can be used")


def _readable(path: Path, place: str, faults: Faults) -> bool:
    try:
        path.open("rb").close()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "no file name"
        faults.add(place, f"{str(path)!r} cannot be read: {reason}")
        return False
    return True


def _try_handshake(context: ssl.SSLContext, faults: Faults) -> None:
    """Suites may not fit the certificate, or the versions: better told now than to each client."""
    anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings(action="ignore"):
        anybody.minimum_version = context.minimum_version
    try:
        _shake_hands(context, anybody)
    except ssl.SSLError as error:
        reason = (error.reason or "unknown").lower().replace("_", " ")
        faults.add(
            "tls_server_config",
            f"no client could connect ({reason}): versions, suites and key do not fit together",
        )


def _shake_hands(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    """A handshake in memory. Raises ssl.SSLError."""
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [server.wrap_bio(up, down, server_side=True), client.wrap_bio(down, up)]
    for _ in range(8):
        for side in sides:
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
