import asyncio
import random
import struct
from binascii import crc32
from ipaddress import ip_address

import pytest
from aioice import stun

from router.errors import ConfigError
from router.rtc import ice
from router.rtc.ice import (
    AnnouncedAddress,
    StunGatherer,
    bound_addresses,
    host_addresses,
    lower_priority,
    make_candidate,
    parse_check,
    parse_server_url,
)

PASSWORD = "p" * 24
ICE_ATTRIBUTES = {"USERNAME": "local:remote", "PRIORITY": 1234, "ICE-CONTROLLING": 7, "USE-CANDIDATE": None}


def write_check(password: str = PASSWORD, **changes: object) -> bytes:
    attributes = {**ICE_ATTRIBUTES, **{name.replace("_", "-"): value for name, value in changes.items()}}
    attributes = {name: value for name, value in attributes.items() if value is not False}
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"t" * 12, attributes)
    message.add_message_integrity(password.encode())
    return bytes(message)


def with_length(data: bytes) -> bytes:
    return data[:2] + struct.pack("!H", len(data) - 20) + data[4:]


def with_fingerprint(data: bytes) -> bytes:
    """Adds the FINGERPRINT that makes the rest look whole."""
    longer = data[:2] + struct.pack("!H", len(data) - 20 + 8) + data[4:]
    return longer + struct.pack("!HHI", 0x8028, 4, crc32(longer) ^ 0x5354554E)


def attribute(type_: int, value: bytes) -> bytes:
    return struct.pack("!HH", type_, len(value)) + value + bytes(-len(value) % 4)


def test_a_good_check_says_what_it_says() -> None:
    check = parse_check(write_check())
    assert check is not None
    assert (check.local_ufrag, check.remote_ufrag, check.nominated, check.priority) == ("local", "remote", True, 1234)
    assert not check.controlled
    assert check.is_authentic(PASSWORD)
    assert not check.is_authentic("q" * 24)


def test_rfc5769_sample_request() -> None:
    data = bytes.fromhex(
        "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
        "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf"
    )
    check = parse_check(data)
    assert check is not None
    assert (check.local_ufrag, check.remote_ufrag, check.priority) == ("evtj", "h6vY", 0x6E0001FF)
    assert check.controlled
    assert check.is_authentic("VOkJxbRl1RmTxUk/WvJxBt")


def test_attributes_after_the_signature_count_nothing() -> None:
    plain = write_check(USE_CANDIDATE=False, PRIORITY=False)[:-8]
    forged = with_fingerprint(plain + attribute(0x0025, b"") + attribute(0x0024, b"\xff" * 4))
    check = parse_check(forged)
    assert check is not None
    assert check.is_authentic(PASSWORD)
    assert not check.nominated
    assert check.priority == 0


def test_the_first_of_two_user_names_counts() -> None:
    message = stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"t" * 12, {"USERNAME": "victim:x"})
    check = parse_check(with_fingerprint(sign(bytes(message) + attribute(6, b"other:x"))))
    assert check is not None
    assert check.local_ufrag == "victim"


def sign(data: bytes) -> bytes:
    data = with_length(data)
    return data + attribute(8, stun.message_integrity(data, PASSWORD.encode()))


def unauthenticated_checks() -> dict[str, bytes]:
    good = write_check()
    bare = bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"t" * 12, ICE_ATTRIBUTES))
    empty = bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"t" * 12, {}))
    sha256 = with_fingerprint(with_length(bare + attribute(0x001C, bytes(32))))
    return {
        "nothing signed": with_fingerprint(bare),
        "no fingerprint": with_length(good[:-8]),
        "wrong fingerprint": good[:-1] + bytes([good[-1] ^ 1]),
        "fingerprint not last": with_length(good + attribute(0x8022, b"more")),
        "short signature": with_fingerprint(with_length(bare + attribute(8, bytes(16)))),
        "long signature": with_fingerprint(with_length(bare + attribute(8, bytes(24)))),
        "truncated signature": with_length(bare + attribute(8, bytes(20))[:12]),
        "only sha-256": sha256,
        "length field too large": good[:2] + struct.pack("!H", len(good)) + good[4:],
        "length field too small": good[:2] + struct.pack("!H", len(good) - 24) + good[4:],
        "bare use-candidate": with_fingerprint(with_length(empty + attribute(0x0025, b""))),
        "empty user name": write_check(USERNAME=""),
        "600-byte user name": write_check(USERNAME="a" * 598 + ":b"),
        "user name without colon": write_check(USERNAME="local"),
        "user name without our half": write_check(USERNAME=":remote"),
        "user name not ascii": write_check(USERNAME="lócal:remote"),
        "wrong cookie": with_fingerprint(good[:4] + b"\0\0\0\0" + good[8:-8]),
        "indication": b"\x00\x11" + good[2:],
        "allocate": b"\x00\x03" + good[2:],
        "unknown mandatory attribute": with_fingerprint(sign(bare + attribute(0x7FFF, b"what"))),
        "trailing bytes": good + b"\0\0\0\0",
        "attribute runs out": with_length(bare + struct.pack("!HH", 6, 400) + b"abcd"),
    }


@pytest.mark.parametrize("name", unauthenticated_checks())
def test_odd_checks_are_not_even_read(name: str) -> None:
    assert parse_check(unauthenticated_checks()[name]) is None


