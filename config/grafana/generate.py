"""Writes the two Grafana dashboards beside it, as Classic JSON, from the tables below: `python config/grafana/generate.py`.

*Overview* answers "are joins failing, is a node full, is something down", *media* answers "is media late, why does it
look bad". No panel shows a room or a participant: metrics have no such labels; `router stats` and the admin plane do.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).parent
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
MATCH: Final = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'
COLUMNS: Final = 24
SCHEMA_VERSION: Final = 41
GREEN_TO_RED: Final = ("green", "orange", "red")

Json = dict[str, Any]


@dataclass(frozen=True)
class Panel:
    """One panel; `queries` are pairs of legend and PromQL, in which METRIC{} gains the variables' labels."""

    title: str
    unit: str
    queries: Sequence[tuple[str, str]]
    text: str
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    limits: tuple[float, ...] = ()
    """Where a value becomes orange, and red."""


def stat(title: str, unit: str, query: str, text: str, *limits: float) -> Panel:
    return Panel(title, unit, [("", query)], text, "stat", 3, limits=limits)


OVERVIEW: Final[dict[str, list[Panel]]] = {
    "Now": [
        stat("Routers", "none", "count(sfu_engine_up{} == 1)", "Routers whose engine answers."),
        stat("Rooms", "none", "sum(sfu_rooms{})", "Open rooms."),
        stat("Participants", "none", "sum(sfu_participants{})", "Participants of all rooms."),
        stat(
            "Bits in", "bps", 'sum(8 * rate(sfu_rtp_bytes_total{direction="in"}[$__rate_interval]))', "Media received."
        ),
        stat("Bits out", "bps", 'sum(8 * rate(sfu_rtp_bytes_total{direction="out"}[$__rate_interval]))', "Media sent."),
        stat("Load", "percentunit", "max(sfu:load:ratio{})", "The fullest router's busiest engine thread.", 0.6, 0.85),
        stat(
            "Failed joins",
            "percentunit",
            "sum(sfu:forks_refused:rate5m{}) / (sum(sfu:join_attempts:rate5m{}) > 0)",
            "In five minutes.",
            0.02,
            0.05,
        ),
        stat(
            "Lost in sockets", "pps", "sum(sfu:kernel_drops:rate5m{})", "Datagrams that the kernel dropped.", 0.001, 1
        ),
    ],
    "Who is here": [
        Panel("Participants", "none", [("{{instance}}", "sfu_participants{}")], "By router.", stacked=True),
        Panel("Rooms", "none", [("{{instance}}", "sfu_rooms{}")], "By router.", stacked=True),
        Panel(
            "Tracks and subscriptions",
            "none",
            [
                ("published {{kind}}", "sum by (kind) (sfu_tracks_published{})"),
                ("shown {{kind}}", "sum by (kind) (sfu_subscriptions{})"),
            ],
            "Tracks, and slots that show one.",
        ),
    ],
    "Are joins failing?": [
        Panel(
            "Joins a second",
            "reqps",
            [("{{transport}}", "sum by (transport) (rate(sfu_sessions_started_total{}[$__rate_interval]))")],
            "Sessions answered.",
        ),
        Panel(
            "Refused joins by reason",
            "reqps",
            [("{{reason}}", "sum by (reason) (rate(sfu_forks_refused_total{}[$__rate_interval]))")],
            "Answers and forks that came to nothing.",
        ),
        Panel(
            "Ends by reason",
            "reqps",
            [("{{reason}}", "sum by (reason) (rate(sfu_sessions_ended_total{}[$__rate_interval]))")],
            "Sessions that ended.",
        ),
        Panel(
            "Time to join",
            "s",
            [
                (
                    "half",
                    "histogram_quantile(0.5, sum by (le) (rate(sfu_join_duration_seconds_bucket{}[$__rate_interval])))",
                ),
                (
                    "19 of 20",
                    "histogram_quantile(0.95, sum by (le) (rate(sfu_join_duration_seconds_bucket{}[$__rate_interval])))",
                ),
            ],
            "From the request until media can flow.",
        ),
        Panel(
            "DTLS handshakes by result",
            "reqps",
            [("{{result}}", "sum by (result) (rate(sfu_dtls_handshakes_total{}[$__rate_interval]))")],
            "Handshakes that ended.",
        ),
        Panel(
            "Unanswered connectivity checks",
            "reqps",
            [("{{reason}}", "sum by (reason) (rate(sfu_ice_checks_dropped_total{}[$__rate_interval]))")],
            "Well-formed checks that Python did not answer.",
        ),
    ],
    "Is a node full?": [
        Panel(
            "Load",
            "percentunit",
            [("{{instance}}", "sfu:load:ratio{}")],
            "Share of its time that the busiest engine thread works.",
            limits=(0.6, 0.85),
        ),
        Panel(
            "Engine threads",
            "percentunit",
            [("{{instance}} {{worker}}", "rate(sfu_worker_busy_seconds_total{}[$__rate_interval])")],
            "Each thread's share.",
        ),
        Panel(
            "Event loop",
            "s",
            [("{{instance}}", "sfu_event_loop_lag_seconds{}")],
            "Worst lateness of Python in ten seconds.",
            limits=(0.5, 1),
        ),
    ],
    "Around": [
        Panel(
            "Redis", "none", [("{{instance}}", "sfu_redis_up{}")], "1: the last write succeeded; 0 also without Redis."
        ),
        Panel(
            "Moderation",
            "reqps",
            [("{{action}}", "sum by (action) (rate(sfu_moderation_actions_total{}[$__rate_interval]))")],
            "What moderators did.",
        ),
        Panel(
            "Versions",
            "none",
            [("{{version}}", "count by (version) (sfu_build_info{})")],
            "Routers by version.",
            stacked=True,
        ),
    ],
}

