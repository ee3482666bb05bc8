"""The dashboard's files: served to anybody, complete, and fenced in."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from router.admin.dashboard import FILES, WEB_ROOT
from tests.admin.conftest import Router, open_client


async def test_every_file_is_there_and_needs_no_token(router: Router) -> None:
    async with open_client(router.app()) as client:
        for path, (_, media_type) in FILES.items():
            response = await client.get(path)
            assert response.status_code == 200, path
            assert response.content
            assert response.headers["Content-Type"] == media_type
            assert response.headers["X-Content-Type-Options"] == "nosniff"
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "require-trusted-types-for 'script'" in policy
            assert "unsafe" not in policy
            again = await client.get(path, headers={"If-None-Match": response.headers["ETag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert (await client.head(path)).status_code == 200
            assert (await client.post(path)).status_code == 405


def test_every_file_is_served() -> None:
    assert {name for name, _ in FILES.values()} == {path.name for path in WEB_ROOT.iterdir()}


@pytest.mark.parametrize("path", ["/dashboard/../app.py", "/dashboard/%2e%2e/app.py", "/dashboard/app.py"])
async def test_no_other_file_is_ever_read(router: Router, path: str) -> None:
    async with open_client(router.app()) as client:
        assert (await client.get(path)).status_code in (400, 404)


async def test_it_works_below_a_prefix(router: Router) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    outer = Starlette(routes=[Mount("/sfu/admin", app=router.app())])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=outer), base_url="http://127.0.0.1") as client:
        assert (await client.get("/sfu/admin/dashboard")).status_code == 200
        assert (await client.get("/sfu/admin/dashboard/main.js")).status_code == 200


@pytest.mark.parametrize("name", [name for name, _ in FILES.values()])
def test_nothing_comes_from_elsewhere_and_no_text_becomes_markup(name: str) -> None:
    text = (WEB_ROOT / name).read_text()
    hosts = set(re.findall(r"(?:https?:)?//([\w.-]+\.\w+)", text))
    assert hosts <= {"www.w3.org"}, "the namespace of SVG is a name and not a request"
    assert not re.search(r"\b(innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval|DOMParser|srcdoc)\b", text)


def test_the_page_has_no_inline_script_or_style() -> None:
    class Page(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            values = dict(attrs)
            assert tag != "style"
            assert tag != "script" or values.get("src")
            assert not [key for key in values if key == "style" or key.startswith("on")]

    Page().feed((WEB_ROOT / "dashboard.html").read_text())
