"""A router in another application: below any path, started again, two of them, drained, stopped with people inside."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from router.config import load_settings
from router.embedding import EmbeddedRouter
from router.errors import ConfigError
from router.listener import bind_port
from router.rtc import sdp
from tests.rtc.offers import publisher

TOKEN = "an-admin-token-long-enough"


def embed(admin_port: int = 0, **options: Any) -> EmbeddedRouter:
    flags = {
        "dev": True,
        "admin": {"port": admin_port, "token": TOKEN},
        "media": {"udp_port": 0, "addresses": ["127.0.0.1"]},
    }
    return EmbeddedRouter(load_settings(flags=flags), **options)


def mount(router: EmbeddedRouter, **options: Any) -> FastAPI:
    app = FastAPI(**options)
    router.mount(app, "/media")
    return app


@asynccontextmanager
async def open_client(app: ASGIApp, root_path: str = "") -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, root_path=root_path)
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        yield client


async def publish(router: EmbeddedRouter, client: httpx.AsyncClient, prefix: str, **headers: str) -> httpx.Response:
    headers |= {"Authorization": f"Bearer {router.issue_token('tea', 'ada')}", "Content-Type": "application/sdp"}
    offer = sdp.write(publisher(password="p" * 22), session_id=1)
    reply = await client.post(f"{prefix}/whip/tea", content=offer, headers=headers)
    assert reply.status_code == 201, reply.text
    return reply


async def ask_to_drain(router: EmbeddedRouter, **body: Any) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        reply = await client.post(f"http://127.0.0.1:{router.admin_port}/v1/drain", json=body)
        assert reply.status_code == 202


async def test_it_runs_as_often_as_the_application_starts() -> None:
    router = embed()
    async with open_client(mount(router)) as client:
        for _ in range(2):
            async with router:
                location = (await publish(router, client, "/media")).headers["location"]
                assert location.startswith("/media/whip/tea/")
                assert list(router.rooms.rooms) == ["tea"]
                authorization = {"Authorization": f"Bearer {router.issue_token('tea', 'ada')}"}
                assert (await client.get(location, headers=authorization)).status_code == 204
            assert router.admin_port == 0
            assert dict(router.rooms.rooms) == {}


@pytest.mark.parametrize("taken_off_by_a_proxy", [False, True])
async def test_an_application_with_a_root_path(taken_off_by_a_proxy: bool) -> None:
    router = embed()
    async with open_client(mount(router), root_path="/app") as client, router:
        prefix = "/media" if taken_off_by_a_proxy else "/app/media"
        assert (await client.get(f"{prefix}/client.js")).status_code == 200
        reply = await publish(router, client, prefix)
        assert reply.headers["location"].startswith("/app/media/whip/tea/")


async def test_an_application_inside_another_one() -> None:
    router, outer = embed(), Starlette()
    outer.mount("/api", mount(router))
    async with open_client(outer) as client, router:
        reply = await publish(router, client, "/api/media")
        assert reply.headers["location"].startswith("/api/media/whip/tea/")
        assert (await client.get("/api/mediaeval")).status_code == 404


async def test_the_applications_own_cors_decides() -> None:
    router = embed()
    app = mount(router)
    app.add_middleware(CORSMiddleware, allow_origins=["https://a.test"], allow_methods=["*"], allow_headers=["*"])
    async with open_client(app) as client, router:
        reply = await publish(router, client, "/media", Origin="https://a.test")
        assert reply.headers.get_list("access-control-allow-origin") == ["https://a.test"]
        assert "Location" in reply.headers["access-control-expose-headers"]


async def test_two_in_one_process() -> None:
    one, other = embed(), embed()
    async with open_client(mount(one)) as client, one, other:
        await publish(one, client, "/media")
        assert list(one.rooms.rooms) == ["tea"]
        assert dict(other.rooms.rooms) == {}
        assert one.admin_port != other.admin_port


async def test_the_end_of_a_drain_is_told_to_the_application() -> None:
    ended = asyncio.Event()
    router = embed(on_drained=ended.set)
    async with open_client(mount(router)) as client, router:
        await publish(router, client, "/media")
        await ask_to_drain(router)
        assert not ended.is_set()
        router.rooms.close_room(router.rooms.rooms["tea"])
        async with asyncio.timeout(10):
            await ended.wait()
    ended.clear()
    async with router:
        await ask_to_drain(router, exit=False, deadline_s=0)
        await asyncio.sleep(0)
        router.drain.cancel()
        assert not ended.is_set()
        router.drain.begin("operator", deadline_s=0)
        async with asyncio.timeout(10):
            await ended.wait()


async def test_a_drain_that_nobody_listens_to_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    router = embed()
    async with router:
        with caplog.at_level(logging.WARNING, "router.embedding"):
            router.drain.begin("operator", deadline_s=0)
            for _ in range(3):
                await asyncio.sleep(0)
    assert "no on_drained" in caplog.text


async def test_a_start_that_fails_can_be_tried_again() -> None:
    (taken,) = bind_port("127.0.0.1", 0, "test")
    with taken:
        router = embed(taken.getsockname()[1])
        with pytest.raises(ConfigError, match=r"admin\.port is .* taken by another process"):
            async with router:
                pass
    async with router:
        assert router.admin_port != 0


async def test_what_it_is_not_meant_for() -> None:
    router = embed()
    app = mount(router)
    for path in ("media", "/media/", "/"):
        with pytest.raises(ConfigError, match="expected one such as /media"):
            router.mount(app, path)
    with pytest.raises(ConfigError, match="mounted at /media"):
        router.mount(app, "/other")
    async with open_client(app) as client:
        with pytest.raises(RuntimeError, match="expected `async with router` in the application's lifespan"):
            await client.get("/media/client.js")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(router)
        with pytest.raises(ConfigError, match="one `async with` at a time"):
            await stack.enter_async_context(router)
