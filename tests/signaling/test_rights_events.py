"""Rights on the events WebSocket: refreshed without leaving, told when they change, gone when revoked."""

from typing import Any

from router import clock
from router.rooms import JoinGrant
from router.rooms.revocation import REMOVED, Revocation
from router.tokens import JoinTokens
from tests.rooms.fakes import fake
from tests.signaling.event_clients import hear, hear_end, hear_until, serving, tell
from tests.signaling.public import TOKENS


def issue(**rights: Any) -> str:
    return TOKENS.issue(JoinGrant("lobby", "ada", "Ada", **rights))


async def test_a_new_token_brings_its_rights_to_the_sessions_named_on_the_connection() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        async with server.client_with(token=issue()) as ada:
            await hear(ada)
            await tell(ada, type="publish", session=session.id, tracks={}, id=1)
            await hear_until(ada, lambda message: message.get("id") == 1)
            assert [track.allowed for track in session.tracks.values()] == [True, True]

            await tell(ada, type="auth", token=issue(publish_sources=frozenset({"microphone"})), id=2)
            told = await hear_until(ada, lambda message: message["type"] == "rights")
            assert told["rights"]["canPublishSources"] == ["microphone"]
            assert [track.allowed for track in session.tracks.values()] == [True, False]
            assert fake(session).streams[1].tracks[0].muted

            await tell(ada, type="publish", session=session.id, tracks={"1": {"source": "camera"}}, id=3)
            refused = await hear_until(ada, lambda message: message.get("id") == 3)
            assert (refused["type"], refused["slug"]) == ("error", "may-not-publish-source")

            await tell(ada, type="auth", token=issue(), id=4)
            await hear_until(ada, lambda message: message.get("id") == 4)
            assert [track.allowed for track in session.tracks.values()] == [True, True]
            assert session.state == "connected"


async def test_a_session_of_another_connection_keeps_its_rights() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        async with server.client_with(token=issue()) as viewer:
            await hear(viewer)
            await tell(viewer, type="auth", token=issue(may_publish=False), id=1)
            await hear_until(viewer, lambda message: message.get("id") == 1)
            assert [track.allowed for track in session.tracks.values()] == [True, True]


async def test_a_revoked_token_closes_the_connection_and_comes_in_no_more() -> None:
    token, other = issue(), issue()
    async with serving() as server:
        await server.world.publish("bob")
        async with server.client_with(token=token) as ada, server.client_with(token=other) as second:
            await hear(ada)
            await hear(second)
            TOKENS.revocations.revoke_token(TOKENS.verify(token).token_id)
            assert await hear_end(ada) == ("token-revoked", 4401)
            await tell(second, type="ping")
            assert await hear(second) == {"type": "pong"}
        async with server.client_with(token=token) as ada:
            assert await hear_end(ada) == ("token-revoked", 4401)


async def test_a_ban_of_another_node_closes_the_connection_as_a_removal() -> None:
    """Of an identity of its own, for `TOKENS` are everybody's."""
    token = TOKENS.issue(JoinGrant("lobby", "banned"))
    now_s = clock.wall_s()
    async with serving() as server:
        await server.world.publish("bob")
        async with server.client_with(token=token) as banned, server.client_with(token=issue()) as ada:
            await hear(banned)
            await hear(ada)
            TOKENS.revocations.removed.learn(Revocation("", "lobby", "banned", now_s, now_s + 60, REMOVED))
            error = await hear_until(banned, lambda message: message["type"] == "error")
            assert (error["slug"], error["detail"]) == ("removed", "a moderator removed you from the room")
            await banned.wait_closed()
            assert (banned.close_reason, banned.close_code) == ("removed", 4403)
            await tell(ada, type="ping")
            assert await hear(ada) == {"type": "pong"}
        async with server.client_with(token=token) as again:
            error = await hear(again)
            assert error["detail"] == "a moderator removed this identity; it needs a new token"
        fresh = JoinTokens("0123456789abcdef0123456789abcdef", now_s=lambda: now_s + 2)
        async with server.client_with(token=fresh.issue(JoinGrant("lobby", "banned"))) as again:
            assert (await hear(again))["type"] == "welcome"


async def test_who_returns_is_told_what_an_operator_changed() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        server.world.room.grants.change(session.participant, may_publish=False)
        async with server.client_with(token=issue()) as ada:
            # Issued in the second of the change: taken for older.
            told = await hear_until(ada, lambda message: message["type"] == "rights")
            assert told["rights"]["canPublish"] is False


async def test_describing_oneself() -> None:
    async with serving() as server:
        session = await server.world.publish("ada")
        async with server.client_with(token=issue()) as ada:
            await hear(ada)
            await tell(ada, type="describe", name="Countess", id=1)
            assert (await hear_until(ada, lambda message: message.get("id") == 1))["slug"] == "may-not-update-metadata"
        async with server.client_with(token=issue(may_update_own_metadata=True)) as ada:
            await hear(ada)
            for name, slug in (("a\nb", "bad-name"), (7, "bad-message")):
                await tell(ada, type="describe", name=name, id=2)
                assert (await hear_until(ada, lambda message: message.get("id") == 2))["slug"] == slug
            await tell(ada, type="describe", name="Countess", metadata="{}", id=3)
            assert (await hear_until(ada, lambda message: message.get("id") == 3))["type"] == "ok"
        assert (session.participant.name, session.participant.metadata) == ("Countess", "{}")
