"""The options that every command on a running router has, and the router at the other end.

Where: `--url`, else ROUTER_ADMIN_URL, else the admin port of the settings, on this machine. The token is never an
argument, for others on the machine can read those: `--token-file`, else the settings (ROUTER_ADMIN__TOKEN,
`admin.tokens`, `admin.token_file`), of several one that may write.
"""

import inspect
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.errors import ConfigError
from router.hosts import from_same_machine, in_url
from router.tables import print_json, print_line, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from router.commands.client import AdminClient, Item, Place
    from router.config import Settings

ADMIN_URL_VARIABLE: Final = "ROUTER_ADMIN_URL"

ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Settings file instead of config/router.yaml.")]
Url = Annotated[
    str | None,
    typer.Option("--url", envvar=ADMIN_URL_VARIABLE, help="Admin API, such as http://127.0.0.1:8081."),
]
TokenFile = Annotated[Path | None, typer.Option("--token-file", help="File with the admin token; - for stdin.")]
CaFile = Annotated[
    Path | None,
    typer.Option("--ca-file", help="Authorities to trust instead of the system's (PEM)."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]

RoomName = Annotated[str, typer.Argument(help="Name of a room.")]
ParticipantName = Annotated[str, typer.Argument(help="Id or identity of a participant.")]


def check_finite(seconds: float | None) -> float | None:
    """Of an option: JSON has neither infinity nor NaN."""
    if seconds is not None and not math.isfinite(seconds):
        raise typer.BadParameter("expected a finite number")
    return seconds


@dataclass(frozen=True, slots=True)
class Remote:
    """A router, and how its answers are to be shown."""

    client: "AdminClient"
    as_json: bool

    def show_list(self, items: "Iterable[Item]", columns: "Mapping[str, Callable[[Item], Any]]") -> None:
        """A table with a row for each, or a JSON array."""
        found = list(items)
        if self.as_json:
            print_json(found)
        else:
            print_table(columns, ([read(item) for read in columns.values()] for item in found))

    def show_one(self, item: "Item", columns: "Mapping[str, Callable[[Item], Any]]") -> None:
        """The same for one thing: a JSON object."""
        if self.as_json:
            print_json(item)
        else:
            print_table(columns, [[read(item) for read in columns.values()]])

    def show_done(self, text: str, **facts: Any) -> None:
        """One line that says what was done, or the facts of it."""
        if self.as_json:
            print_json(facts)
        else:
            print_line(text)


COMMON: Final = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, annotation, default in (
        ("config", ConfigFile, None),
        ("url", Url, None),
        ("token_file", TokenFile, None),
        ("ca_file", CaFile, None),
        ("as_json", AsJson, False),
    )
)


def on_remote(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose first argument is the router that the common options name."""
    signature = inspect.signature(command, eval_str=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in list(signature.parameters.values())[1:]
    ]

    @wraps(command)
    def run(**arguments: Any) -> None:  # Any: what typer has read, by the signature below
        from router.config import load_settings

        config, url, token_file, ca_file, as_json = (arguments.pop(parameter.name) for parameter in COMMON)
        settings = load_settings(file=config)
        with open_client(find_router(settings, url, token_file, ca_file)) as client:
            command(Remote(client, as_json), **arguments)

    run.__signature__ = signature.replace(parameters=[*own, *COMMON])  # type: ignore[attr-defined] # read by inspect
    return run


def open_client(place: "Place") -> "AdminClient":
    """A client of that router."""
    from router.commands.client import AdminClient

    return AdminClient(place)


def find_router(
    settings: "Settings", url: str | None = None, token_file: Path | None = None, ca_file: Path | None = None
) -> "Place":
    """The router that options and settings name."""
    from router.commands.client import Place

    if url is None:
        url = f"http://{in_url(from_same_machine(settings.admin.host))}:{settings.admin.port}"
    token = _read_token(token_file) if token_file is not None else _choose_token(settings)
    return Place(url, token, ca_file)


def _read_token(file: Path) -> str:
    try:
        text = sys.stdin.readline() if str(file) == "-" else file.read_text(encoding="ascii")
    except UnicodeDecodeError:
        text = ""
    except OSError as error:
        raise ConfigError(f"--token-file is {str(file)!r}: {error.strerror or error}") from None
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(f"--token-file is {str(file)!r}: expected the token and nothing else")
    return token


def _choose_token(settings: "Settings") -> str | None:
    """The first that may do most."""
    if settings.admin.token is not None:
        return settings.admin.token.get_secret_value()
    named = dict(settings.admin.tokens)
    if settings.admin.token_file is not None:
        from router.access import read_token_file

        named |= read_token_file(settings.admin.token_file)
    best = sorted(named.values(), key=lambda entry: entry.scope != "write")
    return best[0].token.get_secret_value() if best else None
