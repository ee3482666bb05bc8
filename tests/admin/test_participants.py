import httpx

from router.rooms import SlotWish
from tests.admin.conftest import Router

EMPTY = {
    "kind": "video",
    "track_id": None,
    "participant_id": None,
    "pinned": False,
    "paused": False,
    "reason": "nobody left to show",
}


async def test_participant_with_sessions_and_tracks(router: Router, client: httpx.AsyncClient) -> None:
    room = router.registry.create_room("a")
    session = router.add_session(room, "ada", tracks=1, slots=2)
    session.wishes["2"] = SlotWish(paused=True)
    participant = session.participant
    base = f"/v1/rooms/a/participants/{participant.id}"
    body = (await client.get(base)).json()
    track = session.tracks["0"]
    assert body.pop("joined_at").endswith("Z")
    assert body == {
        "id": participant.id,
        "identity": "ada",
        "name": "Ada",
        "metadata": "",
        "rights": {
            "can_publish": True,
            "can_publish_sources": [],
            "can_subscribe": True,
            "can_publish_data": True,
            "can_update_own_metadata": False,
            "room_admin": False,
            "hidden": False,
            "recorder": False,
        },
        "sessions": [
            {
                "id": session.public_id,
                "endpoint": "whep",
                "state": "new",
                "slots": [
                    {**EMPTY, "mid": "1"},
                    {**EMPTY, "mid": "2", "paused": True, "reason": "paused by wish"},
                ],
            }
        ],
        "tracks": [track.describe()],
    }
    assert (await client.get(f"{base}/tracks")).json() == {"items": [track.describe()]}
    assert (await client.get(f"{base}/tracks/{track.id}")).json() == track.describe()
    assert (await client.get(f"{base}/tracks/none")).json()["slug"] == "unknown-track"


async def test_session_ids_are_never_shown(router: Router, client: httpx.AsyncClient) -> None:
    session = router.add_session(router.registry.create_room("a"), "ada")
    for path in ("", f"/{session.participant.id}", f"/{session.participant.id}/stats"):
        assert session.id not in (await client.get(f"/v1/rooms/a/participants{path}")).text


async def test_pages(router: Router, client: httpx.AsyncClient) -> None:
    room = router.registry.create_room("a")
    for number in range(5):
        router.add_session(room, f"p{number}")
    first = (await client.get("/v1/rooms/a/participants?limit=3")).json()
    second = (await client.get("/v1/rooms/a/participants", params={"cursor": first["next_cursor"]})).json()
    identities = [entry["identity"] for entry in first["items"] + second["items"]]
    assert sorted(identities) == [f"p{number}" for number in range(5)]
    assert second["next_cursor"] is None
