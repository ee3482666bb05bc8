"""All servers by name. An adapter is imported when its server is wanted: one that lacks a library harms nobody."""

from importlib import import_module

from loadtest.servers import Server

ADAPTERS: dict[str, tuple[str, str, dict[str, object]]] = {
    "fork-router": ("fork_router", "ForkRouter", {}),
    "floor": ("floor", "Floor", {}),
    "floor-clear": ("floor", "ClearFloor", {}),
    "janus": ("janus", "Janus", {}),
    "janus-1": ("janus", "Janus", {"event_loops": 1}),
    "livekit": ("livekit", "LiveKit", {}),
    "livekit-batch": ("livekit", "LiveKit", {"batch": True}),
    "pulsebeam": ("pulsebeam", "PulseBeam", {}),
    "mediamtx": ("mediamtx", "MediaMtx", {}),
    "aiortc": ("media_relay", "AiortcRelay", {}),
}
WHIP = "whip:"
WHIP_PARTS = ("http://", "token=", "pid=")


def split_names(text: str) -> list[str]:
    """Names separated by commas; those after `whip:` that are its URLs and options stay with it."""
    names: list[str] = []
    for part in (part.strip() for part in text.split(",")):
        if names and names[-1].startswith(WHIP) and part.startswith(WHIP_PARTS):
            names[-1] += f",{part}"
        else:
            names.append(part)
    return names


def create_server(name: str) -> Server:
    """A server that was not started yet; `whip:` goes on with the URLs of one that runs (whip.py)."""
    whip: tuple[str, str, dict[str, object]] = ("whip", "Whip", {"specification": name.removeprefix(WHIP)})
    module, cls, arguments = whip if name.startswith(WHIP) else ADAPTERS[name]
    made: Server = getattr(import_module(f"loadtest.servers.{module}"), cls)(**arguments)
    return made
