"""Every mode, bare and with everything switched on, passes `helm lint --strict` and Kubernetes' own schemas."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.helm.chart import (
    CHART,
    MODES,
    PER_POD,
    TOOLS,
    Json,
    Rendered,
    each_helm,
    find_tool,
    merge,
    needs_helm,
    render_text,
    run_helm,
)

pytestmark = needs_helm

KUBECONFORM = find_tool("kubeconform")
SCHEMAS = TOOLS / "schemas"
VERSIONS = ("1.30.0", "1.34.0", "1.37.0")
needs_schemas = pytest.mark.skipif(
    KUBECONFORM is None or not SCHEMAS.exists(), reason="needs kubeconform: helm/install-tools kubeconform schemas"
)

EVERYTHING: Json = {
    "commonLabels": {"team": "media"},
    "replicaCount": 3,
    "media": {"workers": 2},
    "externalRedis": {
        "url": "rediss://:$(REDIS_PASSWORD)@redis:6379/0",
        "existingSecret": "redis",
        "tlsExistingSecret": "redis-ca",
    },
    "turn": {"uris": ["turn:turn.example:3478"], "existingSecret": "turn"},
    "publicUrl": "https://meet.example",
    "ingress": {"enabled": True, "className": "haproxy", "host": "meet.example", "tls": {"existingSecret": "tls"}},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["meet.example"]},
    "autoscaling": {"enabled": True},
    "networkPolicy": {"enabled": True, "extraEgress": [{"ports": [{"protocol": "TCP", "port": 443}]}]},
    "metrics": {
        "podMonitor": {"enabled": True, "labels": {"release": "kps"}, "interval": "15s", "scrapeTimeout": "10s"},
        "prometheusRule": {
            "enabled": True,
            "additionalRules": [{"alert": "Mine", "expr": 'sfu_rooms{namespace="{{ .Release.Namespace }}"} > 5'}],
        },
        "grafanaDashboards": {"enabled": True, "folder": "SFU"},
    },
    "priorityClassName": "media",
    "nodeSelector": {"pool": "media"},
    "tolerations": [{"key": "media", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
    "secretSettings": {"webhooks.key": {"name": "webhooks", "key": "key"}},
    "extraEnv": [{"name": "TZ", "value": "UTC"}],
    "extraVolumes": [{"name": "recordings", "emptyDir": {}}],
    "extraVolumeMounts": [{"name": "recordings", "mountPath": "/recordings"}],
    "extraObjects": ['{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{ .Release.Name }}-mine"}}'],
}
OF_MODE: dict[str, Json] = {
    "hostPort": {"media": {"discovery": "node"}},
    "hostNetwork": {"media": {"discovery": "stun", "stunServers": ["stun:stun.example:3478"]}},
    "nodePortPerPod": {"ingress": {"perPod": True}},
    "loadBalancerPerPod": {
        "ingress": {"perPod": True},
        "media": {"loadBalancer": {"publicPort": True, "class": "c/lb"}},
    },
    "turnOnly": {"turn": {"stunner": {"enabled": True, "gateway": "udp", "gatewayNamespace": "stunner"}}},
}
UNKNOWN_KINDS = "UDPRoute"
"""STUNner's, whose module is not on the proxy."""

NOTES_OBJECT = """
apiVersion: v1
kind: ConfigMap
metadata: {name: notes}
data:
  notes: |
    {{- include "notes" . | nindent 4 }}
"""


def values_of(mode: str, size: str) -> Json:
    bare: Json = {"media": {"exposure": mode}}
    if size == "keda":
        return merge(bare, {"keda": {"enabled": True}})
    return merge(EVERYTHING, OF_MODE[mode], bare) if size == "everything" else bare


@each_helm
@pytest.mark.parametrize("size", ["bare", "everything"])
@pytest.mark.parametrize("mode", MODES)
def test_lint(mode: str, size: str, helm: str, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(values_of(mode, size)))
    done = run_helm("lint", "--strict", str(CHART), "--values", str(file), helm=helm)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_schemas
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", ["bare", "everything", "keda"])
@pytest.mark.parametrize("mode", MODES)
def test_manifests_are_valid(mode: str, size: str, version: str) -> None:
    text = render_text(values_of(mode, size), kubernetes=version)
    report = validate(text, version)
    assert report["summary"]["invalid"] == report["summary"]["errors"] == 0, report["resources"]
    assert report["summary"]["valid"] >= 7
    assert report["summary"]["skipped"] == text.count(f"kind: {UNKNOWN_KINDS}")


