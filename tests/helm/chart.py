"""Renders the chart with the real helm, and reads what came out."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

Json = dict[str, Any]

ROOT = Path(__file__).parent.parent.parent
CHART = ROOT / "helm" / "fork-router"
TOOLS = Path(os.environ.get("HELM_TOOLS", ROOT / ".tools"))
TIMEOUT_S = 50.0

MODES = ("hostPort", "hostNetwork", "nodePortPerPod", "loadBalancerPerPod", "turnOnly")
PER_POD = ("nodePortPerPod", "loadBalancerPerPod")
ON_HOST = ("hostPort", "hostNetwork")


def find_tool(name: str) -> str | None:
    """A program that `helm/install-tools` installed, or one of this machine."""
    return shutil.which(name, path=str(TOOLS / "bin")) or shutil.which(name)


HELMS = [name for name in ("helm", "helm3") if find_tool(name)]
needs_helm = pytest.mark.skipif(not HELMS, reason="needs helm: helm/install-tools helm")
each_helm = pytest.mark.parametrize("helm", HELMS or ["helm"])


def run_helm(*arguments: str, helm: str = "") -> "subprocess.CompletedProcess[str]":
    program = find_tool(helm or HELMS[0])
    assert program is not None
    environment = {**os.environ, "HELM_CACHE_HOME": "/tmp/helm-cache", "HELM_CONFIG_HOME": "/tmp/helm-config"}
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, env=environment)


def merge(*values: Mapping[str, Any]) -> Json:
    """The later ones win, section by section."""
    merged: Json = {}
    for value in values:
        for key, part in value.items():
            old = merged.get(key)
            merged[key] = merge(old, part) if isinstance(old, dict) and isinstance(part, Mapping) else part
    return merged


def nest(path: str, value: Any) -> Json:
    """`a.b` and 1: {"a": {"b": 1}}."""
    for name in reversed(path.split(".")):
        value = {name: value}
    return dict(value)


class Rendered:
    """What one installation would create."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Json] = [made for made in yaml.safe_load_all(text) if made]

    def of_kind(self, kind: str) -> list[Json]:
        return [made for made in self.objects if made["kind"] == kind]

    def one(self, kind: str, name: str | None = None) -> Json:
        found = [made for made in self.of_kind(kind) if name in (None, made["metadata"]["name"])]
        assert len(found) == 1, f"{kind} {name}: {[made['metadata']['name'] for made in found]}"
        return found[0]

    @property
    def workload(self) -> Json:
        return (self.of_kind("Deployment") + self.of_kind("StatefulSet"))[0]

    @property
    def pod(self) -> Json:
        spec: Json = self.workload["spec"]["template"]["spec"]
        return spec

    @property
    def container(self) -> Json:
        container: Json = self.pod["containers"][0]
        return container

    @property
    def env(self) -> dict[str, Json]:
        return {entry["name"]: entry for entry in self.container["env"]}

    @property
    def config(self) -> Json:
        settings: Json = yaml.safe_load(self.one("ConfigMap", "r-fork-router")["data"]["router.yaml"])
        return settings


def render_text(values: Mapping[str, Any], *, helm: str = "", kubernetes: str = "1.34.0") -> str:
    done = helm_template(values, helm=helm, kubernetes=kubernetes)
    assert done.returncode == 0, done.stderr
    return done.stdout


def helm_template(
    values: Mapping[str, Any], *, helm: str = "", kubernetes: str = "1.34.0"
) -> "subprocess.CompletedProcess[str]":
    given = ["--set-json", *[f"{key}={json.dumps(value)}" for key, value in values.items()]] if values else []
    pairs = [part for pair in given[1:] for part in ("--set-json", pair)]
    return run_helm(
        "template", "r", str(CHART), "--namespace", "media", "--kube-version", kubernetes, *pairs, helm=helm
    )


def render(values: Mapping[str, Any] | None = None, *, mode: str | None = None) -> Rendered:
    given = merge(values or {}, {"media": {"exposure": mode}} if mode else {})
    return Rendered(render_text(given))


def refusal(values: Mapping[str, Any]) -> str:
    """Why helm refuses them."""
    done = helm_template(values)
    assert done.returncode != 0, "rendered, but should have been refused"
    return done.stderr


def expand(text: str, known: Mapping[str, str]) -> str:
    """As the kubelet does: $(NAME) where NAME stands further up, and $$ for $."""
    return re.sub(r"\$\(([A-Za-z_]\w*)\)", lambda found: known.get(found[1], found[0]), text)


def environment_of(
    container: Json, secrets: Mapping[str, Mapping[str, str]], fields: Mapping[str, str]
) -> dict[str, str]:
    """What the container's process would see."""
    known: dict[str, str] = {}
    for entry in container["env"]:
        source = entry.get("valueFrom", {})
        if "secretKeyRef" in source:
            wanted = source["secretKeyRef"]
            held = secrets.get(wanted["name"], {}) if wanted.get("optional") else secrets[wanted["name"]]
            if wanted["key"] in held or not wanted.get("optional"):
                known[entry["name"]] = held[wanted["key"]]
        elif "fieldRef" in source:
            known[entry["name"]] = fields[source["fieldRef"]["fieldPath"]]
        else:
            known[entry["name"]] = expand(entry["value"], known)
    return known
