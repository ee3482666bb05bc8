"""Rights taken and given during a call, as a page sees it: the client is told, the picture stops and comes back."""

import httpx
import pytest

from router import clock
from tests.e2e.chromium import Window, launch_chromium
from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, run_router
from tests.e2e.watch import STAMP, wait_for

WATCH_RIGHTS = """(window.told = [], room.addEventListener('rightschange', ({detail: {rights}}) =>
  told.push([rights.publish, rights.sources === null ? null : [...rights.sources]])), true)"""
SEES_OTHER = "window.readStamps().length === 1"


def make_token(router: RouterProcess, identity: str, issued_at_s: int) -> str:
    """In LiveKit's shape; a flat token claims no more than to publish and subscribe."""
    return router.token("rights", identity, video={"room": "rights", "roomJoin": True}, iat=issued_at_s)


async def enter(window: Window, router: RouterProcess, name: str, stamp: int) -> None:
    await window.add_init_script(f"{STAMP}; installStamp({stamp});")
    token = make_token(router, name, int(clock.wall_s()) - 60)
    await window.goto(f"{router.url}/?join=1&room=rights&name={name}&token={token}")


async def change_rights(router: RouterProcess, identity: str, rights: dict[str, object]) -> None:
    """As an operator."""
    found = await router.admin("/v1/rooms/rights/participants")
    (id_,) = [one["id"] for one in found["items"] if one["identity"] == identity]
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as http:
        url = f"http://127.0.0.1:{router.admin_port}/v1/rooms/rights/participants/{id_}"
        assert (await http.patch(url, json={"rights": rights})).status_code == 200


@pytest.mark.browser
@pytest.mark.timeout(120)
async def test_the_right_to_show_oneself_goes_and_comes_back_with_a_newer_token() -> None:
    async with run_router() as router, launch_chromium() as chromium:
        ada, bob = await Window.open(chromium), await Window.open(chromium)
        await enter(ada, router, "Ada", 1)
        await enter(bob, router, "Bob", 2)
        for window in (ada, bob):
            await wait_for(window, SEES_OTHER, "the other's picture")
        await ada.evaluate(WATCH_RIGHTS)
        session = await ada.evaluate("room.peerConnection.remoteDescription.sdp")

        await change_rights(router, "Ada", {"can_publish_sources": ["microphone"]})
        await wait_for(ada, "told.length === 1", "Ada told")
        await wait_for(bob, "window.readStamps().length === 0", "no picture of Ada")
        assert await ada.evaluate("told[0]") == [True, ["microphone"]]
        heard = "room.contributors().some(({kind, participant}) => kind === 'audio' && participant?.name === 'Ada')"
        await wait_for(bob, heard, "Ada heard all the same")

        newer = make_token(router, "Ada", int(clock.wall_s()) + 2)
        await ada.evaluate(f"(room.setToken('{newer}'), true)")
        await wait_for(ada, "told.length === 2", "Ada told again")
        assert await ada.evaluate("told[1]") == [True, None]
        await wait_for(bob, SEES_OTHER, "Ada's picture again")
        assert await ada.evaluate("room.peerConnection.remoteDescription.sdp") == session, "nothing was negotiated"
        assert await ada.evaluate("room.state") == "connected"
        assert ada.errors == []
        assert bob.errors == []
