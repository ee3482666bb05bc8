"""The event loop stands still for up to 30 s during a call: no gap over 200 ms, nobody leaves.

Delay and loss are measured by peers of pylibsrtp, which stamp each packet; that people notice nothing, by Chromium.
"""

import asyncio
import os
import signal
from dataclasses import dataclass, field
from struct import pack, unpack

import pytest

from loadtest.http import post
from loadtest.peer import Answer, Identity, Peer
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import enter, wait_for

MAX_GAP_S = 0.2
PACKET_S = 0.02
BLOCK_S = float(os.environ.get("BLOCK_S", "30"))
PACKETS_BLOCK_S = BLOCK_S / 3
"""Each packet is looked at: what a block does to it shows in its first second."""


@dataclass(slots=True)
class Link:
    """Stamped packets from one peer to another through the router."""

    sent: int = 0
    delays_s: dict[int, float] = field(default_factory=dict)

    def on_rtp(self, packet: bytes) -> None:
        """Reads number and time of sending from the end of the packet."""
        number, sent_at = unpack("!Id", packet[-12:])
        self.delays_s[number] = asyncio.get_running_loop().time() - sent_at

    async def send(self, peer: Peer, seconds: float) -> None:
        """50 packets a second."""
        loop = asyncio.get_running_loop()
        start = loop.time()
        for count in range(1, round(seconds / PACKET_S)):
            peer.send_audio(b"\xf8stamp" + pack("!Id", self.sent, loop.time()))
            self.sent += 1
            await asyncio.sleep(start + count * PACKET_S - loop.time())


async def join(router: RouterProcess, identity: Identity, name: str) -> Peer:
    """A peer of pylibsrtp in the room."""
    peer = Peer(identity)
    token = router.token("blocked", name)
    await peer.connect(Answer.parse(await post(router.address, router.port, "/whep/blocked", token, peer.offer())))
    return peer


@pytest.mark.timeout(120)
async def test_no_packet_waits_for_a_blocked_event_loop() -> None:
    settings = {"BLOCK_S": str(PACKETS_BLOCK_S)}
    async with run_router(module="tests.e2e.blocking_router", settings=settings) as router:
        identity, link = Identity.create(), Link()
        speaker, listener = await join(router, identity, "Speaker"), await join(router, identity, "Listener")
        listener.on_rtp = link.on_rtp
        await link.send(speaker, 2.0)
        first = min(link.delays_s)
        router.process.send_signal(signal.SIGUSR1)
        await router.wait_log("event loop blocked", 5)
        await link.send(speaker, PACKETS_BLOCK_S - 1.0)
        assert not any("event loop released" in line for line in router.log)
        assert set(range(first, link.sent - 2)) <= set(link.delays_s), "packets were lost"
        assert max(link.delays_s.values()) <= MAX_GAP_S
        await router.wait_log("event loop released", 30)
        before = len(link.delays_s)
        await link.send(speaker, 1.0)
        assert len(link.delays_s) > before + 40
        assert (await router.admin("/v1/rooms/blocked"))["participants"] == 2
        for peer in (speaker, listener):
            peer.close()


@pytest.mark.browser
@pytest.mark.timeout(150)
async def test_browsers_notice_nothing_of_a_blocked_event_loop() -> None:
    async with run_router(module="tests.e2e.blocking_router") as router, launch_chromium() as chromium:
        ada, bob = await Window.open(chromium), await Window.open(chromium)
        for stamp, (name, window) in enumerate({"Ada": ada, "Bob": bob}.items(), start=1):
            await enter(window, router, "blocked", name, stamp)
        await wait_for(ada, "window.readStamps().length === 1", "Ada seeing Bob")
        await ada.evaluate("window.changes = []")
        await ada.evaluate("room.addEventListener('statechange', (event) => changes.push(event.detail.state))")
        decoded = "(await readReception()).reduce((sum, stat) => sum + stat.framesDecoded, 0)"
        router.process.send_signal(signal.SIGUSR1)
        before = await ada.evaluate(decoded)
        await router.wait_log("event loop released", BLOCK_S + 15)
        assert await ada.evaluate(decoded) > before + 10 * BLOCK_S
        await wait_for(ada, "window.readStamps()[0].id === 2", "Bob still shown")
        assert await ada.evaluate("changes") == []
        for window in (ada, bob):
            assert await window.evaluate("room.state") == "connected"
            assert await window.evaluate("room.participants.size") == 2


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_chromium_ramps_up() -> None:
    """Transport-wide feedback lets the encoder rise above 1 Mbit/s."""
    sent = "(await room.getStats()).sending.filter((s) => s.kind === 'video').reduce((sum, s) => sum + s.bitrate, 0)"
    async with run_router() as router, launch_chromium() as chromium:
        window = await Window.open(chromium)
        # Chromium's own fake camera moves enough to fill a high bitrate.
        await window.goto(router.page("ramp", "Ada"))
        await wait_for(window, "window.room?.state === 'connected'", "Ada in the room")
        await wait_for(window, f"{sent} > 1_000_000", "more than 1 Mbit/s sent", timeout_s=45)
