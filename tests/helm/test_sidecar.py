"""The chart as a sidecar, included by the chart of a game server."""

from pathlib import Path
from typing import Any

import pytest

from service.settings import Settings
from tests.cache.certificates import write_certificate
from tests.helm.rendering import SIDECAR, Helm, Rendered, containers_of, merged


def _render(helm: Helm, chart: Path, **sidecar: Any) -> Rendered:
    return helm.render({"ownership-gateway": {"sidecar": sidecar}}, chart=chart)


def _settings(helm: Helm, chart: Path, directory: Path, **sidecar: Any) -> Settings:
    return _render(helm, chart, **sidecar).settings(directory)


def test_nothing_runs_by_itself(helm: Helm) -> None:
    """Alone, the chart brings only the configuration."""
    assert helm.render(SIDECAR).kinds() == {"ConfigMap"}


def test_native_form(helm: Helm, game_server: Path) -> None:
    """An init container that is always restarted: Kubernetes starts it first and stops it last."""
    spec = _render(helm, game_server, form="native").pod()["spec"]

    assert [(one["name"], one["restartPolicy"]) for one in spec["initContainers"]] == [("ownership-gateway", "Always")]


def test_container_form(helm: Helm, game_server: Path) -> None:
    """A container in the game server's pod, for Kubernetes before 1.29."""
    spec = _render(helm, game_server, form="container").pod()["spec"]

    assert "initContainers" not in spec
    assert [one["name"] for one in spec["containers"]] == ["game-server", "ownership-gateway"]
    assert "restartPolicy" not in spec["containers"][1]


def test_on_loopback(helm: Helm, game_server: Path, tmp_path: Path) -> None:
    """Only the pod itself reaches the port, so there need to be no callers."""
    settings = _settings(helm, game_server, tmp_path, listen="loopback")

    assert (settings.host, settings.port, settings.callers) == (("127.0.0.1",), 8080, ())


def test_on_a_unix_socket(helm: Helm, game_server: Path, tmp_path: Path) -> None:
    """The gateway listens on the volume that the game server mounts too."""
    settings = _settings(helm, game_server, tmp_path, listen="unixSocket")

    assert settings.unix_socket == Path("/run/ownership-gateway/gateway.sock")


def test_both_see_the_socket(helm: Helm, game_server: Path) -> None:
    """Game server and gateway mount the same volume at the same place."""
    pod = _render(helm, game_server, listen="unixSocket").pod()

    mounts = [
        mount["mountPath"]
        for container in containers_of(pod)
        for mount in container["volumeMounts"]
        if mount["name"] == "ownership-gateway-socket"
    ]
    assert mounts == ["/run/ownership-gateway"] * 2


def test_loopback_needs_no_volume_of_the_game_server(helm: Helm, game_server: Path) -> None:
    """The game server's container mounts nothing of the gateway's."""
    game, *_ = _render(helm, game_server, listen="loopback").pod()["spec"]["containers"]

    assert "volumeMounts" not in game


@pytest.mark.parametrize(
    ("listen", "url"),
    [("loopback", "http://127.0.0.1:8080"), ("unixSocket", "unix:/run/ownership-gateway/gateway.sock")],
)
def test_the_game_server_is_told_where_to_ask(helm: Helm, game_server: Path, listen: str, url: str) -> None:
    """One template gives the address, on loopback and on a Unix socket."""
    game, *_ = _render(helm, game_server, listen=listen).pod()["spec"]["containers"]

    assert game["env"] == [{"name": "OWNERSHIP_URL", "value": url}]


def test_questions_have_no_port_on_the_pod(helm: Helm, game_server: Path) -> None:
    """Only health and metrics are reachable from outside the pod."""
    ports = _render(helm, game_server, listen="loopback").gateway()["ports"]

    assert ports == [{"name": "gateway-ops", "containerPort": 9090}]


def test_the_token_is_for_the_gateway_alone(helm: Helm, game_server: Path) -> None:
    """The game server's container does not mount it, and no Secret with the seller's key is in the pod."""
    rendered = _render(helm, game_server)
    game, *_ = rendered.pod()["spec"]["containers"]

    assert "ownership-gateway-relay-token" not in [mount["name"] for mount in game["volumeMounts"]]
    assert [volume["secret"]["secretName"] for volume in rendered.pod()["spec"]["volumes"] if "secret" in volume] == [
        "ownership-relay"
    ]
    assert "API_KEY" not in str(rendered.gateway()["env"])


