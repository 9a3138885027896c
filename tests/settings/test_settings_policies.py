"""Mistakes about the places that proxies guard."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.settings import Settings, describe, load_settings

GAME = "[games.x-moon]\nid = 3\n"
POLICY = '[forward_auth.files]\ngame = "x-moon"\ncredentials = ["jwt"]\n'
OF_EDGE = POLICY + 'caller = "edge"\n'
EDGE = (
    '[[callers]]\nname = "edge"\ngames = ["*"]\nrights = ["verify"]\n'
    'token_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"\n'
)
NO_GAME = "which is no game: expected a slug or id from [games.<slug>]"
NO_CALLER = "expected the name of one of [[callers]], and nothing where there are none"
KEPT_FROM_IT = "may not ask about the game of the policy: add it to those of the caller, or name another caller"


def read(directory: Path, toml: str, **environ: str) -> Settings:
    """Return the settings of a sandbox with that file."""
    file = directory / "gateway.toml"
    file.write_text(toml, encoding="utf-8")
    variables = {f"OWNERSHIP_GATEWAY_{name}": text for name, text in environ.items()}
    return load_settings({"OWNERSHIP_GATEWAY_SANDBOX": "true", **variables}, config_file=file)


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("forward_auth = 3\n" + GAME, "forward_auth in gateway.toml is a single value: expected a table"),
        (
            "[forward_auth]\nfiles = []\n" + GAME,
            "forward_auth.files in gateway.toml is a list: expected a table",
        ),
        (
            GAME + POLICY.replace("files", "Files"),
            "forward_auth.Files in gateway.toml is no name of a policy: expected 1 to 64 of a-z, 0-9, _ and -,"
            " beginning with a letter or digit",
        ),
        (
            GAME + POLICY.replace('"jwt"', ""),
            "forward_auth.files.credentials in gateway.toml is []: expected a list of at least one of pass,"
            " jwt, download_key, access_token, each only once",
        ),
        (
            GAME + POLICY.replace('"jwt"', '"jwt", "access_token"'),
            "forward_auth.files.credentials in gateway.toml holds access_token, but"
            " OWNERSHIP_GATEWAY_ITCH__ACCESS_TOKENS is off: turn it on, or leave it out",
        ),
        (GAME + POLICY.replace("x-moon", "x-mon"), f"forward_auth.files.game in gateway.toml is 'x-mon', {NO_GAME}"),
        (GAME + POLICY.replace("x-moon", "4"), f"forward_auth.files.game in gateway.toml is '4', {NO_GAME}"),
        (POLICY, f"forward_auth.files.game in gateway.toml is 'x-moon', {NO_GAME}"),
        (GAME + EDGE + POLICY, f"forward_auth.files.caller in gateway.toml is not set: {NO_CALLER}"),
        (
            GAME + EDGE + OF_EDGE.replace('"edge"', '"egde"'),
            f"forward_auth.files.caller in gateway.toml is 'egde', which is no caller: {NO_CALLER}",
        ),
        (
            GAME + OF_EDGE,
            f"forward_auth.files.caller in gateway.toml is 'edge', which is no caller: {NO_CALLER}",
        ),
        (
            GAME + EDGE.replace('"verify"', '"pass"') + OF_EDGE,
            "forward_auth.files.caller in gateway.toml is 'edge', which lacks the right verify: give it that right, or"
            " name another caller",
        ),
        (
            GAME + "[games.sun]\nid = 4\n" + EDGE.replace('"*"', '"sun"') + OF_EDGE,
            f"forward_auth.files.caller in gateway.toml is 'edge', which {KEPT_FROM_IT}",
        ),
        (
            GAME + POLICY + 'cookie = "a b"\n',
            "forward_auth.files.cookie in gateway.toml is 'a b': expected 1 to 64 of A-Z, a-z, 0-9, ., _ and -",
        ),
        (
            GAME + POLICY + 'cookie = "a"\n',
            "forward_auth.files.cookie in gateway.toml is set, but passes are none of the credentials: add pass to"
            " them, or leave it out",
        ),
        (
            EDGE.replace('"*"', "4") + OF_EDGE.replace("x-moon", "3"),
            f"forward_auth.files.caller in gateway.toml is 'edge', which {KEPT_FROM_IT}",
        ),
    ],
)
def test_mistake_about_a_policy(tmp_path: Path, toml: str, line: str) -> None:
    """A policy that would keep every player out is refused at start."""
    with pytest.raises(SettingsError) as refusal:
        read(tmp_path, toml)

    assert refusal.value.mistakes == [line]


def test_passes_where_there_are_none(tmp_path: Path) -> None:
    """A policy that asks for what the gateway cannot judge would keep every player out; the sandbox has a key."""
    toml = GAME + POLICY.replace('"jwt"', '"pass"') + 'cookie = "ownership_pass"\n'

    with pytest.raises(SettingsError) as refusal:
        read(tmp_path, toml, SANDBOX="false", ITCH__API_KEY="a-seller-key-of-a-test")

    assert refusal.value.mistakes == [
        "forward_auth.files.credentials in gateway.toml holds pass, but there are no passes: set"
        " OWNERSHIP_GATEWAY_PASSES__KEY, or leave it out"
    ]
    assert read(tmp_path, toml).forward_auth[0].cookie == "ownership_pass"


@pytest.mark.parametrize("game", ["x-moon", "3"])
def test_key_that_is_for_the_first_players_alone(tmp_path: Path, game: str) -> None:
    """A proxy names no player, so such a game would keep out all who show a key; observing lets them in."""
    of_game = GAME + 'key_players = 1\nkey_players_action = "{}"\n'
    policy = POLICY.replace('"jwt"', '"jwt", "download_key"').replace("x-moon", game)

    with pytest.raises(SettingsError) as refusal:
        read(tmp_path, of_game.format("reject") + policy)

    assert refusal.value.mistakes == [
        "forward_auth.files.credentials in gateway.toml holds download_key, but games.x-moon.key_players_action in"
        " gateway.toml is reject, for which each question has to name the player, and no proxy does: leave it out, or"
        " set observe"
    ]
    assert read(tmp_path, of_game.format("observe") + policy).forward_auth


def test_policy_in_the_environment(tmp_path: Path) -> None:
    """The file alone holds policies, and the line says so."""
    with pytest.raises(SettingsError) as refusal:
        read(tmp_path, GAME, FORWARD_AUTH__FILES__GAME="x-moon")

    assert refusal.value.mistakes == [
        "OWNERSHIP_GATEWAY_FORWARD_AUTH__FILES__GAME cannot be set: policies stand in the TOML file only, as"
        " [forward_auth.<policy>]"
    ]


@pytest.mark.parametrize("games", ['"*"', '"x-moon"', "3"])
@pytest.mark.parametrize("game", ["x-moon", "3"])
def test_game_of_policy_and_caller_in_either_spelling(tmp_path: Path, games: str, game: str) -> None:
    """A game is the same by its slug and by its id."""
    settings = read(tmp_path, GAME + EDGE.replace('"*"', games) + OF_EDGE.replace("x-moon", game))

    (policy,) = settings.forward_auth
    assert (policy.name, policy.game, policy.caller) == ("files", game, "edge")


def test_policy_without_games_and_callers(tmp_path: Path) -> None:
    """Without games any id is one, and without callers no policy names any."""
    (policy,) = read(tmp_path, POLICY.replace("x-moon", "3")).forward_auth

    assert (policy.game, policy.caller) == ("3", None)


def test_policy_as_it_is_shown(tmp_path: Path) -> None:
    """Among all settings each of a policy stands under its name."""
    lines = describe(read(tmp_path, GAME + EDGE + OF_EDGE)).splitlines()

    assert [line for line in lines if line.startswith("forward_auth.")] == [
        'forward_auth.files.game = "x-moon"',
        'forward_auth.files.caller = "edge"',
        'forward_auth.files.credentials = ["jwt"]',
        "forward_auth.files.cookie = unset",
    ]
