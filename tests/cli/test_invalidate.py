"""`invalidate`: a running gateway is made to forget, from a terminal."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
from click.testing import Result

from service.cli.exits import Exit
from service.http.application import Listener
from service.http.connection import Request
from service.http.reply import Reply
from service.sandbox import seed
from tests.cli.terminals import Terminal, run, run_in_background
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, opened, settings_from
from tests.http.serving import Application, served

ADMIN: Final = "ogw_admin-of-everything"
LOBBY: Final = "ogw_lobby-that-may-only-ask"
HASTY: Final = "ogw_admin-who-may-do-little-at-once"
CALLERS: Final = (
    X_MOON
    + caller_lines("admin", ADMIN, rights='["admin", "verify", "assert:user", "assert:email"]')
    + caller_lines("lobby", LOBBY, rights='["verify"]')
    + caller_lines("hasty", HASTY, rights='["admin"]', rate="0.5")
)


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[Asker]:
    """A gateway whose callers are configured."""
    async with opened(settings_from(tmp_path, CALLERS), clock=FakeClock(), log=LogLines()) as asker:
        yield asker


async def invalidate(asker: Asker, *arguments: str, **how: Any) -> Result:
    """Run the command against this gateway."""
    url = str(asker.http.base_url)
    return await run_in_background("invalidate", "--game", "3", "--url", url, *arguments, **how)


def token_file(directory: Path, content: bytes) -> str:
    """Write a file with a token, and return where it is."""
    file = directory / "token"
    file.write_bytes(content)
    return str(file)


async def test_a_user_is_forgotten(gateway: Asker) -> None:
    """The answer is that of HTTP, and the next question asks the store."""
    await gateway.user(seed.OWNER_ID)

    result = await invalidate(gateway, "--user-id", str(seed.OWNER_ID))

    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["game_id"] == 3
    assert (await gateway.user(seed.OWNER_ID)).json()["cache"] == "none"


@pytest.mark.parametrize(
    "pasted", [f" {seed.OWNER_ID}\n", f"<{seed.OWNER_ID}>.", f"\N{LEFT DOUBLE QUOTATION MARK}{seed.OWNER_ID}\u200b"]
)
async def test_a_user_id_may_be_pasted(gateway: Asker, pasted: str) -> None:
    """An id is the same with what people copy around it."""
    plain = await invalidate(gateway, "--user-id", str(seed.OWNER_ID))

    result = await invalidate(gateway, "--user-id", pasted)

    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["subject"] == json.loads(plain.stdout)["subject"]


async def test_what_is_no_user_id_is_not_repeated(gateway: Asker) -> None:
    """It may be a key that was pasted there."""
    result = await invalidate(gateway, "--user-id", seed.OWNER_KEY)

    assert result.exit_code == Exit.USAGE
    assert "an itch.io user id is a number" in result.stderr
    assert seed.OWNER_KEY not in result.output


async def test_everybody_is_forgotten(gateway: Asker) -> None:
    """With `--all` the whole game is forgotten."""
    await gateway.user(seed.OWNER_ID)

    result = await invalidate(gateway, "--all")

    assert json.loads(result.stdout)["subject"] is None
    assert (await gateway.user(seed.OWNER_ID)).json()["cache"] == "none"


@pytest.mark.parametrize(("subject", "credential"), [("download_key", seed.OWNER_KEY), ("email", seed.BUYER_EMAIL)])
async def test_what_is_secret_is_read_from_standard_input(gateway: Asker, subject: str, credential: str) -> None:
    """Every user of the machine can see the command line."""
    ask = gateway.key if subject == "download_key" else gateway.email
    await ask(credential)

    result = await invalidate(gateway, "--subject", subject, stdin=f"{credential}\n".encode())

    assert result.exit_code == Exit.OK
    assert (await ask(credential)).json()["cache"] == "none"
    assert credential not in result.output


async def test_a_terminal_is_prompted(gateway: Asker) -> None:
    """The terminal does not show what is typed."""
    result = await invalidate(gateway, "--subject", "email", stdin=Terminal(f"{seed.BUYER_EMAIL}\n".encode()))

    assert result.exit_code == Exit.OK
    assert "E-mail address" in result.stderr
    assert seed.BUYER_EMAIL not in result.output


async def test_a_token_lets_in(guarded: Asker, tmp_path: Path) -> None:
    """That of a caller with the right `admin`; the end of the line is no part of it."""
    file = token_file(tmp_path, ADMIN.encode() + b"\n")

    result = await invalidate(guarded, "--all", "--token-file", file)

    assert result.exit_code == Exit.OK


@pytest.mark.parametrize(("token", "status"), [(LOBBY, 403), ("ogw_nobody", 401), (None, 401)])
async def test_others_are_refused(guarded: Asker, tmp_path: Path, token: str | None, status: int) -> None:
    """The command prints the reason, as HTTP has it."""
    arguments = [] if token is None else ["--token-file", token_file(tmp_path, token.encode())]

    result = await invalidate(guarded, "--all", *arguments)

    assert (result.exit_code, json.loads(result.stdout)["status"]) == (Exit.NO, status)


async def test_an_unknown_game_is_a_no(gateway: Asker) -> None:
    """A game that is not configured has nothing to forget."""
    result = await invalidate(gateway, "--all", "--game", "no-such-game")

    assert (result.exit_code, json.loads(result.stdout)["status"]) == (Exit.NO, 404)


@pytest.mark.parametrize(
    ("arguments", "stdin"),
    [
        (["--user-id", "-1"], b""),
        (["--user-id", str(2**70)], b""),
        (["--subject", "email"], b"no address"),
        (["--subject", "download_key"], b"k" * 20_000),
    ],
)
async def test_a_subject_that_is_none_is_a_mistake(gateway: Asker, arguments: list[str], stdin: bytes) -> None:
    """The gateway says which; the exit code is that of a command line that cannot be understood."""
    result = await invalidate(gateway, *arguments, stdin=stdin)

    assert result.exit_code == Exit.USAGE
    assert json.loads(result.stdout)["status"] in {400, 413}


async def test_a_gateway_that_does_not_answer_now(guarded: Asker, tmp_path: Path) -> None:
    """The gateway may have forgotten nothing: the exit code says neither done nor refused."""
    file = token_file(tmp_path, HASTY.encode())

    results = [await invalidate(guarded, "--all", "--token-file", file) for _ in range(2)]

    assert [result.exit_code for result in results] == [Exit.OK, Exit.UNKNOWN]
    assert json.loads(results[-1].stdout)["status"] == 429


async def test_nobody_there() -> None:
    """The error names the address that gave no answer."""
    result = await run_in_background("invalidate", "--game", "3", "--all", "--url", "http://127.0.0.1:1")

    assert result.exit_code == Exit.UNKNOWN
    assert "error: no answer at http://127.0.0.1:1 (ConnectError)" in result.stderr


@pytest.mark.parametrize("answer", [b"<html>hello</html>", b"\xff\xfe", b'{"status": "ok"}'])
async def test_somebody_else_there(answer: bytes) -> None:
    """A server with other answers is no gateway, and its answers are not repeated."""
    async with served(Elsewhere(answer)) as server:
        url = f"http://127.0.0.1:{server.port}"
        result = await run_in_background("invalidate", "--game", "3", "--all", "--url", url)

    assert result.exit_code == Exit.UNKNOWN
    assert (result.stdout, result.stderr) == ("", "error: what answers there is no gateway\n")


class Elsewhere(Application):
    """A server that gives one answer to everything."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self._content = content

    def answer(self, _request: Request, _listener: Listener, /) -> Reply:
        """Give it."""
        return Reply(200, self._content)


