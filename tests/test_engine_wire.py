"""The engine's RTCP against aiortc's parsers, on the same bytes (see vectors/rtcp/README.md)."""

from pathlib import Path

from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpPsfbPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSrPacket,
    unpack_remb_fci,
)

COMPOUND = (Path(__file__).parent / "vectors" / "rtcp" / "one-of-each.bin").read_bytes()


def block(ssrc: int) -> RtcpReceiverInfo:
    return RtcpReceiverInfo(
        ssrc=ssrc,
        fraction_lost=12,
        packets_lost=-5,
        highest_sequence=0x1FFFE,
        jitter=77,
        lsr=0x12345678,
        dlsr=0x10000,
    )


def test_aiortc_reads_the_same_values() -> None:
    report, receiver, description, nack, pli, fir, feedback, remb, bye = RtcpPacket.parse(COMPOUND)
    assert isinstance(report, RtcpSrPacket)
    assert report.ssrc == 1
    assert report.sender_info.ntp_timestamp == (1_700_000_000 + 2_208_988_800) << 32 | 1 << 30
    assert (report.sender_info.rtp_timestamp, report.sender_info.packet_count) == (90_000, 10)
    assert report.sender_info.octet_count == 1000
    assert report.reports == [block(2), block(3)]
    assert isinstance(receiver, RtcpRrPacket)
    assert receiver.reports == [block(4)]
    assert isinstance(description, RtcpSdesPacket)
    assert [(chunk.ssrc, chunk.items) for chunk in description.chunks] == [(1, [(1, b"name")]), (5, [(1, b"name")])]
    assert isinstance(nack, RtcpRtpfbPacket)
    # aiortc does not wrap the numbers of a bitmask at 16 bits.
    assert [seq % 65536 for seq in nack.lost] == [65535, 0, 15, 16, 40]
    assert isinstance(pli, RtcpPsfbPacket)
    assert (pli.fmt, pli.ssrc, pli.media_ssrc) == (1, 1, 2)
    assert isinstance(fir, RtcpPsfbPacket)
    assert (fir.fmt, fir.fci) == (4, bytes([0, 0, 0, 2, 200, 0, 0, 0]))
    assert isinstance(feedback, RtcpRtpfbPacket)
    assert (feedback.fmt, feedback.ssrc, feedback.media_ssrc) == (15, 1, 2)
    assert isinstance(remb, RtcpPsfbPacket)
    assert unpack_remb_fci(remb.fci) == (2_500_000, [2, 3])
    assert isinstance(bye, RtcpByePacket)
    assert bye.sources == [1, 5]


def test_aiortc_writes_the_same_bytes() -> None:
    for packet in RtcpPacket.parse(COMPOUND):
        if not isinstance(packet, RtcpRtpfbPacket):  # aiortc packs bitmasks without wrapping
            assert bytes(packet) in COMPOUND
