"""The match server of `deploy/examples/passes`, in front of a gateway, through rotation, revocation and an outage."""

import asyncio
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from service.sandbox import seed
from tests.clock import FakeClock
from tests.gateways import Asker
from tests.passes.conftest import ISSUER, OpenReal, pem
from tests.passes.test_asking import ask_for
from tests.passes.test_forged import CORPUS

EXAMPLES: Final = Path(__file__).parents[2] / "deploy" / "examples" / "passes"
TIMEOUT_SECONDS: Final = 60
AMOS: Final = {"method": "user", "user_id": seed.OWNER_ID}
BELLA: Final = {"method": "user", "user_id": seed.BUYER_ID}


Break = Callable[[Any], Any]
"""Returns a verifier that is broken, made of the class of one that is not."""


class Player:
    """A connection to the match server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def told(self) -> str:
        """Return the next line that the player is told; empty if the connection was closed."""
        with suppress(ConnectionError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return (await self._reader.readline()).decode().strip()
        return ""

    async def leave(self) -> None:
        """Close it, and return once the server has closed it too."""
        if self._writer.can_write_eof() and not self._writer.is_closing():
            self._writer.write_eof()
        with suppress(ConnectionError):
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await self._reader.read()
        self._writer.close()


class Match:
    """A match server for `game:3/server-42` that listens, and the way to its gateway, which can be cut."""

    def __init__(self, gateway: Asker, clock: FakeClock, modules: tuple[Any, Any], broken: Break | None = None) -> None:
        self.gateway = gateway
        self.clock = clock
        self.away = False
        self.fetched: list[str] = []
        pass_verifier, match_server = modules

        def fetch(url: str) -> bytes:
            self.fetched.append(url)
            if self.away:
                raise OSError("no route to the gateway")
            body: bytes = pass_verifier.fetch_over_http(url)
            return body

        kind = pass_verifier.PassVerifier if broken is None else broken(pass_verifier.PassVerifier)
        verifier = kind(
            str(gateway.http.base_url),
            issuer=ISSUER,
            audience="game:3/server-42",
            now=lambda: clock.now().timestamp(),
            fetch=fetch,
        )
        self.server = match_server.MatchServer(verifier)
        self.port = 0
        self.players: list[Player] = []

    async def issued(self, **order: object) -> str:
        """Return a pass for a player of this server."""
        answer = await ask_for(self.gateway, audience="server-42", player_ref="lobby:7f3a", **order)
        value: str = answer["pass"]["value"]
        return value

    async def join(self, text: str, player_ref: str = "lobby:7f3a") -> Player:
        """Connect, and show a pass."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(f"{player_ref} {text}\n".encode())
        self.players.append(Player(reader, writer))
        return self.players[-1]

    async def says(self, text: str) -> str:
        """Return what it says to a player who shows a pass and then leaves."""
        player = await self.join(text)
        said = await player.told()
        await player.leave()
        return said

    async def after(self, **time: float) -> None:
        """Let time pass, in which the match server looks each half minute."""
        for _ in range(int(timedelta(**time).total_seconds() / 30)):
            self.clock.jump(timedelta(seconds=30))
            await self.server.look()


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    """The two files to copy: the verifier, and the match server."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("pass_verifier"), importlib.import_module("match_server")


@pytest.fixture
def broken() -> Break | None:
    """The way in which the verifier is broken: none, but where a test says so."""
    return None


@pytest.fixture
async def match(
    open_real: OpenReal, clock: FakeClock, modules: tuple[Any, Any], broken: Break | None
) -> AsyncIterator[Match]:
    """A match server that has looked once."""
    match = Match(await open_real(), clock, modules, broken)
    await match.server.look()
    async with await asyncio.start_server(match.server.welcome, "127.0.0.1", 0, limit=4096) as listener:
        match.port = listener.sockets[0].getsockname()[1]
        yield match
        for player in match.players:
            await player.leave()


def test_no_forged_token_lets_in(modules: tuple[Any, Any]) -> None:
    """The whole corpus: only the good pass does."""
    verifier = modules[0].PassVerifier(
        "http://127.0.0.1:1", issuer=CORPUS["issuer"], audience=CORPUS["audience"], now=lambda: CORPUS["now"]
    )
    verifier.take_keys(json.dumps({"keys": CORPUS["keys"]}).encode())
    tokens = {"good": CORPUS["good"], **CORPUS["forged"], **CORPUS["for_match_servers"]}

    let_in = [name for name, token in tokens.items() if verifier.check(token, CORPUS["player_ref"]).what != "out"]

    assert let_in == ["good"]


async def test_lets_in_who_has_a_pass(match: Match) -> None:
    """One of this player for this server; nothing else lets in, and nothing breaks it."""
    value = await match.issued(**AMOS)
    elsewhere = (await ask_for(match.gateway, audience="server-43", **AMOS))["pass"]["value"]
    said = [await match.says(text) for text in (value, elsewhere, "", "x" * 3000, value[:-1], value)]
    long = await (await match.join("x" * 5000)).told()
    other = await (await match.join(value, "lobby:0000")).told()

    assert said == [
        "in pass",
        "out other_audience",
        "out malformed_pass",
        "out malformed_pass",
        "out malformed_pass",
        "in pass",
    ]
    assert (long, other) == ("", "out other_player")


async def test_one_place_for_each_account(match: Match) -> None:
    """A pass that is shown twice at a time is good for one place."""
    value = await match.issued(**AMOS)
    first = await match.join(value)
    assert await first.told() == "in pass"

    second = await match.join(value)

    assert (await second.told(), await first.told()) == ("in pass", "out somebody_else_came")


async def through_a_rotation(match: Match, key_file: Path) -> None:
    """Append a key, put it on top, leave it alone: no player is put out, and none with a pass is kept out."""
    old = await match.issued(**AMOS)
    amos = await match.join(old)
    assert await amos.told() == "in pass"

    key_file.write_text(pem() + pem("second"))  # noqa: ASYNC240 - a file of a few bytes
    await match.after(minutes=5)
    key_file.write_text(pem("second") + pem())  # noqa: ASYNC240
    await match.after(seconds=30)
    new, asked = await match.issued(**BELLA), len(match.fetched)
    during = [await match.says(new), await match.says(old)]
    assert len(match.fetched) == asked
    assert await amos.told() == "out somebody_else_came"
    amos = await match.join(old)
    assert await amos.told() == "in pass"
    key_file.write_text(pem("second"))  # noqa: ASYNC240
    await match.after(minutes=5)

    assert during == ["in pass", "in pass"]
    assert [await match.says(new), await match.says(old)] == ["in pass", "out unknown_key"]
    assert len(match.server.players) == 1


async def test_a_key_that_signs_at_once(match: Match, key_file: Path) -> None:
    """The keys are fetched again for a pass whose key is not known."""
    await match.after(seconds=60)
    key_file.write_text(pem("second"))  # noqa: ASYNC240
    match.clock.jump(timedelta(seconds=2))

    assert await match.says(await match.issued(**AMOS)) == "in pass"


async def through_a_revocation(match: Match, _key_file: Path) -> None:
    """Revoke the pass of one who is in: out within half a minute; others stay, and a newer pass lets in again."""
    value = await match.issued(**AMOS)
    amos, bella = await match.join(value), await match.join(await match.issued(**BELLA))
    assert [await amos.told(), await bella.told()] == ["in pass", "in pass"]
    match.clock.jump(timedelta(seconds=1))

    forgotten = await match.gateway.http.post("/admin/invalidate", json={"game": 3, "user_id": seed.OWNER_ID})
    assert forgotten.status_code == 200
    await match.after(seconds=30)

    assert [*match.server.players] == [f"itch:{seed.BUYER_ID}"]
    assert await amos.told() == "out void_pass"
    assert await match.says(value) == "out void_pass"
    assert await match.says(await match.issued(**AMOS)) == "in pass"


async def through_an_hour_alone(match: Match, _key_file: Path) -> None:
    """Cut the way to the gateway: players stay, passes are good until they end, void ones stay void; then mend it."""
    void = await match.issued(**AMOS)
    match.clock.jump(timedelta(seconds=1))
    await match.gateway.http.post("/admin/invalidate", json={"game": 3, "user_id": seed.OWNER_ID})
    await match.after(seconds=30)
    amos = await match.join(await match.issued(**AMOS))
    bellas = await match.issued(**BELLA)
    assert await amos.told() == "in pass"
    match.away = True

    await match.after(minutes=14)
    almost = [await match.says(bellas), await match.says(void)]
    await match.after(minutes=1)
    ended = [await match.says(bellas), await match.says(void)]
    await match.after(minutes=45)
    players = [*match.server.players]
    match.away = False
    await match.after(seconds=60)
    later = [await match.says(await match.issued(**BELLA)), await match.says(bellas)]

    assert almost == ["in pass", "out void_pass"]
    assert ended == ["out expired_pass", "out expired_pass"]
    assert players == [f"itch:{seed.OWNER_ID}"]
    assert later == ["in pass", "out expired_pass"]
    assert [*match.server.players] == [f"itch:{seed.OWNER_ID}"]


async def test_lives_through_a_rotation(match: Match, key_file: Path) -> None:
    await through_a_rotation(match, key_file)


async def test_puts_out_whose_pass_was_made_void(match: Match, key_file: Path) -> None:
    await through_a_revocation(match, key_file)


async def test_lives_through_an_hour_without_the_gateway(
    match: Match, key_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells of each time that it has asked for the list in vain."""
    await through_an_hour_alone(match, key_file)

    assert capsys.readouterr().out.count("not fetched: /passes/invalidated: no route to the gateway\n") == 120


