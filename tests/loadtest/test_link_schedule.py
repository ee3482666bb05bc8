"""The emulated link in virtual time: delay, order, loss, reordering, and a bottleneck with a bounded queue."""

from hypothesis import given
from hypothesis import strategies as st

from loadtest.link.schedule import REORDER_US, Direction, Shape
from loadtest.link.trace import Seen, count_round_trips, parse_kind


def arrivals(direction: Direction) -> list[tuple[int, bytes]]:
    """Everything still under way, with its time of arrival."""
    arrived = []
    while (due := direction.poll_timeout()) is not None:
        assert direction.poll_packet(due - 1) is None, "a packet came before its time"
        packet = direction.poll_packet(due)
        assert packet is not None
        arrived.append((due, packet))
    return arrived


def send(shape: Shape, count: int, *, every_us: int, size: int = 100, seed: int = 1) -> tuple[Direction, list[int]]:
    """`count` numbered packets; the arrival time of each number that arrived."""
    direction = Direction(shape, seed)
    for number in range(count):
        direction.handle_packet(number.to_bytes(4, "big").ljust(size, b"x"), number * every_us)
    return direction, [int.from_bytes(packet[:4], "big") for _, packet in arrivals(direction)]


def test_a_packet_arrives_after_the_delay() -> None:
    direction = Direction(Shape(delay_us=50_000), seed=1)
    direction.handle_packet(b"first", 1_000)
    direction.handle_packet(b"second", 1_500)
    assert arrivals(direction) == [(51_000, b"first"), (51_500, b"second")]
    assert direction.poll_timeout() is None


@given(st.integers(0, 2**32), st.integers(0, 30_000))
def test_jitter_keeps_the_order(seed: int, jitter_us: int) -> None:
    _, numbers = send(Shape(delay_us=1_000, jitter_us=jitter_us), 50, every_us=500, seed=seed)
    assert numbers == list(range(50))


def test_jitter_spreads_the_delay() -> None:
    direction = Direction(Shape(delay_us=10_000, jitter_us=8_000), seed=3)
    for number in range(1000):
        direction.handle_packet(b"x", number * 100_000)
    late = [due - number * 100_000 - 10_000 for number, (due, _) in enumerate(arrivals(direction))]
    assert min(late) >= 0
    assert max(late) <= 8_000
    assert 3_500 < sum(late) / len(late) < 4_500


def test_loss_has_its_rate_and_repeats_with_its_seed() -> None:
    shape = Shape(loss=0.1)
    direction, first = send(shape, 5_000, every_us=10, seed=7)
    assert 4_400 < len(first) < 4_600
    assert direction.dropped_by_loss == 5_000 - len(first)
    assert send(shape, 5_000, every_us=10, seed=7)[1] == first
    assert send(shape, 5_000, every_us=10, seed=8)[1] != first


def test_reordered_packets_come_late_by_a_known_time() -> None:
    _, numbers = send(Shape(reorder=0.1), 1_000, every_us=1_000, seed=2)
    assert sorted(numbers) == list(range(1_000))
    displaced = [place - number for place, number in enumerate(numbers) if place > number]
    assert 60 < len(displaced) < 140
    assert max(displaced) <= REORDER_US // 1_000


def test_the_rate_paces_and_the_full_queue_drops_the_tail() -> None:
    # 1000 bytes take 8 ms at 1 Mbit/s; three of them fit into the queue.
    shape = Shape(rate_bps=1_000_000, queue_bytes=3_000)
    direction = Direction(shape, seed=1)
    for number in range(6):
        direction.handle_packet(bytes([number]) * 1_000, 0)
    assert [(due, packet[0]) for due, packet in arrivals(direction)] == [(8_000, 0), (16_000, 1), (24_000, 2)]
    assert direction.dropped_by_queue == 3
    direction.handle_packet(bytes(1_000), 24_000)
    assert [due for due, _ in arrivals(direction)] == [32_000]


def ipv4(protocol: int, body: bytes) -> bytes:
    length = 20 + len(body)
    return b"\x45\0" + length.to_bytes(2, "big") + bytes(5) + bytes([protocol]) + bytes(10) + body


def udp(payload: bytes) -> bytes:
    return ipv4(17, bytes(8) + payload)


def tcp(flags: int, payload: bytes = b"") -> bytes:
    return ipv4(6, bytes(12) + bytes([0x50, flags]) + bytes(6) + payload)


def test_packets_are_told_apart() -> None:
    assert parse_kind(tcp(0x02)) == ("tcp", "syn")
    assert parse_kind(tcp(0x10)) == ("tcp", "ack")
    assert parse_kind(tcp(0x18, b"GET / HTTP/1.1")) == ("http", "data")
    assert parse_kind(udp(b"\x00\x01" + bytes(18))) == ("stun", "request")
    assert parse_kind(udp(b"\x01\x01" + bytes(18))) == ("stun", "response")
    assert parse_kind(udp(b"\x16\xfe\xfd" + bytes(20))) == ("dtls", "handshake")
    assert parse_kind(udp(b"\x80\xc8" + bytes(20))) == ("rtcp", "")
    assert parse_kind(udp(b"\x90\xe0" + bytes(20))) == ("rtp", "")
    assert parse_kind(b"\x60" + bytes(60)) == ("other", "")
    assert parse_kind(b"") == ("other", "")


def test_round_trips_count_answered_flights() -> None:
    flights = "near far near near far far far near"
    trace = [Seen(time, sender, "dtls", "handshake", 1) for time, sender in enumerate(flights.split())]  # type: ignore[arg-type]
    trace.insert(1, Seen(0, "far", "stun", "response", 1))
    assert count_round_trips(trace, "dtls") == 2
    assert count_round_trips(trace, "stun") == 0
    assert count_round_trips([Seen(0, "near", "tcp", "ack", 1), Seen(1, "far", "tcp", "ack", 1)], "tcp") == 0
