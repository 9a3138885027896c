"""Gateways side by side, their players, and a store that may say no to all of them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from redis.asyncio import Redis

from tests.clock import FakeClock, settle
from tests.gateways import SECRET, Asker, LogLines, caller_lines, opened, pointing_at, settings_from, states_of
from tests.itch.rig import streamed
from tests.reliability.store import BASE_URL

TOKEN: Final = "ogw_the-operator-of-the-town-000000000000000"
GAMES: Final = """
[games.x-moon]
id = 3
owned_fresh_seconds = 60

[games.sun-garden]
id = 4
owned_fresh_seconds = 60
grace_seconds = 3600
"""
BATCH: Final = 100
FEW: Final = 30
FIRST: Final = 1_000_001
SECOND: Final = timedelta(seconds=1)
MINUTE: Final = timedelta(minutes=1)


class Shop(httpx.AsyncBaseTransport):
    """A store that knows who owns which game.

    It `denies` all, is `away`, `throttles`, or `flips`: denies every second time.
    """

    def __init__(self) -> None:
        self.owners: dict[int, set[int]] = {3: set(), 4: set()}
        self.denies = False
        self.away = False
        self.throttles = False
        self.flips = False
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer about a user, or whose the seller's key is."""
        if self.throttles:
            return _says({"errors": ["rate limited"]}, status=429)
        if self.away:
            return _says({"errors": ["There was a server error"]}, status=500)
        if request.url.path.endswith("/profile"):
            return _says({"user": {"id": 1, "username": "seller"}})
        if request.url.path.endswith("/purchases"):
            return _says({"purchases": {}})
        self.asked += 1
        game, user = int(request.url.path.split("/")[-2]), int(request.url.params["user_id"])
        lies = self.denies or (self.flips and self.asked % 2)
        if lies or user not in self.owners[game]:
            return _says({"errors": ["no download key found"]})
        return _says({"download_key": {"id": user, "key": f"key-{user}", "game_id": game, "owner": {"id": user}}})


def _says(body: dict[str, object], *, status: int = 200) -> httpx.Response:
    return streamed(httpx.Response(status, json=body))


class Town:
    """The gateways, their time and their store."""

    def __init__(self, clock: FakeClock, shop: Shop, redis: Redis | None) -> None:
        self.clock = clock
        self.shop = shop
        self.redis = redis
        self.log = LogLines()
        self.gateways: list[Asker] = []

    def settle(self, count: int, *, game: int = 3) -> range:
        """Let so many people buy a game; return who they are."""
        people = range(FIRST, FIRST + count)
        self.shop.owners[game] |= set(people)
        return people

    async def ask(self, user: int, *, gateway: int | None = None, **fields: object) -> dict[str, Any]:
        """Ask one of the gateways, each user always the same one, and return the body."""
        asked = self.gateways[(user if gateway is None else gateway) % len(self.gateways)]
        answer: dict[str, Any] = (await asked.user(user, token=TOKEN, **fields)).json()
        return answer

    async def ask_all(self, users: Iterable[int], *, moved: int = 0, game: int = 3) -> Counter[str]:
        """Ask about all, at each gateway about its own, or `moved` on; count the outcomes."""
        told: Counter[str] = Counter()
        for number, gateway in enumerate(self.gateways):
            items = [
                {"id": str(user), "method": "user", "user_id": user, "game": game}
                for user in users
                if (user + moved) % len(self.gateways) == number
            ]
            for some in (items[first : first + BATCH] for first in range(0, len(items), BATCH)):
                results = (await gateway.batch(*some, token=TOKEN)).json()["results"]
                told.update((result.get("decision") or result["problem"])["outcome"] for result in results)
        return told

    async def pass_time(self, duration: timedelta, *, step: timedelta = SECOND / 2) -> None:
        """Let time pass, and Redis answer meanwhile."""
        while duration > timedelta():
            await self.advance(min(step, duration))
            await asyncio.sleep(0.002)
            duration -= step

    async def advance(self, duration: timedelta) -> None:
        """Move the clock once Redis has answered what it was sent: replies are waited for by this clock, too."""
        if self.redis is not None:
            await settle()
            await self.redis.time()
        await self.clock.advance(duration)

    async def ask_each(self, users: Iterable[int], *, game: int = 3) -> Counter[str]:
        """Ask about one after the other, so that each look-up behind them finds its turn; count the outcomes."""
        told: Counter[str] = Counter()
        for user in users:
            told[(await self.ask(user, game=game))["outcome"]] += 1
            await self.advance(SECOND / 10)
        return told

    async def play(self, users: range, *, rounds: int = 5) -> Counter[str]:
        """Let users ask every two minutes, which has the store asked again each time; count the outcomes."""
        told: Counter[str] = Counter()
        for _ in range(rounds):
            told += await self.ask_each(users)
            await self.pass_time(2 * MINUTE, step=20 * SECOND)
        return told

    async def lose(self, users: Iterable[int], *, game: int = 3) -> Counter[str]:
        """Let each user ask until the store's no is known; count the outcomes then."""
        told: Counter[str] = Counter()
        for user in users:
            async with asyncio.timeout(10):
                while (answer := await self.ask(user, game=game))["outcome"] == "owned" and not is_held(answer):
                    await self.advance(SECOND / 1000)
            told[answer["outcome"]] += 1
        return told

    async def tell(self, body: dict[str, object], *, token: str = TOKEN) -> httpx.Response:
        """Say whether the store is to be believed."""
        headers = {"authorization": f"Bearer {token}"}
        return await self.gateways[0].http.post("/admin/revocations", json=body, headers=headers)

    def held(self) -> list[bool]:
        """Return of each gateway whether it holds noes back."""
        return [states_of(gateway.gateway)["revocations"] == "held" for gateway in self.gateways]


def is_held(answer: dict[str, Any]) -> bool:
    """Whether an answer is a yes that the store contradicts."""
    return answer["stale"] is True and "revocations_held" in answer["caveats"]


@asynccontextmanager
async def founded(
    directory: Path,
    clients: Iterable[Redis | None],
    *,
    guard: bool = True,
    more: str = "",
    clock: FakeClock | None = None,
    shop: Shop | None = None,
) -> AsyncIterator[Town]:
    """Open a gateway for each of these clients of one Redis; None is one without."""
    clients = list(clients)
    town = Town(clock or FakeClock(), shop or Shop(), next((client for client in clients if client is not None), None))
    async with AsyncExitStack() as stack:
        for number, redis in enumerate(clients):
            place = directory / str(number)
            place.mkdir()
            caller = caller_lines("ops", TOKEN, rate="100000", failed_keys_per_minute="1000")
            guarding = f"revocation_guard = {str(guard).lower()}"
            toml = f'secret = "{SECRET}"\n{guarding}\n{pointing_at(BASE_URL)}{GAMES}{caller}{more}'
            settings = settings_from(place, toml, sandbox=False)
            gateway = opened(
                settings, clock=town.clock, log=town.log, level="warning", redis=redis, transport=town.shop
            )
            town.gateways.append(await stack.enter_async_context(gateway))
        yield town


async def hold(town: Town, *, game: int = 3) -> range:
    """Have the store say no to all, until the guard holds."""
    people = town.settle(FEW, game=game)
    await town.ask_all(people, game=game)
    await town.pass_time(2 * MINUTE, step=20 * SECOND)
    town.shop.denies = True
    await town.lose(people, game=game)
    assert town.held() == [True] * len(town.gateways)
    return people