def never_fetches_keys_again(verifier: Any) -> Any:
    """Return one with the keys that it had first."""

    class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
        def take_keys(self, text: bytes) -> None:
            if not self.keys:
                super().take_keys(text)

    return Broken


def keeps_keys_that_are_gone(verifier: Any) -> Any:
    """Return one with all keys that there ever were."""

    class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
        def take_keys(self, text: bytes) -> None:
            before: dict[str, Any] = self.keys
            super().take_keys(text)
            self.keys: dict[str, Any] = before | self.keys

    return Broken


def has_no_list(verifier: Any) -> Any:
    """Return one that does not read the list."""

    class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
        def take_list(self, _text: bytes) -> None:
            """Leave it."""

    return Broken


def takes_all_for_void(verifier: Any) -> Any:
    """Return one to which a pass is void whose handle is in the list, also a newer one."""

    class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
        def is_void(self, claims: Any) -> bool:
            return not self.void_before.keys().isdisjoint(claims["handles"])

    return Broken


def forgets(what: str) -> Break:
    """Return the way in which one loses what it cannot fetch."""

    def one_that_forgets(verifier: Any) -> Any:
        class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
            def fetch_into(self, take: Callable[[bytes], None], path: str) -> list[str]:
                failed: list[str] = super().fetch_into(take, path)
                if failed:
                    getattr(self, what).clear()
                return failed

        return Broken

    return one_that_forgets


