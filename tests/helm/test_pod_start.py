"""In each mode the pod's router starts, is ready, announces what the mode promises, and ends on SIGTERM."""

import asyncio
import re
import socket
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.commands.client import AdminClient, Place
from router.doctor_remote import examine_remote
from tests.helm.chart import MODES, Json, needs_helm
from tests.helm.pod import Pod

pytestmark = [needs_helm, pytest.mark.timeout(90)]

TOKEN = sha256(b"admin").hexdigest()
SECRETS = {"r-fork-router-auth": {"secrets": sha256(b"join").hexdigest(), "admin-token": TOKEN}}
ANNOUNCED = {
    "hostPort": "127.0.0.1",
    "hostNetwork": "127.0.0.1",
    "nodePortPerPod": "127.0.0.1",
    "loadBalancerPerPod": "203.0.113.5",
    "turnOnly": "127.0.0.1",
}
SERVICE = "/api/v1/namespaces/media/services/r-fork-router-media-0"
NODE = "/api/v1/nodes/node-1"
OBJECTS: dict[str, Json] = {
    SERVICE: {
        "metadata": {"name": "r-fork-router-media-0"},
        "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}},
    },
    NODE: {
        "metadata": {"name": "node-1"},
        "status": {"addresses": [{"type": "ExternalIP", "address": "198.51.100.7"}]},
    },
}


def make(
    values: Mapping[str, Any],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    secrets: Mapping[str, Mapping[str, str]] = SECRETS,
    config_maps: Mapping[str, Mapping[str, str]] | None = None,
    address: str = "127.0.0.1",
) -> Pod:
    pod = Pod(values, secrets, folder, config_maps or {}, address)
    pod.arrange(OBJECTS, monkeypatch)
    return pod


async def read_offer(pod: Pod) -> tuple[str, Json]:
    """A room's offer by the public port, and the node's own entry, once all probes were passed."""
    async with pod.started() as router:
        for name in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert await router.probe(name) == 200, name
        headers = {"Authorization": f"Bearer {TOKEN}"}
        made = await router.http.post(f"{router.url('admin')}/v1/rooms", json={"name": "a"}, headers=headers)
        assert made.status_code == 201, made.text
        offer = await router.http.get(f"{router.url('public')}/rooms/a/offer")
        assert offer.status_code == 200
        nodes = (await router.http.get(f"{router.url('admin')}/v1/nodes", headers=headers)).json()
        return offer.text, nodes["items"][0]


def candidates(offer: str) -> set[tuple[str, int]]:
    return {
        (address, int(port)) for address, port in re.findall(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) ", offer, re.I)
    }


@pytest.mark.parametrize("mode", MODES)
async def test_the_router_of_a_pod_serves(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = make({"media": {"exposure": mode, "workers": 2}}, tmp_path, monkeypatch)
    offer, node = await read_offer(pod)
    first = first_port(pod)
    assert candidates(offer) == {(ANNOUNCED[mode], first), (ANNOUNCED[mode], first + 1)}
    assert node["id"] == "r-fork-router-0"


@pytest.mark.parametrize("mode", ["hostPort", "hostNetwork", "nodePortPerPod", "turnOnly"])
async def test_a_pod_may_have_ipv6_only(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Probes, the public port, the address for other nodes; and packets to what is announced are answered."""
    pod = make({"media": {"exposure": mode}}, tmp_path, monkeypatch, address="::1")
    offer, node = await read_offer(pod)
    assert candidates(offer) == {("::1", first_port(pod))}
    assert node["admin_url"] == f"http://[::1]:{pod.rendered.container['ports'][1]['containerPort']}"
    async with pod.started() as router:
        with AdminClient(Place(router.url("admin"), TOKEN)) as client:
            findings = await asyncio.to_thread(examine_remote, client, router.url("public"))
    assert [found for found in findings if found.status == "fail"] == []
    assert [found.name for found in findings if "::1" in found.name + found.detail] != []


def first_port(pod: Pod) -> int:
    """Where a client's packets reach the pod, by the port or the Service that the chart makes for it."""
    services = [made for made in pod.rendered.of_kind("Service") if made["metadata"]["name"].endswith("-media-0")]
    if services:
        (port, *_) = services[0]["spec"]["ports"]
        return int(port.get("nodePort", port["port"]))
    return int(next(port["containerPort"] for port in pod.rendered.container["ports"] if port["protocol"] == "UDP"))


@pytest.mark.parametrize("mode", ["hostPort", "nodePortPerPod"])
async def test_the_nodes_public_address_is_announced(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pod = make({"media": {"exposure": mode, "discovery": "node"}}, tmp_path, monkeypatch)
    offer, _ = await read_offer(pod)
    assert candidates(offer) == {("198.51.100.7", first_port(pod))}


@pytest.mark.parametrize("mode", ["hostPort", "nodePortPerPod"])
async def test_a_config_map_of_ones_own_changes_nothing_that_values_decide(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ports, threads and the admin port's address would otherwise be the router's defaults, and no probe would pass."""
    mine = {"router.yaml": "media: {udp_port: 7, workers: 3}\nrooms: {video_slots: 1}\ndrain: {deadline_s: 7}\n"}
    values = {"media": {"exposure": mode}, "existingConfigMap": "mine"}
    pod = make(values, tmp_path, monkeypatch, config_maps={"mine": mine})
    offer, _ = await read_offer(pod)
    assert candidates(offer) == {(ANNOUNCED[mode], first_port(pod))}
    assert re.findall(r"a=mid:v\d+", offer) == ["a=mid:v0"]


async def test_keys_and_tokens_from_files_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = {
        "r-fork-router-auth": {},
        "keys": {"keys.yaml": yaml.safe_dump({"backend": sha256(b"backend").hexdigest()})},
        "tokens": {"tokens.yaml": yaml.safe_dump({"operator": {"token": TOKEN, "scope": "write"}})},
    }
    values = {"auth": {"keyFile": {"existingSecret": "keys"}, "tokenFile": {"existingSecret": "tokens"}}}
    await read_offer(make(values, tmp_path, monkeypatch, secrets=secrets))


async def test_without_redis_a_pod_starts_and_stays_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        redis = {"url": f"redis://127.0.0.1:{closed.getsockname()[1]}/0"}
        async with make({"externalRedis": redis}, tmp_path, monkeypatch).started() as router:
            for name in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert await router.probe(name) == 200, name


async def test_a_pod_that_is_told_to_end_is_alive_and_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make({}, tmp_path, monkeypatch).started() as router:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        drained = await router.http.post(f"{router.url('admin')}/v1/drain", json={"exit": False}, headers=headers)
        assert drained.status_code < 300, drained.text
        assert await router.probe("readinessProbe") == 503
        assert await router.probe("livenessProbe") == 200
