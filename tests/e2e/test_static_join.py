"""The demo room joins by the static offer: nothing is negotiated afterwards, and who is seen is a matter of wishes."""

from typing import Any

import pytest

from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import RouterProcess, run_router
from tests.e2e.watch import STAMP, enter, wait_for

# Notes every description and every request of the page; the answer's POST takes `postDelayMs` longer.
WATCH = """
  window.negotiated = [];
  window.requests = [];
  window.postDelayMs = 0;
  for (const name of ['setRemoteDescription', 'setLocalDescription', 'createOffer', 'createAnswer']) {
    const real = RTCPeerConnection.prototype[name];
    RTCPeerConnection.prototype[name] = function (...given) {
      negotiated.push([name, given[0]?.type ?? null]);
      return real.apply(this, given);
    };
  }
  const realFetch = window.fetch;
  window.fetch = async (url, options = {}) => {
    requests.push(`${options.method ?? 'GET'} ${new URL(url, location.href).pathname}`);
    if (options.method === 'POST') await new Promise((resolve) => setTimeout(resolve, postDelayMs));
    return realFetch(url, options);
  };
"""
JOINED_ONCE = [["setRemoteDescription", "offer"], ["setLocalDescription", None]]
UFRAG = "room.peerConnection.remoteDescription.sdp.match(/a=ice-ufrag:(.*)/)[1].trim()"
JOIN_LINE = "document.getElementById('stats-join').textContent"
JOIN_PATTERN = (
    r"/^Joined in \d+ ms: offer \d+ ms · answer \d+ · ICE \d+ · DTLS \d+ · post \d+\."
    r" First sound after \d+ ms, first frame after \d+ ms\.$/"
)
# Four people in one page, who send pictures and look at nobody. Slots go to who began to send first, so each waits for
# the one before.
CROWD = """
  import('/client.js').then(async ({ Room }) => {
    window.crowd = [];
    const hasSent = async ({ peerConnection }) =>
      [...(await peerConnection.getStats()).values()].some(({ kind, packetsSent }) => kind === 'video' && packetsSent);
    for (const [index, token] of TOKENS.entries()) {
      installStamp(index + 1);
      const [track] = (await navigator.mediaDevices.getUserMedia({ video: true })).getVideoTracks();
      const room = new Room({ room: 'crowd', token });
      await room.publishTrack('camera', track);
      await room.join();
      while (!await hasSent(room)) await new Promise((resolve) => setTimeout(resolve, 20));
      crowd.push(room);
    }
  })
"""
SHOWN = "readStamps().filter(({valid}) => valid).map(({name, id}) => `${name}${id}`).sort().join(' ')"
PAGE_TEXT = "document.getElementById('page-text').textContent"
PINNED = "[...document.querySelectorAll('.tile.pinned .name')].map((name) => name.textContent).join()"


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_nothing_is_negotiated_after_joining() -> None:
    async with run_router() as router, launch_chromium() as chromium:
        ada, bob = await Window.open(chromium), await Window.open(chromium)
        for stamp, (name, window) in enumerate({"Ada": ada, "Bob": bob}.items(), start=1):
            await window.add_init_script(WATCH)
            await enter(window, router, "quiet", name, stamp)
        await wait_for(bob, "readStamps().length === 1", "Bob seeing Ada")
        await switch_everything(ada, bob)
        for window in (ada, bob):
            assert await window.evaluate("negotiated") == JOINED_ONCE
            assert await window.evaluate("requests") == ["GET /rooms/quiet/offer", "POST /rooms/quiet/forks"]
            await window.page.click("#toggle-stats")
            await wait_for(window, f"{JOIN_PATTERN}.test({JOIN_LINE})", "the breakdown of joining")
            assert window.errors == []
        ufrags = [await window.evaluate(UFRAG) for window in (ada, bob)]
        assert len({ufrag[:11] for ufrag in ufrags}) == 1
        assert len(set(ufrags)) == 2


