"""The events WebSocket, over a real server on an ephemeral port; media is fake."""

import asyncio
import json
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from router.rooms import JoinGrant, RoomLimits, Session
from router.signaling import SignalingSettings, event_stream
from tests.rooms.fakes import fake, publish_offer
from tests.signaling.event_clients import Message, hear, hear_end, hear_until, serving, tell
from tests.signaling.public import TOKENS, token


async def test_welcome_deltas_and_slots_of_a_whole_visit() -> None:
    async with serving() as server, server.client("eve") as eve:
        welcome = await hear(eve)
        assert welcome.pop("log").startswith("L_")
        assert welcome == {
            "type": "welcome",
            "version": 0,
            "you": None,
            "room": "lobby",
            "locked": False,
            "metadata": "",
            "participants": [],
            "speakers": {"dominant": None, "recent": []},
        }

        ada = await server.world.publish("ada", "video")
        assert (await hear(eve))["type"] == "joined"
        live = await hear(eve)
        assert [track["live"] for track in live["participant"]["tracks"]] == [True]

        session = await server.world.play("eve", "video")
        joined = await hear_until(eve, lambda message: message["type"] == "joined")
        assert joined["participant"]["id"] == session.participant.id
        slots = await hear_until(eve, lambda message: message["type"] == "slots" and message["slots"][0]["track_id"])
        assert slots["session"] == session.id
        assert slots["slots"] == [
            {
                "mid": "0",
                "kind": "video",
                "track_id": next(iter(ada.tracks.values())).id,
                "participant_id": ada.participant.id,
                "pinned": False,
                "paused": False,
                "reason": "order of joining",
            }
        ]

        await server.world.registry.end_session("lobby", ada.id, "ada")
        left = await hear_until(eve, lambda message: message["type"] == "left")
        assert (left["participant_id"], left["reason"]) == (ada.participant.id, "left")
        emptied = await hear_until(eve, lambda message: message["type"] == "slots")
        assert emptied["slots"][0]["track_id"] is None


async def test_the_token_may_come_in_the_url_and_again_as_a_message() -> None:
    async with serving() as server:
        server.url += f"?access_token={token('eve')}"
        async with server.client("eve") as eve:
            assert (await hear(eve))["type"] == "welcome"
            await tell(eve, type="ping")
            assert await hear(eve) == {"type": "pong"}


async def test_who_is_in_the_room_is_told_who_they_are() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        async with server.client("ada") as ada:
            assert (await hear(ada))["you"] == session.participant.id


# -- publish -----------------------------------------------------------------------------------------------------


async def test_publish_declares_sources_and_mutes() -> None:
    async with serving() as server:
        session = await server.world.publish("ada", "audio", "video")
        async with server.client("ada") as ada, server.client("eve") as eve:
            await hear(eve)
            tracks = {"0": {"source": "microphone", "muted": True}, "1": {"source": "screen"}}
            await tell(ada, type="publish", session=session.id, tracks=tracks)
            changed = await hear_until(eve, lambda message: message["type"] == "changed")
            found = [(t["mid"], t["source"], t["muted"]) for t in changed["participant"]["tracks"]]
            assert found == [("0", "microphone", True), ("1", "screen", False)]


async def test_publish_answers_with_the_slots_for_clients_that_rejoined() -> None:
    async with serving() as server:
        await server.world.publish("ada", "video")
        session = await server.world.play("eve", "video")
        async with server.client("eve") as eve:
            await hear_until(eve, lambda message: message["type"] == "slots")
            await tell(eve, type="publish", session=session.id, tracks={})
            assert (await hear(eve))["session"] == session.id


async def test_publish_for_a_session_that_is_gone_keeps_the_connection() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        await server.world.registry.end_session("lobby", session.id, "ada")
        async with server.client("ada") as ada:
            await hear(ada)
            await tell(ada, type="publish", session=session.id, tracks={})
            assert (await hear(ada))["slug"] == "unknown-session"
            await tell(ada, type="ping")
            assert await hear(ada) == {"type": "pong"}


