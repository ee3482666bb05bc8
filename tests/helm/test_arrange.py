"""The init container's script: addresses from what the API says, ports from the pod's index."""

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from tests.helm.chart import CHART


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("arrange", CHART / "files" / "arrange.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


arrange = load()
ANNOTATION = "fork-router/announced-address"


def node(addresses: dict[str, str], annotations: dict[str, str] | None = None) -> dict[str, Any]:
    listed = [{"type": kind, "address": address} for kind, address in addresses.items()]
    metadata = {"name": "n1", **({"annotations": annotations} if annotations else {})}
    return {"metadata": metadata, "status": {"addresses": listed}}


def never(name: str) -> list[str]:
    raise AssertionError(name)


def test_a_nodes_annotation_wins_over_its_external_address() -> None:
    both = node({"InternalIP": "10.0.0.1", "ExternalIP": "198.51.100.1"}, {ANNOTATION: "203.0.113.1, 2001:db8::1"})
    assert arrange.addresses_of_node(both, ANNOTATION) == ["203.0.113.1", "2001:db8::1"]
    external = node({"InternalIP": "10.0.0.1", "ExternalIP": "198.51.100.1"})
    assert arrange.addresses_of_node(external, ANNOTATION) == ["198.51.100.1"]


def test_an_internal_address_is_never_announced_for_a_node() -> None:
    with pytest.raises(arrange.NotYetError, match="n1 has neither"):
        arrange.addresses_of_node(node({"InternalIP": "10.0.0.1", "Hostname": "n1"}), ANNOTATION)


def test_a_load_balancer_tells_addresses_or_a_name() -> None:
    service = {"metadata": {"name": "s"}, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}}}
    assert arrange.addresses_of_service(service, never) == ["203.0.113.5"]
    service["status"] = {"loadBalancer": {"ingress": [{"hostname": "lb.example"}]}}
    assert arrange.addresses_of_service(service, lambda name: [f"of {name}"]) == ["of lb.example"]


@pytest.mark.parametrize("status", [{}, {"loadBalancer": {}}, {"loadBalancer": {"ingress": []}}])
def test_a_load_balancer_without_an_address_is_waited_for(status: dict[str, Any]) -> None:
    with pytest.raises(arrange.NotYetError, match="no load balancer address yet"):
        arrange.addresses_of_service({"metadata": {"name": "s"}, "status": status}, never)


def test_each_pod_asks_for_what_is_its_own() -> None:
    asked: list[str] = []

    def read(path: str) -> dict[str, Any]:
        asked.append(path)
        return {
            **node({"ExternalIP": "198.51.100.1"}),
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.5"}]}},
        }

    environment = {
        "NODE_NAME": "n1",
        "NODE_ANNOTATION": ANNOTATION,
        "SERVICE_PREFIX": "r-media-",
        "POD_INDEX": "2",
        "NAMESPACE": "media",
        "ADDRESSES": "203.0.113.1,203.0.113.2,203.0.113.3",
    }
    assert arrange.discover({**environment, "DISCOVERY": "service"}, read, never) == ["203.0.113.5"]
    assert asked == ["/api/v1/namespaces/media/services/r-media-2"]
    assert arrange.discover({**environment, "DISCOVERY": "fixedPerPod"}, never, never) == ["203.0.113.3"]
    assert arrange.discover({**environment, "DISCOVERY": "hostIP"}, never, never) == []


def test_a_pods_node_port_is_the_port_that_it_binds() -> None:
    settings = {"media": {"udp_port": 30000, "workers": 2}, "log": {"level": "debug"}}
    environment = {"FIRST_NODE_PORT": "30000", "POD_INDEX": "3", "WORKERS": "2"}
    arranged = arrange.arrange(settings, environment, ["203.0.113.1"])
    assert arranged["media"] == {"udp_port": 30006, "workers": 2, "announced_addresses": ["203.0.113.1"]}
    assert arranged["log"] == {"level": "debug"}
    assert arrange.arrange(settings, {}, []) == settings


def test_the_program_writes_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.yaml").write_text("media: {udp_port: 30000}\n")
    environment = {
        "DISCOVERY": "fixedPerPod",
        "ADDRESSES": "203.0.113.1,203.0.113.2",
        "POD_INDEX": "1",
        "TIMEOUT_S": "0",
        "SETTINGS": str(tmp_path / "in.yaml"),
        "ARRANGED": str(tmp_path / "out.yaml"),
    }
    arrange.main(environment)
    written = yaml.safe_load((tmp_path / "out.yaml").read_text())
    assert written == {"media": {"udp_port": 30000, "announced_addresses": ["203.0.113.2"]}}
    assert capsys.readouterr().out == "announced addresses: 203.0.113.2; UDP port: 30000\n"
    (tmp_path / "in.yaml").write_text("media: {ice_servers: [{urls: turn:t, credential: hunter2}]}\n")
    arrange.main({**environment, "DISCOVERY": "hostIP"})
    assert capsys.readouterr().out == "announced addresses: as set; UDP port: as set\n"


def test_the_program_gives_up_in_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(*_: Any) -> list[str]:
        raise arrange.NotYetError("service s has no load balancer address yet")

    monkeypatch.setattr(arrange, "discover", fail)
    with pytest.raises(SystemExit, match="gave up"):
        arrange.main({"TIMEOUT_S": "0"})
    assert "no load balancer address yet" in capsys.readouterr().err
