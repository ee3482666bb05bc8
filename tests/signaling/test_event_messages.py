"""Requests on the events WebSocket: wishes, resync, moderation, and refusals that do not cost the connection."""

from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection

from router.rooms import JoinGrant, Session
from router.signaling.event_messages import RESYNC_BURST
from tests.rooms.fakes import FakeConnection, fake, shown
from tests.signaling.event_clients import Message, Server, hear, hear_end, hear_until, serving, tell
from tests.signaling.public import TOKENS, bearer, check_problem, public, token


async def ask(websocket: ClientConnection, **message: Any) -> Message:
    """The answer to one request."""
    await tell(websocket, id=7, **message)
    answer = await hear_until(websocket, lambda heard: heard.get("id") == 7)
    assert answer["type"] in ("ok", "error")
    return answer


async def still_there(websocket: ClientConnection) -> None:
    await tell(websocket, type="ping")
    await hear_until(websocket, lambda heard: heard["type"] == "pong")


async def open_call(server: Server) -> tuple[Session, Session]:
    """ada publishes, eve watches in two video slots."""
    ada = await server.world.publish("ada")
    eve = await server.world.play("eve", "video", "video")
    await server.world.settle()
    return ada, eve


# -- wishes ------------------------------------------------------------------------------------------------------


async def test_a_wish_is_confirmed_and_its_owner_told() -> None:
    async with serving() as server:
        ada, eve = await open_call(server)
        async with server.client("eve") as websocket:
            await hear_until(websocket, lambda heard: heard["type"] == "slots")
            pin = {"1": {"track_id": ada.tracks["1"].id, "width": 320}}
            assert await ask(websocket, type="wish", session=eve.id, slots=pin) == {"type": "ok", "id": 7}
            told = await hear(websocket)
            assert [(slot["mid"], slot["pinned"]) for slot in told["slots"]] == [("0", False), ("1", True)]
        assert shown(eve) == [None, "ada"]
        assert fake(eve).slots[1].shown_at == (320, None)


async def test_a_publisher_that_follows_is_told_what_is_in_use() -> None:
    async with serving() as server:
        ada, _ = await open_call(server)
        camera = fake(ada).streams[1].tracks[0]
        async with server.client("ada") as websocket:
            assert (await ask(websocket, type="follow", session=ada.id, follows=True))["type"] == "ok"
            await tell(websocket, type="follow", session=ada.id, follows=True)
            told = await hear_until(websocket, lambda heard: heard["type"] == "demand")
            assert told["tracks"] == {"1": [{"rid": rid, "wanted": True} for rid in "qhf"]}
            assert camera.follows
    assert not camera.follows, "its events connection ended"


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        ({"type": "wish"}, "bad-message"),
        ({"type": "wish", "session": 1}, "bad-message"),
        ({"type": "wish", "session": "no-such", "slots": {}}, "unknown-session"),
        ({"type": "wish", "session": "ada's", "slots": {}}, "not-your-session"),
        ({"type": "wish", "session": "eve's"}, "bad-wish"),
        ({"type": "wish", "session": "eve's", "slots": {"9": {}}}, "bad-wish"),
        ({"type": "wish", "session": "eve's", "slots": {"0": {"track_id": "T_9"}}}, "bad-wish"),
        ({"type": "wish", "session": "eve's", "slots": {str(i): {"paused": True} for i in range(1000)}}, "bad-wish"),
        ({"type": "publish", "session": 1}, "bad-message"),
        ({"type": "publish", "session": "eve's", "tracks": {"0": {"muted": True}}}, "bad-message"),
        ({"type": "publish", "session": "ada's", "tracks": {"0": {"muted": True}}}, "not-your-session"),
        ({"type": "follow", "session": "eve's"}, "bad-message"),
        ({"type": "follow", "session": "ada's", "follows": True}, "not-your-session"),
        ({"type": "resync"}, "bad-message"),
        ({"type": "resync", "version": "1"}, "bad-message"),
        ({"type": "resync", "version": True}, "bad-message"),
        ({"type": "mute", "track_id": "T_00000001", "muted": True}, "may-not-moderate"),
        ({"type": "remove", "participant_id": "P_0"}, "may-not-moderate"),
        ({"type": "lock", "locked": True}, "may-not-moderate"),
        ({"type": "lock"}, "bad-message"),
    ],
)
async def test_a_refused_request_keeps_the_connection_and_changes_nothing(message: Message, slug: str) -> None:
    async with serving() as server:
        ada, eve = await open_call(server)
        before = server.world.room.roster.version, shown(eve), dict(eve.wishes)
        known = {"ada's": ada.id, "eve's": eve.id}
        message = {**message, "session": known.get(message.get("session", ""), message.get("session"))}
        async with server.client("eve") as websocket:
            answer = await ask(websocket, **message)
            assert (answer["type"], answer["slug"]) == ("error", slug)
            assert answer["detail"]
            await still_there(websocket)
        assert (server.world.room.roster.version, shown(eve), dict(eve.wishes)) == before


