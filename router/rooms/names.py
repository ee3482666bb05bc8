"""What a room, an identity and a display name may look like (threats-and-faults.md H15, H16).

Names reach URLs, logs and other people's screens: control characters, lone surrogates, line separators and the
invisible characters that reorder text are refused. Joiners stay allowed, emoji need them.
"""

import unicodedata

from router.errors import RequestError

MAX_NAME_CHARACTERS = 128
MAX_DISPLAY_NAME_CHARACTERS = 256
MAX_METADATA_BYTES = 4_096
_FORBIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
_JOINERS = frozenset("\u200c\u200d")


def check_room_name(name: object, field: str = "room") -> str:
    """The name, or `RequestError` naming the field.

    >>> check_room_name("daily stand-up")
    'daily stand-up'
    """
    text = _check_text(name, field, 1, MAX_NAME_CHARACTERS)
    if "/" in text or text in (".", ".."):
        raise RequestError(f"{field}: a room name has no slash and is neither '.' nor '..'", slug="bad-room-name")
    return text


def check_identity(identity: object, field: str = "sub") -> str:
    """Who somebody is to the application that made the token."""
    return _check_text(identity, field, 1, MAX_NAME_CHARACTERS)


def check_display_name(name: object, field: str = "name") -> str:
    """What others read; may be empty."""
    return _check_text(name, field, 0, MAX_DISPLAY_NAME_CHARACTERS)


def check_metadata(metadata: object, field: str = "metadata") -> str:
    """What an application attaches to an identity, usually JSON. The router does not look inside."""
    if not isinstance(metadata, str):
        raise RequestError(f"{field}: expected a text", slug="bad-metadata")
    try:
        size = len(metadata.encode())
    except UnicodeEncodeError as error:
        raise RequestError(f"{field}: expected valid Unicode", slug="bad-metadata") from error
    if size > MAX_METADATA_BYTES:
        raise RequestError(f"{field}: expected at most {MAX_METADATA_BYTES} bytes, got {size}", slug="bad-metadata")
    return metadata


def _check_text(value: object, field: str, shortest: int, longest: int) -> str:
    if not isinstance(value, str):
        raise RequestError(f"{field}: expected a text", slug="bad-name")
    if not shortest <= len(value) <= longest:
        raise RequestError(f"{field}: expected {shortest} to {longest} characters, got {len(value)}", slug="bad-name")
    plain = value.isascii() and value.isprintable()
    if not plain and any(unicodedata.category(c) in _FORBIDDEN_CATEGORIES and c not in _JOINERS for c in value):
        raise RequestError(f"{field}: control and invisible characters are not allowed", slug="bad-name")
    return value