MEDIA: Final[dict[str, list[Panel]]] = {
    "Is media late?": [
        Panel(
            "Time in the router",
            "s",
            [
                (
                    "half",
                    "histogram_quantile(0.5, sum by (le) (rate(sfu_forward_delay_seconds_bucket{}[$__rate_interval])))",
                ),
                (
                    "99 of 100",
                    "histogram_quantile(0.99, sum by (le) (rate(sfu_forward_delay_seconds_bucket{}[$__rate_interval])))",
                ),
            ],
            "From receiving a packet to sending it.",
            limits=(0.005, 0.01),
        ),
        Panel(
            "Packets a second",
            "pps",
            [("{{direction}}", "sum by (direction) (rate(sfu_rtp_packets_total{}[$__rate_interval]))")],
            "RTP.",
        ),
        Panel(
            "Bits a second",
            "bps",
            [("{{direction}}", "sum by (direction) (8 * rate(sfu_rtp_bytes_total{}[$__rate_interval]))")],
            "With RTP header and tag.",
        ),
    ],
    "Is media lost?": [
        Panel(
            "Repairs",
            "percentunit",
            [("{{instance}}", "sfu:retransmissions:ratio5m{}")],
            "Packets sent again, of all sent.",
            limits=(0.02, 0.05),
        ),
        Panel(
            "Dropped by reason",
            "pps",
            [("{{reason}}", "sum by (reason) (rate(sfu_rtp_packets_dropped_total{}[$__rate_interval])) > 0")],
            "Packets refused or not wanted.",
        ),
        Panel(
            "Dropped by full sockets",
            "pps",
            [
                ("received", "sum(rate(sfu_kernel_drops_total{}[$__rate_interval]))"),
                ("sent {{class}}", "sum by (class) (rate(sfu_send_dropped_total{}[$__rate_interval]))"),
            ],
            "By the kernel on receipt, by us before sending.",
        ),
        Panel(
            "Feedback from receivers",
            "reqps",
            [
                ("NACK", 'sum(rate(sfu_rtcp_nack_total{direction="in"}[$__rate_interval]))'),
                ("PLI", 'sum(rate(sfu_rtcp_pli_total{direction="in"}[$__rate_interval]))'),
                ("FIR", 'sum(rate(sfu_rtcp_fir_total{direction="in"}[$__rate_interval]))'),
            ],
            "Messages received.",
        ),
        Panel(
            "Feedback to publishers",
            "reqps",
            [
                ("NACK", 'sum(rate(sfu_rtcp_nack_total{direction="out"}[$__rate_interval]))'),
                ("PLI", 'sum(rate(sfu_rtcp_pli_total{direction="out"}[$__rate_interval]))'),
            ],
            "Messages sent.",
        ),
        Panel(
            "Receive buffers",
            "bytes",
            [("{{instance}} {{worker}}", "sfu_receive_buffer_bytes{}")],
            "What the kernel granted.",
        ),
    ],
    "Why does it look bad?": [
        Panel(
            "Quality",
            "none",
            [
                (
                    "{{kind}} {{direction}}",
                    "sum by (kind, direction) (rate(sfu_quality_score_sum{}[$__rate_interval])) / "
                    "sum by (kind, direction) (rate(sfu_quality_score_count{}[$__rate_interval]))",
                )
            ],
            "Mean score, 1 to 4.5.",
        ),
        Panel(
            "Poor",
            "percentunit",
            [("{{instance}} {{kind}} {{direction}}", "sfu:poor_quality:ratio5m{}")],
            "Scores below 2.6.",
            limits=(0.1, 0.2),
        ),
        Panel(
            "Frozen",
            "percentunit",
            [("{{instance}}", "sfu:frozen:ratio5m{}")],
            "Share of time that pictures stand still.",
            limits=(0.01, 0.02),
        ),
        Panel(
            "Limited by",
            "none",
            [("{{limited_by}}", "sum by (limited_by) (sfu_video_slots_limited{})")],
            "What keeps video slots from their track's best.",
            stacked=True,
        ),
        Panel(
            "Heights shown",
            "none",
            [("{{height}}", "sum by (height) (sfu_video_slots_shown{})")],
            "Video slots by the picture's shorter side.",
            stacked=True,
        ),
        Panel(
            "Freezes", "reqps", [("{{instance}}", "rate(sfu_freezes_total{}[$__rate_interval])")], "Freezes that began."
        ),
    ],
    "How it is sent": [
        Panel(
            "Packets a message",
            "none",
            [
                (
                    "sent",
                    "sum(rate(sfu_gso_segments_total{}[$__rate_interval])) / sum(rate(sfu_gso_messages_total{}[$__rate_interval]))",
                ),
                (
                    "received",
                    "sum(rate(sfu_gro_segments_total{}[$__rate_interval])) / sum(rate(sfu_gro_datagrams_total{}[$__rate_interval]))",
                ),
            ],
            "Of messages that the kernel cut up or joined.",
        ),
        Panel(
            "Refused by the kernel",
            "pps",
            [
                ("errors", "sum(rate(sfu_send_errors_total{}[$__rate_interval]))"),
                ("waits", "sum(rate(sfu_send_waits_total{}[$__rate_interval]))"),
                ("unsegmented", "sum(rate(sfu_gso_fallbacks_total{}[$__rate_interval]))"),
            ],
            "What did not leave at once.",
        ),
        Panel(
            "Between threads",
            "pps",
            [
                ("handed over", "sum(rate(sfu_mirror_packets_total{}[$__rate_interval]))"),
                ("no room", "sum(rate(sfu_mirror_packets_dropped_total{}[$__rate_interval]))"),
            ],
            "Packets for other threads.",
        ),
    ],
}


