"""The load client against itself, in both roles, and what it refuses."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from loadtest.client import Client, ConnectError, Identity, Line, Track
from loadtest.client.sdp import RemoteDescription, parse_candidate

IDENTITY = Identity.create()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Client, Client]]:
    clients = Client(IDENTITY), Client(Identity.create())
    yield clients
    for client in clients:
        client.close()


async def test_offer_and_answer_yield_a_keyed_path(pair: tuple[Client, Client]) -> None:
    offerer, answerer = pair
    video, voice = Track("video", "H264"), Track("audio")
    offer = offerer.create_offer([Line("video", video, receives=True), Line("audio", receives=True)])
    offerer.accept_answer(answerer.accept_offer(offer, [voice]))
    one, other = await asyncio.gather(offerer.connect(), answerer.connect())
    assert one.keys.profile == other.keys.profile == "SRTP_AEAD_AES_128_GCM"
    assert (one.keys.inbound, one.keys.outbound) == (other.keys.outbound, other.keys.inbound)
    assert one.socket.getpeername() == other.socket.getsockname()
    assert (one.controlling, other.controlling) == (True, False)
    [sent], [heard] = offerer.sent, answerer.sent
    assert (sent.codec, sent.ssrc, sent.mid) == ("H264", video.ssrc, "0")
    assert (heard.codec, heard.ssrc, heard.mid) == ("opus", voice.ssrc, "1")
    assert (offerer.mids, answerer.mids) == (("1",), ("0",))


async def test_a_wrong_fingerprint_is_refused(pair: tuple[Client, Client]) -> None:
    offerer, answerer = pair
    answer = answerer.accept_offer(offerer.create_offer([Line("audio", receives=True)]))
    at = answer.index("a=fingerprint:sha-256 ") + 22
    wrong = "00" if answer[at : at + 2] != "00" else "11"
    offerer.accept_answer(answer[:at] + wrong + answer[at + 2 :])
    with pytest.raises(ConnectError, match="certificate is not the one"):
        await offerer.connect()


async def test_a_silent_server_is_named_by_the_stage_reached(pair: tuple[Client, Client]) -> None:
    offerer, answerer = pair
    offer = offerer.create_offer([Line("audio", receives=True)])
    answerer.accept_offer(offer)
    with pytest.raises(ConnectError, match="no ICE within"):
        await answerer.connect(0.1)


async def test_a_later_offer_changes_lines_and_not_the_transport(pair: tuple[Client, Client]) -> None:
    server, client = pair
    server.accept_answer(client.accept_offer(server.create_offer([Line("video", Track("video"))])))
    await asyncio.gather(server.connect(), client.connect())
    again = client.accept_offer(server.create_offer([Line("video", Track("video")), Line("video", Track("video"))]))
    assert client.mids == ("0", "1")
    assert RemoteDescription.parse(again).ufrag == client.ufrag


def test_only_udp_candidates_of_component_1_are_taken() -> None:
    assert parse_candidate("a=candidate:1 1 udp 2130706431 192.0.2.1 10000 typ host") == ("192.0.2.1", 10000)
    assert parse_candidate("candidate:1 1 UDP 5 192.0.2.1 7 typ srflx raddr 0.0.0.0 rport 0") == ("192.0.2.1", 7)
    assert parse_candidate("candidate:1 1 tcp 5 192.0.2.1 9 typ host tcptype active") is None
    assert parse_candidate("candidate:1 2 udp 5 192.0.2.1 9 typ host") is None
    assert parse_candidate("candidate:1 1 udp 5 2001:db8::1 9 typ host") is None
    assert parse_candidate("") is None
