"""The questions that `serve --sandbox` prints: as it is configured, each yields what it is said to."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from service.cli.greeting import curl_lines
from service.sandbox import seed
from tests.clock import FakeClock
from tests.gateways import Asker, LogLines, caller_lines, opened, settings_from

BASE_URL: Final = "http://127.0.0.1:8080"
TOKEN: Final = "ogw_token-of-this-test"
GAME: Final = "[games.x-moon]\nid = 3\n"
ALL_ASKED: Final = 7
"""Questions that are printed where nothing stands in their way."""


def pasted(lines: str) -> Iterator[tuple[str, list[str]]]:
    """Return each command as the shell splits it, with the comment above it."""
    comment = ""
    for line in lines.splitlines():
        if line.startswith("#"):
            comment = line
        elif line.startswith("curl"):
            yield comment, shlex.split(line.replace("$CALLER_TOKEN", TOKEN))


async def send(http: httpx.AsyncClient, words: list[str]) -> httpx.Response:
    """Do what curl would do."""
    method, url = words[words.index("-X") + 1 :][:2]
    headers = [words[at + 1].split(": ") for at, word in enumerate(words) if word == "-H"]
    body = words[words.index("-d") + 1] if "-d" in words else None
    return await http.request(method, url.removeprefix(BASE_URL), headers=dict(headers), content=body)


def outcomes(answer: Any) -> list[str]:
    """Return the outcome, or in a batch that of each item."""
    found = answer.get("results", [{"decision": answer}])
    return [item["decision"]["outcome"] for item in found]


def greeting(asker: Asker, tmp_path: Path, toml: str) -> str:
    """Return what is printed for this configuration."""
    jwt = asker.sandbox.mint_jwt(seed.OWNER_ID).jwt
    return curl_lines(BASE_URL, settings_from(tmp_path, toml), jwt=jwt)


@pytest.mark.parametrize(
    "toml",
    [
        "",
        GAME,
        GAME + 'accept = ["download_key"]\n',
        GAME + 'accept = ["purchase"]\n',
        GAME + "ban_user_ids = [1994, 2002]\ngrant_user_ids = [2007]\n",
        GAME + "grant_user_ids = [1994, 2002, 2010]\n",
        GAME + "ban_user_ids = [2007, 2010]\n",
        GAME + f'ban_emails = ["{seed.BUYER_EMAIL}"]\n',
        GAME + caller_lines("lobby", TOKEN),
        GAME + caller_lines("lobby", TOKEN, games='["x-moon"]') + caller_lines("mods", "another", rights='["verify"]'),
        caller_lines("lobby", TOKEN, rights='["verify"]'),
    ],
)
async def test_each_yields_what_it_is_said_to(toml: str, tmp_path: Path) -> None:
    """Each printed question yields its promised answer, in any configuration."""
    async with opened(settings_from(tmp_path, toml), clock=FakeClock(), log=LogLines()) as asker:
        for comment, words in pasted(greeting(asker, tmp_path, toml)):
            answer = (await send(asker.http, words)).json()

            if "/verify" in words[words.index("-X") + 2]:
                said = comment.removeprefix("# ").partition(":")[0].partition(",")[0]
                assert outcomes(answer) == said.split(" and "), comment


@pytest.mark.parametrize("toml", ["", GAME, GAME + caller_lines("lobby", TOKEN)])
async def test_nothing_is_left_out_without_a_reason(toml: str, tmp_path: Path) -> None:
    """All questions are there where a game is configured, and where callers are."""
    async with opened(settings_from(tmp_path, toml), clock=FakeClock(), log=LogLines()) as asker:
        commands = [words for _, words in pasted(greeting(asker, tmp_path, toml))]

    assert len([words for words in commands if "/verify" in " ".join(words)]) == ALL_ASKED


@pytest.fixture
async def asker(tmp_path: Path) -> Any:
    """A sandbox that signs JWTs."""
    async with opened(settings_from(tmp_path, ""), clock=FakeClock(), log=LogLines()) as asker:
        yield asker


async def test_what_no_caller_may_is_left_out(asker: Asker, tmp_path: Path) -> None:
    """The greeting names the right that lacks."""
    lines = greeting(asker, tmp_path, GAME + caller_lines("lobby", TOKEN, rights='["verify"]'))

    assert "# /verify/email is left out: no caller has verify and assert:email for game 3" in lines
    assert "# /verify/batch is left out: no caller has verify and assert:user for game 3" in lines
    assert "/verify/download-key" in lines


async def test_who_may_not_ask_about_the_game_is_no_caller_to_ask_as(asker: Asker, tmp_path: Path) -> None:
    """A caller without a right to the game is not chosen, even if it has other rights."""
    toml = GAME + "[games.sun-garden]\nid = 4\n" + caller_lines("lobby", TOKEN, games='["sun-garden"]')

    assert "/verify/user is left out" in greeting(asker, tmp_path, toml)


async def test_where_only_some_callers_may_it_says_which(asker: Asker, tmp_path: Path) -> None:
    """The token must be one of theirs."""
    toml = caller_lines("lobby", TOKEN) + caller_lines("mods", "another", rights='["verify"]')

    lines = greeting(asker, tmp_path, toml).splitlines()

    assert "# owned: bought with this address (as lobby)" in lines
    assert "# owned: the key of amos for X-Moon" in lines


async def test_tokens_are_for_the_shell_to_put_in(asker: Asker, tmp_path: Path) -> None:
    """The gateway knows only their hashes; so there is a line to put one in."""
    lines = greeting(asker, tmp_path, caller_lines("lobby", TOKEN)).splitlines()

    assert lines[1] == "CALLER_TOKEN=ogw_..."
    assert '-H "Authorization: Bearer $CALLER_TOKEN"' in lines[3]


def test_through_a_unix_socket_curl_is_told_where_it_is(tmp_path: Path) -> None:
    """With a Unix socket curl gets its path, and a host that is not resolved."""
    lines = curl_lines("unix:/run/gateway.sock", settings_from(tmp_path, ""), jwt="")

    assert lines.splitlines()[1].startswith("curl -sS --unix-socket /run/gateway.sock -X POST http://localhost/verify/")


async def test_where_the_players_own_no_configured_game_it_says_so(asker: Asker, tmp_path: Path) -> None:
    """The greeting shows what to add to the file."""
    lines = greeting(asker, tmp_path, "[games.mine]\nid = 12345\n")

    assert "curl" not in lines
    assert lines.splitlines()[1:] == ["# [games.x-moon]", "# id = 3"]