async def switch_everything(ada: Window, bob: Window) -> None:
    """Ada's camera goes off and on, and she shares her screen."""
    await ada.page.click("#toggle-camera")
    await wait_for(bob, "readStamps().length === 0", "no picture of Ada")
    await ada.page.click("#toggle-camera")
    await ada.page.click("#toggle-screen")
    await wait_for(bob, "readStamps().length === 2", "Ada and her screen")
    named = "room.contributors().filter(({kind}) => kind === 'video').map(({participant}) => participant.name)"
    assert await bob.evaluate(named) == ["Ada", "Ada"]


@pytest.mark.browser
async def test_ice_and_dtls_do_not_wait_for_the_answer() -> None:
    async with run_router() as router, launch_chromium() as chromium:
        window = await Window.open(chromium)
        await window.add_init_script(f"{WATCH} window.postDelayMs = 2000;")
        await window.goto(router.page("early", "Ada"))
        await wait_for(window, "room?.state === 'connected'", "Ada in the room")
        timings = await window.evaluate("room.timings")
        assert timings["dtls"] < timings["posted"] - 500
        assert timings["posted"] <= timings["connected"]


@pytest.mark.browser
async def test_an_outdated_offer_is_fetched_anew() -> None:
    async with run_router() as router, launch_chromium() as chromium:
        window = await Window.open(chromium)
        await window.add_init_script(WATCH)
        await window.goto(f"{router.url}/")
        fetch_other = (
            f"fetch('/rooms/other/offer', {{headers: {{Authorization: 'Bearer {router.token('other', 'Ada')}'}}}})"
        )
        await window.evaluate(
            f"{fetch_other}.then((response) => response.text()).then((text) => (window.outdated = text))"
        )
        options = f"{{room: 'new', token: '{router.token('new', 'Ada')}', offer: outdated}}"
        join = f"import('/client.js').then(({{Room}}) => (window.room = new Room({options})).join())"
        await window.evaluate(join)
        answered = "POST /rooms/new/forks"
        assert (await window.evaluate("requests"))[1:] == [answered, "GET /rooms/new/offer", answered]
        assert await window.evaluate("room.state") == "connected"


async def fill(chromium: Any, router: RouterProcess) -> None:
    """P1 to P4 in the room, with stamped cameras."""
    crowd = await Window.open(chromium)
    await crowd.add_init_script(STAMP)
    await crowd.goto(f"{router.url}/")
    tokens = [router.token("crowd", f"P{number}", subscribe=False) for number in range(1, 5)]
    await crowd.evaluate(CROWD.replace("TOKENS", str(tokens)))


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_pages_and_pins_beyond_the_slots() -> None:
    settings = {"ROUTER_ROOMS__VIDEO_SLOTS": "2"}
    async with run_router(settings=settings) as router, launch_chromium() as chromium:
        await fill(chromium, router)
        viewer = await Window.open(chromium, width=390, height=844)
        await viewer.add_init_script(STAMP)
        await viewer.goto(router.page("crowd", "Viewer") + "&camera=0&microphone=0")
        await wait_for(viewer, f"{SHOWN} === 'P11 P22'", "the first page")
        assert await viewer.evaluate(PAGE_TEXT) == "2 of 4 shown"
        await viewer.page.click("#next-page")
        await wait_for(viewer, f"{SHOWN} === 'P33 P44'", "the second page")
        await viewer.page.click(".tile:has-text('P4')")
        await wait_for(viewer, f"{PINNED} === 'P4'", "P4 pinned")
        await viewer.page.click("#previous-page")
        await wait_for(viewer, f"{SHOWN} === 'P11 P44'", "P4 on the first page")
        assert await viewer.evaluate("room.slots.get(room.pins.values().next().value).pinned")
        await viewer.page.click(".tile:has-text('P4') .pin")
        await wait_for(viewer, f"{SHOWN} === 'P11 P22'", "the router's choice again")
        assert await viewer.evaluate(PINNED) == ""
        assert not await viewer.evaluate("document.documentElement.scrollWidth > innerWidth")
        assert viewer.errors == []
