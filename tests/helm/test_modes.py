"""What each exposure mode makes, and what holds in all of them."""

from pathlib import Path
from typing import Any

import pytest

from tests.helm.chart import MODES, ON_HOST, PER_POD, Json, environment_of, merge, needs_helm, render

pytestmark = needs_helm
SECRETS = {"r-fork-router-auth": {"secrets": "", "admin-token": ""}, "turn": {"username": "", "credential": ""}}
FIELDS = {
    "metadata.name": "p",
    "status.podIP": "10.1.2.3",
    "status.podIPs": "10.1.2.3",
    "status.hostIPs": "192.0.2.7",
}


def announced(rendered: Any) -> str | None:
    return environment_of(rendered.container, SECRETS, FIELDS).get("ROUTER_MEDIA__ANNOUNCED_ADDRESSES")


def udp_ports(container: Json) -> list[tuple[int, int | None]]:
    return [(port["containerPort"], port.get("hostPort")) for port in container["ports"] if port["protocol"] == "UDP"]


@pytest.mark.parametrize("mode", MODES)
def test_workload(mode: str) -> None:
    assert render(mode=mode).workload["kind"] == ("StatefulSet" if mode in PER_POD else "Deployment")


def test_host_port() -> None:
    rendered = render({"media": {"workers": 2}}, mode="hostPort")
    assert udp_ports(rendered.container) == [(10000, 10000), (10001, 10001)]
    assert "hostNetwork" not in rendered.pod
    assert announced(rendered) == "192.0.2.7"


@pytest.mark.parametrize("mode", MODES)
def test_a_pod_of_both_kinds_tells_both_addresses_of_its_node(mode: str) -> None:
    both = {**FIELDS, "status.podIPs": "10.1.2.3,fd00::3", "status.hostIPs": "192.0.2.7,2001:db8::7"}
    rendered = render(mode=mode)
    found = environment_of(rendered.container, SECRETS, both)
    expected = {"turnOnly": "10.1.2.3,fd00::3", "loadBalancerPerPod": None}.get(mode, "192.0.2.7,2001:db8::7")
    assert found.get("ROUTER_MEDIA__ANNOUNCED_ADDRESSES") == expected
    assert found["ROUTER_MEDIA__ADDRESSES"] == "*"
    if mode == "nodePortPerPod":
        media = next(each for each in rendered.of_kind("Service") if each["metadata"]["name"].endswith("-media-0"))
        assert media["spec"]["ipFamilyPolicy"] == "PreferDualStack"


def test_media_addresses_of_ones_own_stay() -> None:
    for values in ({"config": {"media": {"addresses": ["10.1.2.3"]}}}, {"existingConfigMap": "mine"}):
        assert "ROUTER_MEDIA__ADDRESSES" not in environment_of(render(values).container, SECRETS, FIELDS)


