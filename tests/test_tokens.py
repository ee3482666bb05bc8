"""Join tokens: what is accepted, what is refused and why (threats-and-faults.md H7)."""

import base64
import json
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from router.errors import ConfigError, RequestError, UnauthorizedError
from router.rooms.names import MAX_METADATA_BYTES
from router.tokens import DEFAULT_LEEWAY_S, MAX_HEADS, MAX_TOKEN_BYTES, JoinGrant, JoinTokens

SECRET = "0123456789abcdef0123456789abcdef"
NOW_S = 1_800_000_000.0
CLAIMS: dict[str, Any] = {
    "room": "lobby",
    "sub": "ada",
    "name": "Ada",
    "publish": True,
    "subscribe": False,
    "iat": int(NOW_S),
    "exp": int(NOW_S) + 60,
}


def tokens(at_s: float = NOW_S) -> JoinTokens:
    return JoinTokens(SECRET, now_s=lambda: at_s)


def sign(**changes: Any) -> str:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def refused(token: str, at_s: float = NOW_S) -> UnauthorizedError:
    with pytest.raises(UnauthorizedError) as caught:
        tokens(at_s).verify(token)
    assert token not in str(caught.value)
    assert refused_by_the_busy(token, at_s) == str(caught.value)
    return caught.value


def refused_by_the_busy(token: str, at_s: float) -> str:
    """What those say that have seen a good token before: they do not ask the library any more."""
    busy = tokens(at_s)
    assert busy.verify(sign(iat=None, exp=int(at_s) + 60)) == busy.verify(sign(iat=None, exp=int(at_s) + 60))
    with pytest.raises(UnauthorizedError) as caught:
        busy.verify(token)
    return str(caught.value)


def test_issue_then_verify_is_identity() -> None:
    grant = JoinGrant(
        "lobby", "ada", "Ada 👩‍🚀", may_publish=False, may_moderate=True, metadata='{"mood":"gut gelaunt 🙂"}'
    )
    verified = tokens().verify(tokens().issue(grant, lifetime_s=60))
    assert verified.token_id
    expected = replace(grant, expires_at_s=NOW_S + 60 + DEFAULT_LEEWAY_S, issued_at_s=NOW_S, token_id=verified.token_id)
    assert verified == expected


@pytest.mark.parametrize("piece", ["x", '"', "é", "🙂"])
def test_the_largest_metadata_fits_into_a_token_and_a_byte_more_is_refused(piece: str) -> None:
    largest = piece * (MAX_METADATA_BYTES // len(piece.encode()))
    grant = JoinGrant("r" * 128, "i" * 128, "\N{GRINNING FACE}" * 256, metadata=largest)
    assert tokens().verify(tokens().issue(grant)).metadata == largest
    with pytest.raises(RequestError):
        tokens().issue(replace(grant, metadata=largest + piece))
    with pytest.raises(RequestError):
        tokens().issue(JoinGrant("lobby", "ada", metadata="\x01" * MAX_METADATA_BYTES))
    assert "metadata" in str(refused(sign(metadata="x" * (MAX_METADATA_BYTES + 1))))


@pytest.mark.parametrize("claims", [{"metadata": 1}, {"metadata": "\ud800"}, {"moderate": 1}, {"moderate": "yes"}])
def test_claims_of_the_wrong_kind_are_refused(claims: dict[str, Any]) -> None:
    assert next(iter(claims)) in str(refused(sign(**claims)))


def test_a_backend_may_sign_with_any_jwt_library() -> None:
    verified = tokens().verify(sign())
    expected = JoinGrant("lobby", "ada", "Ada", may_subscribe=False)
    assert verified == replace(expected, expires_at_s=NOW_S + 60 + DEFAULT_LEEWAY_S, issued_at_s=NOW_S)
    assert tokens().verify(sign(iat=None)).issued_at_s < 0, "a token of unknown age is an old one"


def test_without_a_time_of_issue_it_is_when_the_token_became_good() -> None:
    """As LiveKit's SDKs write them. Else each would be older than whatever was revoked or removed, for ever."""
    assert tokens().verify(sign(iat=None, nbf=NOW_S - 5)).issued_at_s == NOW_S - 5
    assert tokens().verify(sign(iat=NOW_S - 9, nbf=NOW_S - 5)).issued_at_s == NOW_S - 9
    revoking = tokens()
    revoking.revocations.revoke_identity("ada")
    assert not revoking.revocations.is_revoked(tokens(NOW_S + 5).verify(sign(iat=None, nbf=NOW_S + 1)))
    with pytest.raises(UnauthorizedError):
        revoking.verify(sign(iat=None, nbf=NOW_S - 5))


def test_expiry_has_a_leeway_and_no_more() -> None:
    tokens(NOW_S + 69).verify(sign())
    assert refused(sign(), NOW_S + 71).slug == "token-expired"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_not_valid_yet(claim: str) -> None:
    tokens().verify(sign(**{claim: NOW_S + 9}))
    assert refused(sign(**{claim: NOW_S + 11})).slug == "token-not-yet-valid"


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"exp": None}, "exp"),
        ({"exp": "soon"}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": 1e300}, "exp"),
        ({"iat": -1}, "iat"),
        ({"room": None}, "room"),
        ({"room": 7}, "room"),
        ({"room": "a\nb"}, "room"),
        ({"sub": None}, "sub"),
        ({"sub": ""}, "sub"),
        ({"sub": "x" * 129}, "sub"),
        ({"name": ["Ada"]}, "name"),
        ({"name": "x" * 257}, "name"),
        ({"publish": "yes"}, "publish"),
        ({"subscribe": 1}, "subscribe"),
    ],
)
def test_a_wrong_claim_is_named(changes: dict[str, Any], names: str) -> None:
    assert names in str(refused(sign(**changes)))


