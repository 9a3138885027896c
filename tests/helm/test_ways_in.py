"""The ways to questions from outside the pod: Service, Ingress, HTTPRoute, and a container that ends TLS."""

from pathlib import Path

import pytest

from tests.helm.rendering import CHART, SERVICE, SIDECAR, Document, Helm, RefusedError, merged

_INGRESS: Document = {"ingress": {"enabled": True, "hosts": ["ownership.example"]}}
_ROUTE: Document = {"httpRoute": {"enabled": True, "hosts": ["ownership.example"], "parentRefs": [{"name": "public"}]}}
_TLS: Document = {
    "service": {"targetPort": "tls", "appProtocol": "https"},
    "extraContainers": [{"name": "tls", "image": "tls:1", "ports": [{"name": "tls", "containerPort": 8443}]}],
}


def test_there_is_no_way_in_unless_asked_for(helm: Helm) -> None:
    """Neither kind is made by default."""
    assert helm.render().kinds().isdisjoint({"Ingress", "HTTPRoute"})


def test_an_ingress_leads_to_the_port_for_questions(helm: Helm) -> None:
    """By the names of Service and port that are rendered beside it."""
    rendered = helm.render(merged(SERVICE, _INGRESS))

    (rule,) = rendered.one("Ingress")["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    service = rendered.one("Service", name_ends="gateway")
    assert rule["host"] == "ownership.example"
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    assert path["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]


def test_an_ingress_has_what_its_controller_reads(helm: Helm) -> None:
    """Class, certificates and annotations arrive unchanged; without them there are no such fields."""
    own = {"className": "nginx", "tls": [{"hosts": ["a.example"], "secretName": "tls"}], "annotations": {"a": "b"}}

    bare = helm.render(merged(SERVICE, _INGRESS)).one("Ingress")
    full = helm.render(merged(merged(SERVICE, _INGRESS), {"ingress": own})).one("Ingress")

    assert bare["spec"].keys() == {"rules"}
    assert "annotations" not in bare["metadata"]
    assert (full["spec"]["ingressClassName"], full["spec"]["tls"]) == ("nginx", own["tls"])
    assert full["metadata"]["annotations"] == {"a": "b"}


def test_every_host_has_every_path(helm: Helm) -> None:
    """So that what is closed at one host is open at no other."""
    several = {"ingress": {"hosts": ["a.example", "b.example"], "paths": ["/verify", "/passes"]}}

    rules = helm.render(merged(merged(SERVICE, _INGRESS), several)).one("Ingress")["spec"]["rules"]

    assert [(rule["host"], [path["path"] for path in rule["http"]["paths"]]) for rule in rules] == [
        ("a.example", ["/verify", "/passes"]),
        ("b.example", ["/verify", "/passes"]),
    ]


def test_a_route_leads_to_the_port_for_questions(helm: Helm) -> None:
    """At the hosts and paths that are named, from the Gateways that are named."""
    rendered = helm.render(merged(merged(SERVICE, _ROUTE), {"httpRoute": {"paths": ["/verify"]}}))

    spec = rendered.one("HTTPRoute")["spec"]
    service = rendered.one("Service", name_ends="gateway")
    assert (spec["parentRefs"], spec["hostnames"]) == ([{"name": "public"}], ["ownership.example"])
    assert spec["rules"] == [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/verify"}}],
            "backendRefs": [{"name": service["metadata"]["name"], "port": service["spec"]["ports"][0]["port"]}],
        }
    ]


def test_filters_of_a_route_are_passed_on(helm: Helm) -> None:
    """As in the Gateway API."""
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["Cookie"]}}]

    spec = helm.render(merged(merged(SERVICE, _ROUTE), {"httpRoute": {"filters": filters}})).one("HTTPRoute")["spec"]

    assert spec["rules"][0]["filters"] == filters


