"""LiveKit's grants: each on and off, what is granted unsaid, what is refused; and the keys that sign them."""

from typing import Any

import jwt
import pytest

from router.errors import ConfigError, ForbiddenError, RouterError, UnauthorizedError
from router.keys import MAX_ID_CHARACTERS, MAX_KEYS, SigningKey, read_keys
from router.rooms.rights import JoinGrant, describe_rights
from router.rooms.sources import Source
from router.tokens import JoinTokens

SECRET = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"
NOW_S = 1_800_000_000.0


def tokens(*keys: Any) -> JoinTokens:
    return JoinTokens(keys or [SECRET], now_s=lambda: NOW_S)


def sign(video: Any, *, secret: str = SECRET, **claims: Any) -> str:
    payload = {"sub": "ada", "exp": int(NOW_S) + 60, "iat": int(NOW_S), "video": video, **claims}
    return jwt.encode(payload, secret, algorithm="HS256")


def verify(**video: Any) -> JoinGrant:
    return tokens().verify(sign({"room": "lobby", "roomJoin": True, **video}))


def refusal(token: str, verifier: JoinTokens | None = None) -> RouterError:
    with pytest.raises(RouterError) as caught:
        (verifier or tokens()).verify(token)
    assert token not in str(caught.value)
    return caught.value


def test_what_is_not_said_is_as_in_livekit() -> None:
    grant = verify()
    assert (grant.room, grant.identity) == ("lobby", "ada")
    assert (grant.may_publish, grant.may_subscribe, grant.may_publish_data) == (True, True, True)
    assert (grant.may_moderate, grant.may_update_own_metadata, grant.hidden, grant.recorder) == (False,) * 4
    assert grant.publish_sources is None
    assert verify(canPublishSources=[]).publish_sources is None


@pytest.mark.parametrize(
    ("claim", "field"),
    [
        ("canPublish", "may_publish"),
        ("canSubscribe", "may_subscribe"),
        ("canPublishData", "may_publish_data"),
        ("canUpdateOwnMetadata", "may_update_own_metadata"),
        ("roomAdmin", "may_moderate"),
        ("hidden", "hidden"),
        ("recorder", "recorder"),
    ],
)
def test_each_grant_on_and_off_and_nothing_else(claim: str, field: str) -> None:
    plain = verify()
    for value in (True, False):
        grant = verify(**{claim: value})
        assert getattr(grant, field) is value
        others = [name for name in describe_fields() if name != field]
        assert [getattr(grant, name) for name in others] == [getattr(plain, name) for name in others]
        assert tokens().verify(tokens().issue(grant)).__class__ is JoinGrant
        assert getattr(tokens().verify(tokens().issue(grant)), field) is value
    wrong: list[Any] = [None, 1, "true", []]
    for other in wrong:
        assert claim in str(refusal(sign({"room": "lobby", "roomJoin": True, claim: other})))


def describe_fields() -> list[str]:
    return [
        "may_publish",
        "may_subscribe",
        "may_publish_data",
        "may_update_own_metadata",
        "may_moderate",
        "hidden",
        "recorder",
    ]


@pytest.mark.parametrize(
    ("names", "sources"),
    [
        (["camera"], frozenset({"camera"})),
        (["microphone"], frozenset({"microphone"})),
        (["screen_share", "screen_share_audio"], frozenset({"screen", "screen-audio"})),
    ],
)
def test_sources(names: list[str], sources: frozenset[Source]) -> None:
    grant = verify(canPublishSources=names)
    assert grant.publish_sources == sources
    assert describe_rights(grant)["canPublishSources"] == names
    assert tokens().verify(tokens().issue(grant)).publish_sources == sources


@pytest.mark.parametrize("value", ["camera", ["screen"], [1], {"camera": True}, None])
def test_sources_that_do_not_exist_are_refused(value: Any) -> None:
    assert "canPublishSources" in str(refusal(sign({"room": "lobby", "roomJoin": True, "canPublishSources": value})))


@pytest.mark.parametrize("video", [{}, {"room": "lobby"}, {"room": "lobby", "roomJoin": False}, {"roomAdmin": True}])
def test_a_token_that_is_not_for_joining(video: dict[str, Any]) -> None:
    error = refusal(sign(video))
    assert (type(error), error.slug) == (ForbiddenError, "may-not-join")


