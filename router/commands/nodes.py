"""`router nodes`, `drain` and `undrain`: the routers that share a store, and taking one out of service."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from router.commands.remote import Remote, on_remote

if TYPE_CHECKING:
    from router.commands.client import Item


def _percent(node: "Item") -> str:
    load = node.get("load")
    return f"{load:.0%}" if isinstance(load, int | float) else ""


COLUMNS: Final[Mapping[str, Callable[["Item"], Any]]] = {
    "id": lambda node: node.get("id", ""),
    "state": lambda node: node.get("state", ""),
    "load": _percent,
    "rooms": lambda node: node.get("rooms", ""),
    "participants": lambda node: node.get("participants", ""),
    "region": lambda node: node.get("region", ""),
    "version": lambda node: node.get("version", ""),
    "public": lambda node: node.get("public_url") or "",
    "admin": lambda node: node.get("admin_url") or "",
}


@on_remote
def list_nodes(remote: Remote) -> None:
    """List the routers that share a store, with their load."""
    remote.show_list(remote.client.read_all("/v1/nodes"), COLUMNS)