def test_no_way_leads_to_metrics(helm: Helm) -> None:
    """The Service behind both has no port for operations."""
    rendered = helm.render(merged(merged(SERVICE, _INGRESS), _ROUTE))

    names = {rendered.one("HTTPRoute")["spec"]["rules"][0]["backendRefs"][0]["name"]}
    names |= {rendered.one("Ingress")["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]["name"]}
    assert names == {rendered.one("Service", name_ends="gateway")["metadata"]["name"]}


def test_behind_a_container_that_ends_tls_nothing_else_listens_to_the_network(helm: Helm, tmp_path: Path) -> None:
    """The gateway is on loopback; Service and network policy lead to the other container's port."""
    rendered = helm.render(merged(SERVICE, _TLS))

    assert rendered.settings(tmp_path).host == ("127.0.0.1",)
    assert [port["name"] for port in rendered.gateway()["ports"]] == ["operations"]
    (port,) = rendered.one("Service", name_ends="gateway")["spec"]["ports"]
    assert (port["targetPort"], port["appProtocol"]) == ("tls", "https")
    assert rendered.one("NetworkPolicy")["spec"]["ingress"][0]["ports"] == [{"port": "tls"}]


def test_the_example_with_tls_reads_what_it_is_given(helm: Helm) -> None:
    """Each volume that its container mounts is there, and its certificate is of the Secret that is named."""
    rendered = helm.render(CHART / "ci" / "service-tls-values.yaml")

    volumes = {volume["name"]: volume for volume in rendered.pod()["spec"]["volumes"]}
    (container,) = rendered.pod()["spec"]["initContainers"]
    assert {mount["name"] for mount in container["volumeMounts"]} <= volumes.keys()
    assert volumes["tls"]["secret"]["secretName"] == "ownership-tls"
    assert rendered.one("ConfigMap", name_ends="-tls")["metadata"]["name"] == volumes["tls-config"]["configMap"]["name"]


def test_the_example_with_tls_is_confined_like_the_gateway(helm: Helm) -> None:
    """The restricted pod security standard holds for a pod only if it holds for each container."""
    rendered = helm.render(CHART / "ci" / "service-tls-values.yaml")

    (container,) = rendered.pod()["spec"]["initContainers"]
    ours = rendered.gateway()["securityContext"]
    assert container["securityContext"] == {key: ours[key] for key in container["securityContext"]}
    assert {"allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem"} <= container["securityContext"].keys()


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (merged(SERVICE, {"ingress": {"enabled": True}}), r"ingress\.hosts is empty"),
        (merged(merged(SERVICE, _ROUTE), {"httpRoute": {"hosts": []}}), r"httpRoute\.hosts is empty"),
        (merged(merged(SERVICE, _ROUTE), {"httpRoute": {"parentRefs": []}}), r"httpRoute\.parentRefs is empty"),
        (merged(SIDECAR, _INGRESS), "ingress is for service mode"),
        (merged(SIDECAR, _ROUTE), "httpRoute is for service mode"),
        (merged(SERVICE, {"service": {"targetPort": "tls"}}), r"service\.targetPort is tls, but no container"),
        (merged(SERVICE, {"ingress": {"paths": ["verify"]}}), "schema"),
        (merged(SERVICE, {"ingress": {"paths": []}}), "schema"),
        (merged(SERVICE, {"ingress": {"hosts": ["https://ownership.example"]}}), "schema"),
        (merged(SERVICE, {"ingress": {"tls": [{"secret": "tls"}]}}), "schema"),
        (merged(SERVICE, {"httpRoute": {"hostnames": ["ownership.example"]}}), "schema"),
        (merged(SERVICE, {"service": {"targetPort": "a_b"}}), "schema"),
    ],
)
def test_ways_in_that_cannot_be(helm: Helm, values: Document, said: str) -> None:
    """Each is refused with a line that says what to do, or by the schema."""
    with pytest.raises(RefusedError, match=said):
        helm.render(values)