async def test_a_unix_socket(gateway: Asker, tmp_path: Path) -> None:
    """As the sidecar has it."""
    path = tmp_path / "gateway.sock"
    loop = asyncio.get_running_loop()
    async with await loop.create_unix_server(gateway.gateway.http.protocol, path):
        result = await run_in_background("invalidate", "--game", "3", "--all", "--url", f"unix:{path}")
        await gateway.gateway.http.stop(within_seconds=0)

    assert result.exit_code == Exit.OK


@pytest.mark.parametrize(
    "arguments",
    [[], ["--all", "--user-id", "3"], ["--subject", "email", "--user-id", "3"], ["--subject", "email", "--all"]],
)
def test_exactly_one_thing_is_forgotten(arguments: list[str]) -> None:
    """A game is forgotten as a whole only when that is said."""
    result = run("invalidate", "--game", "3", *arguments)

    assert result.exit_code == Exit.USAGE
    assert "name exactly one of --user-id, --subject and --all" in result.stderr


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "ftp://127.0.0.1",
        "http://",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://user:word@127.0.0.1",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\x1b[31m",
        "http://[::1",
    ],
)
def test_an_address_that_is_none(url: str) -> None:
    """The error shows the form of an address, and does not repeat this one: it may hold a password."""
    result = run("invalidate", "--game", "3", "--all", "--url", url)

    assert result.exit_code == Exit.USAGE
    assert "--url is no address of a gateway" in result.stderr
    assert "word" not in result.output


@pytest.mark.parametrize("content", [b"", b"\n", b"two words", "schlüssel".encode(), b"ogw_a\x00b", b"\xff\xfe"])
def test_a_token_file_without_a_token(tmp_path: Path, content: bytes) -> None:
    """The file's content is not repeated: it may be another secret, named by mistake."""
    result = run("invalidate", "--game", "3", "--all", "--token-file", token_file(tmp_path, content))

    assert result.exit_code == Exit.USAGE
    assert "--token-file holds no token" in result.stderr


def test_a_token_file_that_is_not_there(tmp_path: Path) -> None:
    """The system's own words say why."""
    result = run("invalidate", "--game", "3", "--all", "--token-file", str(tmp_path / "none"))

    assert result.exit_code == Exit.USAGE
    assert "fails: No such file or directory" in result.stderr
