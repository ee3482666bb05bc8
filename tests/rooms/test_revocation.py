"""What is revoked: whom it concerns, for how long, within which cap; what a store may say is checked."""

import json
from typing import Any

import pytest

from router.errors import ConfigError
from router.rooms.revocation import Revocation, Revocations
from router.rooms.rights import JoinGrant


def grant(identity: str = "ada", room: str = "lobby", **fields: Any) -> JoinGrant:
    return JoinGrant(room, identity, **fields)


def test_an_identity_is_revoked_with_the_tokens_it_had() -> None:
    revocations = Revocations(now_s=lambda: 1_000.5)
    revocations.revoke_identity("ada", "lobby")
    assert revocations.is_revoked(grant(issued_at_s=1_000.0))
    assert revocations.is_revoked(grant())
    assert not revocations.is_revoked(grant(issued_at_s=1_001.0))
    assert not revocations.is_revoked(grant(room="other"))
    revocations.revoke_identity("ada")
    assert revocations.is_revoked(grant(room="other"))
    assert not revocations.is_revoked(grant("bob"))


def test_what_expires_first_is_forgotten_first() -> None:
    now_s = 1_000.0
    revocations = Revocations(limit=2, now_s=lambda: now_s)
    for token_id, expires_at_s in (("a", 1_300.0), ("b", 1_200.0), ("c", 1_400.0)):
        revocations.revoke_token(token_id, expires_at_s=expires_at_s)
    assert [one.token_id for one in revocations] == ["a", "c"]
    now_s = 1_350.0
    revocations.revoke_token("d")
    revocations.revoke_token("e")
    assert len(revocations) == 2


def test_who_listens_hears_of_each_once() -> None:
    heard: list[Revocation] = []
    revocations = Revocations(now_s=lambda: 1_000.0)
    revocations.listen(heard.append)
    revocation = revocations.revoke_token("a")
    assert not revocations.learn(revocation)
    assert not revocations.learn(Revocation("b", "", "", 500.0, 999.0)), "expired"
    assert heard == [revocation]


@pytest.mark.parametrize(
    "fields", [{}, {"token_id": "a", "identity": "b"}, {"token_id": "a", "room": "b"}, {"room": "b"}]
)
def test_half_a_revocation_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Revocation(**fields)


def test_a_store_gives_back_what_it_was_given() -> None:
    revocation = Revocation("", "lobby: {x} *", "ada\u2603", 1_000.5, 2_000.0)
    assert Revocation.read(revocation.write()) == revocation


GOOD = json.loads(Revocation("a", "", "", 1.0, 2.0).write())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "[" * 100_000,
        json.dumps({**GOOD, "more": 1}),
        json.dumps({**GOOD, "token_id": 7}),
        json.dumps({**GOOD, "token_id": ""}),
        json.dumps({**GOOD, "revoked_at_s": True}),
        json.dumps({**GOOD, "revoked_at_s": "soon"}),
        json.dumps({**GOOD, "expires_at_s": float("nan")}),
        json.dumps({**GOOD, "expires_at_s": 1e300}),
        json.dumps({key: value for key, value in GOOD.items() if key != "room"}),
    ],
)
def test_poisoned_values_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever says so
        Revocation.read(text)