def with_labels(query: str) -> str:
    """`metric{}` and `metric{a="b"}` restricted to what the variables choose."""
    return query.replace("{}", f"{{{MATCH}}}").replace("{direction", f"{{{MATCH},direction")


def panel_json(panel: Panel, number: int, x: int, y: int) -> Json:
    steps = [{"color": color, "value": at} for color, at in zip(GREEN_TO_RED, (None, *panel.limits), strict=False)]
    defaults: Json = {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 20 if panel.stacked else 5,
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if panel.limits else "off"},
        }
        options: Json = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    else:
        options = {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    targets = [
        {"datasource": SOURCE, "refId": chr(ord("A") + index), "expr": with_labels(query), "legendFormat": legend}
        for index, (legend, query) in enumerate(panel.queries)
    ]
    return {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.text, "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": 4 if panel.kind == "stat" else 7},
        "fieldConfig": {"defaults": defaults, "overrides": []}, "options": options, "targets": targets,
    }  # fmt: skip


def lay_out(rows: dict[str, list[Panel]]) -> Iterator[Json]:
    """Rows of panels from left to right, each under its heading."""
    number, y = 1, 0
    for title, panels in rows.items():
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
               "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": 1}}  # fmt: skip
        number, y, x = number + 1, y + 1, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + 7
            made = panel_json(panel, number, x, y)
            yield made
            number, x, height = number + 1, x + panel.width, made["gridPos"]["h"]
        y += height


def variables() -> list[Json]:
    def labels(name: str, of: str) -> Json:
        query = f"label_values(sfu_build_info{of}, {name})"
        return {
            "name": name, "label": name, "type": "query", "datasource": SOURCE, "definition": query,
            "query": {"query": query, "refId": name}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
            # Also those without the label: outside of Kubernetes there is no namespace.
            "allValue": ".*", "current": {"text": "All", "value": "$__all"},
        }  # fmt: skip

    source = {"name": "datasource", "label": "datasource", "type": "datasource", "query": "prometheus", "current": {}}
    return [
        source,
        labels("namespace", ""),
        labels("job", '{namespace=~"$namespace"}'),
        labels("instance", '{namespace=~"$namespace",job=~"$job"}'),
    ]


def dashboard(uid: str, title: str, rows: dict[str, list[Panel]]) -> Json:
    return {
        "id": None, "uid": uid, "title": title, "tags": ["fork-router", "webrtc"], "schemaVersion": SCHEMA_VERSION,
        "editable": True, "graphTooltip": 1, "refresh": "30s", "time": {"from": "now-3h", "to": "now"}, "timezone": "",
        "templating": {"list": variables()}, "annotations": {"list": []}, "panels": list(lay_out(rows)),
        "links": [{"type": "dashboards", "title": "fork-router", "tags": ["fork-router"], "keepTime": True, "includeVars": True}],
    }  # fmt: skip


def texts() -> dict[Path, str]:
    """What the files hold."""
    boards = {
        "overview.json": dashboard("fork-router-overview", "fork-router: overview", OVERVIEW),
        "media.json": dashboard("fork-router-media", "fork-router: media", MEDIA),
    }
    return {HERE / name: json.dumps(board, indent=1) + "\n" for name, board in boards.items()}


def main() -> None:
    """Writes them."""
    for path, text in texts().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
