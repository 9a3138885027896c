"""The chart as a shared service."""

import json
from pathlib import Path

import pytest
import yaml

from tests.helm.rendering import CHART, SERVICE, Document, Helm, merged

_REDIS: Document = {
    "secrets": {"redisUrl": {"existingSecret": "redis"}, "sealingSecret": {"existingSecret": "sealing"}},
    "networkPolicy": {"redis": [{"podSelector": {"matchLabels": {"app": "redis"}}}]},
}


def test_the_pod_is_restricted(helm: Helm) -> None:
    """The container meets the restricted pod security standard, and its file system cannot be written to."""
    context = helm.render().gateway()["securityContext"]

    assert context == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def test_the_pod_has_no_way_to_kubernetes(helm: Helm) -> None:
    """No token of the service account is mounted, neither by the pod nor by the account."""
    rendered = helm.render()

    assert rendered.pod()["spec"]["automountServiceAccountToken"] is False
    assert rendered.one("ServiceAccount")["automountServiceAccountToken"] is False


def test_services_put_nothing_into_the_environment(helm: Helm) -> None:
    """A Service called ownership-gateway cannot set OWNERSHIP_GATEWAY_PORT."""
    assert helm.render().pod()["spec"]["enableServiceLinks"] is False


def test_a_user_can_be_left_to_the_cluster(helm: Helm) -> None:
    """OpenShift gives each namespace user ids of its own."""
    context = helm.render(merged(SERVICE, {"runAs": {"user": None, "group": None}})).gateway()["securityContext"]

    assert "runAsUser" not in context
    assert context["runAsNonRoot"] is True


def test_secrets_are_files_and_never_environment(helm: Helm) -> None:
    """The environment names paths; what it names is mounted."""
    rendered = helm.render(merged(SERVICE, _REDIS))

    mounts = [mount["mountPath"] for mount in rendered.gateway()["volumeMounts"]]
    files = [value for name, value in rendered.env().items() if name.endswith("_FILE")]
    assert len(files) == 3
    assert all(any(file.startswith(f"{mount}/") for mount in mounts) for file in files)
    assert all("valueFrom" not in variable for variable in rendered.gateway()["env"])


def test_secrets_are_mounted_as_directories(helm: Helm) -> None:
    """A single file mounted by subPath would never see the new key."""
    assert all("subPath" not in mount for mount in helm.render().gateway()["volumeMounts"])


def test_only_the_gateways_group_reads_secrets(helm: Helm) -> None:
    """Secrets are 0440, and their group is the gateway's."""
    rendered = helm.render()

    (volume,) = [volume for volume in rendered.pod()["spec"]["volumes"] if "secret" in volume]
    assert volume["secret"]["defaultMode"] == 0o440
    assert rendered.pod()["spec"]["securityContext"]["fsGroup"] == 65532


def test_of_a_secret_only_the_key_is_mounted(helm: Helm) -> None:
    """Other keys of the Secret stay out of the pod."""
    (volume,) = [volume for volume in helm.render().pod()["spec"]["volumes"] if "secret" in volume]

    assert volume["secret"]["items"] == [{"key": "seller-key", "path": "seller-key"}]


def test_two_keys_of_one_secret_are_mounted_apart(helm: Helm) -> None:
    """While keys change, each of the two has a file of its own, of that key alone."""
    rendered = helm.render(merged(SERVICE, {"secrets": {"nextSellerKey": {"existingSecret": "itch"}}}))

    volumes = {one["name"]: one["secret"] for one in rendered.pod()["spec"]["volumes"] if "secret" in one}
    assert {name: [item["path"] for item in secret["items"]] for name, secret in volumes.items()} == {
        "ownership-gateway-seller-key": ["seller-key"],
        "ownership-gateway-next-seller-key": ["next-seller-key"],
    }


def test_the_gateway_reads_both_keys_where_they_are_mounted(helm: Helm) -> None:
    """Each of the two paths is below a directory that is mounted."""
    rendered = helm.render(merged(SERVICE, {"secrets": {"nextSellerKey": {"existingSecret": "other", "key": "k"}}}))

    mounts = {mount["name"]: mount["mountPath"] for mount in rendered.gateway()["volumeMounts"]}
    env = rendered.env()
    assert env["OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE"] == f"{mounts['ownership-gateway-seller-key']}/seller-key"
    assert env["OWNERSHIP_GATEWAY_ITCH__NEXT_API_KEY_FILE"] == f"{mounts['ownership-gateway-next-seller-key']}/k"


def test_the_gateway_reads_its_proxy_where_it_is_mounted(helm: Helm) -> None:
    """The URL holds a password, so it is a file like the other secrets."""
    rendered = helm.render(merged(SERVICE, {"secrets": {"proxy": {"existingSecret": "egress", "key": "url"}}}))

    mounts = {mount["name"]: mount["mountPath"] for mount in rendered.gateway()["volumeMounts"]}
    assert rendered.env()["OWNERSHIP_GATEWAY_ITCH__PROXY_FILE"] == f"{mounts['ownership-gateway-proxy']}/url"


