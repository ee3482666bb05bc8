"""Pins, sizes and pauses: what is refused, what stays of a partial wish, what the owner is told."""

from typing import Any

import pytest

from router.errors import RequestError
from router.rooms import JoinGrant, Session
from router.rooms.wishes import SlotWish
from router.rtc import RTCConstraints
from tests.rooms.fakes import FakeWatcher, World, fake, offer, section, shown


class Room3:
    """ada and bob publish, eve watches in three video slots and one audio slot."""

    world: World
    ada: Session
    bob: Session
    eve: Session
    owner: FakeWatcher

    async def open(self) -> "Room3":
        self.world = World()
        self.ada = await self.world.publish("ada")
        self.bob = await self.world.publish("bob")
        self.eve = await self.world.play("eve", "audio", "video", "video", "video")
        await self.world.settle()
        self.owner = FakeWatcher("eve")
        self.world.room.watch(self.owner)
        self.owner.texts.clear()
        return self

    def track(self, session: Session, mid: str = "1") -> str:
        return session.tracks[mid].id

    async def wish(self, wishes: Any) -> list[dict[str, Any]]:
        """What the owner is told of it."""
        self.owner.texts.clear()
        self.world.room.declare_wishes(self.eve, wishes)
        await self.world.settle()
        return [slot for message in self.owner.messages for slot in message["slots"]]


async def test_a_pin_moves_a_track_and_unpinning_gives_the_slot_back() -> None:
    room = await Room3().open()
    assert shown(room.eve) == ["ada", "bob", None]
    told = await room.wish({"3": {"track_id": room.track(room.ada)}})
    assert shown(room.eve) == [None, "bob", "ada"]
    assert {slot["mid"]: (slot["pinned"], slot["reason"]) for slot in told}["3"] == (True, "pinned")
    assert {slot["mid"] for slot in told} == {"1", "3"}, "changed slots only"

    told = await room.wish({"3": {"track_id": None}})
    assert [(slot["mid"], slot["pinned"], slot["reason"]) for slot in told] == [("3", False, "order of joining")]


async def test_a_track_that_is_pinned_elsewhere_leaves_its_first_pin() -> None:
    room = await Room3().open()
    await room.wish({"1": {"track_id": room.track(room.ada)}, "2": {"track_id": room.track(room.bob)}})
    told = await room.wish({"3": {"track_id": room.track(room.ada)}})
    assert shown(room.eve) == [None, "bob", "ada"]
    assert [(slot["mid"], slot["pinned"]) for slot in told] == [("1", False), ("3", True)]
    assert room.eve.wishes["1"] == SlotWish()


async def test_a_pinned_track_that_is_off_leaves_its_slot_dark_until_it_is_back() -> None:
    room = await Room3().open()
    await room.wish({"1": {"track_id": room.track(room.ada)}})
    room.world.room.declare_tracks(room.ada, {"1": {"muted": True}})
    await room.world.settle()
    assert shown(room.eve) == [None, "bob", None]
    assert room.owner.messages[-1]["slots"][0]["reason"] == "pinned track is off"
    room.world.room.declare_tracks(room.ada, {"1": {"muted": False}})
    await room.world.settle()
    assert shown(room.eve) == ["ada", "bob", None]

    await room.world.registry.end_session("lobby", room.ada.id, "ada")
    assert shown(room.eve) == [None, "bob", None]
    assert room.owner.messages[-1]["slots"][0]["pinned"] is False
    await room.world.publish("cyd", "video")
    await room.world.settle()
    assert shown(room.eve) == ["cyd", "bob", None]


async def test_a_paused_slot_keeps_its_wish_and_shows_nothing() -> None:
    room = await Room3().open()
    await room.wish({"1": {"track_id": room.track(room.ada), "width": 640}})
    told = await room.wish({"1": {"paused": True}})
    assert room.eve.wishes["1"] == SlotWish(room.track(room.ada), 640, paused=True)
    assert [(s["mid"], s["track_id"], s["paused"], s["reason"]) for s in told if s["mid"] == "1"] == [
        ("1", None, True, "paused by wish")
    ]
    await room.wish({"1": {"paused": False}})
    assert shown(room.eve)[0] == "ada"


