"""`…/diagnosis`: who may read it, what it looks like, and that those who left are found. What it says of real faults is
in `test_faults_explained`."""

import httpx
import pytest

from router.admin.diagnosis import _prefers_html
from tests.admin.conftest import FakeConnection, Router, transport_stats


async def test_each_part_has_verdict_sentence_and_facts(router: Router, client: httpx.AsyncClient) -> None:
    session = router.add_session(router.registry.create_room("a"), "ada")
    assert isinstance(session.connection, FakeConnection)
    session.connection.stats = transport_stats()
    path = f"/v1/rooms/a/participants/{session.participant.id}/diagnosis"
    body = (await client.get(path)).json()
    assert (body["room"], body["identity"]) == ("a", "ada")
    (found,) = body["sessions"]
    assert list(found["sections"]) == ["ice", "dtls", "srtp", "streams_up", "streams_down", "events", "rights"]
    assert found["ended"] is None
    assert found["sections"]["srtp"]["facts"]["packets_accepted"] == 102
    assert found["sections"]["streams_down"]["facts"]["link"]["estimate_bps"] == 840_000
    assert all(section["sentence"] for section in found["sections"].values())
    assert body["sentence"] == found["sentence"]
    (summary,) = (await client.get("/v1/rooms/a/diagnosis")).json()["items"]
    assert summary["sentence"] == body["sentence"]
    page = await client.get(f"{path}.html")
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    assert "ada in a" in page.text
    assert (await client.get(path, headers={"Accept": "text/html"})).text == page.text


@pytest.mark.parametrize("path", ["a/participants/P_0/diagnosis", "a/participants/P_0/diagnosis.html", "b/diagnosis"])
async def test_who_was_never_there_is_not_found(router: Router, client: httpx.AsyncClient, path: str) -> None:
    router.registry.create_room("a")
    response = await client.get(f"/v1/rooms/{path}")
    assert response.status_code == 404
    assert response.json()["slug"] in ("unknown-participant", "unknown-room")


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("text/html", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("TEXT/HTML;q=1, application/json", True),
    ],
)
def test_browsers_are_shown_a_page(accept: str, html: bool) -> None:
    assert _prefers_html(accept) == html
