"""One POST to a real receiver: signature, answers of all kinds, and every way to lead it where it must not go."""

import asyncio
import datetime
import ssl
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from router.events.addresses import AddressPolicy
from router.events.guarded_network import Resolve, resolve
from router.events.webhook_post import MAX_ANSWER_BYTES, DeliveryError, HttpPost, Signer
from tests.events.receiver import SECRET, answer, receiving

BODY = '{"event":"room_started","name":"né"}'.encode()
LOOPBACK = AddressPolicy((ip_network("127.0.0.1/32"),))
NOWHERE = AddressPolicy()


def poster(url: str, policy: AddressPolicy = LOOPBACK, **options: Any) -> HttpPost:
    return HttpPost(url, Signer("fork-router", SECRET), policy, **{"timeout_s": 5.0, **options})


async def post(url: str, policy: AddressPolicy = LOOPBACK, **options: Any) -> None:
    sender = poster(url, policy, **options)
    try:
        await sender.post(BODY)
    finally:
        await sender.close()


async def refusal(url: str, policy: AddressPolicy = LOOPBACK, **options: Any) -> tuple[str, bool]:
    with pytest.raises(DeliveryError) as caught:
        await post(url, policy, **options)
    return str(caught.value), caught.value.retry


def answering(*texts: str) -> Resolve:
    async def answer_all(_host: str, _port: int) -> Sequence[str]:
        return texts

    return answer_all


async def test_a_receiver_can_verify_who_sent_what() -> None:
    async with receiving() as receiver:
        await post(f"http://127.0.0.1:{receiver.port}/hooks?team=7")
    (request,) = receiver.requests
    assert (request.method, request.path, request.body) == ("POST", "/hooks?team=7", BODY)
    assert request.headers["content-type"] == "application/webhook+json"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    claims = request.verify()
    assert claims["exp"] - claims["nbf"] == 360
    with pytest.raises(jwt.InvalidSignatureError):
        request.verify(secret="another secret, also long enough for HS256")
    request.body = request.body.replace(b"room_started", b"room_finishe")
    with pytest.raises(AssertionError):
        request.verify()


def test_the_token_is_good_for_five_minutes() -> None:
    claims = jwt.decode(Signer("k", SECRET, lambda: 1_000.9).sign(b""), options={"verify_signature": False})
    assert claims == {"iss": "k", "nbf": 940, "exp": 1_300, "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}


async def test_connections_are_kept() -> None:
    async with receiving() as receiver:
        sender = poster(f"http://127.0.0.1:{receiver.port}/")
        for _ in range(3):
            await sender.post(BODY)
        await sender.close()
    assert (len(receiver.requests), receiver.connections) == (3, 1)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (answer(500), ("status 500", True)),
        (answer(503, "Retry-After: 7"), ("status 503", True)),
        (answer(429), ("status 429", True)),
        (answer(400), ("status 400", False)),
        (answer(404), ("status 404", False)),
        (b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 200_000 + b"\r\n\r\n", ("network", True)),
        (b"SSH-2.0-OpenSSH_9.2\r\n", ("network", True)),
        (b"", ("network", True)),
    ],
    ids=["500", "503", "429", "400", "404", "huge header", "not http", "closed"],
)
async def test_what_is_no_success(reply: bytes, expected: tuple[str, bool]) -> None:
    async with receiving() as receiver:
        receiver.closes = True
        receiver.answers = [reply]
        assert await refusal(f"http://127.0.0.1:{receiver.port}/") == expected


async def test_the_time_a_receiver_asks_for_is_passed_on() -> None:
    async with receiving() as receiver:
        receiver.answers = [
            answer(503, "Retry-After: 7"),
            answer(503, "Retry-After: 1e9"),
            answer(503, "Retry-After: " + "9" * 5_000),
            answer(404, "Retry-After: 7"),
        ]
        for seconds in (7, None, None, None):
            with pytest.raises(DeliveryError) as caught:
                await post(f"http://127.0.0.1:{receiver.port}/")
            assert caught.value.retry_after_s == seconds


async def test_a_receiver_that_hangs_costs_one_timeout() -> None:
    async with receiving() as receiver:
        receiver.answers = [None]
        async with asyncio.timeout(5):
            assert await refusal(f"http://127.0.0.1:{receiver.port}/", timeout_s=0.2) == ("timeout", True)


