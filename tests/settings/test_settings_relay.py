"""Mistakes about relays: without a hub, with what is the hub's alone, or to where the token must not go."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings, describe, load_settings
from service.settings.checks import names_a_store
from service.settings.model import SECRET_FILES

TOKEN = "ogw_canary-token-of-a-relay-in-tests-000000000"
HUB = "https://hub.example"
POLICY = '[forward_auth.files]\ngame = "x-moon"\ncredentials = ["pass", "access_token"]\n'
GAME = "[games.x-moon]\nid = 3\n"


def read(directory: Path, toml: str = "", **environ: str) -> Settings:
    """Return the settings with that file."""
    file = directory / "gateway.toml"
    file.write_text(toml, encoding="utf-8")
    return load_settings({f"OWNERSHIP_GATEWAY_{name}": text for name, text in environ.items()}, config_file=file)


def mistakes(directory: Path, toml: str = "", **environ: str) -> list[str]:
    """Return the lines with which they are refused."""
    with pytest.raises(SettingsError) as refusal:
        read(directory, toml, **environ)
    return refusal.value.mistakes


def test_a_relay_needs_no_more_than_hub_and_token(tmp_path: Path) -> None:
    """No store, and no secret; what is shown of it holds no token."""
    settings = read(tmp_path, GAME, RELAY__URL=HUB, RELAY__TOKEN=TOKEN)

    assert (settings.is_relay, settings.relay.fresh_seconds, names_a_store(settings)) == (True, 30, True)
    assert TOKEN not in describe(settings) + repr(settings)


def test_a_gateway_is_no_relay_by_itself(tmp_path: Path) -> None:
    """It takes a hub."""
    assert not read(tmp_path, ITCH__API_KEY="a-key").is_relay


def test_the_token_may_be_in_a_file(tmp_path: Path) -> None:
    """The file with authorities is that of no secret."""
    (tmp_path / "token").write_text(f" {TOKEN}\n")
    settings = read(tmp_path, RELAY__URL=HUB, RELAY__TOKEN_FILE=str(tmp_path / "token"))

    assert settings.relay.token is not None
    assert settings.relay.token.reveal() == TOKEN
    assert "relay.ca" not in SECRET_FILES


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {"RELAY__URL": HUB},
            "OWNERSHIP_GATEWAY_RELAY__TOKEN is not set, but OWNERSHIP_GATEWAY_RELAY__URL is: give the token of a"
            " caller at the hub there or in a file named by OWNERSHIP_GATEWAY_RELAY__TOKEN_FILE",
        ),
        (
            {"RELAY__TOKEN": TOKEN, "ITCH__API_KEY": "a-key"},
            "OWNERSHIP_GATEWAY_RELAY__TOKEN is set without OWNERSHIP_GATEWAY_RELAY__URL: set both or neither",
        ),
        (
            {"RELAY__FRESH_SECONDS": "5", "ITCH__API_KEY": "a-key"},
            "OWNERSHIP_GATEWAY_RELAY__FRESH_SECONDS is set without OWNERSHIP_GATEWAY_RELAY__URL: set both or neither",
        ),
        (
            {"RELAY__URL": HUB, "RELAY__TOKEN": "not one token"},
            "OWNERSHIP_GATEWAY_RELAY__TOKEN cannot be used: expected printable ASCII without spaces",
        ),
        (
            {"RELAY__URL": HUB, "RELAY__TOKEN": TOKEN, "RELAY__FRESH_SECONDS": "301"},
            "OWNERSHIP_GATEWAY_RELAY__FRESH_SECONDS is '301': expected a whole number from 1 to 300",
        ),
    ],
)
def test_half_a_relay_is_refused(tmp_path: Path, environ: dict[str, str], line: str) -> None:
    """With one line that says what to do."""
    assert mistakes(tmp_path, **environ) == [line]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("hub.example", "expected a URL such as https://ownership.example"),
        ("ftp://hub.example", "expected a URL such as https://ownership.example"),
        ("https://", "expected a URL such as https://ownership.example"),
        ("https://hub.example:0", "expected a URL such as https://ownership.example"),
        ("https://hub.example:99999", "expected a URL such as https://ownership.example"),
        ("https://[::1].evil.example", "expected a URL such as https://ownership.example"),
        ("https://hub example", "expected a URL such as https://ownership.example"),
        (
            "https://relay:password@hub.example",
            "a user name or password has no place in it; the token has a setting of its own",
        ),
        ("https://hub.example/api", "a path, query or fragment has no place in it"),
        ("https://hub.example?token=1", "a path, query or fragment has no place in it"),
        ("https://hub.example#top", "a path, query or fragment has no place in it"),
        (
            "http://hub.example",
            "plain http would show the token to everybody on the way; expected https, or a loopback address",
        ),
    ],
)
def test_the_token_goes_to_no_other_place(tmp_path: Path, url: str, fault: str) -> None:
    """And the line does not repeat the URL."""
    line = f"OWNERSHIP_GATEWAY_RELAY__URL cannot be used: {fault}"

    assert mistakes(tmp_path, RELAY__URL=url, RELAY__TOKEN=TOKEN) == [line]


@pytest.mark.parametrize(
    "url", ["https://hub.example", "https://hub.example:8443/", "http://127.0.0.1:8080", "http://[::1]:80"]
)
def test_good_addresses(tmp_path: Path, url: str) -> None:
    """TLS, or this machine."""
    assert read(tmp_path, RELAY__URL=url, RELAY__TOKEN=TOKEN).relay.url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ITCH__API_KEY", "a-key"),
        ("ITCH__NEXT_API_KEY", "a-key"),
        ("ITCH__BASE_URL", "https://api.itch.io"),
        ("ITCH__RATE", "4"),
        ("ITCH__TIMEOUT", "4"),
        ("REDIS__URL", "redis://127.0.0.1"),
        ("PASSES__SECONDS", "900"),
    ],
)
def test_what_is_the_hubs_alone_is_refused(tmp_path: Path, name: str, value: str) -> None:
    """A seller's key above all: then it would be no relay."""
    more = {"SECRET": "correct horse battery staple, twice"} if name == "REDIS__URL" else {}
    lines = mistakes(tmp_path, RELAY__URL=HUB, RELAY__TOKEN=TOKEN, **{name: value}, **more)

    assert lines == [
        f"OWNERSHIP_GATEWAY_{name} is set, but OWNERSHIP_GATEWAY_RELAY__URL is too: in a relay its hub has that; leave"
        " it out, or leave OWNERSHIP_GATEWAY_RELAY__URL out"
    ]


