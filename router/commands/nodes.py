"""`router nodes`, `drain` and `undrain`: the routers that share a store, and taking one out of service and back."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.errors import EXIT_UNREACHABLE, AdminError
from router.commands.remote import Remote, check_finite, on_remote

if TYPE_CHECKING:
    from router.commands.client import Item

WAIT_STEP_S: Final = 1.0
NodeId = Annotated[str | None, typer.Argument(help="Id of a node; the router that answers by default.")]


def describe_load(node: "Item") -> str:
    """In percent of full."""
    load = node.get("load")
    return f"{load:.0%}" if isinstance(load, int | float) else ""


def _describe_rest(drain: "Item") -> str:
    left = drain.get("remaining_s")
    return f"{left:.0f} s" if isinstance(left, int | float) else "none" if drain.get("state") == "draining" else ""


COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "id": lambda node: node.get("id", ""),
    "": lambda node: "here" if node.get("here") else "",
    "state": lambda node: node.get("state", ""),
    "load": describe_load,
    "rooms": lambda node: node.get("rooms", ""),
    "participants": lambda node: node.get("participants", ""),
    "region": lambda node: node.get("region", ""),
    "version": lambda node: node.get("version", ""),
    "public": lambda node: node.get("public_url", ""),
    "admin": lambda node: node.get("admin_url", ""),
}
DRAIN_COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "state": lambda drain: drain.get("state", ""),
    "by": lambda drain: drain.get("by") or "",
    "rooms": lambda drain: drain.get("rooms", ""),
    "participants": lambda drain: drain.get("participants", ""),
    "deadline in": _describe_rest,
    "then": lambda drain: "" if drain.get("exit") is None else "exits" if drain["exit"] else "stays",
}


@on_remote
def list_nodes(remote: Remote) -> None:
    """List the routers that share a store, with their load."""
    remote.show_list(remote.client.read("/v1/nodes").get("items", ()), COLUMNS)


@on_remote
def drain(
    remote: Remote,
    node: NodeId = None,
    deadline: Annotated[
        float | None,
        typer.Option(min=0, callback=check_finite, help="Seconds that calls may go on; 0: none. Else as set there."),
    ] = None,
    no_deadline: Annotated[bool, typer.Option("--no-deadline", help="As long as there is somebody.")] = False,
    stay: Annotated[bool, typer.Option("--stay", help="Do not end the process then.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return when the last participant has left.")] = False,
) -> None:
    """Take a router out of service: unready at once, no new rooms; it ends when empty or at the deadline."""
    if deadline is not None and no_deadline:
        raise typer.BadParameter("expected either --deadline or --no-deadline")
    body: dict[str, Any] = {"exit": not stay}
    if no_deadline or deadline is not None:
        body["deadline_s"] = deadline
    state = remote.client.change("POST", _path(node), body)
    if wait:
        state = _wait_empty(remote, node, state)
    remote.show_one(state, DRAIN_COLUMNS)


@on_remote
def undrain(remote: Remote, node: NodeId = None) -> None:
    """Put a draining router back into service."""
    remote.show_one(remote.client.change("DELETE", _path(node)), DRAIN_COLUMNS)


def _wait_empty(remote: Remote, node: str | None, state: "Item") -> "Item":
    """The last state; a router that is gone was empty."""
    while state.get("state") != "serving" and state.get("participants"):
        threading.Event().wait(WAIT_STEP_S)
        try:
            state = remote.client.read(_path(node))
        except AdminError as error:
            if error.exit_code != EXIT_UNREACHABLE:
                raise
            return {**state, "state": "gone", "rooms": 0, "participants": 0}
    return state


def _path(node: str | None) -> str:
    from router.commands.client import join_path

    return join_path("drain") if node is None else join_path("nodes", node, "drain")
