"""SRTP sessions for the engine (RFC 3711, RFC 7714): the only importer of pylibsrtp.

pylibsrtp makes and frees libsrtp's contexts; the engine calls libsrtp's functions on them directly, by address. Nothing
in that call is checked by a compiler, so `check_binding` compares the C signatures and runs a known-answer test through
the very path that media takes, and refuses to start otherwise. Splitting DTLS's keying material is `dtls.py`'s part.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import pylibsrtp
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from router import _engine
from router.errors import ConfigError
from router.rtc.constraints import SrtpProfile

FUNCTIONS = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")
"""As the engine wants them, in order."""
SIGNATURE = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
"""That of libsrtp 2; version 3 passes lengths as size_t, with separate buffers."""
INBOUND_WINDOW = 1024
"""Packets a packet may be late (RFC 3711 section 3.3.2 asks for 64 at least): 1.5 s of video at 8 Mbit/s."""
OUTBOUND_WINDOW = 256
"""The same for what we send, which is mostly in order. libsrtp shifts it for every packet: 1024 cost 7 % of forwarding.
The engine keeps below it (`SEND_WINDOW` in `route/seq.rs`)."""

_PROFILES: dict[SrtpProfile, int] = {
    "AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
KEY_BYTES: dict[SrtpProfile, int] = {"AEAD_AES_128_GCM": 16 + 12, "AES128_CM_SHA1_80": 16 + 14}
"""Master key and master salt together."""

_TEST_PACKET = bytes.fromhex("800f1234decafbadcafebabe" + "ab" * 16)
_TEST_VECTORS: dict[SrtpProfile, tuple[str, str]] = {
    # Master key and salt, and what follows the header once protected. The first key is that of RFC 3711 appendix B.3;
    # RFC 7714 section 16 has no key derivation, so the second was computed apart: see tests/rtc/test_srtp.py.
    "AES128_CM_SHA1_80": (
        "e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6",
        "4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb",
    ),
    "AEAD_AES_128_GCM": (
        "000102030405060708090a0b0c0d0e0fa0a1a2a3a4a5a6a7a8a9aaab",
        "c5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392",
    ),
}


@dataclass(frozen=True, slots=True, eq=False)
class SrtpSessions:
    """Both directions of one peer. The engine uses them until `TransportRemoved`; whoever made them keeps them."""

    inbound: Session
    outbound: Session

    @property
    def addresses(self) -> tuple[int, int]:
        """Those of the two `srtp_t`, as `Engine.set_srtp` takes them."""
        return session_address(self.inbound), session_address(self.outbound)


def open_sessions(profile: SrtpProfile, inbound: bytes, outbound: bytes) -> SrtpSessions:
    """Sessions for any SSRC, from the master key and salt of each direction."""
    return SrtpSessions(
        _open_session(profile, inbound, Policy.SSRC_ANY_INBOUND, INBOUND_WINDOW),
        # A lost packet is sent again bit for bit when RTX was not negotiated.
        _open_session(profile, outbound, Policy.SSRC_ANY_OUTBOUND, OUTBOUND_WINDOW, allow_repeat=True),
    )


def function_addresses() -> tuple[int, int, int, int]:
    """Addresses of the four functions, in the order of `FUNCTIONS`."""
    protect, unprotect, protect_rtcp, unprotect_rtcp = map(_function_address, FUNCTIONS)
    return protect, unprotect, protect_rtcp, unprotect_rtcp


def session_address(session: Session) -> int:
    """That of its `srtp_t`."""
    try:
        return int(ffi.cast("uintptr_t", session._srtp[0]))
    except (AttributeError, TypeError, IndexError) as error:
        raise _broken("its Session has no usable _srtp") from error


def check_binding() -> None:
    """Raises `ConfigError` unless the engine and this pylibsrtp fit together."""
    functions = dict(zip(FUNCTIONS, function_addresses(), strict=True))
    for profile, (key, result) in _TEST_VECTORS.items():
        sessions = open_sessions(profile, bytes.fromhex(key), bytes.fromhex(key))
        inbound, outbound = sessions.addresses
        expected = _TEST_PACKET[:12] + bytes.fromhex(result)
        if _engine.srtp_apply(functions["srtp_protect"], outbound, _TEST_PACKET) != (0, expected):
            raise _broken(f"protecting the test packet with {profile} gave a wrong result")
        if _engine.srtp_apply(functions["srtp_unprotect"], inbound, expected) != (0, _TEST_PACKET):
            raise _broken(f"unprotecting the test packet with {profile} gave a wrong result")
        report = bytes.fromhex("80c90001cafebabe")
        status, protected = _engine.srtp_apply(functions["srtp_protect_rtcp"], outbound, report)
        if status or _engine.srtp_apply(functions["srtp_unprotect_rtcp"], inbound, protected) != (0, report):
            raise _broken(f"an RTCP packet with {profile} did not survive")


def _open_session(
    profile: SrtpProfile, key: bytes, ssrc_type: int, window: int, *, allow_repeat: bool = False
) -> Session:
    expected = KEY_BYTES[profile]
    if len(key) != expected:
        raise ConfigError(f"SRTP keys: {profile} takes {expected} bytes of key and salt, got {len(key)}")
    policy = _make_policy(profile, ssrc_type, window, allow_repeat)
    policy.key = key
    session = Session(policy)
    policy.key = None
    # Room for the packets of its Python methods, which nobody calls.
    session._cdata = session._buffer = None
    return session


@cache
def _make_policy(profile: SrtpProfile, ssrc_type: int, window: int, allow_repeat: bool) -> Policy:
    """Without a key: libsrtp copies what it says into each session."""
    policy = Policy(ssrc_type=ssrc_type, srtp_profile=_PROFILES[profile])
    policy.window_size = window
    policy.allow_repeat_tx = allow_repeat
    return policy


def _function_address(name: str) -> int:
    try:
        # cffi's types are its own; `Any` at the library's edge.
        function: Any = ffi.addressof(lib, name)
    except AttributeError as error:
        raise _broken(f"its libsrtp has no {name}") from error
    signature = ffi.typeof(function).cname
    if signature != SIGNATURE:
        raise _broken(f"{name} is {signature}, expected {SIGNATURE}")
    return int(ffi.cast("uintptr_t", function))


def _broken(what: str) -> ConfigError:
    version = getattr(pylibsrtp, "__version__", "unknown")
    return ConfigError(
        f"pylibsrtp {version} does not fit the engine: {what}; install pylibsrtp 1.0.0", slug="srtp-binding"
    )