def lets_no_pass_end(verifier: Any) -> Any:
    """Return one to which passes have no end."""

    class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
        def fault_in(self, claims: Any, player_ref: str | None) -> str:
            reason: str = super().fault_in(claims, player_ref)
            return "" if reason == "expired_pass" else reason

    return Broken


def puts_out_whose_pass_ends(verifier: Any) -> Any:
    """Return one that takes a pass that has ended for a void one, also of those who are in."""

    class Broken(verifier):  # type: ignore[misc]  # it is imported when the test runs
        def is_void(self, claims: Any) -> bool:
            return bool(super().is_void(claims)) or claims["exp"] <= self.now()

    return Broken


@pytest.mark.once
@pytest.mark.parametrize(
    ("through", "broken"),
    [
        pytest.param(through, broken, id=f"{through.__name__}, {name}")
        for through, name, broken in (
            (through_a_rotation, "never fetches keys again", never_fetches_keys_again),
            (through_a_rotation, "keeps keys that are gone", keeps_keys_that_are_gone),
            (through_a_revocation, "has no list", has_no_list),
            (through_a_revocation, "takes all for void", takes_all_for_void),
            (through_an_hour_alone, "forgets the keys", forgets("keys")),
            (through_an_hour_alone, "forgets the list", forgets("void_before")),
            (through_an_hour_alone, "lets no pass end", lets_no_pass_end),
            (through_an_hour_alone, "puts out whose pass ends", puts_out_whose_pass_ends),
        )
    ],
)
async def test_a_verifier_that_is_broken_is_seen(
    match: Match, key_file: Path, through: Callable[[Match, Path], Awaitable[None]]
) -> None:
    """Each fails the test that its fault is about."""
    with pytest.raises(AssertionError):
        await through(match, key_file)
