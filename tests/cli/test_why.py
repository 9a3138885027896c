"""`why`: why a player was let in or not, asked of a running gateway from the command line."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result

from service.cli.exits import Exit
from service.sandbox import seed
from tests.cli.terminals import run, run_in_background
from tests.cli.test_invalidate import token_file
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, opened, settings_from

SUPPORT: Final = "ogw_support"
CALLERS: Final = X_MOON + caller_lines("support", SUPPORT, rights='["support"]') + caller_lines("lobby", "ogw_lobby")


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Asker]:
    """A gateway whose callers are configured."""
    async with opened(settings_from(tmp_path, CALLERS), clock=FakeClock(), log=LogLines()) as asker:
        yield asker


async def why(asker: Asker, *arguments: str, **how: Any) -> Result:
    """Run the command against this gateway."""
    return await run_in_background("why", *arguments, "--url", str(asker.http.base_url), **how)


async def test_a_support_code_is_explained_in_sentences(guarded: Asker, tmp_path: Path) -> None:
    """With what is remembered, and the last refusals."""
    refused = (await guarded.user(seed.STRANGER_ID, token="ogw_lobby")).json()["decision_id"]

    result = await why(guarded, refused, "--token-file", str(token_file(tmp_path, SUPPORT.encode())))

    assert result.exit_code == Exit.OK
    assert result.stdout.splitlines() == [
        "Not let in: itch.io knows neither a key nor a purchase that counts for this game.",
        "itch.io was asked just now.",
        "This comes from the sandbox, not from itch.io.",
        "If it came in a bundle, the player should open the game once on itch.io and try again. "
        "If not, the address on the receipt, or the download key, may lead to the purchase.",
        "",
        "What is remembered of itch.io's answers:",
        "  memory: no, just now",
        "",
        "The last refusals:",
        f"  {refused}  2026-11-20 14:03 UTC  no_download_key by user",
    ]


async def test_json_is_that_of_http(gateway: Asker) -> None:
    """A player named by id, and itch.io asked."""
    result = await why(gateway, "--game", "x-moon", "--user-id", str(seed.OWNER_ID), "--ask", "--json")

    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["decision"]["reason"] == "download_key"
    assert [one["endpoint"] for one in json.loads(result.stdout)["requests"]] == ["download_keys"]


@pytest.mark.parametrize(("method", "credential"), [("download_key", seed.OWNER_KEY), ("email", seed.BUYER_EMAIL)])
async def test_what_is_secret_is_read_from_standard_input(gateway: Asker, method: str, credential: str) -> None:
    """A credential of which the gateway has heard nothing yet."""
    result = await why(gateway, "--game", "3", "--method", method, stdin=f"{credential}\n".encode())

    assert (result.exit_code, result.stdout) == (
        Exit.OK,
        "Nothing is known: itch.io has not been asked about this lately.\n"
        "This comes from the sandbox, not from itch.io.\n"
        "Ask itch.io now to find out.\n",
    )


async def test_what_is_refused_is_a_no(guarded: Asker, tmp_path: Path) -> None:
    """An unknown decision, and a token without the right."""
    unknown = await why(guarded, "01X", "--token-file", str(token_file(tmp_path, SUPPORT.encode())))
    assert (unknown.exit_code, json.loads(unknown.stdout)["code"]) == (Exit.NO, "unknown_decision")

    other = await why(guarded, "01X", "--token-file", str(token_file(tmp_path, b"ogw_lobby")))
    assert (other.exit_code, json.loads(other.stdout)["code"]) == (Exit.NO, "not_permitted")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--user-id", "7"],
        ["--game", "3"],
        ["--game", "3", "--user-id", "7", "--method", "email"],
        ["01X", "--game", "3"],
        ["01X", "--user-id", "7"],
        ["01X", "--method", "jwt"],
        ["01X", "--ask"],
    ],
)
def test_one_thing_is_named(arguments: list[str]) -> None:
    """A decision, or a game and one player."""
    assert run("why", *arguments).exit_code == Exit.USAGE
