"""One revocation: whom it concerns, what its bearer is told, and what a store may say of it."""

import json
from typing import Any

import pytest

from router.errors import ConfigError
from router.rooms.revocation import REMOVED, REVOKED, Reason, Revocation
from router.rooms.rights import JoinGrant


def grant(identity: str = "ada", room: str = "lobby", **fields: Any) -> JoinGrant:
    return JoinGrant(room, identity, **fields)


@pytest.mark.parametrize(("room", "concerned"), [("", True), ("lobby", True), ("other", False)])
def test_a_revocation_for_one_room_concerns_no_other(room: str, concerned: bool) -> None:
    assert Revocation("", room, "ada", 1.0, 2.0).concerns(grant()) == concerned


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"token_id": "a", "identity": "b"},
        {"token_id": "a", "room": "b"},
        {"room": "b"},
        {"identity": "a", "reason": REMOVED},
        {"token_id": "a", "reason": REMOVED},
    ],
)
def test_half_a_revocation_is_none(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        Revocation(**fields)


def test_a_store_gives_back_what_it_was_given() -> None:
    for reason in (REVOKED, REMOVED):
        revocation = Revocation("", "lobby: {x} *", "ada\u2603", 1_000.5, 2_000.0, reason)
        assert Revocation.read(revocation.write(), reason) == revocation


def test_a_removal_is_refused_in_words_of_its_own() -> None:
    revoked, removed = Revocation("a"), Revocation("", "lobby", "ada", reason=REMOVED)
    told = [(error.status, error.slug, str(error)) for error in (revoked.refusal(), revoked.refusal(inside=True))]
    assert told == [(401, "token-revoked", "the token was revoked")] * 2
    told = [(error.status, error.slug, str(error)) for error in (removed.refusal(), removed.refusal(inside=True))]
    assert told == [
        (403, "removed", "a moderator removed this identity; it needs a new token"),
        (403, "removed", "a moderator removed you from the room"),
    ]


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
        json.dumps({**GOOD, "reason": "removed"}),
        json.dumps({**GOOD, "reason": None}),
        json.dumps({key: value for key, value in GOOD.items() if key != "reason"}),
    ],
)
@pytest.mark.parametrize("reason", [REVOKED, REMOVED])
def test_poisoned_values_are_refused(text: str, reason: Reason) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever says so
        Revocation.read(text, reason)


REMOVAL = json.loads(Revocation("", "lobby", "ada", 1.0, 2.0, REMOVED).write())


@pytest.mark.parametrize(
    "change",
    [{"reason": "token-revoked"}, {"reason": ["removed"]}, {"reason": None}, {"room": ""}, {"identity": ""}],
)
def test_poisoned_removals_are_refused(change: dict[str, Any]) -> None:
    Revocation.read(json.dumps(REMOVAL), REMOVED)
    with pytest.raises(ValueError):  # noqa: PT011 - whatever says so
        Revocation.read(json.dumps({**REMOVAL, **change}), REMOVED)
