"""The event loop stands still for 30 s during a call: no gap over 200 ms in the pictures, nobody leaves."""

import signal

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import run_router
from tests.e2e.watch import enter, wait_for

MAX_GAP_MS = 200

# The longest time between two arrivals of new packets of the received picture, sampled every 20 ms.
WATCH = """(async () => {
  let [longest, last, packets] = [0, performance.now(), -1];
  window.watching = setInterval(async () => {
    const stat = [...(await room.peerConnection.getStats()).values()].find(
      (s) => s.type === 'inbound-rtp' && s.kind === 'video' && s.packetsReceived > 0);
    const now = performance.now();
    if (stat.packetsReceived !== packets) { longest = Math.max(longest, now - last); last = now; }
    packets = stat.packetsReceived;
    window.longestGap = Math.max(longest, now - last);
  }, 20);
  return true;
})()"""


@pytest.mark.browser
@pytest.mark.timeout(150)
async def test_media_flows_while_the_event_loop_is_blocked() -> None:
    async with run_router(module="tests.e2e.blocking_router") as router, launch_chromium() as chromium:
        ada, bob = await Window.open(chromium), await Window.open(chromium)
        for stamp, (name, window) in enumerate({"Ada": ada, "Bob": bob}.items(), start=1):
            await enter(window, router, "blocked", name, stamp)
        await wait_for(ada, "window.readStamps().length === 1", "Ada seeing Bob")
        await ada.evaluate(WATCH)
        router.process.send_signal(signal.SIGUSR1)
        await router.wait_log("event loop released", 45)
        assert await ada.evaluate("window.longestGap") <= MAX_GAP_MS
        await wait_for(ada, "window.readStamps()[0].id === 2", "Bob still shown")
        for window in (ada, bob):
            assert await window.evaluate("room.state") == "connected"
            assert await window.evaluate("room.participants.size") == 2


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_chromium_ramps_up() -> None:
    """Transport-wide feedback lets the encoder rise above 1 Mbit/s."""
    sent = (
        """(await room.getStats()).sending.filter((s) => s.kind === 'video').reduce((sum, s) => sum + s.bitrate, 0)"""
    )
    async with run_router() as router, launch_chromium() as chromium:
        window = await Window.open(chromium)
        # Chromium's own fake camera moves enough to fill a high bitrate.
        await window.goto(router.page("ramp", "Ada"))
        await wait_for(window, "window.room?.state === 'connected'", "Ada in the room")
        await wait_for(window, f"{sent} > 1_000_000", "more than 1 Mbit/s sent", timeout_s=45)
