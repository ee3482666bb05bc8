"""Bodies, rates and errors: what happens at the limit, and that details stay inside."""

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from router.errors import RateLimitedError
from router.rates import MAX_ADDRESSES, RateLimiter
from router.signaling import SignalingSettings
from tests.rooms.fakes import FakeConnection, publish_offer
from tests.signaling.public import SDP, bearer, check_problem, public, text


async def chunks(size: int, count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize("declared", [True, False])
async def test_more_than_64_kib_is_413(declared: bool) -> None:
    async with public() as router:
        headers = {"Content-Type": SDP, **bearer()}
        content = "x" * 65_537 if declared else chunks(4_096, 10_000)
        response = await router.http.post("/whip/lobby", content=content, headers=headers)
        check_problem(response, 413, "payload-too-large")
        assert response.headers["Connection"] == "close"


async def test_exactly_64_kib_is_read() -> None:
    async with public() as router:
        body = text(publish_offer())
        padded = body + "a=x:" + "y" * (65_536 - len(body) - 6) + "\r\n"
        assert len(padded) == 65_536
        response = await router.post("/whip/lobby", padded)
        assert response.status_code != 413


async def test_a_body_that_stalls_is_cut_off() -> None:
    async def stall() -> AsyncIterator[bytes]:
        yield b"v=0"
        await asyncio.Event().wait()

    async with public(SignalingSettings(body_timeout_s=0.05)) as router:
        headers = {"Content-Type": SDP, **bearer()}
        response = await router.http.post("/whip/lobby", content=stall(), headers=headers)
        check_problem(response, 408, "request-timeout")


async def test_requests_are_limited_per_address() -> None:
    async with public(SignalingSettings(requests_per_s=0.01, request_burst=3)) as router:
        for _ in range(3):
            await router.http.post("/whip/lobby")
        for method, path in (("POST", "/whep/lobby"), ("PATCH", "/whip/lobby/x"), ("DELETE", "/whip/lobby/x")):
            response = await router.http.request(method, path)
            check_problem(response, 429, "rate-limited")
            assert int(response.headers["Retry-After"]) > 0
        assert (await router.http.get("/whip/lobby")).status_code == 204


def test_buckets_refill_with_time_and_are_bounded_in_number() -> None:
    now_us = 0
    limiter = RateLimiter(2.0, 4, now_us=lambda: now_us)

    def take(times: int, host: str = "192.0.2.1") -> int:
        allowed = 0
        for _ in range(times):
            try:
                limiter.take(host)
            except RateLimitedError:
                continue
            allowed += 1
        return allowed

    assert take(10) == 4
    now_us += 1_000_000
    assert take(10) == 2
    now_us += 3_600_000_000
    assert take(10) == 4
    assert take(1, "2001:db8::1") + take(9, "2001:db8::2") == 4, "one /64 is one client"
    for i in range(MAX_ADDRESSES + 10):
        take(1, f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")
    assert len(limiter._buckets) == MAX_ADDRESSES


async def test_unknown_paths_and_methods_are_problems_too() -> None:
    async with public() as router:
        missing = await router.http.get("/nowhere")
        assert (missing.status_code, missing.json()["slug"]) == (404, "unknown-path")
        wrong = await router.http.put("/whip/lobby")
        check_problem(wrong, 405, "method-not-allowed")
        assert "POST" in wrong.headers["Allow"]


async def test_an_unforeseen_error_says_nothing_outside_and_all_inside(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object) -> None:
        raise ValueError("the secret is 42")

    monkeypatch.setattr(FakeConnection, "set_description", explode)
    async with public() as router:
        with caplog.at_level(logging.ERROR):
            response = await router.whip()
        problem = check_problem(response, 500, "internal-error")
        assert "42" not in str(problem)
        assert "the secret is 42" in caplog.text
        assert [fork.closed for fork in router.world.origins[0].forks] == [1]


async def test_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with public() as router:
        with caplog.at_level(logging.DEBUG):
            created = await router.whip()
            await router.http.delete(created.headers["Location"], headers=bearer())
        session_id = created.headers["Location"].rpartition("/")[2]
        logged = "\n".join(str(vars(record)) for record in caplog.records if record.name.startswith("router"))
        assert "session joined" in logged
        for secret in (session_id, "remotePassword", "eyJ"):
            assert secret not in logged
