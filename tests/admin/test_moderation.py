"""Muting and removing by operators, and tracks by their id."""

from typing import Any

import httpx
import pytest

from router.errors import ForbiddenError
from router.rooms import Session
from router.rooms.participant import PublishedTrack
from tests.rooms.fakes import World


def moderated(session: Session) -> list[bool]:
    return [track.moderated for track in session.tracks.values()]


def path_of(session: Session) -> str:
    return f"/v1/rooms/lobby/participants/{session.participant.id}"


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({}, [True, True, True]),
        ({"kind": "audio"}, [True, False, False]),
        ({"kind": "video"}, [False, True, True]),
        ({"source": "screen"}, [False, False, True]),
        ({"source": "screen-audio"}, [False, False, False]),
    ],
)
async def test_mute_by_kind_and_source(
    world: World, api: httpx.AsyncClient, which: dict[str, Any], expected: list[bool]
) -> None:
    session = await world.publish("ada", "audio", "video", "video")
    session.tracks["2"].source = "screen"
    reply = await api.post(f"{path_of(session)}/mute", json={"muted": True, **which})
    assert reply.status_code == 200, reply.text
    assert moderated(session) == expected
    assert [track["moderated"] for track in reply.json()["items"]] == [True] * sum(expected)
    await api.post(f"{path_of(session)}/mute", json={"muted": False})
    assert moderated(session) == [False, False, False]


async def test_mute_one_track(world: World, api: httpx.AsyncClient) -> None:
    session, other = await world.publish("ada"), await world.publish("bob")
    track = session.tracks["1"]
    reply = await api.post(f"{path_of(session)}/mute", json={"muted": True, "track_id": track.id})
    assert [one["id"] for one in reply.json()["items"]] == [track.id]
    reply = await api.post(f"{path_of(other)}/mute", json={"muted": True, "track_id": track.id})
    assert (reply.status_code, reply.json()["slug"]) == (404, "unknown-track")
    assert moderated(other) == [False, False]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"muted": 1},
        {"muted": True, "kind": "data"},
        {"muted": True, "source": "tv"},
        {"muted": True, "kind": "audio", "source": "microphone"},
        {"muted": True, "track_id": "T" * 65},
    ],
)
async def test_wrong_mutes_change_nothing(world: World, api: httpx.AsyncClient, body: dict[str, Any]) -> None:
    session = await world.publish("ada")
    assert (await api.post(f"{path_of(session)}/mute", json=body)).status_code == 400
    assert moderated(session) == [False, False]


async def test_tracks_of_a_room(world: World, api: httpx.AsyncClient) -> None:
    sessions = [await world.publish(name) for name in ("ada", "bob", "cyd")]
    tracks: list[PublishedTrack] = [track for session in sessions for track in session.tracks.values()]
    first = (await api.get("/v1/rooms/lobby/tracks?limit=4")).json()
    second = (await api.get("/v1/rooms/lobby/tracks", params={"cursor": first["next_cursor"]})).json()
    listed = first["items"] + second["items"]
    assert sorted(one["id"] for one in listed) == sorted(track.id for track in tracks)
    assert {(one["id"], one["identity"]) for one in listed} == {
        (track.id, track.session.participant.identity) for track in tracks
    }
    assert (await api.get(f"/v1/rooms/lobby/tracks/{listed[0]['id']}")).json() == listed[0]
    assert (await api.get("/v1/rooms/lobby/tracks/none")).json()["slug"] == "unknown-track"


async def test_a_track_is_muted_by_its_id_alone_or_as_its_owners(world: World, api: httpx.AsyncClient) -> None:
    session, other = await world.publish("ada"), await world.publish("bob")
    track = session.tracks["0"]
    for path, ok in (
        (f"/v1/rooms/lobby/tracks/{track.id}", 200),
        (f"{path_of(session)}/tracks/{track.id}", 200),
        (f"{path_of(other)}/tracks/{track.id}", 404),
        ("/v1/rooms/lobby/tracks/none", 404),
    ):
        reply = await api.patch(path, json={"moderated": True})
        assert reply.status_code == ok, path
        assert ok == 404 or reply.json()["moderated"]
        assert track.moderated == (ok == 200)
        await api.patch(f"/v1/rooms/lobby/tracks/{track.id}", json={"moderated": False})
    assert (await api.patch(f"/v1/rooms/lobby/tracks/{track.id}", json={"muted": True})).status_code == 400


@pytest.mark.parametrize("ban", [True, False])
async def test_remove_with_and_without_a_ban(world: World, api: httpx.AsyncClient, ban: bool) -> None:
    session = await world.publish("ada")
    await world.publish("bob")
    reply = await api.delete(path_of(session), params={} if ban else {"ban": "false"})
    assert (reply.status_code, session.state) == (204, "ended")
    assert (await api.delete(path_of(session))).json()["slug"] == "unknown-participant"
    if ban:
        with pytest.raises(ForbiddenError):
            await world.publish("ada")
    else:
        await world.publish("ada")


async def test_versions_of_participants(world: World, api: httpx.AsyncClient) -> None:
    session = await world.publish("ada")
    path = path_of(session)
    read = (await api.get(path)).headers["etag"]
    session.tracks["0"].muted = True
    assert (await api.get(path)).headers["etag"] == read
    changed = await api.patch(path, json={"rights": {"hidden": True}}, headers={"If-Match": read})
    assert changed.status_code == 200
    assert changed.headers["etag"] != read
    for method, body in (("PATCH", {"name": "Eve"}), ("DELETE", None)):
        late = await api.request(method, path, json=body, headers={"If-Match": read})
        assert (late.status_code, late.json()["slug"]) == (412, "precondition-failed")
    assert (session.participant.name, session.state) == ("Ada", "connected")
    assert (await api.delete(path, headers={"If-Match": changed.headers["etag"]})).status_code == 204


async def test_operators_are_logged_by_the_name_of_their_token(
    world: World, api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    session = await world.publish("ada")
    with caplog.at_level("INFO", "router.rooms.moderation"):
        await api.delete(path_of(session))
    assert [vars(record)["actor"] for record in caplog.records] == ["operator admin"]