@needs_schemas
def test_the_validator_refuses_what_is_wrong() -> None:
    text = render_text({})
    for right, wrong in (
        ("containerPort: 10000", "containerPort: many"),
        ("enableServiceLinks:", "enableServiceLink:"),
        ("unhealthyPodEvictionPolicy:", "unhealthyPolicy:"),
    ):
        assert right in text
        summary = validate(text.replace(right, wrong, 1), "1.34.0")["summary"]
        assert summary["invalid"] == 1, wrong
    monitor = render_text({"metrics": {"podMonitor": {"enabled": True}}})
    assert validate(monitor.replace("podMetricsEndpoints:", "podMetricsEndpoint:"), "1.34.0")["summary"]["invalid"] == 1


def validate(text: str, version: str) -> Json:
    assert KUBECONFORM is not None
    kubernetes = "kubernetes/{{ .NormalizedKubernetesVersion }}-strict/{{ .ResourceKind }}{{ .KindSuffix }}.json"
    resources = "resources/{{ .Group }}/{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json"
    options = ["-strict", "-summary", "-output", "json", "-kubernetes-version", version, "-skip", UNKNOWN_KINDS]
    locations = [part for place in (kubernetes, resources) for part in ("-schema-location", f"{SCHEMAS}/{place}")]
    command = [KUBECONFORM, *options, *locations, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=50)
    report: Json = json.loads(done.stdout)
    return report


@each_helm
def test_versions_render_the_same(helm: str) -> None:
    values = values_of("nodePortPerPod", "everything")
    assert Rendered(render_text(values, helm=helm)).objects == Rendered(render_text(values)).objects


@pytest.mark.parametrize("size", ["bare", "everything"])
@pytest.mark.parametrize("mode", MODES)
def test_notes_tell_the_truth_of_the_mode(mode: str, size: str, tmp_path: Path) -> None:
    notes = render_notes(values_of(mode, size), tmp_path)
    assert f"media by {mode}." in notes
    assert ('breaks Pod Security "baseline"' in notes or 'break Pod Security "baseline"' in notes) == (
        mode in ("hostPort", "hostNetwork")
    )
    if size == "bare":
        assert ("INTERNAL address" in notes) == (mode in ("hostPort", "hostNetwork", "nodePortPerPod"))
        assert ("turn.uris IS EMPTY" in notes) == (mode == "turnOnly")
        assert "create secret generic r-fork-router-auth" in notes
        assert "PODS" not in notes
    else:
        assert "create secret generic" in notes
        assert "5 PODS" in notes
        assert ("r-fork-router-4.meet.example" in notes) == (mode in PER_POD)
    assert not re.search(r"<no value>|%!|map\[", notes)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({}, "the same room would open once on each"),
        ({"externalRedis": {"url": "redis://r"}}, "told to come again (503 room-elsewhere)"),
        ({"externalRedis": {"url": "redis://r"}, "publicUrl": "https://one.example"}, "503 room-elsewhere"),
        ({"externalRedis": {"url": "redis://r"}, "publicUrl": "https://$(POD_NAME).example"}, "the right one (307)"),
    ],
)
def test_notes_tell_what_becomes_of_who_comes_to_the_wrong_pod(values: Json, told: str, tmp_path: Path) -> None:
    several = {"media": {"exposure": "nodePortPerPod"}, "replicaCount": 2}
    assert told in " ".join(render_notes(merge(several, values), tmp_path).split())


def test_notes_name_the_command_without_which_pods_do_not_start(tmp_path: Path) -> None:
    notes = render_notes({"media": {"discovery": "node", "nodeAnnotation": "example.org/address"}}, tmp_path)
    assert "kubectl annotate node NODE example.org/address=ADDRESS" in notes


def render_notes(values: Json, folder: Path) -> str:
    """Helm shows notes only when it installs: here they are put into a ConfigMap."""
    copy = folder / "fork-router"
    shutil.copytree(CHART, copy)
    notes = copy / "templates" / "NOTES.txt"
    (copy / "templates" / "_notes.tpl").write_text(
        f'{{{{- define "notes" -}}}}\n{notes.read_text()}\n{{{{- end -}}}}\n'
    )
    notes.unlink()
    (copy / "templates" / "notes.yaml").write_text(NOTES_OBJECT)
    file = folder / "values.yaml"
    file.write_text(yaml.safe_dump(values))
    done = run_helm(
        "template", "r", str(copy), "--namespace", "media", "--kube-version", "1.34.0", "--values", str(file),
        "--show-only", "templates/notes.yaml",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    text: str = yaml.safe_load(done.stdout)["data"]["notes"]
    return text
