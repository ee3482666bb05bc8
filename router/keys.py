"""Signing keys of join tokens, and what makes a secret too weak to start with.

A key has a name (the token's `iss`, as LiveKit's API key) and a secret; a secret without a name verifies tokens
whatever their `iss` is. Of several keys the first signs and all verify, so a key is replaced by putting the new one in
front and taking the old one away once its tokens have expired.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from router.errors import ConfigError

MIN_SECRET_BYTES: Final = 32  # RFC 7518 section 3.2: an HS256 key is at least as long as the hash
MIN_DISTINCT: Final = 8
"""Characters; 16 random hexadecimal digits have fewer once in 4,000, 32 once in 10^12."""
MAX_KEYS: Final = 32
MAX_ID_CHARACTERS: Final = 128
_PLACEHOLDERS: Final = (
    "changeme",
    "replaceme",
    "yoursecret",
    "yourapisecret",
    "yourkey",
    "yourtoken",
    "placeholder",
    "insertsecret",
    "examplesecret",
    "defaultsecret",
    "password",
)
"""What example files say where a secret belongs, without punctuation."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key."""

    secret: bytes = field(repr=False)
    id: str = ""
    """The token's `iss`; empty: any."""

    def __post_init__(self) -> None:
        if len(self.secret) < MIN_SECRET_BYTES:
            raise ConfigError(f"token secret: expected {MIN_SECRET_BYTES} bytes or more, got {len(self.secret)}")
        if len(self.id) > MAX_ID_CHARACTERS or not (self.id.isprintable() and self.id.isascii()):
            raise ConfigError(f"key id: expected at most {MAX_ID_CHARACTERS} printable ASCII characters")


def find_weakness(secret: str, min_bytes: int = MIN_SECRET_BYTES) -> str | None:
    """Why a secret must not protect anything, without quoting it; None if nothing speaks against it.

    >>> find_weakness("changeme-changeme-changeme-changeme")
    'is a placeholder'
    >>> find_weakness("5f0c6c7d1c6f4b0e9a43f1b2d8e7a690") is None
    True
    """
    size = len(secret.encode())
    if size < min_bytes:
        return f"has {size} bytes: expected {min_bytes} or more"
    if len(set(secret)) < MIN_DISTINCT or _is_repetition(secret):
        return "repeats itself"
    plain = re.sub(r"[^a-z]", "", secret.lower())
    return "is a placeholder" if any(word in plain for word in _PLACEHOLDERS) else None


def _is_repetition(secret: str) -> bool:
    """One short piece again and again."""
    return any(secret == (secret[:length] * len(secret))[: len(secret)] for length in range(1, len(secret) // 4 + 1))


def read_keys(named: Mapping[str, str], unnamed: "tuple[str, ...]" = ()) -> tuple[SigningKey, ...]:
    """Named keys first, in their order, then secrets without a name."""
    keys = (
        *(SigningKey(secret.encode(), id_) for id_, secret in named.items()),
        *(SigningKey(secret.encode()) for secret in unnamed),
    )
    if len(keys) > MAX_KEYS:
        raise ConfigError(f"token keys: expected at most {MAX_KEYS}, got {len(keys)}")
    return keys
