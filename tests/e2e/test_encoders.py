"""An encoder that publishes by WHIP as OBS does: its own offer without candidates, never a PATCH.

OBS itself cannot be had here, so its offer is replayed with the keys of a client of ours: the router must learn the
peer from its check alone (a peer-reflexive candidate), finish DTLS and forward. FFmpeg 5.1 and GStreamer 1.22, the
versions Debian builds, have no WHIP muxer or sink; their offers are tested as vectors (tests/vectors/sdp).
"""

import asyncio
import re
from pathlib import Path

import pytest

from loadtest.http import post
from loadtest.peer import Answer, Identity, Peer
from tests.e2e.router_process import run_router

VECTORS = Path(__file__).parents[1] / "vectors" / "sdp"
OFFERS = ["obs-whip", "obs-simulcast", "gstreamer-whip"]


def replay(name: str, peer: Peer) -> str:
    """The recorded offer with the peer's credentials; no candidates, as OBS sends it."""
    text = (VECTORS / f"{name}.sdp").read_text()
    text = re.sub(r"(?m)^a=(candidate|end-of-candidates).*\r?\n", "", text)
    for attribute, value in {
        "ice-ufrag": peer.ufrag,
        "ice-pwd": peer.password,
        "fingerprint": f"sha-256 {peer.identity.fingerprint}",
    }.items():
        text = re.sub(rf"(?m)^a={attribute}:.*?(\r?)$", rf"a={attribute}:{value}\1", text)
    audio = text[text.index("m=audio") :]
    if ssrc := re.search(r"a=ssrc:(\d+)", audio):
        peer.ssrc = int(ssrc[1])
    peer.audio_payload_type = int(re.search(r"a=rtpmap:(\d+) opus", audio, re.IGNORECASE)[1])  # type: ignore[index]
    return text


@pytest.mark.parametrize("name", OFFERS)
async def test_a_replayed_encoder_is_heard(name: str) -> None:
    async with run_router() as router:
        identity = Identity.create()
        encoder, listener = Peer(identity), Peer(identity)
        token = router.token("studio", "encoder")
        await encoder.connect(
            Answer.parse(await post(router.address, router.port, "/whip/studio", token, replay(name, encoder)))
        )
        heard = asyncio.Event()
        listener.on_rtp = lambda packet: heard.set() if packet.endswith(b"from the studio") else None
        token = router.token("studio", "listener")
        await listener.connect(
            Answer.parse(await post(router.address, router.port, "/whep/studio", token, listener.offer()))
        )
        async with asyncio.timeout(10):
            while not heard.is_set():
                encoder.send_audio(b"\xf8from the studio")
                await asyncio.sleep(0.02)
        for peer in (encoder, listener):
            peer.close()
