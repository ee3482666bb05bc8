"""`router token`: a join token from the command line, for trying things out and for scripts."""

import json
from pathlib import Path
from typing import Annotated

import typer

from router.config import load_settings
from router.errors import ConfigError, RequestError


def make_token(
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
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="Settings file instead of config/router.yaml.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON instead of the bare token.")] = False,
) -> None:
    """Print a join token signed with the first key of the settings."""
    from router.access import Access
    from router.claims import read_sources
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
    body = {"token": token, "room": room, "identity": identity, "expires_in_s": ttl}
    print(json.dumps(body) if as_json else token)
