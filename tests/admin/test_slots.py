"""What slots show and why, and wishes on behalf of participants."""

from typing import Any

import httpx
import pytest

from router.rooms import Session
from tests.rooms.fakes import FakeWatcher, World, fake, shown


def path_of(session: Session) -> str:
    return f"/v1/rooms/lobby/participants/{session.participant.id}/slots"


async def test_slots_say_why(world: World, api: httpx.AsyncClient) -> None:
    await world.publish("ada")
    eve = await world.play("eve", "audio", "video", "video")
    await world.settle()
    slots = (await api.get(path_of(eve))).json()["items"]
    assert [(slot["session"], slot["mid"], slot["kind"]) for slot in slots] == [
        (eve.public_id, "0", "audio"),
        (eve.public_id, "1", "video"),
        (eve.public_id, "2", "video"),
    ]
    assert [slot["reason"] for slot in slots][::2] == ["loudest speakers", "nobody left to show"]
    assert slots[0]["wish"] is None
    assert slots[1]["wish"] == dict.fromkeys(("track_id", "width", "height", "bitrate_bps", "frame_rate")) | {
        "paused": False
    }
    assert eve.id not in str(slots), "the id in its URL is a secret"


async def test_an_operator_wishes_for_a_participant(world: World, api: httpx.AsyncClient) -> None:
    ada, bob = await world.publish("ada", "video"), await world.publish("bob", "video")
    eve = await world.play("eve", "video", "video")
    await world.settle()
    assert shown(eve) == ["ada", "bob"]
    watcher = FakeWatcher("eve")
    world.room.watch(watcher)
    pin = {"track_id": bob.tracks["0"].id, "width": 320, "bitrate_bps": 100_000}
    reply = await api.patch(path_of(eve), json={"slots": {"0": pin, "1": {"paused": True}}})
    assert reply.status_code == 200, reply.text
    await world.settle()
    assert shown(eve) == ["bob", None]
    slots = (await api.get(path_of(eve))).json()["items"]
    assert [slot["reason"] for slot in slots] == ["pinned", "paused by wish"]
    assert {name: slots[0]["wish"][name] for name in pin} == pin
    assert fake(eve).slots[0].shown_at == (320, None)
    told = [message for message in watcher.messages if message["type"] == "slots"]
    assert told[-1]["slots"][0]["pinned"], "its owner hears of it"

    reply = await api.patch(path_of(eve), json={"slots": {"0": {"track_id": None}}})
    assert reply.json()["items"][0]["wish"]["width"] == 320, "what is not named stays"
    assert ada.tracks["0"].live


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        ({}, 400, "bad-request"),
        ({"slots": {}}, 400, "bad-request"),
        ({"slots": {"9": {"paused": True}}}, 400, "bad-wish"),
        ({"slots": {"0": {"track_id": "T_ffffffff"}}}, 400, "bad-wish"),
        ({"slots": {"0": {"width": 0}}}, 400, "bad-request"),
        ({"slots": {"0": {"width": 1.5}}}, 400, "bad-request"),
        ({"slots": {"0": {"colour": 1}}}, 400, "bad-request"),
        ({"slots": {str(n): {"paused": True} for n in range(65)}}, 400, "bad-request"),
        ({"session": "S_none", "slots": {"0": {"paused": True}}}, 404, "unknown-session"),
    ],
)
async def test_wrong_wishes_change_nothing(
    world: World, api: httpx.AsyncClient, body: dict[str, Any], status: int, slug: str
) -> None:
    await world.publish("ada")
    eve = await world.play("eve", "video")
    reply = await api.patch(path_of(eve), json=body)
    assert (reply.status_code, reply.json()["slug"]) == (status, slug), reply.text
    assert eve.wishes == {}


async def test_of_several_sessions_one_is_named(world: World, api: httpx.AsyncClient) -> None:
    ada = await world.publish("ada")
    first, second = await world.play("eve", "video"), await world.play("eve", "video")
    wish = {"slots": {"0": {"paused": True}}}
    assert (await api.patch(path_of(first), json=wish)).json()["slug"] == "ambiguous-session"
    assert (await api.patch(path_of(first), json={"session": second.public_id, **wish})).status_code == 200
    assert (list(first.wishes), list(second.wishes)) == ([], ["0"])
    assert (await api.patch(path_of(ada), json=wish)).json()["slug"] == "unknown-slot"
