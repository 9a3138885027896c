"""`override`: the operator's word about one player, said from the command line."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result

from service.cli.exits import Exit
from service.sandbox import seed
from tests.cli.terminals import Terminal, run, run_in_background
from tests.cli.test_invalidate import Elsewhere, token_file
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, opened, settings_from
from tests.http.serving import served

MODERATOR: Final = "ogw_moderator"
SUPPORT: Final = "ogw_support"
CALLERS: Final = (
    X_MOON
    + caller_lines("moderator", MODERATOR, rights='["override"]')
    + caller_lines("support", SUPPORT, rights='["support"]')
)
WEEK: Final = ("--game", "x-moon", "--for", "7d")


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Asker]:
    """A gateway whose callers are configured."""
    async with opened(settings_from(tmp_path, CALLERS), clock=FakeClock(), log=LogLines()) as asker:
        yield asker


async def override(asker: Asker, *arguments: str, **how: Any) -> Result:
    """Run the command against this gateway."""
    return await run_in_background("override", *arguments, "--url", str(asker.http.base_url), **how)


async def test_a_player_is_let_in_for_a_week(gateway: Asker) -> None:
    """The answer is that of HTTP."""
    result = await override(gateway, "grant", *WEEK, "--user-id", str(seed.STRANGER_ID), "--note", "ticket 77")

    said = json.loads(result.stdout)
    assert result.exit_code == Exit.OK
    assert (said["word"], said["until"], said["note"]) == ("grant", "2026-11-27T14:03:11.123456Z", "ticket 77")
    assert (await gateway.user(seed.STRANGER_ID)).json()["reason"] == "operator_grant"


@pytest.mark.parametrize(("subject", "credential"), [("download_key", seed.OWNER_KEY), ("email", seed.BUYER_EMAIL)])
async def test_what_is_secret_is_read_from_standard_input(gateway: Asker, subject: str, credential: str) -> None:
    """Every user of the machine can see the command line."""
    result = await override(gateway, "ban", *WEEK, "--subject", subject, stdin=f"{credential}\n".encode())

    ask = gateway.key if subject == "download_key" else gateway.email
    assert result.exit_code == Exit.OK
    assert (await ask(credential)).json()["reason"] == "operator_ban"
    assert credential not in result.output


async def test_a_terminal_is_prompted(gateway: Asker) -> None:
    """The terminal does not show what is typed."""
    stdin = Terminal(f"{seed.STRANGER_EMAIL}\n".encode())

    result = await override(gateway, "grant", *WEEK, "--subject", "email", stdin=stdin)

    assert result.exit_code == Exit.OK
    assert "E-mail address" in result.stderr
    assert seed.STRANGER_EMAIL not in result.output


async def test_they_are_listed_and_taken_back(gateway: Asker) -> None:
    """By the id that the list shows, as people paste it; a second time there is nothing to take back."""
    await override(gateway, "ban", *WEEK, "--user-id", f"<{seed.OWNER_ID}>.")
    (listed,) = json.loads((await override(gateway, "list", "--game", "x-moon")).stdout)

    removed = await override(gateway, "remove", f' "{listed["id"]}"\n')
    again = await override(gateway, "remove", listed["id"])

    assert listed["user_id"] == seed.OWNER_ID
    assert (removed.exit_code, removed.output) == (Exit.OK, "")
    assert (again.exit_code, json.loads(again.stdout)["code"]) == (Exit.NO, "unknown_override")
    assert (await override(gateway, "list", "--game", "3")).stdout.strip() == "[]"


@pytest.mark.parametrize("word", ["", " <> "])
async def test_no_id_at_all(gateway: Asker, word: str) -> None:
    """The gateway is not asked."""
    result = await override(gateway, "remove", word)

    assert (result.exit_code, result.stdout) == (Exit.USAGE, "")
    assert "expected an id" in result.stderr


@pytest.mark.parametrize("override_id", ["../invalidate", "?", "a b", "\N{SNOWMAN}"])
async def test_an_id_leads_nowhere_else(gateway: Asker, override_id: str) -> None:
    """It is one part of the path."""
    result = await override(gateway, "remove", override_id)

    assert (result.exit_code, json.loads(result.stdout)["status"]) == (Exit.NO, 404)


async def test_support_sees_and_does_not_say(guarded: Asker, tmp_path: Path) -> None:
    """The gateway's refusal is shown."""
    token = token_file(tmp_path, SUPPORT.encode())
    listed = await override(guarded, "list", "--game", "3", "--token-file", token)
    said = await override(guarded, "ban", *WEEK, "--user-id", "3", "--token-file", token)
    moderator = token_file(tmp_path, MODERATOR.encode())
    by_moderator = await override(guarded, "ban", *WEEK, "--user-id", "3", "--token-file", moderator)

    assert [result.exit_code for result in (listed, said, by_moderator)] == [Exit.OK, Exit.NO, Exit.OK]
    assert json.loads(said.stdout)["detail"] == "it lacks the right override"


@pytest.mark.parametrize(
    "arguments", [["--user-id", "-1"], ["--user-id", "3", "--note", "n" * 201], ["--user-id", "3", "--for", "91d"]]
)
async def test_what_the_gateway_does_not_understand_is_a_mistake(gateway: Asker, arguments: list[str]) -> None:
    """The gateway says which."""
    result = await override(gateway, "ban", *WEEK, *arguments)

    assert (result.exit_code, json.loads(result.stdout)["status"]) == (Exit.USAGE, 400)


@pytest.mark.parametrize("duration", ["7", "0d", "-7d", "7w", "1.5h", "", "d", "12345678d", "7d "])
def test_a_duration_that_is_none(duration: str) -> None:
    """Minutes, hours or days."""
    result = run("override", "ban", "--game", "3", "--user-id", "3", "--for", duration)

    assert result.exit_code == Exit.USAGE
    assert "expected minutes, hours or days, such as 30m, 12h or 7d" in result.stderr


@pytest.mark.parametrize(("word", "arguments"), [("ban", []), ("ban", ["--user-id", "3", "--subject", "email"])])
def test_exactly_one_player_is_named(word: str, arguments: list[str]) -> None:
    """A word is about one."""
    result = run("override", word, *WEEK, *arguments)

    assert result.exit_code == Exit.USAGE
    assert "name exactly one of --user-id and --subject" in result.stderr


def test_a_key_is_not_granted() -> None:
    """It can only be banned."""
    assert run("override", "grant", *WEEK, "--subject", "download_key").exit_code == Exit.USAGE


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"[1]", b"{}"])
async def test_somebody_else_there(answer: bytes) -> None:
    """A server with other answers is no gateway, and its answers are not repeated."""
    async with served(Elsewhere(answer)) as server:
        url = ("--url", f"http://127.0.0.1:{server.port}")
        results = [
            await run_in_background("override", "list", "--game", "3", *url),
            await run_in_background("override", "remove", "0" * 32, *url),
        ]

    assert [result.exit_code for result in results] == [Exit.UNKNOWN] * 2
    assert [result.stdout for result in results] == ["", ""]
