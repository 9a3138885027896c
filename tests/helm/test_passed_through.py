"""Values that the chart passes on as they are: of objects, of the pod and of its containers."""

from pathlib import Path

import pytest

from tests.helm.rendering import RELAY, SERVICE, SIDECAR, Document, Helm, RefusedError, merged

_KEPT_IN_THE_POD = {
    "hostAliases": [{"ip": "192.0.2.7", "hostnames": ["redis.example"]}],
    "dnsPolicy": "None",
    "dnsConfig": {"nameservers": ["192.0.2.53"]},
    "initContainers": [{"name": "wait", "image": "wait:1"}],
}
_EVERY_OBJECT = {
    "autoscaling": {"enabled": True},
    "serviceMonitor": {"enabled": True},
    "prometheusRule": {"enabled": True},
    "dashboard": {"enabled": True},
}
_OBJECTS = [
    ("deployment", "Deployment", ""),
    ("configMap", "ConfigMap", "gateway"),
    ("service", "Service", "gateway"),
    ("operationsService", "Service", "-operations"),
    ("serviceAccount", "ServiceAccount", ""),
    ("podDisruptionBudget", "PodDisruptionBudget", ""),
    ("autoscaling", "HorizontalPodAutoscaler", ""),
    ("networkPolicy", "NetworkPolicy", ""),
    ("serviceMonitor", "ServiceMonitor", ""),
    ("prometheusRule", "PrometheusRule", ""),
    ("dashboard", "ConfigMap", "-dashboard"),
]


@pytest.mark.parametrize(("value", "kind", "name_ends"), _OBJECTS, ids=[value for value, _, _ in _OBJECTS])
def test_every_object_has_annotations_and_labels_of_its_own(helm: Helm, value: str, kind: str, name_ends: str) -> None:
    """They beat those of every object, and go to no other."""
    own = {value: {"annotations": {"of": "its own"}, "labels": {"of": "its-own"}}}
    common = {"commonAnnotations": {"of": "all", "all": "yes"}, "commonLabels": {"of": "all", "all": "yes"}}

    rendered = helm.render(merged(merged(SERVICE, _EVERY_OBJECT), merged(own, common)))

    metadata = rendered.one(kind, name_ends=name_ends)["metadata"]
    assert metadata["annotations"] == {"of": "its own", "all": "yes"}
    assert {key: metadata["labels"][key] for key in ("of", "all")} == {"of": "its-own", "all": "yes"}
    others = [one["metadata"] for one in rendered.documents if one["metadata"] != metadata]
    assert len(others) == len(_OBJECTS) - 1
    assert {(one["annotations"]["of"], one["labels"]["of"]) for one in others} == {("all", "all")}


def test_a_pod_monitor_has_annotations_and_labels_of_its_own(helm: Helm) -> None:
    """The one object that a service has not."""
    monitor = {"podMonitor": {"enabled": True, "annotations": {"a": "b"}, "labels": {"release": "prometheus"}}}

    metadata = helm.render(merged(SIDECAR, monitor)).one("PodMonitor")["metadata"]

    assert metadata["annotations"] == {"a": "b"}
    assert metadata["labels"]["release"] == "prometheus"


def test_annotations_of_objects_replace_no_pod(helm: Helm) -> None:
    """Annotations of every object are not those of the pods."""
    values = merged(SERVICE, {"commonAnnotations": {"a": "b"}, "deployment": {"annotations": {"c": "d"}}})

    assert helm.render(values).pod() == helm.render().pod()


def test_a_pods_own_label_beats_that_of_every_object(helm: Helm) -> None:
    """A key that both have is written once."""
    labels = helm.render(merged(SERVICE, {"commonLabels": {"tier": "all"}, "podLabels": {"tier": "front"}})).pod()[
        "metadata"
    ]["labels"]

    assert labels["tier"] == "front"


@pytest.mark.parametrize("key", ["app.kubernetes.io/name", "app.kubernetes.io/instance", "helm.sh/chart"])
@pytest.mark.parametrize("value", ["commonLabels", "podLabels", "service", "operationsService"])
def test_labels_by_which_objects_find_each_other_stay(helms: dict[str, Helm], value: str, key: str) -> None:
    """A second one of the same name would win, and no Service would find a pod."""
    labels = {key: "mine"}

    for helm in helms.values():
        with pytest.raises(RefusedError, match="schema"):
            helm.render(merged(SERVICE, {value: labels if value.endswith("Labels") else {"labels": labels}}))


@pytest.mark.parametrize("name", _KEPT_IN_THE_POD)
def test_the_pod_has_what_it_was_given(helm: Helm, name: str) -> None:
    """Each arrives under its own name, unchanged."""
    value = _KEPT_IN_THE_POD[name]

    assert helm.render(merged(SERVICE, {name: value})).pod()["spec"][name] == value