async def test_a_resolver_that_hangs_costs_one_timeout() -> None:
    async def hang(_host: str, _port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    async with asyncio.timeout(5):
        assert await refusal("http://hooks.test/", timeout_s=0.1, resolve=hang) == ("timeout", True)


async def test_no_more_of_an_answer_is_read_than_its_cap() -> None:
    async with receiving() as receiver:
        receiver.answers = [answer(200, body=b"x" * MAX_ANSWER_BYTES), answer(200, body=b"x" * 50_000_000)]
        await post(f"http://127.0.0.1:{receiver.port}/")
        assert await refusal(f"http://127.0.0.1:{receiver.port}/") == ("answer-too-large", False)


async def test_nobody_listens() -> None:
    async with receiving() as receiver:
        port = receiver.port
    assert await refusal(f"http://127.0.0.1:{port}/") == ("network", True)
    assert await refusal("http://does-not-exist.invalid/") == ("network", True)


# -- where it must not go ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_not_followed(status: int) -> None:
    async with receiving() as receiver, receiving() as other:
        for target in ("http://169.254.169.254/latest/meta-data/", f"http://127.0.0.1:{other.port}/"):
            receiver.answers = [answer(status, f"Location: {target}")]
            assert await refusal(f"http://127.0.0.1:{receiver.port}/") == (f"redirect {status}", False)
        assert (receiver.connections, other.connections) == (2, 0)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::ffff:127.0.0.1]"]
)
async def test_loopback_in_every_spelling_is_refused(host: str) -> None:
    async with receiving("0.0.0.0") as receiver:
        assert await refusal(f"http://{host}:{receiver.port}/", NOWHERE) == ("forbidden-address", False)
        assert receiver.connections == 0


async def test_the_same_receiver_is_reached_where_it_is_allowed() -> None:
    """Else the test above would pass whatever the guard does."""
    async with receiving("0.0.0.0") as receiver:
        for host in ("127.0.0.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]"):
            await post(f"http://{host}:{receiver.port}/")
        assert len(receiver.requests) == 4


@pytest.mark.parametrize("host", ["169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "[fe80::1]", "168.63.129.16"])
async def test_metadata_services_and_private_networks_are_refused(host: str) -> None:
    assert await refusal(f"http://{host}/", NOWHERE, timeout_s=2.0) == ("forbidden-address", False)


async def test_a_name_that_also_leads_inside_is_refused() -> None:
    async with receiving() as receiver:
        url = f"http://hooks.test:{receiver.port}/"
        assert await refusal(url, resolve=answering("127.0.0.1", "127.0.0.2")) == ("forbidden-address", False)
        assert receiver.connections == 0


async def test_a_name_that_is_bound_anew_leads_nowhere() -> None:
    """DNS rebinding: the name was good when it was looked at, and is another one's at the next connection."""
    answers = [["127.0.0.1"], ["127.0.0.2"]]

    async def rebinding(_host: str, _port: int) -> Sequence[str]:
        return answers.pop(0)

    async with receiving() as receiver, receiving("127.0.0.2", receiver.port) as inside:
        receiver.closes = True
        sender = poster(f"http://rebind.test:{receiver.port}/", resolve=rebinding)
        await sender.post(BODY)
        with pytest.raises(DeliveryError, match="forbidden-address"):
            await sender.post(BODY)
        await sender.close()
        assert (len(receiver.requests), inside.connections) == (1, 0)
        assert receiver.requests[0].headers["host"] == f"rebind.test:{receiver.port}"


async def test_the_address_that_was_checked_is_the_one_that_is_connected_to() -> None:
    """One look-up for each connection: a second one could answer otherwise."""
    looked_up: list[str] = []

    async def counting(host: str, port: int) -> Sequence[str]:
        looked_up.append(host)
        return await resolve("127.0.0.1", port)

    async with receiving() as receiver:
        await post(f"http://no-such-name.invalid:{receiver.port}/", resolve=counting)
        assert len(receiver.requests) == 1
    assert looked_up == ["no-such-name.invalid"]


async def test_proxy_variables_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as receiver, receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await post(f"http://127.0.0.1:{receiver.port}/")
        assert (len(receiver.requests), proxy.connections) == (1, 0)


# -- TLS ---------------------------------------------------------------------------------------------------------------


def make_certificate(name: str, folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=36_500))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_the_name_of_the_url_is_verified_though_an_address_is_connected_to(tmp_path: Path) -> None:
    certificate, key = make_certificate("hooks.test", tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    trusting = ssl.create_default_context(cafile=str(certificate))
    async with receiving(tls=server) as receiver:
        options: dict[str, Any] = {"resolve": answering("127.0.0.1")}
        await post(f"https://hooks.test:{receiver.port}/", ssl_context=trusting, **options)
        assert len(receiver.requests) == 1
        for url, context in (
            (f"https://other.test:{receiver.port}/", trusting),
            (f"https://hooks.test:{receiver.port}/", None),
        ):
            assert await refusal(url, ssl_context=context, **options) == ("network", True)
        assert len(receiver.requests) == 1
