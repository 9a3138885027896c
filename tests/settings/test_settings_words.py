"""The description of the settings that apply, and the documentation of each."""

from pathlib import Path

import pytest

from service.settings import SettingDoc, describe, documented_settings, load_settings

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
DOCS = documented_settings()


def test_the_description_of_the_effective_settings(tmp_path: Path) -> None:
    """Every setting has a line with what applies, each game and caller included."""
    file = tmp_path / "gateway.toml"
    file.write_text(
        f"""
        [games.x-moon]
        id = 3
        grant_user_ids = [10, 9]
        [[callers]]
        name = "lobby"
        token_sha256 = "{DIGEST}"
        games = [3, "x-moon"]
        rights = ["verify"]
        """,
        encoding="utf-8",
    )
    environ = {
        "OWNERSHIP_GATEWAY_ITCH__API_KEY": "k3y",
        "OWNERSHIP_GATEWAY_UNIX_SOCKET": "/run/gateway.sock",
        "OWNERSHIP_GATEWAY_OPERATIONS__HOST": "::,10.0.0.7",
        "OWNERSHIP_GATEWAY_OPERATIONS__PORT": "9090",
    }

    lines = describe(load_settings(environ, config_file=file)).splitlines()

    assert {
        'host = "127.0.0.1"',
        "port = 8080",
        "max_connections = unset",
        "keep_alive_seconds = 620",
        'operations.host = ["::", "10.0.0.7"]',
        'unix_socket = "/run/gateway.sock"',
        "sandbox = false",
        "secret = unset",
        "itch.api_key = set",
        'itch.base_url = "https://api.itch.io"',
        "itch.timeout = 5.0",
        "redis.url = unset",
        "log.format = unset",
        "games.x-moon.id = 3",
        "games.x-moon.grant_user_ids = [9, 10]",
        'callers[lobby].games = [3, "x-moon"]',
        'callers[lobby].rights = ["verify"]',
        "callers[lobby].token_sha256 = set",
    } <= set(lines)


def test_the_sandbox_has_no_address() -> None:
    """The description of a sandbox names no store that it would never ask."""
    text = describe(load_settings({"OWNERSHIP_GATEWAY_SANDBOX": "true"}))

    assert "itch.base_url = unset" in text.splitlines()


def test_a_path_in_no_encoding_can_be_described() -> None:
    """A path whose bytes are no text is shown with its bytes escaped."""
    environ = {"OWNERSHIP_GATEWAY_SANDBOX": "true", "OWNERSHIP_GATEWAY_UNIX_SOCKET": "/run/\udcff"}

    assert "unix_socket = '/run/\\udcff'" in describe(load_settings(environ)).splitlines()


@pytest.mark.parametrize("setting", DOCS, ids=lambda setting: setting.env or setting.toml)
def test_every_setting_is_documented(setting: SettingDoc) -> None:
    """The string under the field is a sentence that says what applies when nothing is set."""
    assert setting.doc.endswith(".")
    assert "Default:" in setting.doc or "Required." in setting.doc
    assert ("Required." in setting.doc) == (setting.default == "required")


@pytest.mark.parametrize(
    "expected",
    [
        SettingDoc(
            env="OWNERSHIP_GATEWAY_ITCH__RATE",
            toml="itch.rate",
            type="a number above 0, at most 8",
            default="unset",
            doc="Requests a second to itch.io, of all replicas together. Default: 6, for the sandbox no limit;"
            " itch.io's own client stops at 8.",
        ),
        SettingDoc(
            env=None,
            toml="games.<slug>.id",
            type="a whole number from 1 to 9007199254740991",
            default="required",
            doc="The number that itch.io gave the game; `ownership-gateway games` lists them. Required.",
        ),
    ],
    ids=lambda setting: setting.toml,
)
def test_what_is_documented(expected: SettingDoc) -> None:
    """A setting's documentation holds its names, its type in words, its default and its string."""
    assert expected in DOCS


def test_the_names_the_outside_relies_on() -> None:
    """The variables that the design promises exist."""
    promised = [
        "HOST",
        "PORT",
        "DEADLINE_MS",
        "ITCH__API_KEY",
        "ITCH__API_KEY_FILE",
        "ITCH__BASE_URL",
        "ITCH__DIALECT",
        "ITCH__RATE",
        "ITCH__BURST",
        "ITCH__TIMEOUT",
        "REDIS__URL",
        "SECRET",
        "SECRET_FILE",
        "SANDBOX",
        "LOG__LEVEL",
        "LOG__FORMAT",
        "CONFIG",
    ]

    assert {f"OWNERSHIP_GATEWAY_{name}" for name in promised} <= {setting.env for setting in DOCS}
