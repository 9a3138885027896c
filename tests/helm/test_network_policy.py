"""The ways of the gateway out, and of others to it, in the network policy."""

from typing import Any

import pytest

from tests.helm.rendering import SERVICE, Document, Helm, RefusedError, merged

_REDIS: Document = {
    "secrets": {"redisUrl": {"existingSecret": "redis"}, "sealingSecret": {"existingSecret": "sealing"}},
    "networkPolicy": {"redis": [{"podSelector": {"matchLabels": {"app": "redis"}}}]},
}
_PROXY: Document = {
    "secrets": {"proxy": {"existingSecret": "egress"}},
    "networkPolicy": {"proxy": [{"podSelector": {"matchLabels": {"app": "squid"}}}]},
}


def _egress_to(policy: Document, port: int) -> list[Any]:
    return [rule for rule in policy["spec"]["egress"] if port in [entry["port"] for entry in rule["ports"]]]


def test_callers_reach_questions_only(helm: Helm) -> None:
    """Metrics are for monitoring, questions for callers."""
    ingress = helm.render().one("NetworkPolicy")["spec"]["ingress"]

    assert [rule["ports"] for rule in ingress] == [[{"port": "questions"}], [{"port": "operations"}]]


def test_an_empty_list_of_callers_means_nobody(helm: Helm) -> None:
    """A rule without peers would allow all pods, so there is no rule."""
    policy = helm.render(merged(SERVICE, {"networkPolicy": {"callers": []}})).one("NetworkPolicy")

    assert [rule["ports"] for rule in policy["spec"]["ingress"]] == [[{"port": "operations"}]]


@pytest.mark.parametrize("network", ["10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"])
def test_the_store_is_never_inside_the_cluster(helm: Helm, network: str) -> None:
    """Port 443 of private networks, and of the cloud's metadata service, stays out of reach."""
    (rule,) = _egress_to(helm.render().one("NetworkPolicy"), 443)

    assert network in rule["to"][0]["ipBlock"]["except"]


def test_the_sandbox_reaches_no_store(helm: Helm) -> None:
    """The sandbox in the pod takes the place of the store."""
    values = {"config": {**SERVICE["config"], "sandbox": True}}

    assert _egress_to(helm.render(values).one("NetworkPolicy"), 443) == []


def test_redis_is_reached_where_it_is(helm: Helm) -> None:
    """Only the peers that were named, only on Redis' port."""
    (rule,) = _egress_to(helm.render(merged(SERVICE, _REDIS)).one("NetworkPolicy"), 6379)

    assert rule["to"] == _REDIS["networkPolicy"]["redis"]


def test_without_redis_nothing_leads_there(helm: Helm) -> None:
    """A policy opens nothing that is not used."""
    assert _egress_to(helm.render().one("NetworkPolicy"), 6379) == []


def test_names_are_looked_up_in_the_cluster_alone(helm: Helm) -> None:
    """A query to a name server elsewhere could carry anything out."""
    (rule,) = _egress_to(helm.render().one("NetworkPolicy"), 53)

    assert [entry["protocol"] for entry in rule["ports"]] == ["UDP", "TCP"]
    inside = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    assert rule["to"] == [
        {**inside, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}},
        {"ipBlock": {"cidr": "169.254.20.10/32"}},
    ]


def test_names_are_looked_up_where_they_are(helm: Helm) -> None:
    """Name servers and their ports are the cluster's."""
    peers = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "openshift-dns"}}}]
    values = merged(SERVICE, {"networkPolicy": {"dns": peers, "dnsPorts": [5353]}})

    policy = helm.render(values).one("NetworkPolicy")

    assert _egress_to(policy, 53) == []
    (rule,) = _egress_to(policy, 5353)
    assert rule["to"] == peers


def test_an_empty_list_of_name_servers_means_nowhere(helm: Helm) -> None:
    """A rule without peers would lead everywhere, so there is no rule."""
    policy = helm.render(merged(SERVICE, {"networkPolicy": {"dns": []}})).one("NetworkPolicy")

    assert _egress_to(policy, 53) == []


def test_with_nowhere_to_go_everything_is_closed(helm: Helm) -> None:
    """An empty list of rules closes; a missing one would, too, but reads as if it were forgotten."""
    values = merged(SERVICE, {"secrets": {"sellerKey": {"existingSecret": ""}}, "config": {"sandbox": True}})

    policy = helm.render(merged(values, {"networkPolicy": {"dns": []}})).one("NetworkPolicy")

    assert policy["spec"]["egress"] == []


def test_where_there_is_a_proxy_nothing_else_is_open(helm: Helm) -> None:
    """The internet is closed, and the proxy open on its port alone."""
    policy = helm.render(merged(SERVICE, _PROXY)).one("NetworkPolicy")

    assert _egress_to(policy, 443) == []
    (rule,) = _egress_to(policy, 3128)
    assert rule["to"] == _PROXY["networkPolicy"]["proxy"]


def test_issuers_are_asked_past_the_proxy(helm: Helm) -> None:
    """Their keys do not come through it, so the internet stays open for them."""
    issuer = {"issuer": "https://id.example", "audiences": ["game"]}

    policy = helm.render(merged(merged(SERVICE, _PROXY), {"config": {"oidc": [issuer]}})).one("NetworkPolicy")

    assert len(_egress_to(policy, 443)) == len(_egress_to(policy, 3128)) == 1


def test_a_proxy_that_is_somewhere_else_leaves_the_internet_open(helm: Helm) -> None:
    """Without a word of where it is, it may be anywhere on port 443."""
    values = merged(merged(SERVICE, _PROXY), {"networkPolicy": {"proxy": []}})

    assert len(_egress_to(helm.render(values).one("NetworkPolicy"), 443)) == 1


def test_a_proxy_without_its_url(helm: Helm) -> None:
    """It would close the internet, and not be used."""
    values = merged(SERVICE, {"networkPolicy": _PROXY["networkPolicy"]})

    with pytest.raises(RefusedError, match=r"networkPolicy\.proxy is set, but secrets\.proxy is not"):
        helm.render(values)
