"""Writes the Grafana dashboards beside it, as Classic JSON, from panels.yaml: `python config/grafana/generate.py`."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
MATCH: Final = 'namespace=~"$namespace",job=~"$job",instance=~"$instance"'
COLUMNS: Final = 24
SIZES: Final = {"stat": (3, 4), "timeseries": (8, 7), "text": (24, 6)}
SCHEMA_VERSION: Final = 41
GREEN_TO_RED: Final = ("green", "orange", "red")

Json = dict[str, Any]


def restrict(query: str) -> str:
    """`metric{}` and `metric{direction="in"}` with what the variables choose."""
    return query.replace("{}", f"{{{MATCH}}}").replace("{direction", f"{{{MATCH},direction")


def make_panel(panel: Json, number: int, x: int, y: int) -> Json:
    """One panel at its place."""
    kind = "text" if "markdown" in panel else panel.get("kind", "timeseries")
    width, height = SIZES[kind]
    place = {"x": x, "y": y, "w": width, "h": height}
    common = {"id": number, "type": kind, "title": panel["title"], "gridPos": place}
    if kind == "text":
        return {**common, "options": {"mode": "markdown", "content": panel["markdown"]}}
    return {
        **common,
        "description": panel["text"],
        "datasource": SOURCE,
        "fieldConfig": {"defaults": make_defaults(panel, kind), "overrides": []},
        "options": make_options(kind),
        "targets": [
            {
                "datasource": SOURCE,
                "refId": chr(ord("A") + index),
                "expr": restrict(query),
                "legendFormat": legend or "__auto",
            }
            for index, (legend, query) in enumerate(panel["queries"].items())
        ],
    }


def make_defaults(panel: Json, kind: str) -> Json:
    """Unit, colours, and how lines are drawn."""
    limits, stacked = panel.get("limits", []), panel.get("stacked", False)
    steps = [{"color": color, "value": at} for color, at in zip(GREEN_TO_RED, (None, *limits), strict=False)]
    defaults: Json = {"unit": panel["unit"], "min": 0, "thresholds": {"mode": "absolute", "steps": steps}}
    if kind == "timeseries":
        defaults["custom"] = {
            "fillOpacity": 20 if stacked else 5,
            "stacking": {"mode": "normal" if stacked else "none"},
            "thresholdsStyle": {"mode": "line" if limits else "off"},
        }
    return defaults


def make_options(kind: str) -> Json:
    """Legend and tooltip, or the sparkline of a number."""
    if kind == "stat":
        return {"colorMode": "value", "graphMode": "area", "reduceOptions": {"calcs": ["lastNotNull"]}}
    return {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def lay_out(rows: dict[str, list[Json]]) -> Iterator[Json]:
    """Rows of panels from left to right, each under its heading."""
    number, y = 1, 0
    for title, panels in rows.items():
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": place}
        number, y, x, height = number + 1, y + 1, 0, 0
        for panel in panels:
            made = make_panel(panel, number, x, y)
            place = made["gridPos"]
            if x + place["w"] > COLUMNS:
                y, x = y + height, 0
                place.update(x=x, y=y)
            yield made
            number, x, height = number + 1, x + place["w"], place["h"]
        y += height


def make_variables() -> list[Json]:
    """The data source, then labels that narrow each other."""

    def choose(name: str, matching: str) -> Json:
        query = f"label_values(sfu_build_info{matching}, {name})"
        return {
            "name": name,
            "label": name,
            "type": "query",
            "datasource": SOURCE,
            "definition": query,
            "query": {"query": query, "refId": name},
            "refresh": 2,
            "sort": 1,
            "multi": True,
            "includeAll": True,
            # Matches a missing label too: outside of Kubernetes there is no namespace.
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }

    return [
        {"name": "datasource", "label": "datasource", "type": "datasource", "query": "prometheus"},
        choose("namespace", ""),
        choose("job", '{namespace=~"$namespace"}'),
        choose("instance", '{namespace=~"$namespace",job=~"$job"}'),
    ]


def make_dashboard(name: str, rows: dict[str, list[Json]]) -> Json:
    """One dashboard, with links to the others."""
    link = {
        "type": "dashboards",
        "title": "fork-router",
        "icon": "dashboard",
        "tooltip": "",
        "targetBlank": False,
        "tags": ["fork-router"],
        "asDropdown": False,
        "keepTime": True,
        "includeVars": True,
    }
    return {
        "id": None,
        "uid": f"fork-router-{name}",
        "title": f"fork-router: {name}",
        "tags": ["fork-router", "webrtc"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "",
        "templating": {"list": make_variables()},
        "annotations": {"list": []},
        "links": [link],
        "panels": list(lay_out(rows)),
    }


def make_files() -> dict[Path, str]:
    """What belongs into each file."""
    boards = yaml.safe_load((HERE / "panels.yaml").read_text())
    return {
        HERE / f"{name}.json": json.dumps(make_dashboard(name, rows), indent=1) + "\n" for name, rows in boards.items()
    }


def main() -> None:
    """Writes them."""
    for path, text in make_files().items():
        path.write_text(text)


if __name__ == "__main__":
    main()
