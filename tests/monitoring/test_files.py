"""Rules and boards name metrics that a router has and pages that are there; boards keep to Grafana's conventions."""

import asyncio
import importlib.util
import json
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from router.config import load_settings
from router.metrics import PEER_FAULTS
from router.server import RouterServer
from tests.helm.chart import ROOT, find_tool

CONFIG = ROOT / "config"
RULES = sorted((CONFIG / "prometheus").glob("*.rules.yaml"))
BOARDS = sorted((CONFIG / "grafana").glob("*.json"))
PROMTOOL = find_tool("promtool")
Json = dict[str, Any]
ONLY_ASKED_FOR = {
    "sfu_datagrams": "packets of all protocols; boards show RTP",
    "sfu_drain_started_timestamp_seconds": "`GET /v1/drain` says it with the deadline",
    "sfu_event_listeners": "of dashboards; refused ones are told",
    "sfu_event_loop_delay_seconds": "the spread behind the lag, for its runbook",
    "sfu_events": "how busy rooms are, by kind",
    "sfu_forks": "sessions; boards show participants",
    "sfu_mirrors": "of rooms that are spread over threads",
    "sfu_receive_batches": "packets a system call, with sfu_datagrams",
    "sfu_rtp_padded_packets": "what evening out sizes costs",
    "sfu_rtp_padding_bytes": "the same in bytes",
    "sfu_send_batches": "as sfu_receive_batches",
    "sfu_worker_cpu": "which thread runs where",
}
"""On no board and in no rule, and why they are there."""


def rules() -> list[Json]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[Json]:
    return [rule for rule in rules() if "alert" in rule]


def panels(board: Json) -> Iterator[Json]:
    """Those that draw something."""
    for panel in board["panels"]:
        if panel["type"] not in ("row", "text"):
            yield panel


def queries() -> list[str]:
    boards = [json.loads(path.read_text()) for path in BOARDS]
    return [target["expr"] for board in boards for panel in panels(board) for target in panel["targets"]]


def sample_names(metric: Metric) -> set[str]:
    endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(metric.type, [""])
    return {metric.name + ending for ending in endings}


@cache
def exposed() -> set[str]:
    """Names of everything that a router tells on a real scrape, also of what has no sample yet."""
    return {name for family in text_string_to_metric_families(exposition()) for name in sample_names(family)}


async def scrape() -> str:
    """Of a router as users start it."""
    free = {"public": {"port": 0}, "admin": {"port": 0}, "media": {"udp_port": 0, "addresses": ["127.0.0.1"]}}
    async with RouterServer(load_settings(flags={"dev": True, **free})) as server, httpx.AsyncClient() as client:
        return (await client.get(f"http://127.0.0.1:{server.admin_port}/metrics")).text


@cache
def exposition() -> str:
    return asyncio.run(scrape())


def names_in(query: str) -> set[str]:
    return set(re.findall(r"\bsfu[_:][a-z0-9_:]+", query))


def test_rules_and_dashboards_name_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    used = set().union(*(names_in(query) for query in [*queries(), *(rule["expr"] for rule in rules())]))
    assert used - exposed() - recorded == set()
    assert recorded - used <= {"sfu:rtp_bits:rate5m", "sfu:bandwidth_limited:ratio"}, "recorded for nobody"


def test_every_metric_is_described_named_and_looked_at() -> None:
    told = [*queries(), *(rule["expr"] for rule in rules())]
    used = set().union(*map(names_in, told))
    ours = [m for m in text_string_to_metric_families(exposition()) if not m.name.startswith("process_")]
    for family in ours:
        assert family.name.startswith("sfu_"), family.name
        assert family.documentation.endswith("."), family.name
        assert family.type in ("counter", "gauge", "histogram"), family.name
    unseen = {family.name for family in ours if not sample_names(family) & used}
    assert unseen == set(ONLY_ASKED_FOR)


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: helm/install-tools promtool")
def test_promtool_finds_no_fault_with_a_scrape() -> None:
    assert PROMTOOL is not None
    command = [PROMTOOL, "check", "metrics"]
    done = subprocess.run(command, input=exposition(), capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_labels_in_queries_exist() -> None:
    """A selector on a label value that the code never writes would match nothing, and never alert."""
    stages = {stage for stage, _ in PEER_FAULTS} | {"admission"}
    for query in [*queries(), *(rule["expr"] for rule in rules())]:
        for direction in re.findall(r'direction="(\w+)"', query):
            assert direction in ("in", "out")
        for stage in re.findall(r'stage="(\w+)"', query):
            assert stage in stages
        for limited in re.findall(r'limited_by="(\w+)"', query):
            assert f'"{limited}"' in (ROOT / "router" / "engine_stats.py").read_text()


def test_every_alert_has_its_runbook_and_no_page_is_left_over() -> None:
    for alert in alerts():
        assert alert["annotations"]["runbook_url"] == f"config/runbooks/{alert['alert']}.md"
        assert alert["labels"]["severity"] in ("critical", "warning", "info")
        assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    pages = {path.stem for path in (CONFIG / "runbooks").glob("*.md")}
    assert pages == {alert["alert"] for alert in alerts()}


@pytest.mark.parametrize("page", sorted((CONFIG / "runbooks").glob("*.md")), ids=lambda page: page.stem)
def test_runbooks_say_what_it_means_and_what_to_do(page: Path) -> None:
    text = page.read_text()
    assert text.startswith(f"# {page.stem}\n")
    assert "**Means**" in text
    assert "**Do**" in text
    assert names_in(text) <= exposed() | {name.removesuffix("_bucket") for name in exposed()}


def test_dashboards_are_in_step_with_their_panels() -> None:
    generator = load(CONFIG / "grafana" / "generate.py")
    stale = [path.name for path, text in generator.make_files().items() if path.read_text() != text]
    assert stale == [], "run: make chart"


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_dashboards", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_dashboards_can_be_provisioned(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["id"] is None
    assert board["uid"] == f"fork-router-{path.stem}"
    assert "__inputs" not in board
    assert 39 <= board["schemaVersion"] <= 42
    first, *others = board["templating"]["list"]
    assert (first["type"], first["query"]) == ("datasource", "prometheus")
    source = {"type": "prometheus", "uid": "${datasource}"}
    assert all(variable["datasource"] == source for variable in others)
    for panel in panels(board):
        assert panel["datasource"] == source
        assert panel["type"] in ("stat", "timeseries")
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["description"].endswith(".")
        assert all("$namespace" in target["expr"] for target in panel["targets"])
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert len(path.read_text()) < 500_000


@pytest.mark.parametrize("path", BOARDS, ids=lambda path: path.stem)
def test_panels_do_not_overlap(path: Path) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(path.read_text())["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


@pytest.mark.skipif(PROMTOOL is None, reason="needs promtool: helm/install-tools promtool")
def test_queries_of_dashboards_are_promql(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    plain = [query.replace("$__rate_interval", "5m") for query in queries()]
    made = [{"record": f"sfu:query:{index}", "expr": query} for index, query in enumerate(plain)]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": made}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stdout + done.stderr
