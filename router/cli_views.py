"""`router rooms`, `participants` and `stats`: the admin API of a running router as tables, or as JSON."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from pydantic import SecretStr

from router.config import Settings, load_settings
from router.errors import ConfigError, RouterError
from router.tables import print_table

TIMEOUT_S = 10.0

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file instead of config/router.yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
Url = Annotated[str | None, typer.Option(help="Admin API, such as http://127.0.0.1:8081.")]
RoomName = Annotated[str, typer.Argument(help="Name of a room.")]


class AdminError(RouterError):
    """The admin API refused, or did not answer."""


def _choose_token(settings: Settings) -> SecretStr | None:
    """The first that may do most."""
    named = sorted(settings.admin.tokens.values(), key=lambda entry: entry.scope != "write")
    return settings.admin.token or next((entry.token for entry in named), None)


class AdminClient:
    """Reads from the admin API."""

    def __init__(self, settings: Settings, url: str | None, transport: httpx.BaseTransport | None = None) -> None:
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.admin.host, settings.admin.host)  # noqa: S104
        place = f"[{host}]" if ":" in host else host
        token = _choose_token(settings)
        headers = {"Authorization": f"Bearer {token.get_secret_value()}"} if token else {}
        self._url = url or f"http://{place}:{settings.admin.port}"
        try:
            self._http = httpx.Client(base_url=self._url, headers=headers, timeout=TIMEOUT_S, transport=transport)
        except (httpx.InvalidURL, ValueError) as error:
            raise ConfigError(f"--url is {url!r}: {error}") from None

    def read(self, path: str, **parameters: Any) -> dict[str, Any]:
        """One document."""
        try:
            reply = self._http.get(path, params=parameters)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise AdminError(f"{self._url} does not answer ({error}); is the router running?") from None
        if reply.is_error:
            raise AdminError(_describe(reply))
        try:
            body: dict[str, Any] = reply.json()
        except ValueError:
            raise AdminError(f"{self._url} is not an admin API") from None
        return body

    def read_all(self, path: str) -> Iterator[dict[str, Any]]:
        """All entries of a list, page after page."""
        cursor: str | None = None
        while True:
            page = self.read(path, limit=200, **({"cursor": cursor} if cursor else {}))
            yield from page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return


def _describe(reply: httpx.Response) -> str:
    try:
        problem = reply.json()
        text = f"{problem['detail']} ({problem['slug']})"
    except (ValueError, KeyError, TypeError):
        text = reply.reason_phrase
    hint = "; set ROUTER_ADMIN__TOKEN" if reply.status_code == 401 else ""
    return f"{reply.status_code} {text}{hint}"


def show_rooms(config: ConfigFile = None, url: Url = None, as_json: AsJson = False) -> None:
    """List the rooms of a running router."""
    rooms = list(AdminClient(load_settings(file=config), url).read_all("/v1/rooms"))
    if as_json:
        print(json.dumps(rooms, indent=2))
        return
    columns = ["name", "participants", "sessions", "tracks", "watchers", "created_at"]
    print_table(columns, ([room[name] for name in columns] for room in rooms))


def show_participants(room: RoomName, config: ConfigFile = None, url: Url = None, as_json: AsJson = False) -> None:
    """List the participants of a room."""
    path = f"/v1/rooms/{_quote(room)}/participants"
    found = list(AdminClient(load_settings(file=config), url).read_all(path))
    if as_json:
        print(json.dumps(found, indent=2))
        return
    rows = (
        [
            person["id"],
            person["identity"],
            person["name"],
            ", ".join(session["state"] for session in person["sessions"]),
            ", ".join(f"{track['kind']}{'' if track['live'] else ' (silent)'}" for track in person["tracks"]),
            sum(slot["track_id"] is not None for session in person["sessions"] for slot in session["slots"]),
        ]
        for person in found
    )
    print_table(["id", "identity", "name", "sessions", "tracks", "receives"], rows)


def show_stats(
    room: RoomName,
    participant: Annotated[str | None, typer.Argument(help="Id of one participant.")] = None,
    config: ConfigFile = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Show what flows in a room, per stream."""
    client = AdminClient(load_settings(file=config), url)
    base = f"/v1/rooms/{_quote(room)}"
    if participant is None:
        found = list(client.read_all(f"{base}/stats"))
    else:
        found = [client.read(f"{base}/participants/{_quote(participant)}/stats")]
    if as_json:
        print(json.dumps(found, indent=2))
        return
    columns = ["participant", "stream", "mid", "codec", "kbit/s", "packets", "lost", "rtt ms", "why"]
    print_table(columns, (row for entry in found for row in _stream_rows(entry)))


def _stream_rows(entry: dict[str, Any]) -> Iterator[list[Any]]:
    by_id = {stat["id"]: stat for stat in entry["stats"]}
    for stat in entry["stats"]:
        if stat["type"] not in ("inbound-rtp", "outbound-rtp"):
            continue
        sends = stat["type"] == "inbound-rtp"
        report = by_id.get(stat.get("remoteId", ""), {})
        yield [
            entry["name"] or entry["identity"],
            " ".join(filter(None, ["sends" if sends else "receives", stat["kind"], stat.get("rid")])),
            stat.get("mid", ""),
            by_id.get(stat.get("codecId", ""), {}).get("mimeType", "").partition("/")[2],
            round(stat["bitrate"] / 1000),
            stat["packetsReceived"] if sends else stat["packetsSent"],
            stat["packetsLost"] if sends else report.get("packetsLost", ""),
            round(report["roundTripTime"] * 1000, 1) if "roundTripTime" in report else "",
            stat.get("reason", ""),
        ]


def _quote(name: str) -> str:
    return quote(name, safe="")
