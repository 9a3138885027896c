"""`check-config`: every mistake before anything starts."""

import pytest

from service.cli.exits import Exit
from service.settings import describe, load_settings
from tests.cli.conftest import WriteConfig
from tests.cli.terminals import run
from tests.gateways import caller_lines

SECRET = "0123456789abcdef0123456789abcdef"
KEY = "the-sellers-key-of-this-test"
GAME = "[games.x-moon]\nid = 3\n"
CALLER = caller_lines("lobby", "ogw_lobby")
REDIS = {"OWNERSHIP_GATEWAY_SECRET": SECRET, "OWNERSHIP_GATEWAY_ITCH__API_KEY": KEY}


def test_it_shows_every_setting() -> None:
    """Each is shown with the value that applies, from any source."""
    variables = {"OWNERSHIP_GATEWAY_SANDBOX": "true", "OWNERSHIP_GATEWAY_PORT": "8123"}

    result = run("check-config", environ=variables)

    assert result.exit_code == Exit.OK
    shown, _, read_again = result.stdout.partition("\n\n")
    assert shown == describe(load_settings(variables))
    assert {"#   games.*", "#   callers[]", "#   log.level"} <= set(read_again.splitlines())


def test_it_reads_the_file(write_config: WriteConfig) -> None:
    """`--config` names it."""
    result = run("check-config", "--config", write_config("sandbox = true\nport = 8124\n"))

    assert "port = 8124" in result.stdout


def test_it_shows_no_secret() -> None:
    """Only that they are set."""
    variables = REDIS | {"OWNERSHIP_GATEWAY_REDIS__URL": "redis://:pa55w0rd@cache.example"}

    result = run("check-config", environ=variables)

    assert "itch.api_key = set" in result.stdout
    assert not any(secret in result.output for secret in (SECRET, KEY, "pa55w0rd"))


def test_every_mistake_has_a_line(write_config: WriteConfig) -> None:
    """The operator repairs all of it at once."""
    path = write_config("prot = 1\n[itch]\nrate = 100\n")

    result = run("check-config", "--config", path, environ={"OWNERSHIP_GATEWAY_SANDBOX": "true"})

    assert result.exit_code == Exit.CONFIGURATION
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 2
    assert all(line.startswith("error: ") for line in result.stderr.splitlines())


def test_for_the_sandbox_no_key_is_needed() -> None:
    """`--sandbox` says here what it says to `serve`."""
    result = run("check-config", "--sandbox")

    assert result.exit_code == Exit.OK
    assert "sandbox = true" in result.stdout


def test_without_a_source_it_would_not_start() -> None:
    """The rules for `serve` hold for `check-config`."""
    assert run("check-config").exit_code == Exit.CONFIGURATION


def test_it_says_what_a_ban_of_an_account_does_not_see(write_config: WriteConfig) -> None:
    """The exit code stays that of a good configuration, and addresses are not shown."""
    games = (
        '[games.x-moon]\nid = 3\nban_user_ids = [77]\n[games.sun-garden]\nid = 4\nban_emails = ["amos@example.com"]\n'
    )

    result = run("check-config", "--sandbox", "--config", write_config(games + CALLER))

    assert result.exit_code == Exit.OK
    assert result.stderr.splitlines() == [
        "note: games.x-moon.ban_user_ids holds by user id and JWT, and by key and e-mail where itch.io names the"
        " account: it does not for purchases, nor for keys that nobody has claimed; ban addresses with ban_emails"
    ]
    assert "games.sun-garden.ban_emails = set" in result.stdout
    assert "games.x-moon.ban_emails = []" in result.stdout


@pytest.mark.parametrize(
    ("toml", "lacks"),
    [
        (GAME + CALLER, []),
        (GAME, ["[[callers]]"]),
        (CALLER, ["[games.<slug>]"]),
        ("", ["[[callers]]", "[games.<slug>]"]),
    ],
)
def test_it_says_what_a_running_gateway_would_not_take(write_config: WriteConfig, toml: str, lacks: list[str]) -> None:
    """A file that is good for a start may have been cut off."""
    result = run("check-config", "--sandbox", "--config", write_config(toml))

    lines = result.stderr.splitlines()
    assert result.exit_code == Exit.OK
    assert [line.partition(" in the file: ")[0] for line in lines] == [f"note: no {table}" for table in lacks]
    assert all(line.endswith("refuses it at a reload, and keeps what it has") for line in lines)


def test_without_a_file_there_is_no_reload_to_speak_of() -> None:
    """Settings from the environment are never read again."""
    assert run("check-config", "--sandbox").stderr == ""


@pytest.mark.parametrize("command", [["check-config"], ["serve"], ["verify", "--game", "3", "--method", "jwt"]])
def test_a_redis_url_that_nothing_could_connect_to_is_a_mistake(command: list[str]) -> None:
    """The mistake is found before the gateway listens or asks, and the URL is not repeated."""
    variables = REDIS | {"OWNERSHIP_GATEWAY_REDIS__URL": "redis://:pa55w0rd@cache.example/first"}

    result = run(*command, environ=variables)

    assert result.exit_code == Exit.CONFIGURATION
    assert result.stderr.startswith("error: OWNERSHIP_GATEWAY_REDIS__URL must end in the number of the database")
    assert len(result.stderr.splitlines()) == 1
    assert "pa55w0rd" not in result.output
