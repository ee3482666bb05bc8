"""The certificate and DTLS context of load clients."""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from loadtest.certificate import create_certificate

PROFILES = b"SRTP_AEAD_AES_128_GCM"


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate shared by many clients: making one costs more than a handshake."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    fingerprint: str
    context: SSL.Context

    @classmethod
    def create(cls) -> "Identity":
        """A fresh P-256 certificate and the DTLS context that presents it."""
        key, certificate = create_certificate()
        digest = hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest().upper()
        fingerprint = ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
        context.set_tlsext_use_srtp(PROFILES)
        return cls(key, certificate, fingerprint, context)
