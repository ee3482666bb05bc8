"""Whether the secrets in the settings may protect anything: those that are missing, short, repetitive or placeholders.

In development only what cannot work at all is refused. A refusal names the setting and the fix, never the value.
"""

from collections.abc import Iterator
from typing import Final

from pydantic import SecretStr

from router.config_model import MIN_ADMIN_TOKEN_CHARS, AdminSettings, AuthSettings, TurnSettings, WebhookSettings
from router.errors import ConfigError
from router.keys import MIN_SECRET_BYTES, find_weakness

MIN_TURN_SECRET_CHARS: Final = 16
_FIX: Final = "expected a random one, such as the output of: openssl rand -hex 32"


def check_secrets(auth: AuthSettings, admin: AdminSettings, turn: TurnSettings, *, dev: bool) -> None:
    """Raises `ConfigError` for the first that will not do."""
    for key, secret in _signing_secrets(auth):
        size = len(secret.get_secret_value().encode())
        if size < MIN_SECRET_BYTES:
            raise ConfigError(
                f"{key} has {size} bytes: expected {MIN_SECRET_BYTES} or more, "
                "such as the output of: openssl rand -hex 32"
            )
    if turn.urls and turn.secret is None:
        raise ConfigError("turn.secret is not set: expected the secret that the TURN servers in turn.urls know")
    if dev:
        return
    _check_present(auth, admin)
    for key, secret in _signing_secrets(auth):
        refuse_weak(key, secret, MIN_SECRET_BYTES)
    for key, secret in _admin_secrets(admin):
        refuse_weak(key, secret, MIN_ADMIN_TOKEN_CHARS)
    if turn.secret is not None:
        refuse_weak("turn.secret", turn.secret, MIN_TURN_SECRET_CHARS)


def check_webhooks(webhooks: WebhookSettings, auth: AuthSettings, *, dev: bool) -> None:
    """Raises `ConfigError` for webhooks that would be unsigned, signed with a key of join tokens, or not private."""
    if not webhooks.urls:
        return
    secret = webhooks.secret or SecretStr("")
    if len(secret.get_secret_value().encode()) < MIN_SECRET_BYTES:
        raise ConfigError(
            f"webhooks.secret: expected {MIN_SECRET_BYTES} bytes or more with webhooks.urls, set "
            "ROUTER_WEBHOOKS__SECRET to the output of: openssl rand -hex 32"
        )
    if secret in [known for _, known in _signing_secrets(auth)]:
        raise ConfigError(
            "webhooks.secret is one of auth.secrets or auth.keys: expected another one, since receivers of webhooks "
            "could make join tokens with it"
        )
    if not dev:
        refuse_weak("webhooks.secret", secret, MIN_SECRET_BYTES)
    plain = [i for i, url in enumerate(webhooks.urls) if url.get_secret_value().startswith("http:")]
    if plain and not webhooks.allow_http:
        raise ConfigError(f"webhooks.urls.{plain[0]}: expected https, or webhooks.allow_http")


def refuse_weak(key: str, secret: SecretStr, min_bytes: int) -> None:
    """`ConfigError` that names the setting."""
    weakness = find_weakness(secret.get_secret_value(), min_bytes)
    if weakness is not None:
        raise ConfigError(f"{key} {weakness}; {_FIX}")


def _check_present(auth: AuthSettings, admin: AdminSettings) -> None:
    if not (auth.secrets or auth.keys or auth.key_file):
        raise ConfigError(
            f"auth.secrets is empty: expected a secret of {MIN_SECRET_BYTES} bytes or more, set "
            "ROUTER_AUTH__SECRETS to the output of: openssl rand -hex 32 (to try things out: router serve --dev)"
        )
    if admin.token is None and not admin.tokens and admin.token_file is None:
        raise ConfigError(
            "admin.token is not set: expected a bearer token of 16 characters or more, set ROUTER_ADMIN__TOKEN "
            "to the output of: openssl rand -hex 16"
        )


def _signing_secrets(auth: AuthSettings) -> Iterator[tuple[str, SecretStr]]:
    yield from ((f"auth.keys.{id_}", secret) for id_, secret in auth.keys.items())
    yield from ((f"auth.secrets.{index}", secret) for index, secret in enumerate(auth.secrets))


def _admin_secrets(admin: AdminSettings) -> Iterator[tuple[str, SecretStr]]:
    if admin.token is not None:
        yield "admin.token", admin.token
    yield from ((f"admin.tokens.{name}.token", entry.token) for name, entry in admin.tokens.items())
