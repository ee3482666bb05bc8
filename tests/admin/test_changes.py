"""Rights, names and revocations by the admin API, on rooms with fake media."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from router.admin import revocations
from router.rooms import JoinGrant
from tests.rooms.fakes import World


async def test_rights_are_in_force_when_it_is_answered(world: World, api: httpx.AsyncClient) -> None:
    session = await world.publish("ada")
    path = f"/v1/rooms/lobby/participants/{session.participant.id}"
    reply = await api.patch(path, json={"rights": {"can_publish_sources": ["microphone"], "room_admin": True}})
    assert reply.status_code == 200, reply.text
    rights = reply.json()["rights"]
    assert (rights["can_publish"], rights["can_publish_sources"]) == (True, ["microphone"])
    assert rights["room_admin"] is True
    assert [track.allowed for track in session.tracks.values()] == [True, False]
    reply = await api.patch(path, json={"rights": {"can_publish_sources": []}})
    assert [track.allowed for track in session.tracks.values()] == [True, True]
    assert reply.json()["rights"]["room_admin"] is True, "what is not named stays"
    assert (await api.get(path)).json()["rights"] == reply.json()["rights"]


async def test_name_and_metadata(world: World, api: httpx.AsyncClient) -> None:
    session = await world.publish("ada")
    path = f"/v1/rooms/lobby/participants/{session.participant.id}"
    reply = await api.patch(path, json={"name": "Countess", "metadata": "{}"})
    assert (reply.json()["name"], reply.json()["metadata"]) == ("Countess", "{}")
    assert (await api.patch(path, json={"name": "a\nb"})).status_code == 400
    assert session.participant.name == "Countess"


@pytest.mark.parametrize(
    "body",
    [
        {"rights": {"can_publish": "yes"}},
        {"rights": {"can_publish": None}},
        {"rights": {"canPublish": True}},
        {"rights": {"can_publish_sources": ["screen"]}},
        {"rights": {"can_publish_sources": ["camera"] * 17}},
        {"rights": []},
        {"identity": "bob"},
        [],
    ],
)
async def test_wrong_bodies_change_nothing(world: World, api: httpx.AsyncClient, body: Any) -> None:
    session = await world.publish("ada")
    before = session.participant.rights
    reply = await api.patch(f"/v1/rooms/lobby/participants/{session.participant.id}", json=body)
    assert reply.status_code == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert session.participant.rights == before


async def test_revoking_ends_what_the_token_began(world: World, api: httpx.AsyncClient) -> None:
    session = await world.publish("ada")
    reply = await api.post("/v1/tokens/revocations", json={"identity": "ada", "room": "lobby"})
    assert reply.status_code == 201
    assert session.state == "ended"
    listed = (await api.get("/v1/tokens/revocations")).json()["items"]
    assert [(one["identity"], one["room"], one["token_id"]) for one in listed] == [("ada", "lobby", None)]
    assert (await api.post("/v1/tokens/revocations", json={"token_id": "t1"})).status_code == 201
    assert world.registry.revocations.is_revoked(JoinGrant("x", "y", token_id="t1"))


async def test_the_latest_revocations_are_listed_first_within_a_cap(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocations, "MAX_LISTED", 2)
    for number in range(3):
        assert (await api.post("/v1/tokens/revocations", json={"token_id": f"t{number}"})).status_code == 201
    listed = (await api.get("/v1/tokens/revocations")).json()["items"]
    assert [one["token_id"] for one in listed] == ["t2", "t1"]
    assert {one["reason"] for one in listed} == {"token-revoked"}


async def test_who_is_banned_from_a_room_is_listed_apart(world: World, api: httpx.AsyncClient) -> None:
    session, kicked = await world.publish("ada"), await world.publish("bob")
    assert (await api.delete(f"/v1/rooms/lobby/participants/{session.participant.id}")).status_code == 204
    path = f"/v1/rooms/lobby/participants/{kicked.participant.id}?ban=false"
    assert (await api.delete(path)).status_code == 204
    assert (await api.get("/v1/tokens/revocations")).json()["items"] == []
    (listed,) = (await api.get("/v1/tokens/revocations?reason=removed")).json()["items"]
    assert (listed["identity"], listed["room"], listed["reason"]) == ("ada", "lobby", "removed")
    since, until = (datetime.fromisoformat(listed[name]) for name in ("revoked_at", "expires_at"))
    assert until - since == timedelta(days=1)
    assert (await api.get("/v1/tokens/revocations?reason=expired")).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"room": "lobby"},
        {"token_id": "a", "identity": "b"},
        {"token_id": ""},
        {"token_id": "x" * 129},
        {"identity": ""},
    ],
)
async def test_half_a_revocation_is_refused(world: World, api: httpx.AsyncClient, body: Any) -> None:
    assert (await api.post("/v1/tokens/revocations", json=body)).status_code == 400
    assert len(world.registry.revocations) == 0
