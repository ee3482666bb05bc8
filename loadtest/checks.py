"""Connectivity checks as a full ICE agent writes and answers them (RFC 8445 section 7), for clients made by hand."""

import secrets
from collections.abc import Mapping
from typing import Any

from aioice import stun

ATTRIBUTES = {"PRIORITY": 1_853_693_695, "ICE-CONTROLLING": 1, "USE-CANDIDATE": None}


def write_check(username: str, password: str, **changes: Any) -> bytes:
    """A nominating check. `changes` name attributes with underscores; False leaves one out."""
    attributes: dict[str, Any] = {"USERNAME": username, **ATTRIBUTES}
    attributes |= {name.replace("_", "-"): value for name, value in changes.items()}
    return _sign(stun.Class.REQUEST, secrets.token_bytes(12), attributes, password)


def write_answer(check: stun.Message, mapped: tuple[str, int], password: str) -> bytes:
    """The success response to a check that came from `mapped`."""
    return _sign(stun.Class.RESPONSE, check.transaction_id, {"XOR-MAPPED-ADDRESS": mapped}, password)


def _sign(kind: stun.Class, transaction_id: bytes, attributes: Mapping[str, Any], password: str) -> bytes:
    kept = {name: value for name, value in attributes.items() if value is not False}
    message = stun.Message(stun.Method.BINDING, kind, transaction_id, kept)
    message.add_message_integrity(password.encode())
    return bytes(message)
