"""A process whose configuration file is replaced while it is asked: no question is lost, none gets a mixture."""

import asyncio
import json
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from service.cli.exits import Exit
from tests import sizes
from tests.gateways import caller_lines
from tests.http.serving import Wire, post
from tests.process.processes import TIMEOUT, Process, process

CONNECTIONS: Final = 4
TOKEN: Final = "ogw_lobby-lobby-lobby-lobby-lobby-lobby-lobby-lo"
GUEST: Final = "ogw_guest-guest-guest-guest-guest-guest-guest-gu"
PLAYER: Final = 7
SIGNALS_A_SECOND: Final = 5
PIECES: Final = 6
FIRST_ID: Final = 1000

_QUESTION: Final = {"game": "x-moon", "user_id": PLAYER}
_BATCH: Final = {"items": [{"id": name, "method": "user", **_QUESTION} for name in "abc"]}


def version(number: int) -> str:
    """Return a file whose answers tell its number: by the id of the game, and once more by the operator's word.

    Its callers may ask about that one game, so that a caller of one version and a game of another end in 403. The
    second is a caller of every other version.
    """
    word = "grant_user_ids" if has_guest(number) else "ban_user_ids"
    more = {"games": '["x-moon"]', "rate": "100000", "rights": '["verify", "assert:user"]'}
    lines = caller_lines("lobby", TOKEN, **more)
    if has_guest(number):
        lines += caller_lines("guest", GUEST, **more)
    return f"[games.x-moon]\nid = {FIRST_ID + number}\n{word} = [{PLAYER}]\n{lines}"


def has_guest(number: int) -> bool:
    """Whether the second caller is one of that version."""
    return number % 2 == 1


def version_of(decision: dict[str, Any]) -> int:
    """Return the number of the one version that explains the decision."""
    number: int = decision["game_id"] - FIRST_ID
    assert decision["outcome"] == ("granted" if has_guest(number) else "banned"), decision
    return number


class Players:
    """Questions one after the other over a connection each, alone and in batches, while the file has versions.

    `seen` are the versions that have answered, `refused` is how often the second caller was none.
    """

    def __init__(self, port: int) -> None:
        self.written = 0
        self.seen: set[int] = set()
        self.answered = 0
        self.refused = 0
        self._latest = 0
        self._port = port

    async def ask_until(self, done: Callable[[], bool]) -> None:
        """Ask over every connection until then."""
        async with asyncio.TaskGroup() as connections:
            for _ in range(CONNECTIONS):
                connections.create_task(self._ask_on(done, TOKEN))
                connections.create_task(self._ask_on(done, GUEST))

    async def _ask_on(self, done: Callable[[], bool], token: str) -> None:
        wire = await Wire.to(self._port)
        while not done():
            for path, body in (("/verify/user", _QUESTION), ("/verify/batch", _BATCH)):
                # What has answered before this question, on any connection, is the oldest that may answer it.
                oldest = self._latest
                await wire.send(self._request(path, body, token))
                status, answer = await wire.answer()
                if status == 401 and token == GUEST:
                    assert not all(has_guest(number) for number in range(oldest, self.written + 1))
                    self.refused += 1
                    continue
                assert status == 200, answer
                decisions = self._decisions(json.loads(answer))
                (number,) = {version_of(decision) for decision in decisions}
                assert oldest <= number <= self.written
                assert has_guest(number) or token == TOKEN
                self._latest = max(self._latest, number)
                self.seen.add(number)
                self.answered += len(decisions)
        wire.cut()

    @staticmethod
    def _request(path: str, body: object, token: str) -> bytes:
        fields = ("Content-Type: application/json", f"Authorization: Bearer {token}")
        return post(path, json.dumps(body).encode(), *fields)

    @staticmethod
    def _decisions(answer: dict[str, Any]) -> list[dict[str, Any]]:
        if "results" not in answer:
            return [answer]
        return [result["decision"] for result in answer["results"]]


async def ask_while_it_changes(
    directory: Path, change: Callable[[Path, str, Process], Awaitable[None]], *, versions: int
) -> Players:
    """Ask a process as often as the size of the suite says, and until so many versions of its file were seen."""
    file = directory / "gateway.toml"
    file.write_text(version(0), encoding="utf-8")
    async with process("--sandbox", "--config", str(file)) as gateway:
        players = Players(urlsplit(gateway.base_url).port or 0)

        def done() -> bool:
            return (
                players.answered >= sizes.RELOADED_QUESTIONS and len(players.seen) >= versions and players.refused > 0
            )

        async def rewrite() -> None:
            while not done():
                players.written += 1
                await change(file, version(players.written), gateway)

        rewriting = asyncio.create_task(rewrite())
        await asyncio.gather(players.ask_until(done), rewriting)
        gateway.signal(signal.SIGTERM)
        gateway.signal(signal.SIGTERM)
        assert await gateway.ends() == Exit.OK
    lines = [line for line in gateway.lines if line["event"].startswith("configuration_")]
    assert lines
    assert {line["event"] for line in lines} == {"configuration_reloaded"}
    assert all(line["needs_restart"] == [] for line in lines)
    return players


async def test_a_new_file_and_a_signal_five_times_a_second(tmp_path: Path) -> None:
    """Each answer is that of one version, none from before one that was seen, and none is lost."""

    async def change(file: Path, text: str, gateway: Process) -> None:
        beside = file.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.rename(file)
        gateway.signal(signal.SIGHUP)
        await asyncio.sleep(1 / SIGNALS_A_SECOND)

    async with asyncio.timeout(None if sizes.SOAK else 10 * TIMEOUT):
        players = await ask_while_it_changes(tmp_path, change, versions=8)

    assert players.answered >= sizes.RELOADED_QUESTIONS


async def test_the_file_alone_written_in_pieces(tmp_path: Path) -> None:
    """Without a signal a file that an editor writes in pieces is read when it is whole, and only then.

    The pieces take longer than from one look to the next, and none stays for as long.
    """

    async def change(file: Path, text: str, gateway: Process) -> None:
        for part in range(1, PIECES + 1):
            await asyncio.to_thread(file.write_text, text[: len(text) * part // PIECES], encoding="utf-8")
            await asyncio.sleep(1.2 / PIECES)
        await asyncio.sleep(1.8)

    async with asyncio.timeout(None if sizes.SOAK else 10 * TIMEOUT):
        players = await ask_while_it_changes(tmp_path, change, versions=3)

    assert players.answered >= sizes.RELOADED_QUESTIONS


async def test_a_hang_up_ends_nothing(tmp_path: Path) -> None:
    """Neither with a file nor without one, and after it the process stops in order."""
    file = tmp_path / "gateway.toml"
    file.write_text(version(0), encoding="utf-8")
    for arguments, said in ((("--config", str(file)), "configuration_reloaded"), ((), "configuration_not_read")):
        async with process("--sandbox", *arguments) as gateway:
            gateway.signal(signal.SIGHUP)
            await gateway.line(said)
            gateway.signal(signal.SIGINT)
            assert await gateway.ends() == Exit.OK