def test_the_gateway_reads_its_mail_server_where_it_is_mounted(helm: Helm, tmp_path: Path) -> None:
    """The URL holds a password, so it is a file like the other secrets."""
    values = {"secrets": {"mailUrl": {"existingSecret": "mail"}}, "config": {"mail": {"from": "noreply@example.com"}}}
    rendered = helm.render(merged(SERVICE, values))

    mounts = {mount["name"]: mount["mountPath"] for mount in rendered.gateway()["volumeMounts"]}
    assert rendered.env()["OWNERSHIP_GATEWAY_MAIL__URL_FILE"] == f"{mounts['ownership-gateway-mail-url']}/mail-url"
    assert rendered.settings(tmp_path).has_mail


def test_the_gateway_reads_the_keys_for_passes_where_they_are_mounted(helm: Helm, tmp_path: Path) -> None:
    """They are a file like the other secrets, and with the issuer the gateway has passes."""
    secrets = {"passKeys": {"existingSecret": "passes", "key": "pem"}, "sealingSecret": {"existingSecret": "sealing"}}
    config = {"passes": {"issuer": "https://gateway.example.com", "seconds": 600}}

    rendered = helm.render(merged(SERVICE, {"secrets": secrets, "config": config}))

    mounts = {mount["name"]: mount["mountPath"] for mount in rendered.gateway()["volumeMounts"]}
    assert rendered.env()["OWNERSHIP_GATEWAY_PASSES__KEY_FILE"] == f"{mounts['ownership-gateway-pass-keys']}/pem"
    settings = rendered.settings(tmp_path)
    assert (settings.has_passes, settings.passes.seconds) == (True, 600)


def test_without_another_key_there_is_no_word_of_one(helm: Helm) -> None:
    """The environment names the file of a second key only when there is one."""
    assert "OWNERSHIP_GATEWAY_ITCH__NEXT_API_KEY_FILE" not in helm.render().env()


def test_a_file_of_somebody_else_needs_no_secret(helm: Helm) -> None:
    """A CSI driver or an agent may bring the key."""
    rendered = helm.render({**SERVICE, "secrets": {"sellerKey": {"file": "/run/vault/key"}}})

    assert rendered.env()["OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE"] == "/run/vault/key"
    assert [volume["name"] for volume in rendered.pod()["spec"]["volumes"]] == ["ownership-gateway-config"]


def test_the_pod_outlives_its_drain(helm: Helm) -> None:
    """SIGKILL comes after draining and the 10 seconds for what is under way."""
    spec = helm.render(merged(SERVICE, {"config": {"drain_seconds": 30}})).pod()["spec"]

    assert spec["terminationGracePeriodSeconds"] >= 40


@pytest.mark.parametrize("config", [{"deadline_ms": 1000}, {"log": {"format": "console"}}])
def test_another_configuration_replaces_the_pods(helm: Helm, config: dict[str, object]) -> None:
    """Most of the file is read at start, so the checksum of that is part of the pod."""
    before = helm.render().pod()["metadata"]["annotations"]
    after = helm.render(merged(SERVICE, {"config": config})).pod()["metadata"]["annotations"]

    assert before != after


@pytest.mark.parametrize(
    "config",
    [
        {"games": {"another-game": {"id": 77, "ban_user_ids": [1]}}},
        {"callers": [{"name": "arena", "token_sha256": "ab" * 32, "games": ["*"], "rights": ["verify"]}]},
        {"log": {"level": "debug"}},
    ],
)
def test_what_is_read_again_replaces_no_pod(helm: Helm, config: dict[str, object]) -> None:
    """Other games, callers and another level of the log stand in the file, and leave the pods as they are."""
    before, after = helm.render(), helm.render(merged(SERVICE, {"config": config}))

    assert before.pod() == after.pod()
    assert before.one("ConfigMap") != after.one("ConfigMap")


def test_another_port_of_the_service_restarts_nothing(helm: Helm) -> None:
    """A change that leaves the configuration as it is leaves its checksum as it is."""
    before = helm.render().pod()["metadata"]["annotations"]

    assert helm.render(merged(SERVICE, {"service": {"port": 80}})).pod()["metadata"]["annotations"] == before


@pytest.mark.parametrize("probe", ["startupProbe", "livenessProbe", "readinessProbe"])
def test_probes_ask_the_operations_port(helm: Helm, probe: str) -> None:
    """The port for questions answers no probe."""
    assert helm.render().gateway()[probe]["httpGet"]["port"] == "operations"


def test_liveness_does_not_look_at_readiness(helm: Helm) -> None:
    """A draining gateway is not ready, and must not be killed for it."""
    assert helm.render().gateway()["livenessProbe"]["httpGet"]["path"] == "/livez"


def test_game_servers_see_only_questions(helm: Helm) -> None:
    """The Service that is asked has no port for metrics."""
    ports = helm.render().one("Service", name_ends="gateway")["spec"]["ports"]

    assert [port["targetPort"] for port in ports] == ["questions"]


