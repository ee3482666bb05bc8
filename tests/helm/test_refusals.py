"""Values that cannot work are refused before anything is installed, and the sentence says why."""

import pytest

from tests.helm.chart import Json, merge, needs_helm, nest, refusal, render

pytestmark = needs_helm
LB = {"media": {"exposure": "loadBalancerPerPod"}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"autoscaling": {"enabled": True}, "keda": {"enabled": True}}, "exclude each other"),
        ({"terminationGracePeriodSeconds": 30}, "3620"),
        ({"media": {"discovery": "stun", "stunServers": ["stun:s.example:3478"]}}, "hostNetwork"),
        ({"media": {"discovery": "interfaces"}}, "hostNetwork"),
        ({"media": {"exposure": "hostNetwork", "discovery": "stun"}}, "needs media.stunServers"),
        ({"media": {"stunServers": ["stun:s.example:3478"]}}, "hostNetwork"),
        ({"media": {"discovery": "service"}}, "loadBalancerPerPod"),
        ({"media": {"discovery": "podIP"}}, "outside the cluster"),
        (merge(LB, {"media": {"discovery": "hostIP"}}), "not the load balancer's"),
        (
            merge(LB, {"replicaCount": 2, "media": {"loadBalancer": {"addresses": ["192.0.2.1"]}}}),
            "there can be 2 pods",
        ),
        ({"media": {"exposure": "turnOnly", "discovery": "hostIP"}}, "only the pod's own address"),
        ({"replicaCount": 2, "media": {"announcedAddresses": ["192.0.2.1"]}}, "every pod"),
        ({"media": {"udpPort": 65535, "workers": 2}}, "65536"),
        (
            {"replicaCount": 9, "media": {"exposure": "nodePortPerPod", "workers": 64, "nodePort": {"base": 65000}}},
            "65575",
        ),
        ({"ingress": {"enabled": True}}, "ingress.host"),
        ({"ingress": {"enabled": True, "host": "m.example", "perPod": True}}, "names that last"),
        ({"httpRoute": {"enabled": True}}, "parentRefs"),
        ({"turn": {"existingSecret": "t"}}, "turn.uris"),
        ({"turn": {"stunner": {"enabled": True, "gateway": "g"}}}, "turnOnly"),
        ({"turn": {"uris": ["turn:t.example:3478"]}}, "browsers refuse"),
        ({"externalRedis": {"urlKey": "url"}}, "existingSecret"),
        ({"externalRedis": {"existingSecret": "redis"}}, "would not be used"),
        ({"externalRedis": {"url": "redis://redis:6379", "existingSecret": "redis"}}, "would not be used"),
        ({"externalRedis": {"url": "redis://:$(REDIS_PASSWORD)@redis:6379"}}, "externalRedis.existingSecret"),
        ({"externalRedis": {"url": "redis://ada:hunter2@redis:6379"}}, "has a password"),
        ({"media": {"exposure": "hostNetwork", "udpPort": 443}}, "below 1024"),
        ({"existingConfigMap": "mine", "config": {"log": {"level": "info"}}}, "exclude each other"),
        ({"autoscaling": {"enabled": True, "minReplicas": 6}}, "above"),
    ],
)
def test_mixes_that_cannot_work(values: Json, words: str) -> None:
    assert words in refusal(values)


@pytest.mark.parametrize(
    "path",
    [
        "colour",
        "media.udpPrt",
        "config.media.udp_port",
        "config.media.udp_prot",
        "config.colour",
        "config.auth.secrets",
        "config.redis.url",
        "config.admin.token",
        "config.dev",
        "probes.liveness.path",
    ],
)
def test_unknown_values_and_those_decided_elsewhere(path: str) -> None:
    assert path.rpartition(".")[2] in refusal(nest(path, "x"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("media.exposure", "UDP"),
        ("media.workers", 0),
        ("media.workers", "auto"),
        ("ports.public", 70000),
        ("image.digest", "sha256:12"),
        ("externalRedis.url", "http://redis"),
        ("probes.liveness.failureThreshold", 1),
        ("autoscaling.scaleDown.stabilizationWindowSeconds", 0),
        ("config.rooms.max_rooms", 0),
        ("config.log.level", "loud"),
        ("config.media.timeout_s", "soon"),
        ("config.media.ice_servers", [{"urls": ["turn:t:1"], "credential": "in a ConfigMap"}]),
    ],
)
def test_values_out_of_bounds(path: str, value: object) -> None:
    assert path.split(".")[-1] in refusal(nest(path, value)).replace("/", ".")


@pytest.mark.parametrize("place", ["commonLabels", "podLabels"])
def test_labels_that_select_pods_are_the_charts(place: str) -> None:
    assert f"{place} may not have app.kubernetes.io/name" in refusal({place: {"app.kubernetes.io/name": "mine"}})


def test_settings_from_secrets_are_named_as_settings_are() -> None:
    assert "secretSettings" in refusal({"secretSettings": {"ROUTER_X": {"name": "n", "key": "k"}}})


def test_as_a_part_of_another_chart() -> None:
    render({"global": {"anything": 1}})