def test_unknown_optional_attributes_are_ignored() -> None:
    bare = bytes(stun.Message(stun.Method.BINDING, stun.Class.REQUEST, b"t" * 12, ICE_ATTRIBUTES))
    check = parse_check(with_fingerprint(sign(bare + attribute(0xC057, b"\0\1\0\0"))))
    assert check is not None
    assert check.is_authentic(PASSWORD)


def test_no_bytes_raise() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    source, good = random.Random(seed), write_check()
    for end in range(len(good)):
        assert parse_check(good[:end]) is None
    for _ in range(3000):
        mutated = bytearray(good)
        for _ in range(source.randrange(1, 4)):
            mutated[source.randrange(len(mutated))] = source.randrange(256)
        check = parse_check(bytes(mutated))
        assert check is None or mutated == good
    for length in range(0, 1600, 4):
        parse_check(b"\x00\x01" + source.randbytes(length))


def test_the_answer_is_signed_and_names_the_source() -> None:
    check = parse_check(write_check())
    assert check is not None
    answer = stun.parse_message(ice.write_success(check, ("192.0.2.9", 4321), PASSWORD))
    assert answer.message_class == stun.Class.RESPONSE
    assert answer.transaction_id == b"t" * 12
    assert answer.attributes["XOR-MAPPED-ADDRESS"] == ("192.0.2.9", 4321)
    assert "FINGERPRINT" in answer.attributes
    assert answer.check_message_integrity(PASSWORD.encode())
    six = stun.parse_message(ice.write_success(check, ("2001:db8::1", 1), PASSWORD))
    assert six.attributes["XOR-MAPPED-ADDRESS"] == ("2001:db8::1", 1)


def test_host_addresses() -> None:
    assert host_addresses(("127.0.0.1", 5000)) == [("127.0.0.1", 5000)]
    announced = (AnnouncedAddress("198.51.100.1"), AnnouncedAddress("198.51.100.2", 9), AnnouncedAddress("2001:db8::1"))
    assert host_addresses(("0.0.0.0", 5000), announced) == [("198.51.100.1", 5000), ("198.51.100.2", 9)]
    every = host_addresses(("0.0.0.0", 5000))
    assert every
    assert all(port == 5000 and ":" not in address for address, port in every)


@pytest.mark.parametrize(
    ("machine", "bound"),
    [
        (("127.0.0.1", "::1", "192.0.2.7"), ["0.0.0.0"]),
        (("127.0.0.1", "::1", "2001:db8::7"), ["::"]),
        (("2001:db8::7", "192.0.2.7", "192.0.2.8"), ["0.0.0.0", "::"]),
        (("127.0.0.1", "::1"), ["0.0.0.0"]),
    ],
)
def test_every_address_is_of_the_kinds_that_the_machine_has(
    machine: tuple[str, ...], bound: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ice, "_interface_addresses", lambda: map(ip_address, machine))
    assert bound_addresses(["*"]) == bound
    assert bound_addresses(["192.0.2.7"]) == ["192.0.2.7"]
    assert bound_addresses(["*", "0.0.0.0"]).count("0.0.0.0") == 1


def test_no_two_candidates_of_a_worker_have_one_priority() -> None:
    """RFC 8445 section 5.1.2.1; whoever has both kinds tries IPv6 first (RFC 8421)."""
    hosts = [make_candidate("host", (a, 9), base=(a, 9)) for a in ("192.0.2.7", "2001:db8::7")]
    second = make_candidate("host", ("2001:db8::8", 9), base=("2001:db8::8", 9), place=1)
    assert hosts[1].priority > second.priority > hosts[0].priority > lower_priority(hosts[1], 1).priority


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("stun:stun.example.org", ("stun", ("stun.example.org", 3478))),
        ("stun:192.0.2.1:99", ("stun", ("192.0.2.1", 99))),
        ("stun:[2001:db8::1]:99", ("stun", ("2001:db8::1", 99))),
        ("turns:turn.example.org?transport=tcp", ("turns", ("turn.example.org", 5349))),
    ],
)
def test_server_urls(url: str, expected: tuple[str, tuple[str, int]]) -> None:
    assert parse_server_url(url) == expected


@pytest.mark.parametrize("url", ["", "stun:", "http://x", "stun:h:0", "stun:h:70000", "stun:h:x", "example.org"])
def test_bad_server_urls_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="urls"):
        parse_server_url(url)


async def test_gathering_repeats_the_request_and_ignores_strangers() -> None:
    sent: list[bytes] = []
    answered = asyncio.Event()
    server = ("192.0.2.1", 3478)

    def send(address: tuple[str, int], data: bytes) -> None:
        assert address == server
        sent.append(data)
        if len(sent) == 2:
            answered.set()

    gatherer = StunGatherer(send)
    task = asyncio.ensure_future(gatherer.gather(server))
    await asyncio.wait_for(answered.wait(), 2)
    assert sent[0] == sent[1]
    response = stun.Message(stun.Method.BINDING, stun.Class.RESPONSE, sent[0][8:20])
    response.attributes["XOR-MAPPED-ADDRESS"] = ("203.0.113.5", 7)
    gatherer.handle_response(bytes(response), ("192.0.2.66", 3478))
    gatherer.handle_response(bytes(response)[:30], server)
    await asyncio.sleep(0)
    assert not task.done()
    gatherer.handle_response(bytes(response), server)
    assert await task == ("203.0.113.5", 7)
    assert not gatherer._pending
