import httpx

from tests.admin.conftest import Router


async def test_ready(client: httpx.AsyncClient) -> None:
    reply = await client.get("/readyz")
    assert (reply.status_code, reply.json()["status"]) == (200, "ready")


async def test_not_ready_names_the_failed_checks(router: Router, client: httpx.AsyncClient) -> None:
    router.checks = {"engine": True, "event-loop": False, "sockets": False}
    reply = await client.get("/readyz")
    assert reply.status_code == 503
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json()["detail"] == "failed: event-loop, sockets"
    assert reply.json()["checks"] == router.checks
    assert (await client.get("/healthz")).status_code == 200


async def test_documentation_lists_every_path_and_loads_nothing(router: Router, client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    for path in (await client.get("/openapi.json")).json()["paths"]:
        assert path in page
    assert "<script" not in page
    assert "http" not in page.replace("https://", "http").split("</style>")[0]
