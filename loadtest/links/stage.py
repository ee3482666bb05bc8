"""Router, publisher and watchers: the router in a namespace, the publisher beside it, each watcher behind a link."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from loadtest.http import request
from loadtest.link import Link, Shape, create_link
from loadtest.link.tun import available as links_available
from loadtest.links.camera import ENCODING_SHARE, FRAMES_PER_SECOND, HEIGHT, LAYERS, Camera
from loadtest.links.scenes import Step
from loadtest.peer import Join
from tests.e2e.chromium import EXECUTABLE, SMALL_SIMULCAST, Window, executable_inside, launch_chromium
from tests.e2e.netns import Namespace, create_namespace
from tests.e2e.pages import STATIC_OFFER_PAGE
from tests.e2e.router_process import ADMIN_TOKEN, RouterProcess, run_router
from tests.e2e.watch import wait_for

ROOM, SLOT, VOICE_SLOT = "links", "v0", "a0"
PUBLISHER, STAMP = "Ada", 1
PAGE = "\n".join((STATIC_OFFER_PAGE, (Path(__file__).parent / "page.js").read_text()))
SETTINGS = {
    "ROUTER_PUBLIC__REQUESTS_PER_S": "0",
    "ROUTER_ROOMS__AUDIO_SLOTS": "1",
    "ROUTER_ROOMS__VIDEO_SLOTS": "1",
    "ROUTER_ROOMS__FORKS_PER_S_PER_ADDRESS": "0",
}
Stat = dict[str, Any]


class NotEncoded(Exception):
    """This Chromium does not send that codec in those layers; the text says what it did."""


def missing() -> str | None:
    """What this machine lacks, if anything."""
    if links_available() and Path(EXECUTABLE).exists():
        return None
    return "needs root, network namespaces, /dev/net/tun and Chromium"


@dataclass(frozen=True, slots=True)
class Stage:
    """Somebody publishes into a room."""

    space: Namespace
    router: RouterProcess
    publisher: Window
    camera: Camera

    def join(self, name: str) -> Join:
        """How somebody joins."""
        return Join((self.router.address, self.router.port), ROOM, self.router.token(ROOM, name))

    async def read_router(self, identity: str) -> list[Stat]:
        """What the router says of somebody: the objects of `…/stats`."""
        headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
        address = (self.router.address, self.router.admin_port)
        reply = await request(address, "GET", f"/v1/rooms/{ROOM}/stats", headers=headers)
        return [stat for one in reply.json()["items"] if one["identity"] == identity for stat in one["stats"]]


@dataclass(frozen=True, slots=True)
class Watcher:
    """One who watches behind a link."""

    identity: str
    window: Window
    link: Link
    session: str

    def follow(self, step: Step) -> None:
        """The link is as this step says, both ways."""
        self.link.set_shapes({"far": step.down, "near": step.up})


async def _open_page(window: Window, router: RouterProcess, look: str) -> None:
    camera = f"installStamp({STAMP}, {FRAMES_PER_SECOND}, {look})"
    await window.add_init_script(f"{PAGE}; installSlots(); {camera};")
    await window.goto(f"{router.url}/")


async def _join(window: Window, router: RouterProcess, name: str, **options: Any) -> str:
    settings = {"room": ROOM, "token": router.token(ROOM, name), **options}
    session = (await window.evaluate(f"joinByOffer({json.dumps(settings)})"))["session"]
    await wait_for(window, "joined.connection.connectionState === 'connected'", f"{name} connected")
    return str(session)


async def _warm_up(publisher: Window, camera: Camera) -> None:
    """Until all layers are sent, the highest with most of its bitrate."""
    streams, top = 1 if camera.scalability else len(LAYERS), "" if camera.scalability else "f"
    target = ENCODING_SHARE * LAYERS["f"][1] if camera.is_noisy else 0
    sent = "(await readSent()).streams.filter(({frameHeight, framesPerSecond}) => frameHeight && framesPerSecond)"
    full = f"rid === '{top}' && frameHeight === {HEIGHT} && targetBitrate >= {target}"
    ready = f"(async () => {{ const sent = {sent}; return sent.length === {streams}"
    ready += f" && sent.some(({{rid, frameHeight, targetBitrate}}) => {full}); }})()"
    try:
        await wait_for(publisher, ready, f"all layers of {camera.name}")
    except AssertionError as error:
        raise NotEncoded(f"{camera.name}: {(await publisher.evaluate('readSent()'))['streams']}") from error
    codecs = await publisher.evaluate("readSentCodecs()")
    if codecs != [f"video/{camera.codec}"]:
        raise NotEncoded(f"{camera.name}: sent {codecs}")


@asynccontextmanager
async def open_stage(camera: Camera) -> AsyncIterator[Stage]:
    """The router runs and the publisher sends all it can."""
    async with AsyncExitStack() as stack:
        space = stack.enter_context(create_namespace())
        router = await stack.enter_async_context(run_router(space, settings=SETTINGS))
        chromium = await stack.enter_async_context(launch_chromium(router.url, more=[SMALL_SIMULCAST]))
        publisher = await Window.open(chromium)
        stage = Stage(space, router, publisher, camera)
        # The first to ask for the offer makes the room.
        await stage.join(PUBLISHER).fetch_offer()
        await _open_page(publisher, router, camera.look)
        await _join(publisher, router, PUBLISHER, codec=camera.codec, encodings=camera.encodings)
        await _warm_up(publisher, camera)
        yield stage


async def _wait_picture(stage: Stage, window: Window, identity: str) -> None:
    """The first one, or an error with what the router says of it."""
    shown = f"readSlots().some(({{mid, stamp}}) => mid === '{SLOT}' && stamp?.valid)"
    try:
        await wait_for(window, shown, "a picture")
    except AssertionError as error:
        received = await window.evaluate(f"readDecoder('{SLOT}')")
        router = [stat for stat in await stage.read_router(identity) if stat["type"] in ("outbound-rtp", "transport")]
        raise RuntimeError(f"no picture: the watcher says {received}, the router {router}") from error


@asynccontextmanager
async def open_watcher(stage: Stage, identity: str, first: Step, seed: int) -> AsyncIterator[Watcher]:
    """Somebody watches from behind a link, which is as in the first step from before the page is loaded."""
    async with AsyncExitStack() as stack:
        link = stack.enter_context(create_link(stage.space.name, stage.space.inside, shape=first.down, seed=seed))
        link.set_shapes({"far": first.down, "near": first.up})
        program = stack.enter_context(executable_inside(link))
        chromium = await stack.enter_async_context(launch_chromium(stage.router.url, executable=program))
        window = await Window.open(chromium)
        await _open_page(window, stage.router, "{}")
        session = await _join(window, stage.router, identity, publishes=False)
        await _wait_picture(stage, window, identity)
        await window.evaluate(f"watchPicture('{SLOT}')")
        yield Watcher(identity, window, link, session)
        # Nobody who has gone is sent anything during the next one's run.
        link.set_shape(Shape())
        await window.evaluate(f"leaveRoom({json.dumps(stage.router.token(ROOM, identity))})")
