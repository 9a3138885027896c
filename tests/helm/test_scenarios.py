"""Rules for every scenario in the chart's ci/ folder, and for the manifests made from the chart."""

import tomllib
from pathlib import Path

import pytest
import yaml

from service.errors import SettingsError
from service.settings.model import SINGLE
from tests.helm.rendering import CHART, MANIFESTS, ROOT, SCENARIOS, Helm, Rendered

_SERVICES = [path for path in SCENARIOS if path.name.startswith("service")]


def _name(path: Path) -> str:
    return path.name.removesuffix("-values.yaml")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_name)
def test_both_helms_render_the_same(helms: dict[str, Helm], scenario: Path) -> None:
    assert helms["3"].render(scenario).documents == helms["4"].render(scenario).documents


@pytest.mark.parametrize("scenario", _SERVICES, ids=_name)
def test_the_gateway_starts_with_what_is_rendered(helm: Helm, scenario: Path, tmp_path: Path) -> None:
    """The gateway's own settings accept the file and the environment of the pod."""
    settings = helm.render(scenario).settings(tmp_path)

    assert settings.operations.port == 9090


@pytest.mark.parametrize("scenario", SCENARIOS, ids=_name)
def test_everything_is_in_the_namespace_of_the_release(helm: Helm, scenario: Path) -> None:
    """Every object names the namespace of the release."""
    assert {document["metadata"]["namespace"] for document in helm.render(scenario).documents} == {"games"}


def test_values_arrive_unchanged(helm: Helm, tmp_path: Path) -> None:
    """Large ids stay whole numbers, fractions stay fractions, lists stay lists."""
    settings = helm.render(CHART / "ci" / "service-everything-values.yaml").settings(tmp_path)

    games = {game.slug: game for game in settings.games}
    assert games["x-moon"].id == 9007199254740991
    assert games["x-moon"].grant_user_ids == {29789, 1234567890}
    assert list(games["x-moon"].canary_user_ids.values()) == [1994, 9007199254740991]
    assert [caller.rate for caller in settings.callers] == [0.5, 50.0]
    assert settings.itch.rate == 4.5
    assert [(one.issuer, one.require_nonce) for one in settings.oidc] == [
        ("https://accounts.google.com", False),
        ("https://id.studio.example", True),
    ]
    assert settings.drain_seconds == 7.5
    assert settings.max_requests == 2048


def test_every_setting_is_the_charts_or_the_operators(helm: Helm) -> None:
    """No setting of the gateway is out of reach, and none can be set in two places."""
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())["properties"]["config"]["properties"]
    below_config = {
        f"{group}.{key}" if "properties" in table else group
        for group, table in schema.items()
        for key in table.get("properties", {"": None})
    } - {"games", "callers", "oidc"}

    assert set(SINGLE) - below_config == {
        "host",
        "port",
        "unix_socket",
        "replicas",
        "secret",
        "secret_file",
        "itch.api_key",
        "itch.api_key_file",
        "itch.next_api_key",
        "itch.next_api_key_file",
        "itch.proxy",
        "itch.proxy_file",
        "passes.key",
        "passes.key_file",
        "mail.url",
        "mail.url_file",
        "redis.url",
        "redis.url_file",
        "relay.url",
        "relay.token",
        "relay.token_file",
        "relay.ca_file",
        "relay.fresh_seconds",
        "operations.host",
        "operations.port",
    }


def test_the_chart_is_of_the_gateways_version() -> None:
    """The chart installs the version that it was tested with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert chart["appVersion"] == project["version"]


def test_the_caller_of_the_manifests_lets_nobody_in() -> None:
    """Manifests that are applied unread are closed to all: no token hashes to zeros."""
    config = tomllib.loads(yaml.safe_load((MANIFESTS / "configmap.yaml").read_text())["data"]["gateway.toml"])

    assert [caller["token_sha256"] for caller in config["callers"]] == ["0" * 64]


def manifests() -> str:
    """Return what people without Helm apply, as far as the gateway reads it."""
    return "\n---\n".join((MANIFESTS / name).read_text() for name in ("configmap.yaml", "deployment.yaml"))


def test_the_gateway_does_not_start_with_the_manifests_unread(tmp_path: Path) -> None:
    """The error says which line still has to be filled in."""
    with pytest.raises(SettingsError) as refusal:
        Rendered(manifests()).settings(tmp_path)

    [line] = refusal.value.mistakes
    assert line.startswith("callers[lobby].token_sha256 in ")


def test_the_gateway_starts_with_the_manifests(tmp_path: Path) -> None:
    """Once a caller's digest is filled in, they are a configuration that the gateway accepts."""
    text = manifests().replace("0" * 64, "1" * 64)

    assert Rendered(text).settings(tmp_path).host == ("0.0.0.0",)  # noqa: S104 - that is what a service listens on