def test_host_network_keeps_the_admin_port_on_one_address() -> None:
    rendered = render(mode="hostNetwork")
    assert (rendered.pod["hostNetwork"], rendered.pod["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert environment_of(rendered.container, SECRETS, FIELDS)["ROUTER_ADMIN__HOST"] == "10.1.2.3"


def test_announcing_interfaces_announces_nothing_else() -> None:
    rendered = render({"media": {"discovery": "interfaces"}}, mode="hostNetwork")
    assert announced(rendered) is None


@pytest.mark.parametrize("mode", ON_HOST)
def test_host_modes_have_one_pod_per_node_and_replace_before_they_start(mode: str) -> None:
    rendered = render(mode=mode)
    (term,) = rendered.pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == rendered.workload["spec"]["selector"]["matchLabels"]
    assert rendered.workload["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_node_ports_are_the_ports_that_pods_bind() -> None:
    rendered = render({"replicaCount": 3, "media": {"workers": 2}}, mode="nodePortPerPod")
    services = [made for made in rendered.of_kind("Service") if made["spec"].get("type") == "NodePort"]
    assert len(services) == 3
    for index, service in enumerate(services):
        assert service["spec"]["selector"]["apps.kubernetes.io/pod-index"] == str(index)
        assert service["spec"]["externalTrafficPolicy"] == "Local"
        for worker, port in enumerate(service["spec"]["ports"]):
            number = 30000 + 2 * index + worker
            assert (port["port"], port["targetPort"], port["nodePort"]) == (number, number, number)
    (arrange,) = rendered.pod["initContainers"]
    given = {entry["name"]: entry.get("value") for entry in arrange["env"]}
    assert (given["FIRST_NODE_PORT"], given["WORKERS"]) == ("30000", "2")
    assert rendered.env["ROUTER_CONFIG"]["value"] == given["ARRANGED"] == "/run/fork-router/router.yaml"
    assert rendered.of_kind("Role") == rendered.of_kind("ClusterRole") == []


def test_a_load_balancer_for_each_pod_and_a_role_for_just_these() -> None:
    rendered = render({"replicaCount": 2}, mode="loadBalancerPerPod")
    services = [made for made in rendered.of_kind("Service") if made["spec"].get("type") == "LoadBalancer"]
    assert [service["spec"]["selector"]["apps.kubernetes.io/pod-index"] for service in services] == ["0", "1"]
    (rule,) = rendered.one("Role")["rules"]
    assert rule["resourceNames"] == [service["metadata"]["name"] for service in services]
    assert (rule["resources"], rule["verbs"]) == (["services"], ["get"])
    assert announced(rendered) is None


@pytest.mark.parametrize("mode", PER_POD)
def test_services_stay_while_the_pods_that_go_have_calls(mode: str) -> None:
    values = {"replicaCount": 1, "media": {"services": 3}, "ingress": {"enabled": True, "host": "m.e", "perPod": True}}
    rendered = render(values, mode=mode)
    assert rendered.workload["spec"]["replicas"] == 1
    names = {made["metadata"]["name"] for made in rendered.of_kind("Service")}
    assert {f"r-fork-router-media-{index}" for index in range(3)} <= names
    assert {f"r-fork-router-{index}" for index in range(3)} <= names
    assert len(rendered.one("Ingress")["spec"]["rules"]) == 4


def test_a_role_is_never_for_all_services() -> None:
    assert render({"replicaCount": 0}, mode="loadBalancerPerPod").of_kind("Role") == []


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode not in PER_POD])
def test_a_drain_is_no_failure_of_a_rollout(mode: str) -> None:
    spec = render(mode=mode).workload["spec"]
    assert spec["progressDeadlineSeconds"] > spec["template"]["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "hostNetwork"])
def test_low_ports_are_allowed_by_a_safe_sysctl(mode: str) -> None:
    pod = render({"ports": {"public": 80}}, mode=mode).pod
    assert pod["securityContext"]["sysctls"] == [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "80"}]
    assert "sysctls" not in render(mode=mode).pod["securityContext"]


def test_keys_and_tokens_may_come_from_files_alone() -> None:
    env = render({"auth": {"keyFile": {"existingSecret": "k"}, "tokenFile": {"existingSecret": "t"}}}).env
    for name in ("ROUTER_AUTH__SECRETS", "ROUTER_ADMIN__TOKEN"):
        assert env[name]["valueFrom"]["secretKeyRef"]["optional"] is True
        assert "optional" not in render().env[name]["valueFrom"]["secretKeyRef"]


def test_given_load_balancer_addresses_need_no_role() -> None:
    addresses = ["203.0.113.1", "203.0.113.2"]
    rendered = render(
        {"replicaCount": 2, "media": {"loadBalancer": {"addresses": addresses}}}, mode="loadBalancerPerPod"
    )
    services = [made for made in rendered.of_kind("Service") if made["spec"].get("type") == "LoadBalancer"]
    assert [service["spec"]["loadBalancerIP"] for service in services] == addresses
    assert rendered.of_kind("Role") == []


def test_turn_only_announces_the_pod_to_the_relay() -> None:
    stunner = {"enabled": True, "gateway": "udp"}
    values = {"turn": {"uris": ["turn:t.example:3478"], "existingSecret": "turn", "stunner": stunner}}
    rendered = render(values, mode="turnOnly")
    assert announced(rendered) == "10.1.2.3"
    assert rendered.one("Service", "r-fork-router-media")["spec"]["clusterIP"] == "None"
    (rule,) = rendered.one("UDPRoute")["spec"]["rules"]
    assert rule["backendRefs"][0]["name"] == "r-fork-router-media"


@pytest.mark.parametrize("mode", ["hostPort", "hostNetwork", "nodePortPerPod"])
def test_discovery_of_the_nodes_address_reads_nodes_and_nothing_else(mode: str) -> None:
    rendered = render({"media": {"discovery": "node"}}, mode=mode)
    assert rendered.one("ClusterRole")["rules"] == [{"apiGroups": [""], "verbs": ["get"], "resources": ["nodes"]}]
    assert announced(rendered) is None
    (arrange,) = rendered.pod["initContainers"]
    assert "api" in {mount["name"] for mount in arrange["volumeMounts"]}
    assert "api" not in {mount["name"] for mount in rendered.container["volumeMounts"]}


@pytest.mark.parametrize("mode", MODES)
def test_pods_that_drain_stay_reachable(mode: str) -> None:
    """They are not ready; every Service but the public one must lead to them all the same."""
    values = {"ingress": {"enabled": True, "host": "m.example", "perPod": True}} if mode in PER_POD else {}
    for service in render(values, mode=mode).of_kind("Service"):
        expected = service["metadata"]["name"] != "r-fork-router"
        assert service["spec"].get("publishNotReadyAddresses", False) is expected, service["metadata"]["name"]


@pytest.mark.parametrize("mode", MODES)
def test_no_two_pods_share_a_media_service_that_balances(mode: str) -> None:
    for service in render({"replicaCount": 3}, mode=mode).of_kind("Service"):
        if any(port["protocol"] == "UDP" for port in service["spec"]["ports"]):
            single = "apps.kubernetes.io/pod-index" in service["spec"]["selector"]
            assert single or service["spec"].get("clusterIP") == "None"


@pytest.mark.parametrize("mode", MODES)
def test_probes_ask_nothing_that_depends_on_redis(mode: str) -> None:
    container = render({"externalRedis": {"url": "redis://redis:6379/0"}}, mode=mode).container
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    assert container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    patience = container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"]
    assert patience >= 60, "the engine outlives a Python that is blocked for 30 s; a restart would not"


def test_the_router_asks_redis_for_neither_answer() -> None:
    from router.admin import health
    from router.server import RouterServer

    assert "redis" not in (RouterServer.check_readiness.__doc__ or "")
    names = {*RouterServer.check_readiness.__code__.co_names, *RouterServer._engine_answers.__code__.co_names}
    assert not {name for name in names if "redis" in name or "store" in name or "directory" in name}
    assert health.read_health.__code__.co_argcount == 0


@pytest.mark.parametrize("mode", MODES)
def test_pods_have_the_time_that_their_calls_may_take(mode: str) -> None:
    pod = render({"drain": {"timeoutSeconds": 1000, "preStopSeconds": 7, "marginSeconds": 20}}, mode=mode).pod
    assert pod["terminationGracePeriodSeconds"] == 1027
    assert pod["containers"][0]["lifecycle"]["preStop"] == {"sleep": {"seconds": 7}}
    assert render({"terminationGracePeriodSeconds": 9000}, mode=mode).pod["terminationGracePeriodSeconds"] == 9000


@pytest.mark.parametrize("mode", MODES)
def test_disruptions_take_one_pod_at_a_time(mode: str) -> None:
    rendered = render(mode=mode)
    budget = rendered.one("PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")
    annotations = rendered.workload["spec"]["template"]["metadata"]["annotations"]
    assert annotations["cluster-autoscaler.kubernetes.io/safe-to-evict"] == "false"
    assert annotations["karpenter.sh/do-not-disrupt"] == "true"


@pytest.mark.parametrize("mode", MODES)
def test_selectors_select_the_pods_and_not_the_test(mode: str) -> None:
    rendered = render({"replicaCount": 2}, mode=mode)
    labels = rendered.workload["spec"]["template"]["metadata"]["labels"]
    labels = {**labels, "apps.kubernetes.io/pod-index": "0"}
    for service in rendered.of_kind("Service"):
        selector = {**service["spec"]["selector"]}
        if selector.get("apps.kubernetes.io/pod-index") == "1":
            selector["apps.kubernetes.io/pod-index"] = "0"
        assert selector.items() <= labels.items()
        assert not selector.items() <= rendered.one("Pod")["metadata"]["labels"].items()


@pytest.mark.parametrize("mode", MODES)
def test_a_change_of_settings_replaces_pods(mode: str) -> None:
    def checksum(values: Json) -> str:
        template = render(values, mode=mode).workload["spec"]["template"]
        return str(template["metadata"]["annotations"]["checksum/config"])

    assert checksum({}) == checksum({}) != checksum({"config": {"log": {"level": "debug"}}})


@pytest.mark.parametrize("mode", MODES)
def test_a_new_chart_alone_replaces_no_pods(mode: str) -> None:
    rendered = render(mode=mode)
    version = rendered.workload["metadata"]["labels"]["helm.sh/chart"]
    assert version not in str(rendered.workload["spec"]["template"])


@pytest.mark.parametrize("mode", MODES)
def test_scaling_goes_down_slowly(mode: str) -> None:
    rendered = render({"autoscaling": {"enabled": True, "maxReplicas": 4}}, mode=mode)
    scaler = rendered.one("HorizontalPodAutoscaler")["spec"]
    assert scaler["scaleTargetRef"]["kind"] == rendered.workload["kind"]
    assert "replicas" not in rendered.workload["spec"]
    assert scaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] >= 900
    assert scaler["behavior"]["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 300}]
    assert scaler["metrics"][0]["pods"]["metric"]["name"] == "sfu_load_ratio"
    assert scaler["metrics"][0]["pods"]["target"]["averageValue"] == "600m"
    if mode in PER_POD:
        assert len([made for made in rendered.of_kind("Service") if "-media-" in made["metadata"]["name"]]) == 4


def test_keda_scales_by_the_recorded_load() -> None:
    scaled = render({"keda": {"enabled": True}}).one("ScaledObject")["spec"]
    query = scaled["triggers"][0]["metadata"]["query"]
    assert 'sfu:load:ratio{namespace="media"' in query
    assert "unless on (namespace, pod) sfu_drain_active == 1" in query
    behavior = scaled["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 900


def test_network_policy_lets_media_in_and_shuts_the_admin_port() -> None:
    values = {"networkPolicy": {"enabled": True}, "replicaCount": 3, "media": {"workers": 2}}
    media, _, admin = render(values, mode="nodePortPerPod").one("NetworkPolicy")["spec"]["ingress"]
    assert media == {"ports": [{"protocol": "UDP", "port": 30000, "endPort": 30005}]}
    assert admin["from"][0]["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "monitoring"}
    redis = merge(values, {"externalRedis": {"url": "redis+sentinel://redis/m", "ports": [6380, 26379]}})
    egress = render(redis).one("NetworkPolicy")["spec"]["egress"]
    assert {"ports": [{"protocol": "TCP", "port": 6380}, {"protocol": "TCP", "port": 26379}]} in egress


def test_network_policy_lets_routers_ask_each_other() -> None:
    rendered = render({"networkPolicy": {"enabled": True}})
    policy = rendered.one("NetworkPolicy")["spec"]
    selector = {"podSelector": {"matchLabels": rendered.workload["spec"]["selector"]["matchLabels"]}}
    assert {"ports": [{"protocol": "TCP", "port": 8081}], "to": [selector]} in policy["egress"]
    asking = rendered.workload["spec"]["template"]["metadata"]["labels"]
    allowed = policy["ingress"][2]["from"][1]["podSelector"]["matchLabels"]
    assert allowed.items() <= asking.items()


def test_prometheus_presents_the_admin_token() -> None:
    (endpoint,) = render({"metrics": {"podMonitor": {"enabled": True}}}).one("PodMonitor")["spec"][
        "podMetricsEndpoints"
    ]
    assert endpoint["authorization"]["credentials"] == {"name": "r-fork-router-auth", "key": "admin-token"}
    free = render({"metrics": {"withoutToken": True, "podMonitor": {"enabled": True}}})
    assert "authorization" not in free.one("PodMonitor")["spec"]["podMetricsEndpoints"][0]
    assert free.env["ROUTER_ADMIN__METRICS_WITHOUT_TOKEN"]["value"] == "true"
    monitor = {"enabled": True, "existingSecret": "reading"}
    (endpoint,) = render({"metrics": {"podMonitor": monitor}}).one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["authorization"]["credentials"] == {"name": "reading", "key": "token"}


def test_rules_keep_their_templates_and_find_their_runbooks() -> None:
    base = "https://git.example/fork-router/"
    values = {
        "metrics": {"prometheusRule": {"enabled": True, "runbookBaseUrl": base, "disabled": ["SfuHandlerErrors"]}}
    }
    groups = render(values).one("PrometheusRule")["spec"]["groups"]
    alerts = {rule["alert"]: rule for group in groups for rule in group["rules"] if "alert" in rule}
    assert "{{ $labels.instance }}" in alerts["SfuLoadHigh"]["annotations"]["description"]
    assert alerts["SfuLoadHigh"]["annotations"]["runbook_url"] == f"{base}config/runbooks/SfuLoadHigh.md"
    assert "SfuHandlerErrors" not in alerts
    assert any("record" in rule for group in groups for rule in group["rules"])


def test_dashboards_are_carried_as_they_are() -> None:
    root = Path(__file__).parent.parent.parent / "config" / "grafana"
    values = {"metrics": {"grafanaDashboards": {"enabled": True, "folder": "SFU"}}}
    boards = [made for made in render(values).of_kind("ConfigMap") if "grafana_dashboard" in made["metadata"]["labels"]]
    assert len(boards) == 2
    for board in boards:
        ((name, text),) = board["data"].items()
        assert text.strip() == (root / name).read_text().strip()
        assert board["metadata"]["annotations"] == {"grafana_folder": "SFU"}
