"""The originating context: what a connection and all its forks have in common, and the ICE credentials made from it.

A fork's user name fragment is the context id followed by a nonce; its password is an HMAC of that fragment under the
context's secret (the fragment salts it). So whoever knows the secret can verify a check for a fork it has never heard
of, and no fork's credentials tell anything about another's (design.md section 2; RFC 8445 section 5.3).
"""

import base64
import hashlib
import hmac
import secrets
import string
from collections.abc import Sequence
from typing import TYPE_CHECKING

from router import clock
from router.errors import ConfigError
from router.rtc.constraints import SrtpProfile
from router.rtc.dtls import DtlsContext, RTCCertificate, make_context

if TYPE_CHECKING:
    from router.rtc.stream import RTCMediaStreamTrack

ALPHABET = string.ascii_letters + string.digits
"""Letters and digits only: also safe in URLs and logs, unlike the rest of ice-char."""
NAME_LENGTH = 11
"""11 of 62 characters are 65.5 bits, for the context id and for a nonce."""
SECRET_BYTES = 32
MAX_NONCE_LENGTH = 64
"""RFC 8445 allows 256 characters for the whole; no honest peer needs as many."""
PASSWORD_LENGTH = 32
"""192 bits in base64, all of it ice-char."""


_LETTERS = frozenset(ALPHABET)


def _random_name() -> str:
    """One number from the system, which charges by the call, written in 62 digits."""
    number, letters = secrets.randbelow(len(ALPHABET) ** NAME_LENGTH), []
    for _ in range(NAME_LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        letters.append(ALPHABET[digit])
    return "".join(letters)


class ConnectionContext:
    """Identity shared by an origin and its forks.

    >>> context = ConnectionContext()
    >>> ufrag = context.mint_ufrag()
    >>> ufrag.startswith(context.context_id), len(context.fork_password(ufrag))
    (True, 32)
    """

    def __init__(self, *, context_id: str | None = None, secret: bytes | None = None) -> None:
        self.context_id = context_id or _random_name()
        self.secret = secret or secrets.token_bytes(SECRET_BYTES)
        self.cname = _random_name()
        self.contributors: dict[int, RTCMediaStreamTrack] = {}
        """The tracks of all forks, by contributor id."""
        self._certificate: RTCCertificate | None = None
        self._dtls_contexts: dict[tuple[SrtpProfile, ...], DtlsContext] = {}

    @property
    def certificate(self) -> RTCCertificate:
        """The certificate that all forks show; made at first use unless a socket brought one."""
        if self._certificate is None:
            self._certificate = RTCCertificate.generate(now_s=clock.wall_s())
        return self._certificate

    def use_certificate(self, certificate: RTCCertificate) -> None:
        """Sets the certificate. It cannot change once peers may know it."""
        if self._certificate is not None and self._certificate.fingerprint != certificate.fingerprint:
            raise ConfigError("keys: this connection already shows another certificate")
        self._certificate = certificate

    def mint_ufrag(self) -> str:
        """A user name fragment for one more fork."""
        return self.context_id + _random_name()

    def owns(self, ufrag: str) -> bool:
        """Whether a fork of this context may have this user name fragment."""
        return len(ufrag) > len(self.context_id) and ufrag.startswith(self.context_id)

    @property
    def offer_password(self) -> str:
        """The password of the context's own offer, good for every fork whose nonce its peer minted."""
        return self.fork_password(self.context_id)

    def is_peer_minted(self, ufrag: str) -> bool:
        """Whether a peer may have made this fragment: our id and a nonce long enough to be nobody else's."""
        nonce = ufrag.removeprefix(self.context_id)
        return self.owns(ufrag) and NAME_LENGTH <= len(nonce) <= MAX_NONCE_LENGTH and set(nonce) <= _LETTERS

    def fork_password(self, ufrag: str) -> str:
        """The password that goes with a user name fragment."""
        digest = hmac.digest(self.secret, b"fork-router ice password\0" + ufrag.encode(), hashlib.sha256)
        return base64.b64encode(digest).decode()[:PASSWORD_LENGTH]

    def add_contributor(self, track: "RTCMediaStreamTrack") -> int:
        """A contributor id for a track, unique here; random, so that ids tell nothing and are not soon reused."""
        while (contributor := secrets.randbits(32)) in self.contributors or contributor == 0:
            pass
        self.contributors[contributor] = track
        return contributor

    def remove_contributor(self, contributor: int) -> None:
        """The track is gone."""
        self.contributors.pop(contributor, None)

    def dtls_context(self, profiles: Sequence[SrtpProfile]) -> DtlsContext:
        """The OpenSSL context for these SRTP profiles, made once: it is far larger than a session."""
        key = tuple(profiles)
        if key not in self._dtls_contexts:
            self._dtls_contexts[key] = make_context(self.certificate, key)
        return self._dtls_contexts[key]
