"""Who gets in, as the settings say it: the keys of join tokens, the tokens of the admin port, the TURN credentials.

Keys and admin tokens from files are followed: a file that changed takes effect within a second, without a restart.
"""

import secrets
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import SecretStr, TypeAdapter, ValidationError

from router.admin.tokens import AdminToken, AdminTokens
from router.config import Settings
from router.config_model import MIN_ADMIN_TOKEN_CHARS, AdminTokenSettings, KeyId, TokenName
from router.config_secrets import refuse_weak
from router.errors import ConfigError
from router.keys import MIN_SECRET_BYTES, SigningKey, read_keys
from router.tokens import JoinTokens
from router.turn import TurnServers
from router.watched_file import WatchedFile

Entry = TypeVar("Entry")
_KEYS = TypeAdapter(dict[KeyId, SecretStr])
_TOKENS = TypeAdapter(dict[TokenName, AdminTokenSettings])
_TOKEN_SHAPE = "NAME: {token: TOKEN, scope: read or write}"  # noqa: S105 - how a file looks


class Access:
    """Of one router."""

    def __init__(self, settings: Settings) -> None:
        """Reads the files; `ConfigError` for one that will not do."""
        self._keys = read_signing_keys(settings)
        self._tokens = _read_admin_tokens(settings)
        self._refuse_weak = not settings.dev
        self.join_tokens = JoinTokens(self._keys or secrets.token_hex(MIN_SECRET_BYTES))
        self.admin_tokens = AdminTokens(self._tokens)
        self.turn = _make_turn_servers(settings)
        self._files: list[WatchedFile] = []
        if settings.auth.key_file is not None:
            self._files.append(WatchedFile("auth.key_file", settings.auth.key_file, self._take_keys))
        if settings.admin.token_file is not None:
            self._files.append(WatchedFile("admin.token_file", settings.admin.token_file, self._take_tokens))
        for file in self._files:
            file.read()

    def start(self) -> None:
        """Follows the files; for a running loop."""
        for file in self._files:
            file.start()

    async def close(self) -> None:
        """Follows them no more. Idempotent."""
        for file in self._files:
            await file.close()

    def _take_keys(self, text: str) -> None:
        named = _read_mapping("auth.key_file", "ID: SECRET", text, _KEYS)
        for id_, secret in named.items():
            self._check(f"auth.key_file: the secret of {id_}", secret, MIN_SECRET_BYTES)
        given = read_keys({id_: secret.get_secret_value() for id_, secret in named.items()})
        self.join_tokens.replace_keys((*given, *self._keys))

    def _take_tokens(self, text: str) -> None:
        named = _read_mapping("admin.token_file", _TOKEN_SHAPE, text, _TOKENS)
        for name, entry in named.items():
            self._check(f"admin.token_file: the token of {name}", entry.token, MIN_ADMIN_TOKEN_CHARS)
        self.admin_tokens.replace((*self._tokens, *_name_tokens(named)))

    def _check(self, what: str, secret: SecretStr, min_bytes: int) -> None:
        if self._refuse_weak:
            refuse_weak(what, secret, min_bytes)


def read_token_file(file: Path) -> dict[str, AdminTokenSettings]:
    """The admin tokens of `admin.token_file`, for whoever is to use one."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"admin.token_file is {str(file)!r}: {error}") from None
    return _read_mapping("admin.token_file", _TOKEN_SHAPE, text, _TOKENS)


def read_signing_keys(settings: Settings) -> tuple[SigningKey, ...]:
    """Those in the settings themselves, the signing one first."""
    auth = settings.auth
    named = {id_: secret.get_secret_value() for id_, secret in auth.keys.items()}
    return read_keys(named, tuple(secret.get_secret_value() for secret in auth.secrets))


def _read_admin_tokens(settings: Settings) -> tuple[AdminToken, ...]:
    admin = settings.admin
    single = () if admin.token is None else (AdminToken("admin", admin.token.get_secret_value()),)
    return (*single, *_name_tokens(admin.tokens))


def _name_tokens(named: dict[str, AdminTokenSettings]) -> tuple[AdminToken, ...]:
    return tuple(AdminToken(name, entry.token.get_secret_value(), entry.scope) for name, entry in named.items())


def _make_turn_servers(settings: Settings) -> TurnServers | None:
    turn = settings.turn
    if not turn.urls or turn.secret is None:
        return None
    return TurnServers(turn.urls, turn.secret.get_secret_value(), lifetime_s=turn.lifetime_s)


def _read_mapping(key: str, shape: str, text: str, adapter: TypeAdapter[dict[str, Entry]]) -> dict[str, Entry]:
    """What a file says. Messages of the libraries are left out: they would quote it."""
    try:
        entries = adapter.validate_python(yaml.safe_load(text))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark is not None else ""
        raise ConfigError(f"{key}: expected YAML{where}, {shape} for each") from None
    except ValidationError as error:
        entry = next((str(part) for finding in error.errors() for part in finding["loc"][:1]), "the whole")
        raise ConfigError(f"{key}: {entry!a}: expected {shape} for each") from None
    if not entries:
        raise ConfigError(f"{key} is empty: expected {shape} for each")
    return entries
