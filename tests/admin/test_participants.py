import httpx

from tests.admin.conftest import Router


async def test_participant_with_sessions_and_tracks(router: Router, client: httpx.AsyncClient) -> None:
    room = router.registry.create_room("a")
    session = router.add_session(room, "ada", tracks=1, slots=2)
    participant = session.participant
    base = f"/v1/rooms/a/participants/{participant.id}"
    body = (await client.get(base)).json()
    track = session.tracks["0"]
    assert body == {
        "id": participant.id,
        "identity": "ada",
        "name": "Ada",
        "sessions": [
            {
                "endpoint": "whep",
                "state": "new",
                "slots": [
                    {"mid": "1", "kind": "video", "track_id": None, "participant_id": None},
                    {"mid": "2", "kind": "video", "track_id": None, "participant_id": None},
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
