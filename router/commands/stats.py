"""`router stats`: what flows in a room, one row per stream, from W3C webrtc-stats."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from router.commands.people import find_participant
from router.commands.remote import Remote, RoomName, on_remote
from router.tables import print_json, print_table

if TYPE_CHECKING:
    from router.commands.client import Item

COLUMNS: Final = ("who", "stream", "mid", "codec", "kbit/s", "packets", "lost", "rtt ms", "why")
_SENDS: Final[Mapping[str, Callable[["Item", "Item"], Any]]] = {
    "packets": lambda stat, _: stat.get("packetsReceived", ""),
    "lost": lambda stat, _: stat.get("packetsLost", ""),
}
_RECEIVES: Final[Mapping[str, Callable[["Item", "Item"], Any]]] = {
    "packets": lambda stat, _: stat.get("packetsSent", ""),
    "lost": lambda _, report: report.get("packetsLost", ""),
}


@on_remote
def show_stats(
    remote: Remote,
    room: RoomName,
    participant: Annotated[str | None, typer.Argument(help="Id or identity of one participant.")] = None,
) -> None:
    """Show what flows in a room, per stream."""
    from router.commands.client import join_path

    if participant is None:
        found = list(remote.client.read_all(join_path("rooms", room, "stats")))
    else:
        id_ = find_participant(remote.client, room, participant)
        found = [remote.client.read(join_path("rooms", room, "participants", id_, "stats"))]
    if remote.as_json:
        print_json(found)
    else:
        print_table(COLUMNS, (row for entry in found for row in _stream_rows(entry)))


def _stream_rows(entry: "Item") -> Iterator[list[Any]]:
    stats = [stat for stat in entry.get("stats", ()) if isinstance(stat, dict)]
    by_id = {stat.get("id"): stat for stat in stats}
    for stat in stats:
        if stat.get("type") not in ("inbound-rtp", "outbound-rtp"):
            continue
        sends = stat["type"] == "inbound-rtp"
        report: Item = by_id.get(stat.get("remoteId"), {})
        counts = _SENDS if sends else _RECEIVES
        yield [
            entry.get("name") or entry.get("identity", ""),
            " ".join(filter(None, ["sends" if sends else "receives", stat.get("kind"), stat.get("rid")])),
            stat.get("mid", ""),
            by_id.get(stat.get("codecId"), {}).get("mimeType", "").partition("/")[2],
            round(stat.get("bitrate", 0) / 1000),
            *(read(stat, report) for read in counts.values()),
            round(report["roundTripTime"] * 1000, 1) if "roundTripTime" in report else "",
            stat.get("reason", ""),
        ]