async def test_limits_reach_the_slot_and_are_no_news() -> None:
    room = await Room3().open()
    limits = []
    for wish in ({"width": 320, "height": 180}, {"height": None, "frame_rate": 15}, {"bitrate_bps": 300_000}):
        assert await room.wish({"1": wish}) == []
        slot = fake(room.eve).slots[1]
        limits.append((slot.wanted, slot.shown_at))
    assert limits == [
        (RTCConstraints(), (320, 180)),
        (RTCConstraints(max_frame_rate=15), (320, None)),
        (RTCConstraints(max_frame_rate=15, max_bitrate_bps=300_000), (320, None)),
    ]


async def test_reasons_name_the_rule() -> None:
    room = await Room3().open()
    world = room.world
    world.room.declare_tracks(room.bob, {"1": {"source": "screen"}})
    cyd = await world.publish("cyd")
    world.room.on_speakers(cyd.tracks["0"], [cyd.tracks["0"]])
    await world.settle()
    reasons = {slot["participant_id"]: slot["reason"] for slot in room.eve.describe_slots(room.eve.video_mids)}
    assert reasons == {
        room.ada.participant.id: "order of joining",
        room.bob.participant.id: "screen share",
        cyd.participant.id: "recent speaker",
    }


BAD: dict[str, tuple[Any, str]] = {
    "no object": ([], "slots"),
    "nothing": (None, "slots"),
    "unknown mid": ({"9": {}}, "slots.'9'"),
    "lone surrogate": ({"\ud800": {}}, "slots."),
    "long mid": ({"x" * 10_000: {}}, "slots."),
    "an audio slot": ({"0": {"paused": True}}, "slots.'0'"),
    "fields are a list": ({"1": []}, "slots.'1'"),
    "unknown field": ({"1": {"zoom": 2}}, "slots.'1'"),
    "width is a text": ({"1": {"width": "640"}}, "width"),
    "width is true": ({"1": {"width": True}}, "width"),
    "width is zero": ({"1": {"width": 0}}, "width"),
    "width is a fraction": ({"1": {"width": 640.5}}, "width"),
    "height is negative": ({"1": {"height": -1}}, "height"),
    "height is huge": ({"1": {"height": 2**64}}, "height"),
    "bitrate is zero": ({"1": {"bitrate_bps": 0}}, "bitrate_bps"),
    "bitrate is huge": ({"1": {"bitrate_bps": 2**40}}, "bitrate_bps"),
    "frame rate is a fraction": ({"1": {"frame_rate": 7.5}}, "frame_rate"),
    "paused is a number": ({"1": {"paused": 1}}, "paused"),
    "paused is null": ({"1": {"paused": None}}, "paused"),
    "track is a number": ({"1": {"track_id": 7}}, "track_id"),
    "track is a list": ({"1": {"track_id": ["T_00000001"]}}, "track_id"),
    "unknown track": ({"1": {"track_id": "T_ffffffff"}}, "track_id"),
    "empty track": ({"1": {"track_id": ""}}, "track_id"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_wish_names_the_field_and_changes_nothing(name: str) -> None:
    wishes, names = BAD[name]
    room = await Room3().open()
    if isinstance(wishes, dict):
        wishes = {"2": {"paused": True}, **wishes}
    with pytest.raises(RequestError) as caught:
        await room.wish(wishes)
    assert caught.value.slug == "bad-wish"
    assert names in str(caught.value)
    assert len(str(caught.value)) < 200
    assert room.eve.wishes == {}
    assert shown(room.eve) == ["ada", "bob", None]


async def test_own_tracks_the_wrong_kind_and_foreign_codecs_cannot_be_pinned() -> None:
    room = await Room3().open()
    own = await room.world.publish("eve", "video")
    av1 = offer(section("0", "video", "sendonly", "AV1"))
    cyd = await room.world.registry.join("lobby", JoinGrant("lobby", "cyd"), av1, "whip")
    fake(cyd).connect()
    for track_id in (room.track(own, "0"), room.track(room.ada, "0"), room.track(cyd, "0")):
        with pytest.raises(RequestError) as caught:
            await room.wish({"1": {"track_id": track_id}})
        assert caught.value.slug == "bad-wish"


async def test_a_track_is_pinned_once_in_a_message() -> None:
    room = await Room3().open()
    with pytest.raises(RequestError):
        await room.wish({mid: {"track_id": room.track(room.ada)} for mid in ("1", "2")})
