"""What one bad path or a full buffer does to everybody else: nothing, or no more than it must (real kernel, real link).

What Linux 6.18 was seen doing: a segment above the path's MTU is refused with EMSGSIZE (older kernels: EINVAL), while a
single datagram is fragmented; a device without checksum offload segments in software (EIO came before 6.11); packets
for a neighbour that does not answer ARP are charged to the socket for 3 s, up to 208 KiB a neighbour.
"""

from collections.abc import Iterator

import pytest

from tests.e2e import netns
from tests.e2e.fault_stage import PACKETS, Receiver, Stage, create_stage, set_checksum_offload, set_rate
from tests.e2e.netns import run_ip

pytestmark = pytest.mark.skipif(not netns.available(), reason="needs root and network namespaces")


@pytest.fixture
def stage() -> Iterator[Stage]:
    with create_stage() as made:
        yield made


def assert_unharmed(stage: Stage, *receivers: Receiver) -> None:
    """They got every packet of both tracks."""
    for receiver in receivers:
        assert len(receiver.voice) == stage.sent_frames
        assert len(receiver.camera) == PACKETS * stage.sent_frames


def test_both_families_get_everything_in_segments(stage: Stage) -> None:
    receivers = [stage.join(address) for address in (stage.space.outside, "fd77::1") * 3]
    stage.play(60)
    assert_unharmed(stage, *receivers)
    counters = stage.counters()
    assert counters["gso_segments"] > counters["rtp_packets_sent"] / 2
    assert (counters["gso_fallbacks"], counters["send_errors"]) == (0, 0)
    # The publisher's runs crossed the link as they are.
    assert counters["gro_segments"] > PACKETS * stage.sent_frames / 2


def test_segments_above_the_mtu_go_one_by_one(stage: Stage) -> None:
    for place in ([stage.space.link], ["eth0"]):
        inside = ["-n", stage.space.name] if place == ["eth0"] else []
        run_ip(*inside, "link", "set", *place, "mtu", "1280")
    receivers = [stage.join(address) for address in (stage.space.outside, "fd77::1")]
    stage.play(50, payload_bytes=1216)
    assert_unharmed(stage, *receivers)
    counters = stage.counters()
    assert 1 <= counters["gso_fallbacks"] <= 4, "remembered for each destination"
    assert counters["send_errors"] == 0


def test_a_device_without_checksum_offload(stage: Stage) -> None:
    set_checksum_offload(stage.space, on=False)
    receivers = [stage.join(stage.space.outside) for _ in range(3)]
    stage.play(50)
    assert_unharmed(stage, *receivers)
    counters = stage.counters()
    assert counters["gso_segments"] + counters["gso_fallbacks"] > 0, "segmented, or refused by an older kernel"
    assert counters["send_errors"] == 0


@pytest.mark.parametrize("send_buffer_bytes", [4 << 20, 212_992], ids=["default", "kernel's default"])
def test_a_black_hole_and_a_deaf_one_harm_nobody_else(send_buffer_bytes: int) -> None:
    with create_stage(send_buffer_bytes=send_buffer_bytes) as stage:
        spoil_two(stage)


def spoil_two(stage: Stage) -> None:
    gone = stage.space.outside.rpartition(".")[0] + ".99"
    run_ip("addr", "add", f"{gone}/24", "dev", stage.space.link)
    good = [stage.join(stage.space.outside) for _ in range(3)]
    lost, deaf = stage.join(gone), stage.join(stage.space.outside)
    deaf.reads = False
    stage.play(10)
    assert_unharmed(stage, *good, lost)
    # Nobody answers for the address any more: packets wait for ARP.
    run_ip("addr", "del", f"{gone}/24", "dev", stage.space.link)
    run_ip("-n", stage.space.name, "neigh", "flush", "dev", "eth0", "to", gone)
    stage.play(100)
    assert_unharmed(stage, *good)
    assert len(lost.camera) < PACKETS * 20
    assert sum(stage.counters()["send_dropped"].values()) == 0


@pytest.mark.parametrize("burst", [1, 5], ids=["evenly", "in bursts"])
def test_a_full_send_buffer_costs_video_before_audio(burst: int) -> None:
    # An eighth is kept for audio; it must be more than what the three get at once.
    with create_stage(send_buffer_bytes=256 << 10) as stage:
        receivers = [stage.join(stage.space.outside) for _ in range(3)]
        stage.play(10)
        assert_unharmed(stage, *receivers)
        # Half of what three cameras need.
        set_rate(stage.space, "5mbit")
        stage.play(150, burst=burst)
        stage.wait(1_500_000)
        dropped = stage.counters()["send_dropped"]
        for receiver in receivers:
            assert len(receiver.voice) == stage.sent_frames
            share = len(receiver.camera) / (PACKETS * stage.sent_frames)
            assert 0.2 < share < 0.9
        assert dropped["video"] > 0
        assert dropped["audio"] == 0
