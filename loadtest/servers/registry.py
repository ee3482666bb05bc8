"""All servers by name. An adapter is imported when its server is wanted: one that lacks a library harms nobody."""

from importlib import import_module

from loadtest.servers import Server

ADAPTERS = {
    "fork-router": ("loadtest.servers.fork_router", "ForkRouter"),
    "floor": ("loadtest.servers.floor", "Floor"),
    "floor-clear": ("loadtest.servers.floor", "ClearFloor"),
}


def create_server(name: str) -> Server:
    """A server that was not started yet."""
    module, cls = ADAPTERS[name]
    made: Server = getattr(import_module(module), cls)()
    return made
