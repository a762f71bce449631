"""TLS of a client: whom it trusts and who it is, and what a failed handshake means.

Whether a call uses TLS is decided by each endpoint: `https` does, `http` and `unix` do not. The
name verified is the endpoint's host. Files are read once.

gRPC tells failed handshakes as UNAVAILABLE, like a broker which is restarting. Those which time
cannot mend are told apart by the text, since nothing else has it; a text which we do not know is
still that of an unavailable broker, which is tried again.
"""

import ssl
from dataclasses import dataclass
from typing import Final

import grpc

from gazette_py.errors import ConfigError, RpcTlsError


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """Paths of PEM files; empty: none.

    Attributes:
        trusted_ca_file: Authorities which sign brokers' certificates, instead of the usual ones.
        cert_file: Our certificate, with what is between it and its authority.
        cert_key_file: Its key.
    """

    trusted_ca_file: str = ""
    cert_file: str = ""
    cert_key_file: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files.

        Raises:
            ConfigError: One cannot be read or is no such PEM file, the key is not that of the
                certificate, or one is given without the other.
        """
        self._check()
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.trusted_ca_file),
            private_key=_read(self.cert_key_file),
            certificate_chain=_read(self.cert_file),
        )

    def _check(self) -> None:
        """Try the files, since gRPC would say nothing of them but that no broker can be reached."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self.trusted_ca_file:
            try:
                context.load_verify_locations(self.trusted_ca_file)
            except OSError as exc:  # Also of the library for TLS.
                raise _unusable("trusted_ca_file", self.trusted_ca_file, exc) from exc
        if bool(self.cert_file) != bool(self.cert_key_file):
            missing = "cert_key_file" if self.cert_file else "cert_file"
            raise ConfigError(missing, "a certificate and its key are given together, or neither")
        if self.cert_file:
            try:
                # Without a password it would ask the terminal for one.
                context.load_cert_chain(self.cert_file, self.cert_key_file, password="")
            except OSError as exc:
                files = f"{self.cert_file}, with the key {self.cert_key_file},"
                raise _unusable("cert_file", files, exc) from exc


def _read(path: str) -> bytes | None:
    if not path:
        return None
    with open(path, "rb") as file:
        return file.read()


def _unusable(option: str, path: str, exc: OSError) -> ConfigError:
    if isinstance(exc, ssl.SSLError):
        return ConfigError(option, f"{path} is no such PEM file: {exc.reason or exc}")
    return ConfigError(option, f"cannot read {path}: {exc.strerror}")


_OTHER_HOST: Final = (
    "its certificate is not for this host: dial it by a name which the certificate has, or have"
    " this one put into its subject alternative names"
)

_FINAL: Final = (
    (
        "CERTIFICATE_VERIFY_FAILED: certificate has expired",
        "its certificate has expired: an operator renews it",
    ),
    (
        "CERTIFICATE_VERIFY_FAILED",
        "its certificate is signed by no authority which we trust: give the brokers' CA as"
        " trusted_ca_file (--broker.trusted-ca-file)",
    ),
    ("Hostname Verification Check failed", _OTHER_HOST),
    ("is not in peer certificate", _OTHER_HOST),  # Of an older gRPC.
    ("WRONG_VERSION_NUMBER", "it does not speak TLS: its endpoint begins with http://"),
)

_NOT_CONNECTED: Final = "failed to connect to all addresses"
_REFUSED: Final = ("Socket closed", "Unwrap failed", "Connection reset", "Broken pipe")
"""What becomes of a connection which the server refuses. gRPC does not tell of an alert which comes
once our side of the handshake is done, as with TLS 1.3 and a missing certificate of ours."""


def tls_error(endpoint: str, code: str, detail: str) -> RpcTlsError | None:
    """Return the error of a handshake which fails again as long as nobody acts, or None."""
    for mark, meaning in _FINAL:
        if mark in detail:
            return RpcTlsError(endpoint, code, f"TLS: {meaning} ({detail})")
    return None


def with_hint(endpoint: str, detail: str) -> str:
    """Return the text of a failed call, with what may be wrong about TLS.

    Who closes a connection as it is made may be about to end, or a balancer without brokers; but
    servers also refuse plaintext like that, and clients without a certificate.
    """
    is_refused = any(mark in detail for mark in _REFUSED)
    if not (detail.startswith(_NOT_CONNECTED) and is_refused):
        return detail
    if endpoint.startswith("unix:"):
        return detail
    if endpoint.startswith("https://"):
        hint = (
            "if it asks for client certificates, give cert_file and cert_key_file, signed by its"
            " CA (--broker.cert-file, --broker.cert-key-file)"
        )
    else:
        hint = "if it speaks TLS, its endpoint begins with https://"
    return f"it closes connections as they are made; {hint} ({detail})"