def test_absent_rights_are_not_granted() -> None:
    grant = tokens().verify(sign(publish=None, subscribe=None))
    assert (grant.may_publish, grant.may_subscribe) == (False, False)


def _unsigned(header: dict[str, Any]) -> str:
    parts = (json.dumps(part).encode() for part in (header, CLAIMS))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def test_the_algorithm_is_pinned() -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    refused(_unsigned({"alg": "none"}))
    refused(_unsigned({"alg": "NONE", "typ": "JWT"}))
    refused(jwt.encode(CLAIMS, SECRET * 2, algorithm="HS512"))
    refused(jwt.encode(CLAIMS, pem, algorithm="RS256"))


def test_keys_in_the_header_are_never_used() -> None:
    attacker = "attacker-secret-attacker-secret-"
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(attacker.encode()).decode()}
    for header in ({"jwk": jwk}, {"jku": "https://evil.example"}, {"kid": "../../dev/null"}):
        assert "another secret" in str(refused(jwt.encode(CLAIMS, attacker, algorithm="HS256", headers=header)))


def test_a_token_that_is_too_long_is_refused_though_it_is_signed() -> None:
    assert f"longer than {MAX_TOKEN_BYTES}" in str(refused(sign(padding="x" * MAX_TOKEN_BYTES)))


def test_heads_of_good_tokens_are_remembered_within_a_cap() -> None:
    """Whoever may sign can write any head; each is good, and no more than some are kept."""
    verifying = tokens()
    for number in range(2 * MAX_HEADS):
        verifying.verify(jwt.encode(CLAIMS, SECRET, algorithm="HS256", headers={"kid": str(number)}))
    assert len(verifying._heads) == MAX_HEADS


def test_every_flipped_character_is_noticed() -> None:
    token = sign()
    for index, character in enumerate(token[:-1]):
        flipped = "A" if character != "A" else "B"
        refused(token[:index] + flipped + token[index + 1 :])


@pytest.mark.parametrize("part", [0, 1, 2])
@pytest.mark.parametrize("odd", ["\ud800", "é", "\0"])
def test_what_is_not_ascii_is_malformed(part: int, odd: str) -> None:
    """A lone surrogate comes with JSON, on the events WebSocket."""
    parts = sign(iat=None).split(".")
    parts[part] += odd
    assert "malformed" in str(refused(".".join(parts)))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "x" * 4_096, "x" * 1_000_000, "é.é.é", "[" * 4_000])
def test_garbage(token: str) -> None:
    with pytest.raises(UnauthorizedError):
        tokens().verify(token)


def test_secrets_can_be_replaced_without_throwing_anybody_out() -> None:
    old, new = "old-secret-old-secret-old-secret-", "new-secret-new-secret-new-secret-"
    before = JoinTokens(old, now_s=lambda: NOW_S)
    during = JoinTokens([new, old], now_s=lambda: NOW_S)
    after = JoinTokens([new], now_s=lambda: NOW_S)
    grant = JoinGrant("lobby", "ada")

    during.verify(before.issue(grant))
    after.verify(during.issue(grant))
    with pytest.raises(UnauthorizedError):
        after.verify(before.issue(grant))


@pytest.mark.parametrize("secrets", ["short", "x" * 31, [], ["x" * 32, "short"]])
def test_weak_secrets_refuse_start(secrets: Any) -> None:
    with pytest.raises(ConfigError, match=r"secret|keys"):
        JoinTokens(secrets)


def test_nothing_wrong_is_ever_issued() -> None:
    with pytest.raises(ConfigError, match="lifetime"):
        tokens().issue(JoinGrant("lobby", "ada"), lifetime_s=0)
    with pytest.raises(RequestError, match="room"):
        tokens().issue(JoinGrant("a/b", "ada"))
