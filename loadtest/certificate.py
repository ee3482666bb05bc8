"""A self-signed P-256 certificate for a load client."""

import datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

VALID_FROM = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
VALID_TO = datetime.datetime(2049, 1, 1, tzinfo=datetime.UTC)


def create_certificate() -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    """The key and its certificate; WebRTC checks the fingerprint only, so the dates are as wide as can be."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loadtest")])
    builder = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=VALID_FROM,
        not_valid_after=VALID_TO,
    )
    return key, builder.sign(key, SHA256())
