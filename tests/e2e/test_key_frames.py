"""A join costs the publisher one key frame: asked for when the joiner can be reached, and not again."""

import asyncio

from loadtest.peer import Identity, Join, Peer, RoomOffer, RoomPeer
from tests.e2e.router_process import RouterProcess, run_router

ROOM = "keys"
JOINS = 6
WATCH_S = 0.8
"""Longer than the engine's throttle, after which a request left over would be sent."""


async def join_answer_first(router: RouterProcess, identity: Identity, number: int) -> RoomPeer:
    """The slots are assigned with the answer, some time before path and keys are there."""
    join = Join((router.address, router.port), ROOM, router.token(ROOM, f"joiner-{number}"))
    joiner = RoomPeer(join, number, RoomOffer.parse(await join.fetch_offer()), Peer(identity))
    await joiner.answer()
    await joiner.connect()
    return joiner


async def test_a_join_asks_for_one_key_frame() -> None:
    async with run_router() as router:
        identity = Identity.create()
        join = Join((router.address, router.port), ROOM, router.token(ROOM, "publisher"), publish=("cam",), slots=())
        publisher = await RoomPeer.enter(join, 1, identity)
        assert publisher.camera
        publisher.answers_requests = True
        filming = asyncio.create_task(publisher.keep_filming())
        await asyncio.sleep(WATCH_S)
        before = publisher.camera.key_frames
        joiners = []
        for number in range(2, 2 + JOINS):
            joiners.append(await join_answer_first(router, identity, number))
            await asyncio.sleep(WATCH_S)
        assert all(joiner.reception.current["v0"].key_frame for joiner in joiners)
        assert publisher.camera.key_frames == before + JOINS
        filming.cancel()
        for peer in (publisher, *joiners):
            peer.close()
