"""The demo room's files, the headers around them, and tokens for development."""

from pathlib import Path

import pytest

from router.signaling import SignalingSettings
from router.signaling.static import FILES, write_policy
from tests.signaling.public import TOKENS, public


@pytest.mark.parametrize("path", FILES)
async def test_every_file_is_there_with_its_type_and_tag(path: str) -> None:
    async with public() as router:
        response = await router.http.get(path)
        assert response.status_code == 200
        assert response.content
        assert response.headers["Content-Type"] == FILES[path][1]
        assert response.headers["Cache-Control"] == "no-cache"
        again = await router.http.get(path, headers={"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert (await router.http.head(path)).status_code == 200
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy


def test_every_file_of_the_page_is_served() -> None:
    folder = SignalingSettings().web_root
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {name for name, _ in FILES.values()} == present


async def test_the_page_asks_for_every_part_of_the_client_at_once() -> None:
    async with public() as router:
        page = (await router.http.get("/")).text
        for path in FILES:
            if path.startswith("/client") and path.endswith(".js"):
                assert f'<link rel="modulepreload" href="{path}" />' in page


async def test_pages_of_other_origins_import_the_client_and_nothing_else() -> None:
    async with public() as router:
        for path in FILES:
            response = await router.http.get(path, headers={"Origin": "https://app.example"})
            shared = "Access-Control-Allow-Origin" in response.headers
            assert shared == path.startswith("/client"), path


async def test_a_changed_file_is_served_anew(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("one")
    async with public(SignalingSettings(web_root=tmp_path)) as router:
        first = await router.http.get("/")
        (tmp_path / "index.html").write_text("two, longer")
        second = await router.http.get("/")
        assert (first.text, second.text) == ("one", "two, longer")
        assert first.headers["ETag"] != second.headers["ETag"]
        assert (await router.http.get("/demo.js")).json()["slug"] == "unknown-path"


@pytest.mark.parametrize("path", ["/../errors.py", "/%2e%2e/errors.py", "/client.js/../../errors.py", "//etc/passwd"])
async def test_no_other_file_is_ever_read(path: str) -> None:
    async with public() as router:
        assert (await router.http.get(path)).status_code in (400, 404)


def test_policy_names_the_public_origin() -> None:
    assert "connect-src 'self' https://sfu.example wss://sfu.example;" in write_policy("https://sfu.example/rtc")


async def test_development_tokens_exist_in_development_only() -> None:
    async with public() as router:
        assert (await router.http.get("/dev/token?room=lobby")).status_code == 404
    async with public(SignalingSettings(dev=True)) as router:
        response = await router.http.get("http://localhost/dev/token?room=lobby&name=Ada")
        grant = TOKENS.verify(response.json()["token"])
        assert (grant.room, grant.name) == ("lobby", "Ada")
        assert (grant.may_publish, grant.may_subscribe, grant.may_moderate) == (True, True, True)
        assert grant.identity == response.json()["identity"]
        assert "Access-Control-Allow-Origin" not in response.headers
        assert (await router.http.get("http://127.0.0.1:8080/dev/token?room=lobby")).status_code == 200
        assert (await router.http.get("http://[::1]:8080/dev/token?room=lobby")).status_code == 200
        assert (await router.http.get("http://rebound.example/dev/token?room=lobby")).status_code == 403
        assert (await router.http.get("http://localhost/dev/token")).json()["slug"] == "bad-name"
