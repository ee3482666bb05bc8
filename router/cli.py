"""The command line: `router serve`, `config`, `token`, `doctor`, and the commands on a running router.

Exit codes are those of `router.commands.errors`; whoever stops a command with Ctrl-C gets 130. Mistakes are one line on
stderr that names the setting and the fix; tracebacks are for bugs. Importing this module imports neither the engine nor
settings: what a command needs is imported when it runs.
"""

import asyncio
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from router import __version__
from router.commands import nodes, participants, rooms, tokens, tracks
from router.commands.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, AdminError
from router.commands.events import follow_events
from router.commands.remote import AsJson, CaFile, ConfigFile, TokenFile, Url, find_router, open_client
from router.commands.stats import show_stats
from router.commands.top import show_top
from router.errors import ConfigError, RouterError
from router.hosts import in_url
from router.tables import plain, print_json

if TYPE_CHECKING:
    from router.config import Settings

EXIT_CODES = (
    "Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, 3 router not reachable, 4 token refused, "
    "5 not found, 6 conflict, 7 later."
)

ON_A_ROUTER = "Commands on a running router, here or elsewhere"

app = typer.Typer(
    name="router",
    help="A WebRTC router (SFU).",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
config_app = typer.Typer(help="Look at the settings.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(tokens.app, name="token")
for name, group in (("rooms", rooms.app), ("participants", participants.app), ("tracks", tracks.app)):
    app.add_typer(group, name=name, rich_help_panel=ON_A_ROUTER)
for name, command in (
    ("stats", show_stats),
    ("events", follow_events),
    ("top", show_top),
    ("nodes", nodes.list_nodes),
    ("drain", nodes.drain),
    ("undrain", nodes.undrain),
):
    app.command(name, rich_help_panel=ON_A_ROUTER)(command)

PublicUrl = Annotated[str | None, typer.Option(help="Also try a router's public port, and the media ports it offers.")]
LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def main() -> None:
    """The `router` program."""
    _prepare_output()
    try:
        app()
    except ConfigError as error:
        _leave(error, EXIT_USAGE)
    except AdminError as error:
        _leave(error, error.exit_code)
    except RouterError as error:
        _leave(error, EXIT_FAILED)
    except ImportError as error:
        # The engine or a library with compiled parts, such as libsrtp, is not there or does not fit this machine.
        _leave(
            ConfigError(f"{error}: expected a complete installation, see pip install --force-reinstall"),
            EXIT_USAGE,
        )
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _prepare_output() -> None:
    """Names of the network may hold what a terminal's encoding does not; and who closes stdout wants no output."""
    if sys.stdout is None:
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the program runs
    elif isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def _leave(error: RouterError, code: int) -> None:
    print(plain(f"router: {' '.join(str(error).split())}"), file=sys.stderr)
    sys.exit(code)


@app.callback(invoke_without_command=True)
def show_version(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """A WebRTC router (SFU)."""
    if version:
        print(__version__)
        raise typer.Exit


@app.command()
def serve(
    config: ConfigFile = None,
    dev: Annotated[bool, typer.Option("--dev", help="Make up secrets and hand out tokens; loopback only.")] = False,
    host: Annotated[str | None, typer.Option(help="Address of the public port.")] = None,
    port: Annotated[int | None, typer.Option(help="Public TCP port.")] = None,
    admin_port: Annotated[int | None, typer.Option(help="Admin TCP port.")] = None,
    udp_port: Annotated[int | None, typer.Option(help="First UDP port for media.")] = None,
    workers: Annotated[str | None, typer.Option(help="Engine threads, or auto.")] = None,
    log_format: Annotated[LogFormat | None, typer.Option(help="How to log.")] = None,
    log_level: Annotated[LogLevel | None, typer.Option(help="What to log.")] = None,
) -> None:
    """Run the router until Ctrl-C, or SIGTERM and the end of its calls (drain.deadline_s)."""
    flags = _nest(
        {
            "dev": dev or None,
            "public.host": host,
            "public.port": port,
            "admin.port": admin_port,
            "media.udp_port": udp_port,
            "media.workers": workers,
            "log.format": log_format,
            "log.level": log_level,
        }
    )
    from router.config import load_settings
    from router.log import configure_logging

    settings = load_settings(file=config, flags=flags)
    settings.check_startable()
    configure_logging(settings.log.format, settings.log.level)
    import uvloop

    uvloop.run(_serve(settings))


async def _serve(settings: "Settings") -> None:
    from router.memory import keep_trimmed, suit_collector
    from router.server import RouterServer, raise_file_limit
    from router.stop_signals import catch_stop_signals

    raise_file_limit()
    server = RouterServer(settings)
    catch_stop_signals(server.drain)
    async with server:
        suit_collector()
        trimming = asyncio.create_task(keep_trimmed(), name="keep_trimmed")
        if settings.dev:
            print(f"Open http://{in_url(settings.public_host)}:{server.public_port}/ in a browser.", file=sys.stderr)
        await server.drain.finished.wait()
        trimming.cancel()


def _nest(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags that were given, as the tree that the settings file is."""
    tree: dict[str, Any] = {}
    for key, value in flags.items():
        if value is not None:
            section, _, name = key.rpartition(".")
            (tree.setdefault(section, {}) if section else tree)[name] = value
    return tree


@config_app.command("show")
def show_config(config: ConfigFile = None, as_json: AsJson = False) -> None:
    """Print the settings in force, secrets masked."""
    import yaml

    from router.config import load_settings

    values = load_settings(file=config).redacted()
    if as_json:
        print_json(values)
    else:
        print(yaml.safe_dump(values, sort_keys=False).rstrip())


@config_app.command("check")
def check_config(config: ConfigFile = None) -> None:
    """Say whether the router would start with these settings."""
    from router.access import Access
    from router.config import load_settings

    settings = load_settings(file=config)
    settings.check_startable()
    Access(settings)
    print("ok")


@config_app.command("schema")
def show_schema() -> None:
    """Print the JSON Schema of the settings file."""
    from router.config import Settings

    print_json(Settings.model_json_schema())


@app.command()
def doctor(
    config: ConfigFile = None,
    dev: Annotated[bool, typer.Option("--dev", help="As for router serve --dev.")] = False,
    remote: Annotated[bool, typer.Option("--remote", help="Examine a running router instead of this machine.")] = False,
    public_url: PublicUrl = None,
    url: Url = None,
    token_file: TokenFile = None,
    ca_file: CaFile = None,
    as_json: AsJson = False,
) -> None:
    """Check ports, buffers, libsrtp, addresses, clock, Redis before a router starts; with --url, a router."""
    from router.config import load_settings
    from router.doctor import examine, show_findings

    settings = load_settings(file=config, flags={"dev": True} if dev else {})
    if remote or url is not None or public_url is not None:
        from router.doctor_remote import examine_remote

        with open_client(find_router(settings, url, token_file, ca_file)) as client:
            findings = examine_remote(client, public_url or settings.public.url)
    else:
        findings = examine(settings)
    show_findings(findings, as_json=as_json)
    if any(finding.status == "fail" for finding in findings):
        sys.exit(EXIT_USAGE if findings[0].name == "configuration" and findings[0].status == "fail" else EXIT_FAILED)