@pytest.mark.parametrize("request_id", ["seven", True, -1, 1.5, 2**60, [], {}])
async def test_a_request_id_is_a_number(request_id: Any) -> None:
    async with serving() as server, server.client("eve") as websocket:
        await hear(websocket)
        await tell(websocket, type="lock", locked=True, id=request_id)
        answer = await hear(websocket)
        assert (answer["slug"], "id" in answer) == ("bad-message", False)
        await still_there(websocket)


async def test_a_newer_token_is_confirmed_and_brings_its_rights() -> None:
    async with serving() as server, server.client("eve") as websocket:
        await hear(websocket)
        assert (await ask(websocket, type="lock", locked=True))["slug"] == "may-not-moderate"
        newer = TOKENS.issue(JoinGrant("lobby", "eve", may_moderate=True), lifetime_s=1e6)
        assert (await ask(websocket, type="auth", token=newer))["type"] == "ok"
        assert (await ask(websocket, type="lock", locked=True))["type"] == "ok"
        assert server.world.room.roster.locked


# -- resync ------------------------------------------------------------------------------------------------------


async def test_who_comes_back_is_told_what_was_missed() -> None:
    async with serving() as server:
        async with server.client("eve") as websocket:
            welcome = await hear(websocket)
        ada = await server.world.publish("ada", "video")
        since = {"log": welcome["log"], "version": welcome["version"]}
        async with server.client_with(token=token("eve"), since=since) as websocket:
            heard = [await hear(websocket) for _ in range(3)]
            assert [message["type"] for message in heard] == ["joined", "changed", "resumed"]
            assert heard[1]["participant"]["id"] == ada.participant.id
            await tell(websocket, type="resync", version=1)
            assert [(await hear(websocket))["type"] for _ in range(2)] == ["changed", "resumed"]
            await tell(websocket, type="resync", version=77)
            assert (await hear(websocket))["type"] == "welcome"


@pytest.mark.parametrize(
    "since", [7, "L_0", {}, {"log": "L_0"}, {"log": 1, "version": 1}, {"log": "", "version": True}]
)
async def test_a_bad_since_is_no_authentication(since: Any) -> None:
    async with serving() as server, server.client_with(token=token("eve"), since=since) as websocket:
        assert await hear_end(websocket) == ("bad-message", 4400)
        assert not server.world.registry.rooms


async def test_resyncs_are_rationed_for_a_welcome_is_large() -> None:
    async with serving() as server, server.client("eve") as websocket:
        await hear(websocket)
        answers = []
        for _ in range(RESYNC_BURST + 2):
            await tell(websocket, type="resync", version=-1)
            answers.append(await hear(websocket))
        assert [answer["type"] for answer in answers] == ["welcome"] * RESYNC_BURST + ["error"] * 2
        assert answers[-1]["slug"] == "rate-limited"
        await still_there(websocket)


# -- moderation --------------------------------------------------------------------------------------------------