async def test_nobody_declares_for_somebody_else() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        async with server.client("mallory") as mallory:
            await hear(mallory)
            await tell(mallory, type="publish", session=session.id, tracks={"0": {"muted": True}})
            assert (await hear(mallory))["slug"] == "not-your-session"
        assert not session.tracks["0"].muted


# -- bad input ---------------------------------------------------------------------------------------------------

BAD: dict[str, tuple[str | bytes, str, int]] = {
    "not json": ("hello", "bad-json", 4400),
    "array": ("[]", "bad-json", 4400),
    "duplicate key": ('{"type":"ping","type":"publish"}', "bad-json", 4400),
    "NaN": ('{"type":NaN}', "bad-json", 4400),
    "deep": ("[" * 30_000, "bad-json", 4400),
    "long number": ('{"type":' + "9" * 60_000 + "}", "bad-json", 4400),
    "no type": ("{}", "bad-message", 4400),
    "unknown type": ('{"type":"dance"}', "bad-message", 4400),
    "binary": (b"\x00\x01", "bad-message", 4400),
    "type is a list": ('{"type":["ping"]}', "bad-message", 4400),
    "auth without token": ('{"type":"auth"}', "bad-message", 4400),
    "auth with half a character": (json.dumps({"type": "auth", "token": f"{token()}\ud800"}), "bad-token", 4401),
    "auth of another": (json.dumps({"type": "auth", "token": token("mallory")}), "forbidden", 4403),
    "oversize": ('{"type":"' + "x" * 70_000 + '"}', "payload-too-large", 1009),
    "oversize in bytes": ('{"type":"' + "é" * 40_000 + '"}', "payload-too-large", 1009),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_message_ends_the_connection_with_a_reason(name: str) -> None:
    message, slug, code = BAD[name]
    async with serving() as server, server.client("eve") as eve:
        await hear(eve)
        await eve.send(message)
        assert await hear_end(eve) == (slug, code)
        assert server.world.room.roster.watchers == 0


@pytest.mark.parametrize(
    ("tracks", "names"),
    [
        (None, "tracks"),
        ({"9": {}}, "tracks.'9'"),
        ({"\ud800": {}}, "tracks."),
        ({"0": []}, "tracks.'0'"),
        ({"0": {"volume": 1}}, "tracks.'0'"),
        ({"0": {"source": "moon"}}, "source"),
        ({"0": {"source": ["camera"]}}, "source"),
        ({"0": {"muted": "yes"}}, "muted"),
    ],
)
async def test_a_bad_declaration_names_the_field_and_changes_nothing(tracks: Any, names: str) -> None:
    async with serving() as server:
        session = await server.world.publish("ada", "audio")
        before = session.participant.describe()
        async with server.client("ada") as ada:
            await hear(ada)
            await tell(ada, type="publish", session=session.id, tracks=tracks)
            error = await hear(ada)
            assert error["slug"] == "bad-message"
            assert names in error["detail"]
        assert session.participant.describe() == before


# -- who gets in -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "slug", "code"),
    [
        ({"type": "ping"}, "unauthorized", 4401),
        ({"type": "auth", "token": 7}, "unauthorized", 4401),
        ({"type": "auth", "token": "x"}, "bad-token", 4401),
        ({"type": "auth", "token": token("eve", "other")}, "wrong-room", 4403),
    ],
)
async def test_the_first_message_must_be_a_good_token(first: Message, slug: str, code: int) -> None:
    async with serving() as server, server.client(None) as stranger:
        await tell(stranger, **first)
        assert await hear_end(stranger) == (slug, code)
        assert not server.world.registry.rooms


async def test_who_says_nothing_is_shown_out() -> None:
    async with serving(SignalingSettings(auth_timeout_s=0.05)) as server, server.client(None) as stranger:
        assert await hear_end(stranger) == ("auth-timeout", 4401)


