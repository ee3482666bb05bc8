"""What is revoked, in this process: for how long, within which caps, and who hears of it."""

import logging
from typing import Any

import pytest

from router.config import load_settings
from router.errors import ConfigError
from router.rooms.revocation import REMOVED, Revocation
from router.rooms.revocations import Revocations
from router.rooms.rights import JoinGrant
from router.tokens import DEFAULT_LEEWAY_S

LONGEST_LIFETIME_S = 31_536_000


def test_the_settings_know_no_longer_lifetime() -> None:
    with pytest.raises(ConfigError, match="max_token_lifetime_s"):
        load_settings(flags={"admin": {"max_token_lifetime_s": LONGEST_LIFETIME_S + 1}})


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


def test_what_is_revoked_is_remembered_for_longer_than_our_tokens_live() -> None:
    """The longest are those of `router token create --ttl` and `admin.max_token_lifetime_s`: a year."""
    now_s = 1_000.0
    revocations = Revocations(now_s=lambda: now_s)
    revocations.revoke_token("a")
    revocations.revoke_identity("ada")
    now_s += LONGEST_LIFETIME_S + DEFAULT_LEEWAY_S
    for number in range(2):
        revocations.revoke_token(f"later-{number}")
    assert revocations.is_revoked(grant(token_id="a", issued_at_s=1_001.0))
    assert revocations.is_revoked(grant(issued_at_s=999.0))


def test_who_listens_hears_of_each_once() -> None:
    heard: list[Revocation] = []
    revocations = Revocations(now_s=lambda: 1_000.0)
    revocations.listen(heard.append)
    revocation = revocations.revoke_token("a")
    assert not revocations.revoked.learn(revocation)
    assert not revocations.revoked.learn(Revocation("b", "", "", 500.0, 999.0)), "expired"
    assert heard == [revocation]


# -- removals --------------------------------------------------------------------------------------------------------


def test_a_removal_is_for_one_room_and_for_its_own_time() -> None:
    now_s = 1_000.5
    revocations = Revocations(now_s=lambda: now_s)
    revocations.remove_identity("ada", "lobby", 100.0)
    assert revocations.is_revoked(grant(issued_at_s=1_000.0))
    assert not revocations.is_revoked(grant(issued_at_s=1_001.0))
    assert not revocations.is_revoked(grant(room="other"))
    now_s += 99.0
    assert revocations.is_revoked(grant(issued_at_s=1_000.0))
    now_s += 1.0
    assert not revocations.is_revoked(grant(issued_at_s=1_000.0))
    assert len(revocations) == 0


def test_a_removal_shortens_no_revocation_of_the_same_identity() -> None:
    now_s = 1_000.5
    revocations = Revocations(now_s=lambda: now_s)
    revocations.revoke_identity("ada", "lobby")
    now_s += 1.0
    revocations.remove_identity("ada", "lobby", 100.0)
    now_s += 101.0
    assert revocations.is_revoked(grant(issued_at_s=1_000.0))
    assert not revocations.is_revoked(grant(issued_at_s=1_001.0)), "of the removal's time, which is over"


def test_removals_push_out_removals_and_no_revocation(caplog: pytest.LogCaptureFixture) -> None:
    now_s = 1_000.0
    revocations = Revocations(limit=2, max_removals=3, now_s=lambda: now_s)
    revocations.revoke_token("a", expires_at_s=1_050.0)
    with caplog.at_level(logging.WARNING):
        for number in range(50):
            now_s += 0.5
            revocations.remove_identity(f"p{number}", "lobby", 100.0)
    assert [one.identity for one in revocations.removed] == ["p47", "p48", "p49"]
    assert [one.token_id for one in revocations.revoked] == ["a"]
    assert len(caplog.records) == 1, "of one minute"
    for number in range(3):
        revocations.revoke_token(f"t{number}")
    assert len(revocations.removed) == 3, "nor the other way round"


def test_what_is_replaced_again_and_again_takes_no_more_memory() -> None:
    now_s = 1_000.0
    revocations = Revocations(max_removals=4, now_s=lambda: now_s)
    for _ in range(100):
        now_s += 1.0
        revocations.remove_identity("ada", "lobby", 1_000.0)
    assert len(revocations.removed) == 1
    assert len(revocations.removed._by_expiry) <= 8
    now_s += 999.0
    assert revocations.is_revoked(grant(issued_at_s=1_100.0)), "the last one counts"


def test_a_removal_from_elsewhere_is_told_as_what_it_is() -> None:
    heard: list[Revocation] = []
    revocations = Revocations(now_s=lambda: 1_000.0)
    revocations.listen(heard.append)
    removal = Revocation("", "lobby", "ada", 999.0, 2_000.0, REMOVED)
    assert revocations.removed.learn(removal)
    assert heard == [removal]
    assert list(revocations) == [removal]
