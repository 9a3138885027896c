"""`doctor` and other commands in a relay."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from service.cli.exits import Exit
from service.ownership import Reason
from service.sandbox import seed
from tests.cli.conftest import WriteConfig
from tests.cli.terminals import run_in_background
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, caller_lines, opened, plain_client, settings_from
from tests.http.serving import listening
from tests.hub.conftest import TOKEN, relay_lines
from tests.hub.scripted_hub import Said, decided, problem, scripted_hub, unknown
from tests.stores.raw_server import closed_port


async def examined(config: str) -> Result:
    """Let the doctor examine a relay."""
    return await run_in_background("doctor", "--json", "--config", config)


def verdicts(result: Result) -> dict[str, str]:
    """Return how each check came out."""
    return {one["check"]: one["verdict"] for one in json.loads(result.stdout)["checks"]}


def finding(result: Result, check: str) -> dict[str, Any]:
    """Return what the doctor found."""
    return next(one for one in json.loads(result.stdout)["checks"] if one["check"] == check)


@asynccontextmanager
async def hub_with(directory: Path, toml: str) -> AsyncIterator[str]:
    """Serve a hub, and return its address."""
    (directory / "hub").mkdir()
    settings = settings_from(directory / "hub", toml)
    async with (
        opened(settings, clock=FakeClock(), log=LogLines()) as hub,
        listening(hub.gateway.http) as server,
    ):
        yield f"http://127.0.0.1:{server.port}"


async def test_a_healthy_relay(tmp_path: Path, write_config: WriteConfig) -> None:
    """The hub answers, and knows token and games; no player is asked about."""
    rights = '["verify", "assert:user"]'
    async with hub_with(tmp_path, X_MOON + caller_lines("relay", TOKEN, rights=rights)) as url:
        result = await examined(write_config(relay_lines(url) + X_MOON))

    assert result.exit_code == Exit.OK
    assert verdicts(result) == dict.fromkeys(("configuration", "hub", "token", "games", "rights"), "ok")
    told = "the relay may ask by download_key, user; it may have no codes mailed: its caller lacks the right challenge"
    assert finding(result, "rights")["detail"] == told
    assert TOKEN not in result.stdout + result.stderr


async def test_a_relay_that_may_have_codes_mailed(tmp_path: Path, write_config: WriteConfig) -> None:
    """It is asked without a mail."""
    callers = caller_lines("relay", TOKEN, rights='["verify", "challenge"]')
    async with hub_with(tmp_path, X_MOON + callers) as url:
        result = await examined(write_config(relay_lines(url) + X_MOON))
        async with plain_client() as http:
            mails = (await http.get(f"{url}/sandbox/mails")).json()

    assert finding(result, "rights")["detail"] == "the relay may ask by download_key; it may have codes mailed"
    assert mails == []


async def test_a_relay_without_games(tmp_path: Path, write_config: WriteConfig) -> None:
    """Then there is none to compare."""
    async with hub_with(tmp_path, caller_lines("relay", TOKEN)) as url:
        result = await examined(write_config(relay_lines(url)))

    assert (verdicts(result)["games"], verdicts(result)["rights"]) == ("skipped", "ok")


async def test_a_token_that_the_hub_does_not_know(tmp_path: Path, write_config: WriteConfig) -> None:
    """The checks that need it are skipped."""
    async with hub_with(tmp_path, X_MOON + caller_lines("other", "ogw_another-token-0000000000000000000000")) as url:
        result = await examined(write_config(relay_lines(url) + X_MOON))

    assert result.exit_code == Exit.NO
    assert verdicts(result) | {"configuration": "ok"} == {
        "configuration": "ok",
        "hub": "ok",
        "token": "problem",
        "games": "skipped",
        "rights": "skipped",
    }
    assert "new-caller" in finding(result, "token")["hint"]


async def test_games_that_the_relay_may_not_ask_about(tmp_path: Path, write_config: WriteConfig) -> None:
    """One that the hub does not know, one that is not the relay's; the third is good."""
    games = "[games.one]\nid = 4\n[games.two]\nid = 5\n"
    caller = caller_lines("relay", TOKEN, games='["x-moon"]', rights='["verify"]')
    async with hub_with(tmp_path, X_MOON + "[games.one]\nid = 4\n" + caller) as url:
        result = await examined(write_config(relay_lines(url) + games + X_MOON))

    assert finding(result, "games")["detail"] == "one: it is not one of the relay's; two: the hub does not know it"
    assert finding(result, "rights")["detail"].startswith("the relay may ask by download_key; ")


async def test_a_relay_that_may_ask_nothing(tmp_path: Path, write_config: WriteConfig) -> None:
    """Its caller has rights for something else."""
    async with hub_with(tmp_path, X_MOON + caller_lines("relay", TOKEN, rights='["pass"]')) as url:
        result = await examined(write_config(relay_lines(url) + X_MOON))

    assert (verdicts(result)["games"], verdicts(result)["rights"]) == ("ok", "problem")


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(302, fields={"Location": "https://elsewhere.example"}), None),
        (Said(request_id="another"), "protocol"),
        (problem(502, "bad_gateway"), None),
    ],
)
async def test_what_answers_is_no_gateway(write_config: WriteConfig, said: Said, why: str | None) -> None:
    """It is asked no more."""
    async with scripted_hub(lambda _: said) as hub:
        result = await examined(write_config(relay_lines(hub.url) + X_MOON))

        assert [asked.path for asked in hub.asked] == ["/version"]
    assert (verdicts(result)["hub"], verdicts(result)["token"]) == ("problem", "skipped")
    assert finding(result, "hub")["why"] == why


async def test_no_hub_at_all(write_config: WriteConfig) -> None:
    """With the cause, and advice."""
    result = await examined(write_config(relay_lines(closed_port()) + X_MOON))

    assert (finding(result, "hub")["why"], verdicts(result)["rights"]) == ("refused", "skipped")
    assert "relay.url" in finding(result, "hub")["hint"]


async def test_a_hub_that_falls_silent_meanwhile(write_config: WriteConfig) -> None:
    """Or says what no hub says: nothing is made of it."""

    def answers(asked: Any) -> Said:
        return Said() if asked.path == "/version" else Said(404, b"<html>", request_id="another")

    async with scripted_hub(answers) as hub:
        result = await examined(write_config(relay_lines(hub.url) + X_MOON))
        hub.answers = lambda asked: Said() if asked.path == "/version" else Said(403, b"<html>")
        other = await examined(write_config(relay_lines(hub.url) + X_MOON))

    assert verdicts(result)["hub"] == "ok"
    assert verdicts(other)["rights"] == "problem"


async def test_verify_asks_the_hub(write_config: WriteConfig) -> None:
    """One question from a terminal, as over HTTP."""
    async with scripted_hub(lambda _: decided(Reason.OPERATOR_GRANT)) as hub:
        config = write_config(relay_lines(hub.url) + X_MOON)
        arguments = ("verify", "--config", config, "--game", "3", "--method", "user", "--user-id", str(seed.OWNER_ID))
        good = await run_in_background(*arguments)
        hub.answers = lambda _: unknown(Reason.SOURCE_UNAVAILABLE)
        away = await run_in_background(*arguments)

    assert (good.exit_code, away.exit_code) == (Exit.OK, Exit.UNKNOWN)


async def test_games_are_listed_at_the_hub(write_config: WriteConfig) -> None:
    """A relay has no key to ask with."""
    result = await run_in_background("games", "--config", write_config(relay_lines("https://hub.example")))

    assert result.exit_code == Exit.CONFIGURATION
    assert "list the games at its hub" in result.stderr