async def test_the_connection_ends_with_its_token_unless_a_newer_one_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TOKENS, "_leeway_s", 0.0)

    def brief(identity: str) -> str:
        return TOKENS.issue(JoinGrant("lobby", identity), lifetime_s=2)

    async with serving() as server, server.client(None) as eve, server.client(None) as bob:
        await tell(eve, type="auth", token=brief("eve"))
        await tell(bob, type="auth", token=brief("bob"))
        await tell(bob, type="auth", token=token("bob"))
        assert await hear_end(eve) == ("token-expired", 4401)
        await tell(bob, type="ping")
        await hear_until(bob, lambda message: message["type"] == "pong")


async def test_strangers_are_limited_per_address() -> None:
    settings = SignalingSettings(max_pending_per_address=2)
    async with serving(settings) as server, server.client(None), server.client(None) as second:
        async with server.client(None) as third:
            assert await hear_end(third) == ("too-many-pending", 1013)
        await tell(second, type="auth", token=token("eve"))
        await hear(second)
        async with server.client("ada") as welcome:
            assert (await hear(welcome))["type"] == "welcome"


async def test_unknown_room() -> None:
    async with serving(create_on_first_use=False) as server, server.client("eve") as eve:
        assert await hear_end(eve) == ("unknown-room", 4404)


async def test_too_many_connections_of_one_identity() -> None:
    async with serving(limits=RoomLimits(max_watchers_per_identity=1)) as server, server.client("eve") as first:
        await hear(first)
        async with server.client("eve") as second:
            assert await hear_end(second) == ("too-many-watchers", 1013)


async def test_foreign_origins_are_refused_when_origins_are_listed() -> None:
    async with serving(SignalingSettings(allowed_origins=("https://app.example",))) as server:
        async with server.client("eve", origin="https://app.example") as eve:
            assert (await hear(eve))["type"] == "welcome"
        async with server.client("eve") as no_browser:
            assert (await hear(no_browser))["type"] == "welcome"
        with pytest.raises(InvalidStatus) as refused:
            async with server.client("eve", origin="https://evil.example"):
                pass
        assert refused.value.response.status_code == 403


# -- abuse and the end -------------------------------------------------------------------------------------------


async def test_a_flood_of_messages_ends_the_connection() -> None:
    async with serving() as server, server.client("eve") as eve:
        await hear(eve)
        for _ in range(150):
            await tell(eve, type="ping")
        assert await hear_end(eve) == ("rate-limited", 4429)


async def test_who_does_not_read_is_cut_off_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "CLOSE_TIMEOUT_S", 0.05)
    async with serving() as server:
        session = await server.world.publish("ada", "video")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.split(":")[2].split("/")[0]))
        request = f"GET /rooms/lobby/events?access_token={token('eve')} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        request += (
            "Connection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OTAxMjM0NQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        writer.write(request.encode())
        await reader.readuntil(b"welcome")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        room = server.world.room
        session.participant.name = "x" * 60_000
        async with asyncio.timeout(10):
            while room.roster.watchers:
                room.declare_tracks(session, {"0": {"muted": not session.tracks["0"].muted}})
                await asyncio.sleep(0)
        writer.transport.abort()


async def test_closing_the_room_says_why() -> None:
    async with serving() as server, server.client("eve") as eve:
        await hear(eve)
        await server.world.room.close()
        assert await hear_end(eve) == ("room-closed", 1013)


async def test_a_lost_connection_is_forgotten() -> None:
    async with serving() as server:
        async with server.client("eve") as eve:
            await hear(eve)
            room = server.world.room
            eve.transport.abort()
        async with asyncio.timeout(5):
            while room.roster.watchers:  # noqa: ASYNC110 - the room has no event for it, and needs none
                await asyncio.sleep(0)


async def test_joining_by_whip_is_told_with_the_name_of_the_token() -> None:
    async with serving() as server, server.client("eve") as eve:
        await hear(eve)
        grant = JoinGrant("lobby", "ada", "Ada Lovelace")
        session: Session = await server.world.registry.join("lobby", grant, publish_offer("audio"), "whip")
        joined = await hear(eve)
        assert joined["participant"]["name"] == "Ada Lovelace"
        assert joined["participant"]["tracks"] == []
        fake(session).connect()
        assert (await hear(eve))["participant"]["tracks"][0]["live"] is True
