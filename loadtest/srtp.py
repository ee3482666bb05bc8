"""libsrtp for the native part: addresses of pylibsrtp's functions and sessions (RFC 3711, RFC 7714).

pylibsrtp makes and frees the sessions, the native part calls libsrtp on them. No compiler checks that call, so the C
signatures are compared here. Independent of the router's own `rtc/srtp.py`.
"""

from typing import Any, Literal

from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi, lib

from loadtest.client import SrtpKeys

FUNCTIONS = ("srtp_protect", "srtp_unprotect", "srtp_protect_rtcp", "srtp_unprotect_rtcp")
SIGNATURE = "srtp_err_status_t(*)(struct srtp_ctx_t_ *, void *, int *)"
PROFILES = {
    "SRTP_AEAD_AES_128_GCM": Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    "SRTP_AES128_CM_SHA1_80": Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
INBOUND_WINDOW = 1024
OUTBOUND_WINDOW = 128
"""libsrtp's own default: packets leave in order, and a larger window costs time for each of them."""


def function_addresses() -> tuple[int, int, int, int]:
    """In the order of `FUNCTIONS`."""
    protect, unprotect, protect_rtcp, unprotect_rtcp = (_address(name) for name in FUNCTIONS)
    return protect, unprotect, protect_rtcp, unprotect_rtcp


def open_session(keys: SrtpKeys, direction: Literal["inbound", "outbound"]) -> Session:
    """A session for any SSRC."""
    kind = Policy.SSRC_ANY_INBOUND if direction == "inbound" else Policy.SSRC_ANY_OUTBOUND
    key = keys.inbound if direction == "inbound" else keys.outbound
    policy = Policy(key=key, ssrc_type=kind, srtp_profile=PROFILES[keys.profile])
    policy.window_size = INBOUND_WINDOW if direction == "inbound" else OUTBOUND_WINDOW
    return Session(policy)


def session_address(session: Session) -> int:
    """That of its `srtp_t`."""
    return int(ffi.cast("uintptr_t", session._srtp[0]))


def _address(name: str) -> int:
    # cffi's types are its own; `Any` at the library's edge.
    function: Any = ffi.addressof(lib, name)
    signature = ffi.typeof(function).cname
    if signature != SIGNATURE:
        raise RuntimeError(f"libsrtp's {name} is {signature}, expected {SIGNATURE}")
    return int(ffi.cast("uintptr_t", function))
