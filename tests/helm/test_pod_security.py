"""Pod Security Standards, as the admission controller applies them: "restricted" where the mode allows it, and just the
host's ports or network beyond it elsewhere (kubernetes.io/docs/concepts/security/pod-security-standards)."""

from collections.abc import Iterator

import pytest

from tests.helm.chart import MODES, ON_HOST, Json, merge, needs_helm, render

pytestmark = needs_helm
ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}
EVERYTHING = {
    "media": {"workers": 2},
    "externalRedis": {
        "url": "rediss://:$(REDIS_PASSWORD)@redis:6379/0",
        "existingSecret": "redis",
        "tlsExistingSecret": "ca",
    },
}


SAFE_SYSCTLS = {"net.ipv4.ip_unprivileged_port_start"}
"""Those of the standard that the chart may set."""


def violations(pod: Json) -> Iterator[str]:
    yield from baseline_violations(pod)
    security = pod.get("securityContext", {})
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "seccompProfile"
    for volume in pod.get("volumes", ()):
        if not set(volume) - {"name"} <= ALLOWED_VOLUMES:
            yield f"volume {volume['name']}"
    for container in containers(pod):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield "allowPrivilegeEscalation"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
            yield "capabilities"
        if not own.get("runAsNonRoot", security.get("runAsNonRoot")):
            yield "runAsNonRoot"
        if own.get("runAsUser", security.get("runAsUser")) == 0:
            yield "runAsUser"


def baseline_violations(pod: Json) -> Iterator[str]:
    for name in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(name):
            yield name
    if not {sysctl["name"] for sysctl in pod.get("securityContext", {}).get("sysctls", ())} <= SAFE_SYSCTLS:
        yield "sysctls"
    for container in containers(pod):
        if any("hostPort" in port for port in container.get("ports", ())):
            yield "hostPort"
        if container.get("securityContext", {}).get("privileged"):
            yield "privileged"


def containers(pod: Json) -> list[Json]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


@pytest.mark.parametrize("mode", MODES)
def test_pods_break_only_what_their_mode_must(mode: str) -> None:
    expected = {mode} if mode in ON_HOST else set()
    values = merge(EVERYTHING, {"media": {"discovery": "node"}} if mode in ON_HOST else {"ports": {"public": 443}})
    rendered = render(values, mode=mode)
    assert set(violations(rendered.pod)) == expected
    assert set(violations(rendered.one("Pod")["spec"])) == set()


@pytest.mark.parametrize("mode", MODES)
def test_containers_cannot_write_their_image_and_have_no_token(mode: str) -> None:
    pod = render(EVERYTHING, mode=mode).pod
    assert all(container["securityContext"]["readOnlyRootFilesystem"] for container in containers(pod))
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_the_user_is_the_images() -> None:
    from tests.helm.chart import ROOT

    user = render().pod["securityContext"]["runAsUser"]
    assert f"USER {user}\n" in (ROOT / "Dockerfile").read_text()


@pytest.mark.parametrize("mode", MODES)
def test_no_secret_is_rendered(mode: str) -> None:
    rendered = render(EVERYTHING, mode=mode)
    assert rendered.of_kind("Secret") == []
    for name in ("ROUTER_AUTH__SECRETS", "ROUTER_ADMIN__TOKEN", "REDIS_PASSWORD"):
        assert "secretKeyRef" in rendered.env[name]["valueFrom"]
