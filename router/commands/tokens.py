"""`router token`: makes join tokens from the settings' key, and revokes tokens at a running router."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.groups import CreateGroup
from router.commands.remote import AsJson, ConfigFile, Remote, on_remote
from router.errors import ConfigError, RequestError
from router.tables import print_json

if TYPE_CHECKING:
    from router.commands.client import Item

app = typer.Typer(cls=CreateGroup, help="Join tokens: create (the default, needs no router), revoke, revocations.")
PATH: Final = "/v1/tokens/revocations"
COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "token id": lambda one: one.get("token_id") or "",
    "identity": lambda one: one.get("identity") or "",
    "room": lambda one: one.get("room") or ("" if one.get("token_id") else "all"),
    "revoked at": lambda one: one.get("revoked_at", ""),
    "forgotten at": lambda one: one.get("expires_at", ""),
}


@app.command("create")
def create_token(
    room: Annotated[str, typer.Option(help="Room the token opens.")],
    identity: Annotated[str, typer.Option(help="Who joins; one identity is one participant.")],
    name: Annotated[str, typer.Option(help="Name to show.")] = "",
    publish: Annotated[bool, typer.Option("--publish/--no-publish", help="May publish.")] = True,
    source: Annotated[
        list[str] | None,
        typer.Option(help="May publish only this: camera, microphone, screen_share, screen_share_audio. Repeatable."),
    ] = None,
    subscribe: Annotated[bool, typer.Option("--subscribe/--no-subscribe", help="May subscribe.")] = True,
    moderate: Annotated[bool, typer.Option("--moderate", help="May mute, remove and lock.")] = False,
    hidden: Annotated[bool, typer.Option("--hidden", help="Others do not hear of it; publishes nothing.")] = False,
    recorder: Annotated[bool, typer.Option("--recorder", help="Shown to others as recording.")] = False,
    edit_metadata: Annotated[bool, typer.Option("--edit-metadata", help="May change its own name and text.")] = False,
    metadata: Annotated[str, typer.Option(help="Text about the participant that others see.")] = "",
    ttl: Annotated[int, typer.Option(min=1, max=31_536_000, help="Seconds until it expires.")] = 21_600,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Print a join token signed with the first key of the settings."""
    from router.access import Access
    from router.claims import read_sources
    from router.config import load_settings
    from router.tokens import JoinGrant

    settings = load_settings(file=config)
    if not (settings.auth.secrets or settings.auth.keys or settings.auth.key_file):
        raise ConfigError(
            "auth.secrets is empty: expected the secret that the router runs with, set ROUTER_AUTH__SECRETS "
            "(a router in dev mode hands out tokens at /dev/token)"
        )
    try:
        grant = JoinGrant(
            room,
            identity,
            name,
            metadata,
            may_publish=publish,
            may_subscribe=subscribe,
            may_moderate=moderate,
            may_update_own_metadata=edit_metadata,
            publish_sources=read_sources(source or [], "source"),
            hidden=hidden,
            recorder=recorder,
        )
        token = Access(settings).join_tokens.issue(grant, lifetime_s=ttl)
    except RequestError as error:
        raise ConfigError(f"--{error}") from None
    if as_json:
        print_json({"token": token, "room": room, "identity": identity, "expires_in_s": ttl})
    else:
        print(token)


@app.command("revoke")
@on_remote
def revoke(
    remote: Remote,
    token_id: Annotated[str | None, typer.Option("--id", help="The token's claim jti.")] = None,
    identity: Annotated[str | None, typer.Option(help="All tokens of this identity issued until now.")] = None,
    room: Annotated[str | None, typer.Option(help="With --identity: only tokens for this room.")] = None,
) -> None:
    """Refuse tokens from now on, and put out who is inside with one."""
    given = {"token_id": token_id, "identity": identity, "room": room}
    if (token_id is None) == (identity is None):
        raise typer.BadParameter("expected either --id or --identity")
    body = {name: value for name, value in given.items() if value is not None}
    remote.show_one(remote.client.change("POST", PATH, body), COLUMNS)


@app.command("revocations")
@on_remote
def list_revocations(
    remote: Remote,
    removed: Annotated[bool, typer.Option("--removed", help="Who was removed from a room instead.")] = False,
) -> None:
    """List what is revoked."""
    reason = "removed" if removed else "token-revoked"
    remote.show_list(remote.client.read(PATH, reason=reason).get("items", ()), COLUMNS)
