"""The claims of a join token and the grant they stand for.

The shape is LiveKit's: `sub`, `name`, `metadata`, and `video` with `room`, `roomJoin`, `canPublish`,
`canPublishSources`, `canSubscribe`, `canPublishData`, `canUpdateOwnMetadata`, `roomAdmin`, `hidden` and `recorder`. As
there, `canPublish`, `canSubscribe` and `canPublishData` are granted unless denied, everything else is denied unless
granted, and an empty list of sources means all. Other members are for other servers, and ignored.

A token without `video` has the flat claims `room`, `publish`, `subscribe` and `moderate`, each denied unless granted.
"""

from collections.abc import Mapping
from typing import Any, Final

from router.errors import ForbiddenError, RequestError
from router.rooms.names import check_display_name, check_identity, check_metadata, check_room_name
from router.rooms.revocation import MAX_TOKEN_ID_CHARACTERS
from router.rooms.rights import DENIED_BY_DEFAULT, GRANTED_BY_DEFAULT, JoinGrant, describe_rights
from router.rooms.sources import SOURCE_OF_CLAIM, Source

FLAT: Final = {"publish": "may_publish", "subscribe": "may_subscribe", "moderate": "may_moderate"}


def write_claims(grant: JoinGrant) -> dict[str, Any]:
    """The claims that say who may do what where; those about time and key are the token's."""
    return {
        "sub": check_identity(grant.identity),
        "name": check_display_name(grant.name),
        "metadata": check_metadata(grant.metadata),
        "video": {"room": check_room_name(grant.room), "roomJoin": True, **describe_rights(grant)},
    }


def read_claims(claims: Mapping[str, Any], *, expires_at_s: float, issued_at_s: float, key_id: str) -> JoinGrant:
    """The grant, or `RequestError` naming the wrong claim, or `ForbiddenError` for a token that is not for joining."""
    video = claims.get("video")
    if "video" in claims and not isinstance(video, dict):
        raise RequestError("video: expected an object", slug="bad-token")
    if isinstance(video, dict):
        rights, room, room_claim = _read_video(video), video.get("room"), "video.room"
    else:
        rights, room, room_claim = _read_flat(claims), claims.get("room"), "room"
    return JoinGrant(
        room=check_room_name(room, room_claim),
        identity=check_identity(claims.get("sub")),
        name=check_display_name(claims.get("name", "")),
        metadata=check_metadata(claims.get("metadata", "")),
        expires_at_s=expires_at_s,
        issued_at_s=issued_at_s,
        token_id=_read_token_id(claims),
        key_id=key_id,
        **rights,
    )


def _read_flat(claims: Mapping[str, Any]) -> dict[str, Any]:
    rights = {name: _read_flag(claims, claim, default=False) for claim, name in FLAT.items()}
    return {**rights, "may_publish_data": rights["may_publish"]}


def _read_video(video: Mapping[str, Any]) -> dict[str, Any]:
    if not _read_flag(video, "roomJoin", default=False, prefix="video."):
        raise ForbiddenError("the token does not give the right to join", slug="may-not-join")
    rights: dict[str, Any] = {
        name: _read_flag(video, claim, default=default, prefix="video.")
        for default, claims in ((True, GRANTED_BY_DEFAULT), (False, DENIED_BY_DEFAULT))
        for claim, name in claims.items()
    }
    rights["publish_sources"] = read_sources(video.get("canPublishSources", []), "video.canPublishSources")
    return rights


def read_sources(value: object, field: str) -> frozenset[Source] | None:
    """Of a list of LiveKit's names; None, which is all, of an empty one.

    >>> read_sources([], "canPublishSources") is None, read_sources(["screen_share"], "canPublishSources")
    (True, frozenset({'screen'}))
    """
    if not isinstance(value, list) or not all(isinstance(name, str) and name in SOURCE_OF_CLAIM for name in value):
        raise RequestError(f"{field}: expected a list of {', '.join(SOURCE_OF_CLAIM)}", slug="bad-token")
    return frozenset(SOURCE_OF_CLAIM[name] for name in value) or None


def _read_flag(claims: Mapping[str, Any], name: str, *, default: bool, prefix: str = "") -> bool:
    value = claims.get(name, default)
    if not isinstance(value, bool):
        raise RequestError(f"{prefix}{name}: expected true or false", slug="bad-token")
    return value


def _read_token_id(claims: Mapping[str, Any]) -> str:
    value = claims.get("jti", "")
    if not isinstance(value, str) or len(value) > MAX_TOKEN_ID_CHARACTERS:
        raise RequestError(f"jti: expected a text of at most {MAX_TOKEN_ID_CHARACTERS} characters", slug="bad-token")
    return value
