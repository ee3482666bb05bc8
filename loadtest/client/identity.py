"""The certificate and DTLS context of load clients. Many share one: a certificate costs more than a handshake."""

import hashlib
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from loadtest.certificate import create_certificate

PROFILES = b"SRTP_AEAD_AES_128_GCM:SRTP_AES128_CM_SHA1_80"


def fingerprint_of(certificate: x509.Certificate, algorithm: str) -> str:
    """Its digest as SDP writes it (RFC 8122)."""
    digest = hashlib.new(algorithm.replace("-", ""), certificate.public_bytes(Encoding.DER)).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


@dataclass(frozen=True, slots=True)
class Identity:
    """A self-signed certificate and the context that presents it."""

    fingerprint: str
    context: SSL.Context

    @classmethod
    def create(cls) -> "Identity":
        """A fresh P-256 certificate."""
        key, certificate = create_certificate()
        context = SSL.Context(SSL.DTLS_METHOD)
        context.use_certificate(certificate)
        context.use_privatekey(key)
        # Which certificate it must be, the fingerprint in the description says: see dtls.py.
        context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *_: True)
        context.set_tlsext_use_srtp(PROFILES)
        context.set_options(SSL.OP_NO_QUERY_MTU)
        return cls(fingerprint_of(certificate, "sha-256"), context)
