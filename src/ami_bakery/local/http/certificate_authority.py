"""A certificate authority that signs certificates for the proxy's AWS hosts."""

from __future__ import annotations

import datetime
import ssl
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    import socket
    from pathlib import Path

_VALID = datetime.timedelta(days=30)


class Authority:
    """The certificate authority of one embedded EC2. Only its child processes trust it.

    certificate  the authority's certificate, a PEM file for clients
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name("AMI Bakery embedded EC2")
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(self._sign_itself().public_bytes(serialization.Encoding.PEM))

    def context_for(self, host: str) -> ssl.SSLContext:
        """Returns a server context with a wildcard certificate for `host` and siblings."""
        parent = host.partition(".")[2]
        with self._lock:
            if parent not in self._contexts:
                self._contexts[parent] = self._make_context(parent)
            return self._contexts[parent]

    def _make_context(self, parent: str) -> ssl.SSLContext:
        # Python loads a chain only from a file; the folder is private (0700) and temporary.
        pem = self._folder / f"leaf-{len(self._contexts)}.pem"
        pem.write_bytes(
            self._leaf_key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + self._sign_wildcard(parent).public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.sslsocket_class = _ServerSocket
        context.set_alpn_protocols(["http/1.1"])
        pem.unlink()
        return context

    def _sign_itself(self) -> x509.Certificate:
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        return (
            _builder(self._name, self._name, self._key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _sign_wildcard(self, parent: str) -> x509.Certificate:
        names = [x509.DNSName(f"*.{parent}"), x509.DNSName(parent)]
        return (
            _builder(_common_name("embedded EC2 endpoint"), self._name, self._leaf_key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


class _ServerSocket(ssl.SSLSocket):
    """A TLS socket whose client may have closed the connection already; the handshake reports that.

    If the peer is gone, `ssl` reads from the socket in its constructor. A reset there leaks the socket (CPython 3.11
    and 3.12).
    """

    def getpeername(self) -> socket._RetAddress:
        with suppress(OSError):
            return super().getpeername()
        return ("", 0)


def _common_name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID)
    )
