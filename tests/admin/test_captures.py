"""Captures of a peer's packets, read by a reader of our own: right headers, no media in the clear, all limits."""

import asyncio
import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from aiortc.mediastreams import AudioStreamTrack

from router.rtc.pcapng import write_interface, write_section, write_statistics
from tests.admin.conftest import Router, open_client
from tests.admin.test_faults_explained import Stage, stage

ON = {"capture": {"enabled": True, "max_s": 20, "max_bytes": 1_000_000, "max_concurrent": 1}}


@dataclass(frozen=True)
class Captured:
    """One packet of a file."""

    inbound: bool
    source: tuple[str, int]
    destination: tuple[str, int]
    payload: bytes
    length: int
    """Of the payload when it travelled."""


def read_blocks(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        kind, length = struct.unpack_from("<II", data)
        assert struct.unpack_from("<I", data, length - 4) == (length,)
        yield kind, data[8 : length - 4]
        data = data[length:]


def read_packets(data: bytes) -> list[Captured]:
    packets = []
    for kind, body in read_blocks(data):
        if kind != 6:
            continue
        _, _, _, kept, whole = struct.unpack_from("<IIIII", body)
        ip = body[20 : 20 + kept]
        assert ip[0] == 0x45
        assert ip[9] == 17
        assert struct.unpack_from("!H", ip, 2) == (whole,)
        words = sum(struct.unpack_from("!10H", ip))
        assert (words & 0xFFFF) + (words >> 16) == 0xFFFF, "the header's checksum"
        source_port, destination_port, length, _ = struct.unpack_from("!HHHH", ip, 20)
        source, destination = (".".join(map(str, ip[at : at + 4])) for at in (12, 16))
        flags = struct.unpack_from("<HHI", body, 20 + kept + -kept % 4)
        assert flags[:2] == (2, 4)
        packets.append(
            Captured(flags[2] == 1, (source, source_port), (destination, destination_port), ip[28:], length - 8)
        )
    return packets


def classify(packet: Captured) -> str:
    first, second = packet.payload[:2]
    if first < 4:
        return "stun"
    if 20 <= first < 64:
        return "dtls"
    return "rtcp" if 192 <= second <= 223 else "rtp"


async def capture(it: Stage, path: str, **body: Any) -> bytes:
    response = await it.admin.post(f"{path}/captures", json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/x-pcapng"
    return response.content


@pytest.mark.e2e
async def test_a_call_is_captured_from_its_first_packet_on() -> None:
    async with stage(**ON) as it:
        await it.join("ada", AudioStreamTrack(), connect=False)
        path = await it.find("ada")
        capturing = asyncio.create_task(capture(it, path, what="headers", max_s=2.5))
        await asyncio.sleep(0.3)
        refused = await it.admin.post(f"{path}/captures")
        assert (refused.status_code, refused.json()["slug"]) == (409, "capture-running")
        await it.connect("ada")
        data = await capturing
        packets = read_packets(data)
        kinds = Counter((classify(packet), packet.inbound) for packet in packets)
        # The first check, before the engine knew its address, and Python's answer; the handshake; media; reports.
        assert classify(packets[0]) == "stun"
        assert packets[0].inbound
        for kind in ("stun", "dtls"):
            assert kinds[kind, True]
            assert kinds[kind, False]
        assert kinds["rtp", True] > 20
        assert kinds["rtcp", False] >= 1
        ours = {packet.destination if packet.inbound else packet.source for packet in packets}
        assert len(ours) == 1
        assert ours.pop()[0] == "127.0.0.1"
        for packet in packets:
            if classify(packet) == "rtp":
                words = struct.unpack_from("!H", packet.payload, 14)[0] if packet.payload[0] & 0x10 else -1
                assert len(packet.payload) == 16 + 4 * words, "headers and extensions, and no byte more"
                assert packet.length > len(packet.payload) + 16
            elif classify(packet) == "rtcp":
                assert len(packet.payload) == packet.length
        reports = [packet.payload for packet in packets if classify(packet) == "rtcp" and not packet.inbound]
        assert all(report[1] in (200, 201) and len(report) % 4 == 0 for report in reports), "compounds in the clear"
        *_, (block, statistics) = read_blocks(data)
        assert block == 5
        received, dropped = (struct.unpack_from("<Q", statistics, at)[0] for at in (16, 28))
        assert (received, dropped) == (len(packets), 0)

        # Encrypted, it is what travelled, up to a size.
        data = await capture(it, path, what="encrypted", max_bytes=5_000)
        assert 2_000 < sum(len(body) + 12 for kind, body in read_blocks(data) if kind == 6) <= 5_000
        packets = read_packets(data)
        assert all(len(packet.payload) == packet.length for packet in packets)
        assert any(classify(packet) == "rtp" for packet in packets)

        # Who hangs up ends it.
        async with it.admin.stream("POST", f"{path}/captures", json={}) as response:
            assert response.status_code == 200
            await anext(response.aiter_bytes())
        async with asyncio.timeout(5):
            while (await it.admin.post(f"{path}/captures", json={"max_s": 0.01})).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


async def test_it_is_off_unless_a_setting_allows_it(router: Router, client: httpx.AsyncClient) -> None:
    session = router.add_session(router.registry.create_room("a"), "ada")
    path = f"/v1/rooms/a/participants/{session.participant.id}/captures"
    refused = await client.post(path)
    assert (refused.status_code, refused.json()["slug"]) == (403, "capture-disabled")
    unknown = await client.post("/v1/rooms/a/participants/nobody/captures")
    assert unknown.status_code == 404


@pytest.mark.parametrize(
    "body", [{"what": "everything"}, {"max_s": 0}, {"max_s": 301}, {"max_bytes": 1}, {"max_bytes": 10**12}, {"to": 1}]
)
async def test_bad_wishes_are_refused(router: Router, body: dict[str, Any]) -> None:
    app = router.app()
    app.state.admin.captures.enabled = True
    session = router.add_session(router.registry.create_room("a"), "ada")
    async with open_client(app) as client:
        client.headers["Authorization"] = "Bearer an admin token, long enough"
        response = await client.post(f"/v1/rooms/a/participants/{session.participant.id}/captures", json=body)
    assert response.status_code in (400, 422), response.text


def test_the_blocks_of_a_file_are_whole() -> None:
    data = write_section("fork-router") + write_interface("session0", "whip")
    data += write_statistics(0, 1 << 33, packets=3, dropped=2)
    blocks = list(read_blocks(data))
    assert [kind for kind, _ in blocks] == [0x0A0D0D0A, 1, 5]
    assert blocks[1][1][:4] == struct.pack("<HH", 101, 0)
    assert struct.unpack_from("<III", blocks[2][1]) == (0, 2, 0)
    assert struct.unpack_from("<HHQ", blocks[2][1], 12) == (4, 8, 5)
