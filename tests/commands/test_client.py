"""The client of the admin API against answers that are not those of a good router."""

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from router.commands.client import AdminClient, Place, join_path
from router.commands.errors import AdminError
from router.commands.remote import find_router
from router.config import load_settings
from router.errors import ConfigError

PROBLEM = {"detail": "no such room", "slug": "unknown-room"}
Answer = Callable[[httpx.Request], httpx.Response]


def client(answer: Answer, token: str | None = "t" * 16) -> AdminClient:
    return AdminClient(Place("http://router.test:8081/", token), httpx.MockTransport(answer))


def answering(status: int, **content: object) -> Answer:
    return lambda _request: httpx.Response(status, **content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "code", "words"),
    [
        (answering(401, json=PROBLEM), 4, "token refused at http://router.test:8081: 401"),
        (answering(403, json=PROBLEM), 4, "token refused"),
        (answering(404, json=PROBLEM), 5, "404 no such room (unknown-room)"),
        (answering(409, json=PROBLEM), 6, "409"),
        (answering(412, json=PROBLEM), 6, "412"),
        (answering(422, json=PROBLEM), 2, "422"),
        (answering(429, json=PROBLEM), 7, "429"),
        (answering(503, json=PROBLEM), 7, "503"),
        (answering(500, text="<html>"), 1, "500 Internal Server Error"),
        (answering(500, json=["detail"]), 1, "500 Internal Server Error"),
        (answering(200, text="<html>"), 1, "is not the admin API"),
        (answering(404, text="<html>"), 1, "expected its admin port"),
        (answering(404, json={"detail": "Not Found", "slug": "unknown-path"}), 1, "expected its admin port"),
        (answering(200, json=[1]), 1, "is not the admin API"),
        (answering(307, headers={"location": "https://elsewhere.test/v1"}), 1, "give that as --url"),
    ],
)
def test_each_refusal_has_its_exit_code_and_line(answer: Answer, code: int, words: str) -> None:
    with client(answer) as admin, pytest.raises(AdminError) as refused:
        admin.read("/v1/rooms")
    assert refused.value.exit_code == code
    assert words in str(refused.value)


def test_no_answer_is_unreachable() -> None:
    def fail(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectTimeout("", request=request)

    with (
        client(fail) as admin,
        pytest.raises(AdminError, match=r"not reachable at http://router\.test:8081") as refused,
    ):
        admin.read("/v1/rooms")
    assert refused.value.exit_code == 3


def test_a_missing_token_says_how_to_give_one() -> None:
    with client(answering(401, json=PROBLEM), token=None) as admin, pytest.raises(AdminError, match="--token-file"):
        admin.read("/v1/rooms")


def test_a_redirect_does_not_carry_the_token_along() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"location": "http://evil.test/"})

    with client(answer) as admin, pytest.raises(AdminError):
        admin.read("/v1/rooms")
    assert asked == ["router.test"]


@pytest.mark.parametrize("page", [{}, {"items": 1}, {"items": [1]}])
def test_pages_that_are_none(page: object) -> None:
    with client(answering(200, json=page)) as admin, pytest.raises(AdminError, match="not the admin API"):
        list(admin.read_all("/v1/rooms"))


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8081", "ftp://a", "http://", "http://a:b", "http://a?b", "http://a#b", "http://admin:secret@a"]
)
def test_bad_urls(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--url") as refused:
        AdminClient(Place(url))
    assert "secret" not in str(refused.value)


def test_a_router_may_be_below_a_path() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path.decode())
        return httpx.Response(200, json={})

    with AdminClient(Place("https://ops.test/router/"), httpx.MockTransport(answer)) as admin:
        admin.read(join_path("rooms", "a b"))
    assert asked == ["/router/v1/rooms/a%20b"]


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_a_name_that_would_be_another_path(name: str) -> None:
    with pytest.raises(ConfigError, match="expected a name or an id"):
        join_path("rooms", name)


def test_tls_is_verified_and_another_authority_can_be_named(tmp_path: Path) -> None:
    with AdminClient(Place("https://router.test")) as admin:
        transport = admin._http._transport
        assert isinstance(transport, httpx.HTTPTransport)
        context: ssl.SSLContext = transport._pool._ssl_context  # type: ignore[assignment]
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"^--ca-file"):
        AdminClient(Place("https://router.test", ca_file=tmp_path / "ca.pem"))


@pytest.fixture
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_nothing_set")
def test_where_the_router_is_and_which_token_opens_it(tmp_path: Path) -> None:
    both = {"a": {"token": "r" * 16}, "b": {"token": "w" * 16, "scope": "write"}}
    settings = load_settings(flags={"admin": {"host": "0.0.0.0", "port": 99, "tokens": both}})
    assert find_router(settings) == Place("http://127.0.0.1:99", "w" * 16)
    assert find_router(load_settings(flags={"admin": {"host": "::"}})).url == "http://[::1]:8081"
    assert find_router(load_settings(flags={"admin": {"host": "*"}})).url == "http://127.0.0.1:8081"
    (tmp_path / "token").write_text("f" * 16 + "\n")
    assert find_router(settings, "https://r.test", tmp_path / "token").token == "f" * 16
    (tmp_path / "tokens.yaml").write_text(f"ops: {{token: {'o' * 16}, scope: write}}\n")
    from_file = load_settings(flags={"admin": {"token_file": str(tmp_path / "tokens.yaml")}})
    assert find_router(from_file).token == "o" * 16
    for content in ("", "two words", "\x1b"):
        (tmp_path / "token").write_text(content)
        with pytest.raises(ConfigError, match="--token-file"):
            find_router(settings, None, tmp_path / "token")


def test_a_token_is_not_in_the_description_of_its_place() -> None:
    assert "secret" not in repr(Place("http://a", "secret"))
