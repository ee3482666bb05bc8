import pytest

from tests.admin.conftest import TOKEN, Router, open_client

PROTECTED = ["/v1/rooms", "/v1/rooms/a", "/v1/rooms/a/participants", "/v1/rooms/a/participants/p/stats", "/metrics"]


@pytest.mark.parametrize("path", PROTECTED)
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x"]
)
async def test_without_the_token_nothing_is_told(router: Router, path: str, header: str | None) -> None:
    router.registry.create_room("a")
    async with open_client(router.app()) as client:
        reply = await client.get(path, headers={} if header is None else {"Authorization": header})
    assert reply.status_code == 401
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["www-authenticate"] == "Bearer"
    assert reply.json()["slug"] == "unauthorized"
    assert TOKEN not in reply.text


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
async def test_health_and_documentation_need_no_token(router: Router, path: str) -> None:
    async with open_client(router.app()) as client:
        assert (await client.get(path)).status_code == 200


async def test_scheme_is_compared_without_case(router: Router) -> None:
    async with open_client(router.app()) as client:
        reply = await client.get("/v1/rooms", headers={"Authorization": f"bearer {TOKEN}"})
    assert reply.status_code == 200


async def test_metrics_may_be_opened_alone(router: Router) -> None:
    async with open_client(router.app(metrics_without_token=True)) as client:
        assert (await client.get("/metrics")).status_code == 200
        assert (await client.get("/v1/rooms")).status_code == 401


async def test_without_a_token_only_loopback_names_are_served(router: Router) -> None:
    app = router.app(token=None)
    for host, status in (("127.0.0.1:8081", 200), ("localhost", 200), ("[::1]", 200), ("rebound.example", 403)):
        async with open_client(app, host) as client:
            assert (await client.get("/v1/rooms")).status_code == status, host


async def test_without_a_token_pages_of_other_origins_are_refused(router: Router) -> None:
    """A form needs no preflight, and asks by a name of this machine."""
    async with open_client(router.app(token=None), "127.0.0.1:8081") as client:
        for origin, status in (
            ("http://127.0.0.1:8081", 201), ("https://evil.example", 403), ("null", 403), ("http://127.0.0.1:80", 403),
        ):  # fmt: skip
            headers = {"Origin": origin}
            reply = await client.post("/v1/tokens/revocations", json={"identity": "ada"}, headers=headers)
            assert reply.status_code == status, origin
    assert len(router.registry.revocations) == 1
