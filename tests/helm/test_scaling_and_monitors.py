"""The load that the number of pods follows, and the word to Prometheus about them."""

import pytest

from tests.helm.rendering import SERVICE, SIDECAR, Document, Helm, RefusedError, merged

_RELABELING = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
_DROP = {"action": "drop", "sourceLabels": ["__name__"], "regex": "process_.*"}
_MODES = pytest.mark.parametrize(
    ("values", "monitor", "kind"),
    [(SERVICE, "serviceMonitor", "ServiceMonitor"), (SIDECAR, "podMonitor", "PodMonitor")],
    ids=["service", "sidecar"],
)


def _scaled(**autoscaling: object) -> Document:
    return merged(SERVICE, {"autoscaling": {"enabled": True, **autoscaling}})


def test_the_number_of_pods_follows_a_part_of_a_core(helm: Helm) -> None:
    """A share of the requested 100m would be reached at fifty questions a second; a gateway can use one core."""
    (metric,) = helm.render(_scaled()).one("HorizontalPodAutoscaler")["spec"]["metrics"]

    target = {"type": "AverageValue", "averageValue": "600m"}
    assert metric["containerResource"] == {"name": "cpu", "container": "ownership-gateway", "target": target}


def test_other_metrics_may_be_followed(helm: Helm) -> None:
    """Beside CPU time, or in its place."""
    own = {"type": "Pods", "pods": {"metric": {"name": "n"}, "target": {"type": "AverageValue", "averageValue": "9"}}}

    both = helm.render(_scaled(metrics=[own])).one("HorizontalPodAutoscaler")["spec"]["metrics"]
    alone = helm.render(_scaled(metrics=[own], targetCPU="")).one("HorizontalPodAutoscaler")["spec"]["metrics"]

    assert [metric["type"] for metric in both] == ["ContainerResource", "Pods"]
    assert alone == [own]


def test_behavior_is_passed_on(helm: Helm) -> None:
    """As in Kubernetes; without one there is no such field."""
    behavior = {"scaleDown": {"stabilizationWindowSeconds": 600}}

    assert helm.render(_scaled(behavior=behavior)).one("HorizontalPodAutoscaler")["spec"]["behavior"] == behavior
    assert "behavior" not in helm.render(_scaled()).one("HorizontalPodAutoscaler")["spec"]


def _endpoint(spec: Document) -> Document:
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    return dict(endpoint)


@_MODES
def test_a_scrape_is_told_what_to_change(helm: Helm, values: Document, monitor: str, kind: str) -> None:
    """Labels before and after it, and how long it may take."""
    own = {"relabelings": [_RELABELING], "metricRelabelings": [_DROP], "scrapeTimeout": "5s"}

    endpoint = _endpoint(helm.render(merged(values, {monitor: {"enabled": True, **own}})).one(kind)["spec"])

    assert endpoint["relabelings"][-1] == _RELABELING
    assert endpoint["metricRelabelings"] == [_DROP]
    assert endpoint["scrapeTimeout"] == "5s"


def test_relabelings_leave_a_sidecars_job_as_it_is(helm: Helm) -> None:
    """Alerts and dashboard know sidecars by it."""
    values = merged(SIDECAR, {"podMonitor": {"enabled": True, "relabelings": [_RELABELING]}})

    first, _ = _endpoint(helm.render(values).one("PodMonitor")["spec"])["relabelings"]

    assert first == {"targetLabel": "job", "replacement": "ownership-gateway"}


@_MODES
def test_a_monitor_in_another_namespace_still_finds_the_pods(
    helm: Helm, values: Document, monitor: str, kind: str
) -> None:
    """A monitor looks into its own namespace unless it says another."""
    found = helm.render(merged(values, {monitor: {"enabled": True, "namespace": "monitoring"}})).one(kind)

    assert found["metadata"]["namespace"] == "monitoring"
    assert found["spec"]["namespaceSelector"] == {"matchNames": ["games"]}


@_MODES
@pytest.mark.parametrize("namespace", ["", "games"])
def test_a_monitor_beside_the_pods_names_no_namespace(
    helm: Helm, values: Document, monitor: str, kind: str, namespace: str
) -> None:
    """Nor has it labels, times or metrics of its own by default."""
    found = helm.render(merged(values, {monitor: {"enabled": True, "namespace": namespace}})).one(kind)

    assert found["metadata"]["namespace"] == "games"
    assert "namespaceSelector" not in found["spec"]
    assert _endpoint(found["spec"]).keys() <= {"port", "path", "interval", "relabelings"}


@pytest.mark.parametrize(
    ("value", "kind", "end"), [("prometheusRule", "PrometheusRule", ""), ("dashboard", "ConfigMap", "dashboard")]
)
def test_rules_and_dashboard_go_where_they_are_looked_for(helm: Helm, value: str, kind: str, end: str) -> None:
    """In a namespace of their own, if it is named."""
    rendered = helm.render(merged(SERVICE, {value: {"enabled": True, "namespace": "monitoring"}}))

    assert rendered.one(kind, name_ends=end)["metadata"]["namespace"] == "monitoring"


@pytest.mark.parametrize(
    "changes",
    [
        {"autoscaling": {"targetCPUUtilizationPercentage": 70}},
        {"autoscaling": {"targetCPU": "much"}},
        {"autoscaling": {"behavior": {"scaleSideways": {}}}},
        {"serviceMonitor": {"scrapeTimeout": "soon"}},
        {"podMonitor": {"relabeling": []}},
        {"dashboard": {"namespace": "Monitoring"}},
    ],
    ids=str,
)
def test_typos(helm: Helm, changes: Document) -> None:
    """The schema stays closed around what is passed on."""
    with pytest.raises(RefusedError, match="schema"):
        helm.render(merged(SERVICE, changes))