def test_prometheus_scrapes_each_pod_once(helm: Helm) -> None:
    """The ServiceMonitor selects the operations Service, and not the other."""
    rendered = helm.render(merged(SERVICE, {"serviceMonitor": {"enabled": True}}))
    selected = rendered.one("ServiceMonitor")["spec"]["selector"]["matchLabels"].items()

    services = [document for document in rendered.documents if document["kind"] == "Service"]
    matching = [one["metadata"]["name"] for one in services if selected <= one["metadata"]["labels"].items()]
    assert matching == ["release-ownership-gateway-operations"]


def test_selectors_match_the_pod(helm: Helm) -> None:
    """Deployment, Services, budget and policy all mean the same pods."""
    rendered = helm.render()
    labels = rendered.pod()["metadata"]["labels"].items()

    selectors = [
        document["spec"]["selector"].get("matchLabels", document["spec"]["selector"])
        for document in rendered.documents
        if "selector" in document.get("spec", {})
    ]
    selectors.append(rendered.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"])
    assert len(selectors) == 5
    assert all(selector.items() <= labels for selector in selectors)


def test_pods_are_spread(helm: Helm) -> None:
    """Pods are spread over nodes, then over zones."""
    constraints = helm.render().pod()["spec"]["topologySpreadConstraints"]

    assert [one["topologyKey"] for one in constraints] == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def test_replicas_share_the_store_budget(helm: Helm) -> None:
    """Each gateway knows the number of replicas."""
    rendered = helm.render(merged(SERVICE, {"replicaCount": 3}))

    assert rendered.one("Deployment")["spec"]["replicas"] == 3
    assert rendered.env()["OWNERSHIP_GATEWAY_REPLICAS"] == "3"


def test_with_autoscaling_the_budget_is_shared_by_the_most_there_can_be(helm: Helm) -> None:
    """The Deployment leaves the number to the autoscaler, and no number exceeds the budget."""
    rendered = helm.render(merged(SERVICE, {"autoscaling": {"enabled": True, "maxReplicas": 9}}))

    assert "replicas" not in rendered.one("Deployment")["spec"]
    assert rendered.env()["OWNERSHIP_GATEWAY_REPLICAS"] == "9"
    assert rendered.one("HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 9


def test_drains_of_nodes_leave_pods_running(helm: Helm) -> None:
    """One pod may be missing, and a broken one may always be moved."""
    spec = helm.render().one("PodDisruptionBudget")["spec"]

    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_digest_beats_the_tag(helm: Helm) -> None:
    """A digest names exactly one image, while a tag can be moved."""
    digest = f"sha256:{'0' * 64}"
    container = helm.render(merged(SERVICE, {"image": {"digest": digest, "tag": "1"}})).gateway()

    assert container["image"] == f"ghcr.io/ownership-gateway/ownership-gateway@{digest}"


def test_the_rules_arrive_as_they_are(helm: Helm) -> None:
    """Helm leaves Prometheus' own templates in the alerts alone."""
    rule = helm.render(merged(SERVICE, {"prometheusRule": {"enabled": True}})).one("PrometheusRule")

    assert rule["spec"] == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())


def test_the_dashboards_arrive_as_they_are(helm: Helm) -> None:
    """Helm leaves Grafana's own templates in the dashboards alone."""
    rendered = helm.render(merged(SERVICE, {"dashboard": {"enabled": True}}))
    files = (CHART / "files" / "dashboards").glob("*.json")

    data = rendered.one("ConfigMap", name_ends="dashboard")["data"] or {}
    assert {name: text.strip() for name, text in data.items()} == {one.name: one.read_text().strip() for one in files}


def test_rules_and_dashboard_lead_to_the_configured_pages(helm: Helm) -> None:
    """With an address, alerts have whole links and the dashboard has one; nothing else in them changes."""
    rendered = helm.render(
        merged(
            SERVICE,
            {
                "config": {"links": {"base_url": "https://pages.studio.example/x/"}},
                "prometheusRule": {"enabled": True},
                "dashboard": {"enabled": True},
            },
        )
    )
    spec = rendered.one("PrometheusRule")["spec"]
    (text,) = rendered.one("ConfigMap", name_ends="dashboard")["data"].values()
    dashboard = json.loads(text)

    for alert in (rule for group in spec["groups"] for rule in group["rules"] if "alert" in rule):
        link = alert["annotations"].pop("runbook_url")
        assert link == f"https://pages.studio.example/x/{alert['annotations']['runbook']}"
    assert spec == yaml.safe_load((CHART / "files" / "rules.yaml").read_text())
    assert [link["url"] for link in dashboard["links"]] == ["https://pages.studio.example/x/docs/operations.md"]
    assert dashboard | {"links": []} == json.loads((CHART / "files/dashboards/ownership-gateway.json").read_text())


def test_monitoring_is_asked_for(helm: Helm) -> None:
    """Clusters without the Prometheus Operator do not know its kinds."""
    assert helm.render().kinds().isdisjoint({"ServiceMonitor", "PodMonitor", "PrometheusRule"})
