"""`new-caller`: a token that is shown once, and configuration that holds only its hash."""

import hashlib
import re
from pathlib import Path

import pytest

from service.cli.exits import Exit
from service.rights import Right
from service.settings import CallerSettings, load_settings
from tests.cli.terminals import run


def made(tmp_path: Path, *arguments: str) -> tuple[str, CallerSettings]:
    """Return the token, and the caller that the printed lines configure."""
    result = run("new-caller", *arguments)
    assert result.exit_code == Exit.OK
    token, toml = result.stdout.split("\n", 1)
    file = tmp_path / "gateway.toml"
    file.write_text("[games.x-moon]\nid = 3\n[games.sun-garden]\nid = 4\n" + toml)
    settings = load_settings({}, config_file=file, require_source=False)
    return token, settings.callers[0]


def test_the_token_has_a_recognisable_form() -> None:
    """Secret scanners find `ogw_`; 32 random bytes are 43 characters."""
    token = run("new-caller", "lobby").stdout.splitlines()[0]

    assert re.fullmatch(r"ogw_[A-Za-z0-9_-]{43}", token)


def test_every_token_is_another(tmp_path: Path) -> None:
    """Two tokens share no more than their prefix."""
    assert made(tmp_path, "lobby")[0] != made(tmp_path, "lobby")[0]


def test_the_configuration_lets_the_token_in(tmp_path: Path) -> None:
    """The gateway knows a caller by the hash of the whole token."""
    token, caller = made(tmp_path, "lobby")

    assert caller.token_digest == hashlib.sha256(token.encode()).digest()


def test_the_token_is_not_in_the_configuration() -> None:
    """The printed configuration holds no token: more people read it."""
    token, toml = run("new-caller", "lobby").stdout.split("\n", 1)

    assert token not in toml
    assert token.removeprefix("ogw_") not in toml


def test_it_says_that_the_token_is_shown_once() -> None:
    """A hint says that the token is shown only once."""
    assert "shown this once" in run("new-caller", "lobby").stderr


def test_a_caller_may_only_verify_unless_told_otherwise(tmp_path: Path) -> None:
    """Vouching for players is a right that must be given."""
    _, caller = made(tmp_path, "lobby")

    assert (caller.name, caller.rate) == ("lobby", 50.0)
    assert caller.rights == {Right.VERIFY}
    assert caller.games == {"*"}


def test_games_rights_and_rate_can_be_chosen(tmp_path: Path) -> None:
    """Options may be repeated; saying one twice is saying it once."""
    _, caller = made(
        tmp_path, "match-2", "--game", "x-moon", "--game", "sun-garden", "--game", "x-moon",
        "--right", "verify", "--right", "assert:user", "--rate", "2.5",
    )  # fmt: skip

    assert caller.games == {"x-moon", "sun-garden"}
    assert caller.rights == {Right.VERIFY, Right.ASSERT_USER}
    assert caller.rate == 2.5


def test_a_game_can_be_chosen_by_its_number(tmp_path: Path) -> None:
    """A game may be a number, for gateways without configured games."""
    _, caller = made(tmp_path, "lobby", "--game", "3")

    assert {str(game) for game in caller.games} == {"3"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["Lobby"], "NAME is 'Lobby': expected 1 to 64 of a-z, 0-9 and -"),
        (
            ["lobby", "--game", "X Moon"],
            "--game is ['X Moon']: expected a list of at least one slug or itch.io game id",
        ),
        (["lobby", "--game", "*", "--game", "x-moon"], '--game holds "*" and more'),
        (["lobby", "--rate", "0"], "--rate is '0': expected a number above 0"),
        (["lobby", "--rate", "fast"], "--rate is 'fast': expected a number above 0"),
        (["lobby", "--right", "everything"], "'everything' is not one of 'verify', 'assert:user', 'assert:email'"),
        ([], "Missing argument 'NAME'"),
    ],
)
def test_what_the_gateway_would_refuse_is_refused_here(arguments: list[str], told: str) -> None:
    """In one line, and without a token."""
    result = run("new-caller", *arguments)

    assert result.exit_code == Exit.USAGE
    assert result.stdout == ""
    assert told in result.stderr


def test_it_needs_no_configuration_and_trips_over_none() -> None:
    """Tokens are made before the gateway is configured, often elsewhere."""
    assert run("new-caller", "lobby", environ={"OWNERSHIP_GATEWAY_PORT": "nonsense"}).exit_code == Exit.OK