def test_extra_containers_stand_beside_the_gateway(helm: Helm) -> None:
    """The gateway stays the first, which `kubectl exec` and `kubectl logs` take."""
    extra = {"name": "tls", "image": "tls:1", "ports": [{"name": "tls", "containerPort": 8443}]}

    containers = helm.render(merged(SERVICE, {"extraContainers": [extra]})).pod()["spec"]["containers"]

    assert [container["name"] for container in containers] == ["ownership-gateway", "tls"]
    assert containers[1] == extra


@pytest.mark.parametrize("values", [SERVICE, SIDECAR, RELAY], ids=["service", "sidecar", "relay"])
def test_environment_from_elsewhere(helms: dict[str, Helm], game_server: Path, values: Document) -> None:
    """It reaches the gateway's container as a service and as a sidecar."""
    env_from = [{"configMapRef": {"name": "zone"}}]
    if values is SERVICE:
        rendered = helms["4"].render(merged(values, {"envFrom": env_from}))
    else:
        off = {"relayToken": {"existingSecret": ""}} if values is SIDECAR else {}
        changes = {"envFrom": env_from, "secrets": off, "sidecar": {} if values is RELAY else {"relay": {"url": ""}}}
        rendered = helms["4"].render({"ownership-gateway": merged(values, changes)}, chart=game_server)

    assert rendered.gateway()["envFrom"] == env_from


@pytest.mark.parametrize("values", [SERVICE, SIDECAR], ids=["service", "sidecar"])
def test_extra_objects(helm: Helm, values: Document) -> None:
    """They come along in both modes, with the templates in them rendered."""
    name = '{{ include "ownership-gateway.fullname" . }}-zone'
    extra = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"port": "8080"}}

    rendered = helm.render(merged(values, {"extraObjects": [extra]}))

    assert rendered.one("Secret") == {**extra, "metadata": {"name": "release-ownership-gateway-zone"}}


def test_pods_are_replaced_as_configured(helm: Helm) -> None:
    """A part of a strategy leaves the rest as it is."""
    values = merged(SERVICE, {"strategy": {"rollingUpdate": {"maxSurge": "25%"}}, "revisionHistoryLimit": 0})

    spec = helm.render(values).one("Deployment")["spec"]

    assert spec["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}}
    assert spec["revisionHistoryLimit"] == 0


def test_all_pods_at_once(helm: Helm) -> None:
    """With `Recreate` Kubernetes takes no word about a rolling update."""
    spec = helm.render(merged(SERVICE, {"strategy": {"type": "Recreate"}})).one("Deployment")["spec"]

    assert spec["strategy"] == {"type": "Recreate"}


def test_nothing_of_it_is_there_unless_asked_for(helm: Helm) -> None:
    """The default pod has one container, and no field that Kubernetes fills in by itself."""
    rendered = helm.render()

    assert "revisionHistoryLimit" not in rendered.one("Deployment")["spec"]
    assert not rendered.pod()["spec"].keys() & _KEPT_IN_THE_POD.keys()
    assert "envFrom" not in rendered.gateway()
    assert len(rendered.pod()["spec"]["containers"]) == 1
    assert all("annotations" not in one["metadata"] for one in rendered.documents)


@pytest.mark.parametrize("name", [*_KEPT_IN_THE_POD, "extraContainers"])
def test_a_sidecars_pod_is_the_game_servers(helm: Helm, name: str) -> None:
    """Values that would go nowhere are refused."""
    value = _KEPT_IN_THE_POD.get(name, [{"name": "tls", "image": "tls:1"}])

    with pytest.raises(RefusedError, match=f"{name} is for service mode"):
        helm.render(merged(SIDECAR, {name: value}))


def test_an_update_that_can_never_move(helm: Helm) -> None:
    """Kubernetes refuses it, and Helm does so before."""
    with pytest.raises(RefusedError, match=r"strategy\.rollingUpdate: maxSurge and maxUnavailable are both 0"):
        helm.render(merged(SERVICE, {"strategy": {"rollingUpdate": {"maxSurge": 0}}}))


@pytest.mark.parametrize(
    "changes",
    [
        {"strategy": {"rollingUpdate": {"maxUnavailible": 1}}},
        {"strategy": {"type": "Rolling"}},
        {"strategy": {"maxSurge": 1}},
        {"hostAliases": [{"ip": "192.0.2.7", "hostname": "redis.example"}]},
        {"extraContainers": [{"name": "tls"}]},
        {"initContainers": {"name": "wait"}},
        {"extraObjects": [{"kind": "Secret"}]},
        {"deployment": {"annotation": {}}},
        {"commonAnnotations": {"a": 1}},
        {"revisionHistoryLimit": -1},
        {"dnsPolicy": "ClusterLast"},
    ],
    ids=str,
)
def test_typos_in_what_is_passed_on(helm: Helm, changes: Document) -> None:
    """The schema around a value that is passed on stays closed."""
    with pytest.raises(RefusedError, match="schema"):
        helm.render(merged(SERVICE, changes))