def test_a_relay(helm: Helm, game_server: Path, tmp_path: Path) -> None:
    """The gateway accepts the environment that the chart gives it, and is a relay by it."""
    sidecar = {"relay": {"url": "https://hub.example", "freshSeconds": 7}}
    rendered = helm.render(
        {
            "ownership-gateway": {
                "sidecar": sidecar,
                "secrets": {"relayCa": {"file": str(tmp_path / "certificate.pem")}},
            }
        },
        chart=game_server,
    )
    write_certificate(tmp_path, address="127.0.0.1")
    settings = rendered.settings(tmp_path)

    assert settings.is_relay
    assert (settings.relay.url, settings.relay.fresh_seconds) == ("https://hub.example", 7)
    assert settings.relay.ca_file == tmp_path / "certificate.pem"


def test_the_key_is_for_the_gateway_alone(helm: Helm, game_server: Path, tmp_path: Path) -> None:
    """The exception: accepted, a sidecar with the key asks itch.io itself, and no other container mounts the key."""
    values = {
        "sidecar": {"relay": {"url": ""}, "acceptKeyInPod": True},
        "secrets": {"relayToken": {"existingSecret": ""}, "sellerKey": {"existingSecret": "itch"}},
    }
    rendered = helm.render({"ownership-gateway": values}, chart=game_server)
    game, *_ = rendered.pod()["spec"]["containers"]

    assert not rendered.settings(tmp_path).is_relay
    assert "ownership-gateway-seller-key" not in [mount["name"] for mount in game["volumeMounts"]]


def test_the_gateway_reads_its_key_without_a_group(helm: Helm, game_server: Path) -> None:
    """A sidecar has no say over the pod's fsGroup, and must not depend on it to read the key."""
    (volume,) = [volume for volume in _render(helm, game_server).pod()["spec"]["volumes"] if "secret" in volume]

    assert volume["secret"]["defaultMode"] == 0o444


def test_the_pod_monitor_finds_the_pod(helm: Helm, game_server: Path) -> None:
    """The monitor selects the pod by a label of its own: the others are the game server's."""
    rendered = helm.render({"ownership-gateway": {"podMonitor": {"enabled": True}}}, chart=game_server)

    selector = rendered.one("PodMonitor")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= rendered.pod()["metadata"]["labels"].items()


def test_the_pod_monitor_names_a_port_of_the_pod(helm: Helm, game_server: Path) -> None:
    """Names of ports are shared by all containers of a pod, so this one says whose it is."""
    rendered = helm.render({"ownership-gateway": {"podMonitor": {"enabled": True}}}, chart=game_server)

    (endpoint,) = rendered.one("PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in [port["name"] for port in rendered.gateway()["ports"]]


@pytest.mark.parametrize(("form", "seconds"), [("native", 0), ("container", 5)])
def test_draining(helm: Helm, game_server: Path, tmp_path: Path, form: str, seconds: int) -> None:
    """A native sidecar is stopped after the game server; a plain container is stopped together with it."""
    assert _settings(helm, game_server, tmp_path, form=form).drain_seconds == seconds


def test_a_new_configuration_restarts_the_pod(helm: Helm, game_server: Path) -> None:
    """The annotation changes with the file."""
    before = _render(helm, game_server).pod()["metadata"]["annotations"]
    after = helm.render({"ownership-gateway": {"config": {"deadline_ms": 999}}}, chart=game_server)

    assert after.pod()["metadata"]["annotations"] != before


def test_both_helms_render_the_same(helms: dict[str, Helm], game_server: Path) -> None:
    assert helms["3"].render({}, chart=game_server).documents == helms["4"].render({}, chart=game_server).documents


def test_the_pod_is_restricted(helm: Helm, game_server: Path) -> None:
    """As a sidecar the gateway gets no more than as a service."""
    context = _render(helm, game_server).gateway()["securityContext"]

    assert context["runAsNonRoot"] is True
    assert context["readOnlyRootFilesystem"] is True
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_a_condition_is_allowed(helm: Helm) -> None:
    """Charts that depend on this one switch it on and off by `enabled`."""
    assert helm.render(merged(SIDECAR, {"enabled": True, "global": {"anything": 1}})).kinds() == {"ConfigMap"}
