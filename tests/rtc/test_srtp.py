"""SRTP through our binding, against the RFCs' vectors and an implementation made from their text alone.

The vectors of RFC 7714 begin at session keys, libsrtp at master keys. So `Reference` is checked against the RFCs first,
and then libsrtp, called as the engine calls it, against `Reference`.
"""

import hmac
import struct
from types import SimpleNamespace

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pylibsrtp import Policy, Session
from pylibsrtp._binding import ffi

from router import _engine
from router.errors import ConfigError
from router.rtc import srtp
from router.rtc.constraints import SRTP_PROFILES, SrtpProfile

CM: SrtpProfile = "AES128_CM_SHA1_80"
GCM: SrtpProfile = "AEAD_AES_128_GCM"
KEYS: dict[SrtpProfile, bytes] = {
    CM: bytes.fromhex("e1f97a0d3e018be0d64fa32c06de41390ec675ad498afeebb6960b3aabe6"),
    GCM: bytes.fromhex("000102030405060708090a0b0c0d0e0f517569642070726f2071756f"),
}
STATUS_AUTH_FAIL, STATUS_REPLAY_FAIL, STATUS_REPLAY_OLD = 7, 9, 10


def aes_counter(key: bytes, counter: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(data)


def xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def derive(key: bytes, salt: bytes, label: int, length: int) -> bytes:
    """RFC 3711 section 4.3.1, with a key derivation rate of zero."""
    block = xor(salt.ljust(14, b"\0"), bytes(7) + bytes([label]) + bytes(6)) + bytes(2)
    return aes_counter(key, block, bytes(length))


def cm_rtp(keys: tuple[bytes, bytes, bytes], packet: bytes, index: int) -> bytes:
    """RFC 3711 sections 4.1.1 and 4.2 with session keys; headers of 12 bytes."""
    key, salt, authentication = keys
    header, payload = packet[:12], packet[12:]
    iv = xor(salt, bytes(4) + header[8:12] + struct.pack("!Q", index)[2:]) + bytes(2)
    protected = header + aes_counter(key, iv, payload)
    rollover = struct.pack("!I", index >> 16)
    return protected + hmac.digest(authentication, protected + rollover, "sha1")[:10]


def cm_rtcp(keys: tuple[bytes, bytes, bytes], packet: bytes, index: int) -> bytes:
    """RFC 3711 section 3.4."""
    key, salt, authentication = keys
    iv = xor(salt, bytes(4) + packet[4:8] + struct.pack("!Q", index)[2:]) + bytes(2)
    protected = packet[:8] + aes_counter(key, iv, packet[8:]) + struct.pack("!I", 1 << 31 | index)
    return protected + hmac.digest(authentication, protected, "sha1")[:10]


def gcm_rtp(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    """RFC 7714 section 8."""
    header, payload = packet[:12], packet[12:]
    iv = xor(salt, bytes(2) + header[8:12] + struct.pack("!IH", index >> 16, index & 0xFFFF))
    return header + AESGCM(key).encrypt(iv, payload, header)


def gcm_rtcp(key: bytes, salt: bytes, packet: bytes, index: int) -> bytes:
    """RFC 7714 section 9."""
    word = struct.pack("!I", 1 << 31 | index)
    iv = xor(salt, bytes(2) + packet[4:8] + bytes(2) + struct.pack("!I", index))
    return packet[:8] + AESGCM(key).encrypt(iv, packet[8:], packet[:8] + word) + word


def reference(profile: SrtpProfile, master: bytes, packet: bytes, index: int, *, rtcp: bool) -> bytes:
    """What the packet becomes, from master key and salt."""
    key, salt = master[:16], master[16:]
    first = 3 if rtcp else 0
    if profile == CM:
        keys = derive(key, salt, first, 16), derive(key, salt, first + 2, 14), derive(key, salt, first + 1, 20)
        return cm_rtcp(keys, packet, index) if rtcp else cm_rtp(keys, packet, index)
    key, salt = derive(key, salt, first, 16), derive(key, salt, first + 2, 12)
    return gcm_rtcp(key, salt, packet, index) if rtcp else gcm_rtp(key, salt, packet, index)


def rtp(sequence: int, payload: bytes = b"payload" * 20, ssrc: int = 0x5501A0B2) -> bytes:
    return struct.pack("!BBHII", 0x80, 96, sequence & 0xFFFF, 1000, ssrc) + payload


REPORT = bytes.fromhex("81c8000d4d6172734e5450314e545032525450200000042a0000e930") + bytes(28)


class Peer:
    """libsrtp as the engine calls it."""

    def __init__(self, profile: SrtpProfile) -> None:
        self.sessions = srtp.open_sessions(profile, KEYS[profile], KEYS[profile])
        self._functions = dict(zip(srtp.FUNCTIONS, srtp.function_addresses(), strict=True))

    def apply(self, name: str, packet: bytes) -> tuple[int, bytes]:
        inbound, outbound = self.sessions.addresses
        return _engine.srtp_apply(self._functions[name], inbound if "unprotect" in name else outbound, packet)


def test_reference_derives_the_keys_of_rfc_3711_appendix_b3() -> None:
    key, salt = KEYS[CM][:16], KEYS[CM][16:]
    assert derive(key, salt, 0, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derive(key, salt, 2, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    authentication = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098"
    assert derive(key, salt, 1, 48).hex().upper() == authentication


def test_reference_makes_the_keystream_of_rfc_3711_appendix_b2() -> None:
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    salt = bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD")
    stream = cm_rtp((key, salt, bytes(20)), bytes(12) + bytes(48), 0)[12:60]
    assert stream.hex().upper() == (
        "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    )


def test_reference_protects_the_rtp_packet_of_rfc_7714_section_16() -> None:
    key, salt = KEYS[GCM][:16], KEYS[GCM][16:]
    packet = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
    protected = gcm_rtp(key, salt, packet, 0xF17B)
    assert protected.hex() == (
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf"
        "8833899d7f27beb16a9152cf765ee4390cce"
    )


def test_reference_protects_the_rtcp_packet_of_rfc_7714_section_17() -> None:
    key, salt = KEYS[GCM][:16], KEYS[GCM][16:]
    packet = bytes.fromhex("81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeef")
    packet += bytes.fromhex("deadbeefdeadbeef")
    protected = gcm_rtcp(key, salt, packet, 0x5D4)
    assert protected.hex() == (
        "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded"
        "0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4"
    )


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_protects_as_the_rfcs_say(profile: SrtpProfile) -> None:
    peer = Peer(profile)
    for index in range(1, 4):
        packet = rtp(0xF17A + index)
        expected = reference(profile, KEYS[profile], packet, 0xF17A + index, rtcp=False)
        assert peer.apply("srtp_protect", packet) == (0, expected)
        # libsrtp numbers a session's SRTCP packets from 1.
        expected = reference(profile, KEYS[profile], REPORT, index, rtcp=True)
        assert peer.apply("srtp_protect_rtcp", REPORT) == (0, expected)


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_unprotects_what_the_rfcs_say_also_after_wrap(profile: SrtpProfile) -> None:
    peer = Peer(profile)
    for index in range(65_530, 65_545):
        protected = reference(profile, KEYS[profile], rtp(index), index, rtcp=False)
        assert peer.apply("srtp_unprotect", protected) == (0, rtp(index))
    protected = reference(profile, KEYS[profile], REPORT, 9, rtcp=True)
    assert peer.apply("srtp_unprotect_rtcp", protected) == (0, REPORT)


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_agrees_with_pylibsrtps_own_session(profile: SrtpProfile) -> None:
    number = {CM: Policy.SRTP_PROFILE_AES128_CM_SHA1_80, GCM: Policy.SRTP_PROFILE_AEAD_AES_128_GCM}[profile]
    policy = Policy(key=KEYS[profile], ssrc_type=Policy.SSRC_ANY_OUTBOUND, srtp_profile=number)
    own, peer = Session(policy), Peer(profile)
    for length in (0, 1, 16, 1100, 1188):
        packet = rtp(100 + length, bytes(length))
        assert peer.apply("srtp_protect", packet) == (0, own.protect(packet))
        assert peer.apply("srtp_protect_rtcp", REPORT) == (0, own.protect_rtcp(REPORT))


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_tells_replay_from_forgery(profile: SrtpProfile) -> None:
    peer = Peer(profile)
    packets = {i: reference(profile, KEYS[profile], rtp(i), i, rtcp=False) for i in (1, 3000, 3001)}
    for position in range(12, len(packets[3001])):
        forged = bytearray(packets[3001])
        forged[position] ^= 0x10
        assert peer.apply("srtp_unprotect", bytes(forged))[0] == STATUS_AUTH_FAIL
    assert peer.apply("srtp_unprotect", packets[3001])[0] == 0
    assert peer.apply("srtp_unprotect", packets[3001])[0] == STATUS_REPLAY_FAIL
    assert peer.apply("srtp_unprotect", packets[3000])[0] == 0, "late, but within the window"
    assert peer.apply("srtp_unprotect", packets[1])[0] == STATUS_REPLAY_OLD


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_repeats_a_packet_bit_for_bit(profile: SrtpProfile) -> None:
    peer = Peer(profile)
    first = peer.apply("srtp_protect", rtp(5))
    assert peer.apply("srtp_protect", rtp(6))[0] == 0
    assert peer.apply("srtp_protect", rtp(5)) == first


@pytest.mark.parametrize("profile", SRTP_PROFILES)
@pytest.mark.parametrize("function", ["srtp_unprotect", "srtp_unprotect_rtcp"])
def test_short_packets_are_refused(profile: SrtpProfile, function: str) -> None:
    peer = Peer(profile)
    for fill in (0x00, 0x80, 0x8F, 0x90, 0xBF, 0xFF):
        for length in range(64):
            assert peer.apply(function, bytes([fill]) * length)[0] != 0


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_keys_of_a_wrong_length_are_refused(profile: SrtpProfile) -> None:
    with pytest.raises(ConfigError, match=f"{profile} takes {len(KEYS[profile])} bytes"):
        srtp.open_sessions(profile, KEYS[profile], KEYS[profile][:-1])


def test_the_binding_fits() -> None:
    srtp.check_binding()


class BrokenFfi:
    """cffi with one answer changed."""

    def __init__(self, *, missing: str = "", signature: str = srtp.SIGNATURE) -> None:
        self._missing = missing
        self._signature = signature

    def addressof(self, lib: object, name: str) -> object:
        if name == self._missing:
            raise AttributeError(name)
        return ffi.addressof(lib, name)

    def typeof(self, function: object) -> SimpleNamespace:
        return SimpleNamespace(cname=self._signature)

    def cast(self, kind: str, value: object) -> object:
        return ffi.cast(kind, value)


def test_a_missing_symbol_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srtp, "ffi", BrokenFfi(missing="srtp_unprotect_rtcp"))
    with pytest.raises(ConfigError, match=r"no srtp_unprotect_rtcp; install pylibsrtp 1\.0\.0"):
        srtp.check_binding()


def test_another_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srtp, "ffi", BrokenFfi(signature="int(*)(void *)"))
    with pytest.raises(ConfigError, match=r"srtp_protect is int\(\*\)\(void \*\), expected srtp_err_status_t"):
        srtp.check_binding()


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_a_library_with_wrong_results_is_refused(profile: SrtpProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    key, result = srtp._TEST_VECTORS[profile]
    monkeypatch.setitem(srtp._TEST_VECTORS, profile, (key, result[:-2] + "00"))
    with pytest.raises(ConfigError, match=f"test packet with {profile}") as caught:
        srtp.check_binding()
    assert caught.value.slug == "srtp-binding"


@pytest.mark.parametrize("profile", SRTP_PROFILES)
def test_the_self_tests_vectors_follow_from_the_rfcs(profile: SrtpProfile) -> None:
    key, result = srtp._TEST_VECTORS[profile]
    expected = reference(profile, bytes.fromhex(key), srtp._TEST_PACKET, 0x1234, rtcp=False)
    assert expected[12:].hex() == result


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"function": 0}, "function: expected 1 to"),
        ({"session": 0}, "session: expected 1 to"),
        ({"room": 8}, "room: expected 32 to 4096, got 8"),
    ],
)
def test_srtp_apply_checks_its_arguments(changed: dict[str, int], message: str) -> None:
    arguments = {"function": 1, "session": 1, "room": 64} | changed
    with pytest.raises(ConfigError, match=message):
        _engine.srtp_apply(arguments["function"], arguments["session"], b"", arguments["room"])