def test_a_key_in_a_file_is_called_by_the_files_setting(tmp_path: Path) -> None:
    """One line for it."""
    (tmp_path / "key").write_text("a-key")
    lines = mistakes(tmp_path, RELAY__URL=HUB, RELAY__TOKEN=TOKEN, ITCH__API_KEY_FILE=str(tmp_path / "key"))

    assert len(lines) == 1
    assert "ITCH__API_KEY_FILE" in lines[0]


@pytest.mark.parametrize("name", ["SANDBOX", "CONSOLE"])
def test_what_a_relay_has_not_is_refused(tmp_path: Path, name: str) -> None:
    """Both are the hub's."""
    lines = mistakes(tmp_path, RELAY__URL=HUB, RELAY__TOKEN=TOKEN, **{name: "true"})

    assert lines == [
        f"OWNERSHIP_GATEWAY_{name} is on, but OWNERSHIP_GATEWAY_RELAY__URL is set: a relay has none; leave one of them"
        " out"
    ]
    assert read(tmp_path, RELAY__URL=HUB, RELAY__TOKEN=TOKEN, **{name: "false"}).is_relay


@pytest.mark.parametrize(
    "rule", ['accept = ["purchase"]', "grant_user_ids = [1]", "owned_fresh_seconds = 60", "canary_owner_user_id = 1"]
)
def test_rules_are_the_hubs(tmp_path: Path, rule: str) -> None:
    """Only the id of a game stands in a relay."""
    lines = mistakes(tmp_path, f"{GAME}{rule}\n", RELAY__URL=HUB, RELAY__TOKEN=TOKEN)

    assert lines == [
        f"games.x-moon.{rule.partition(' ')[0]} in gateway.toml is set, but OWNERSHIP_GATEWAY_RELAY__URL is too: the"
        " hub has the rules; keep only id"
    ]


def test_a_proxy_may_ask_a_relay_by_every_method(tmp_path: Path) -> None:
    """The hub may have them all."""
    assert read(tmp_path, GAME + POLICY, RELAY__URL=HUB, RELAY__TOKEN=TOKEN).forward_auth


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_without_authorities(tmp_path: Path, content: str | None) -> None:
    """Then no hub could be trusted."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    lines = mistakes(tmp_path, RELAY__URL=HUB, RELAY__TOKEN=TOKEN, RELAY__CA_FILE=str(file))

    assert lines == [
        "OWNERSHIP_GATEWAY_RELAY__CA_FILE cannot be used: expected a file with certificates in PEM",
    ]