async def test_a_moderator_mutes_removes_and_locks() -> None:
    async with serving() as server:
        ada, _ = await open_call(server)
        async with (
            server.client_with(token=token("host", moderate=True)) as host,
            server.client("ada") as own,
            server.client("eve") as eve,
        ):
            for websocket in (host, own, eve):
                await hear_until(websocket, lambda heard: heard["type"] == "welcome")
            track = ada.tracks["0"].id
            assert (await ask(host, type="mute", track_id=track, muted=True))["type"] == "ok"
            changed = await hear_until(eve, lambda heard: heard["type"] == "changed")
            assert [one["moderated"] for one in changed["participant"]["tracks"]] == [True, False]

            assert (await ask(host, type="lock", locked=True))["type"] == "ok"
            assert (await hear_until(eve, lambda heard: heard["type"] == "locked"))["locked"] is True
            async with server.client("late") as late:
                assert await hear_end(late) == ("room-locked", 4403)

            assert (await ask(host, type="remove", participant_id=ada.participant.id))["type"] == "ok"
            assert await hear_end(own) == ("removed", 4403)
            left = await hear_until(eve, lambda heard: heard["type"] == "left")
            assert (left["participant_id"], left["reason"]) == (ada.participant.id, "removed")
        async with server.client("ada") as again:
            assert await hear_end(again) == ("removed", 4403)


@pytest.mark.parametrize(
    ("message", "slug"),
    [
        ({"type": "mute", "track_id": "T_ffffffff", "muted": True}, "unknown-track"),
        ({"type": "mute", "track_id": "T_ffffffff", "muted": 1}, "bad-message"),
        ({"type": "mute", "track_id": None, "muted": True}, "bad-message"),
        ({"type": "remove", "participant_id": "P_0"}, "unknown-participant"),
        ({"type": "remove", "participant_id": ["P_0"]}, "bad-message"),
        ({"type": "lock", "locked": "yes"}, "bad-message"),
    ],
)
async def test_bad_moderation_is_refused(message: Message, slug: str) -> None:
    async with serving() as server, server.client_with(token=token("host", moderate=True)) as host:
        await hear(host)
        assert (await ask(host, **message))["slug"] == slug
        await still_there(host)


# -- over HTTP ---------------------------------------------------------------------------------------------------


async def test_the_roster_by_http_is_the_welcome_without_its_type() -> None:
    async with serving() as server:
        ada = await server.world.publish("ada")
        async with server.client("ada") as websocket:
            welcome = await hear(websocket)
        async with public(world=server.world) as client:
            response = await client.http.get("/rooms/lobby/roster", headers=bearer("ada"))
        assert response.json() == {name: value for name, value in welcome.items() if name != "type"}
        assert response.json()["you"] == ada.participant.id
        assert response.headers["Cache-Control"] == "no-store"


async def test_who_may_read_the_roster() -> None:
    async with public() as client:
        await client.world.publish("ada")
        url = "/rooms/lobby/roster"
        check_problem(await client.http.get(url), 401, "unauthorized")
        check_problem(await client.http.get(url, headers=bearer("ada", "other")), 403, "wrong-room")
        check_problem(await client.http.get("/rooms/none/roster", headers=bearer("ada", "none")), 404, "unknown-room")
        check_problem(await client.http.post(url, headers=bearer("ada")), 405, "method-not-allowed")
        client.world.room.moderation.lock(JoinGrant("lobby", "host", may_moderate=True), True)
        check_problem(await client.http.get(url, headers=bearer("eve")), 403, "room-locked")
        assert (await client.http.get(url, headers=bearer("ada"))).status_code == 200


async def test_removed_and_locked_out_of_whip_and_whep() -> None:
    async with public() as client:
        first = await client.whip("ada")
        await client.world.publish("bob")
        host = JoinGrant("lobby", "host", may_moderate=True)
        participant = client.session(first).participant
        connection: FakeConnection = client.fake(first)
        client.world.room.moderation.remove(host, participant.id)
        check_problem(await client.whip("ada"), 403, "removed")
        check_problem(await client.whep("ada"), 403, "removed")
        client.world.room.moderation.lock(host, True)
        check_problem(await client.whep("eve"), 403, "room-locked")
        await client.world.settle()
        assert connection.closed == 1