@pytest.mark.parametrize("video", [None, [], "x", 1])
def test_video_of_another_kind(video: Any) -> None:
    assert "video" in str(refusal(sign(video, room="lobby", publish=True, moderate=True)))


def test_flat_claims_add_nothing_to_a_token_with_grants() -> None:
    token = sign({"room": "lobby", "roomJoin": True, "canPublish": False}, publish=True, moderate=True, room="other")
    grant = tokens().verify(token)
    assert (grant.room, grant.may_publish, grant.may_moderate) == ("lobby", False, False)


def test_a_hidden_participant_publishes_nothing() -> None:
    assert not verify(hidden=True, canPublish=True).publishes


@pytest.mark.parametrize("jti", [1, "x" * 129, []])
def test_wrong_token_ids(jti: Any) -> None:
    assert "jti" in str(refusal(sign({"room": "lobby", "roomJoin": True}, jti=jti)))


# -- keys --------------------------------------------------------------------------------------------------------


def test_a_named_key_verifies_its_own_tokens_only() -> None:
    verifier = tokens(SigningKey(SECRET.encode(), "k1"), SigningKey(OTHER.encode(), "k2"))
    video = {"room": "lobby", "roomJoin": True}
    assert verifier.verify(sign(video, iss="k1")).key_id == "k1"
    assert verifier.verify(sign(video, secret=OTHER, iss="k2")).key_id == "k2"
    for _ in range(2):  # by the library, and by those that have seen such a head
        for token in (sign(video, iss="k2"), sign(video), sign(video, secret=OTHER, iss="k1")):
            assert "iss" in str(refusal(token, verifier))
    assert refusal(sign(video, secret="x0123456789abcdef" * 2, iss="k1"), verifier).slug == "bad-token"


@pytest.mark.parametrize("id_", ["a\nb", "é", "x" * (MAX_ID_CHARACTERS + 1)])
def test_a_key_has_a_plain_name(id_: str) -> None:
    with pytest.raises(ConfigError, match="key id"):
        SigningKey(SECRET.encode(), id_)


def test_there_are_only_so_many_keys() -> None:
    """A token that is signed with none of them is tried with all."""
    named = {f"k{number}": SECRET for number in range(MAX_KEYS)}
    assert len(read_keys(named)) == MAX_KEYS
    with pytest.raises(ConfigError, match=f"at most {MAX_KEYS}"):
        read_keys(named, (OTHER,))


def test_a_secret_without_a_name_takes_any_issuer() -> None:
    assert tokens().verify(sign({"room": "lobby", "roomJoin": True}, iss="whoever")).key_id == ""


def test_keys_are_replaced_while_serving() -> None:
    old, new = SigningKey(SECRET.encode(), "old"), SigningKey(OTHER.encode(), "new")
    serving = tokens(old)
    before = serving.issue(JoinGrant("lobby", "ada"))
    serving.replace_keys([new, old])
    after = serving.issue(JoinGrant("lobby", "ada"))
    assert [serving.verify(token).key_id for token in (before, after)] == ["old", "new"]
    serving.replace_keys([new])
    assert refusal(before, serving).slug == "bad-token"
    serving.verify(after)
    with pytest.raises(ConfigError):
        serving.replace_keys([])


def test_a_revoked_token_is_refused_by_the_fast_path_too() -> None:
    verifier = tokens()
    first, second = verifier.issue(JoinGrant("lobby", "ada")), verifier.issue(JoinGrant("lobby", "ada"))
    grant = verifier.verify(first)
    assert grant.token_id != verifier.verify(second).token_id
    verifier.revocations.revoke_token(grant.token_id)
    error = refusal(first, verifier)
    assert (type(error), error.slug) == (UnauthorizedError, "token-revoked")
    verifier.verify(second)
    verifier.revocations.revoke_identity("ada", "other")
    verifier.verify(second)
    verifier.revocations.revoke_identity("ada", "lobby")
    assert refusal(second, verifier).slug == "token-revoked"
