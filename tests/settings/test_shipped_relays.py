"""The relays of `deploy/compose` and `deploy/systemd`: a gateway accepts them, and has no seller's key by them."""

import re
from pathlib import Path

import pytest
import yaml

from service.errors import SettingsError
from service.settings import Settings, load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"
TOKEN = "ogw_token-of-a-relay-in-tests-0123456789-0123456"


def settings_of(tmp_path: Path, environ: dict[str, str], toml: str = "") -> Settings:
    """Return the settings by these variables, of which one names the file of the token."""
    token, config = tmp_path / "relay-token", tmp_path / "gateway.toml"
    token.write_text(TOKEN)
    config.write_text(toml)
    given = {name: str(token) if name.endswith("TOKEN_FILE") else value for name, value in environ.items()}
    return load_settings(given | {"OWNERSHIP_GATEWAY_CONFIG": str(config)})


def test_compose(tmp_path: Path) -> None:
    """On loopback alone, so that no callers are needed; the token is its only secret."""
    document = yaml.safe_load((DEPLOY / "compose" / "relay.yaml").read_text())
    relay = document["services"]["relay"]
    environ = {
        name: re.sub(r"\$\{RELAY_URL.*\}", "https://hub.example", text) for name, text in relay["environment"].items()
    }
    settings = settings_of(tmp_path, environ)

    assert (settings.is_relay, settings.relay.url, settings.host) == (True, "https://hub.example", ("127.0.0.1",))
    assert (list(document["secrets"]), relay["secrets"]) == (["relay-token"], ["relay-token"])


def unit_with_drop_in() -> dict[str, str]:
    """Return the variables that systemd sets by the unit and the drop-in."""
    environ: dict[str, str] = {}
    for name in ("ownership-gateway.service", "relay.conf"):
        for line in (DEPLOY / "systemd" / name).read_text().splitlines():
            if line.startswith("Environment="):
                key, _, value = line.partition("=")[2].partition("=")
                environ[key] = value
            elif line.startswith("UnsetEnvironment="):
                environ.pop(line.partition("=")[2])
    return {
        name: value for name, value in environ.items() if name.startswith("OWNERSHIP_GATEWAY_") and "CONFIG" not in name
    }


def test_systemd(tmp_path: Path) -> None:
    """With the table in the file; without it the error says what is missing."""
    environ = unit_with_drop_in()

    assert settings_of(tmp_path, environ, '[relay]\nurl = "https://hub.example"\n').is_relay
    with pytest.raises(SettingsError, match=r"relay\.url|RELAY__URL"):
        settings_of(tmp_path, environ)
