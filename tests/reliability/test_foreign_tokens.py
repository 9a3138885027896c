"""A token of another creator's application stands for no player, in any order of cache and fault.

Two gateways with one Redis and one store are asked about tokens of the game's own application, of others, of none, and
about JWTs of the same players, while the store fails in every way, tokens are taken back, Redis is emptied, gateways
begin anew and time passes.
"""

import random
from collections import Counter
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self

import pytest
from msgspec import Struct
from redis.asyncio import Redis

from service.ownership import Method
from service.sandbox import seed
from service.sandbox.faults import Fault
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from tests.clock import FakeClock, passing_time
from tests.gateways import Asker, LogLines, opened, settings_from
from tests.sizes import DECISIONS

STEPS: Final = 60
ORDERS: Final = 10
FOREIGN: Final = 777
LONGEST_GRACE: Final = timedelta(hours=24)
OWNERS: Final = {
    3: {seed.OWNER_ID, seed.BUYER_ID, seed.BUNDLE_BUYER_ID},
    4: {seed.BUNDLE_BUYER_ID, seed.OTHER_GAME_OWNER_ID},
}
USERS: Final = (seed.OWNER_ID, seed.BUYER_ID, seed.BUNDLE_BUYER_ID, seed.OTHER_GAME_OWNER_ID, seed.STRANGER_ID)
FAULTS: Final[tuple[list[dict[str, Any]], ...]] = (
    [],
    [],
    [],
    [],
    [],
    [],
    [{"status": 500}],
    [{"status": 429, "retry_after": "7"}],
    [{"html_challenge": True}],
    [{"truncated": True, "rate": 0.5, "seed": 7}],
    [{"endpoint": StoreEndpoint.OWNERSHIP, "status": 500}],
    [{"endpoint": StoreEndpoint.OWNERSHIP, "status": 403}],
    [{"endpoint": StoreEndpoint.OWNERSHIP, "body": '{"errors":["wrong application"]}'}],
    [{"endpoint": StoreEndpoint.OWNERSHIP, "body": '{"errors":{}}'}],
    [{"endpoint": StoreEndpoint.PROFILE, "status": 500}],
    [{"endpoint": StoreEndpoint.DOWNLOAD_KEYS, "status": 503}],
    [{"name": "key_revoked"}],
)
JUMPS: Final = tuple(
    timedelta(seconds=seconds) for seconds in (0, 0, 1, 61, 240, 599, 601, 2 * 3600, 23 * 3600, 25 * 3600)
)


class Token(Struct):
    """A token, whose it is, whether the seller's application has it, and when it was taken back."""

    text: str
    user: int | None
    own: bool = False
    revoked_at: datetime | None = None


class Town:
    """Two gateways, their store, and the truth about every token."""

    def __init__(self, directory: Path, redis_url: str, redis: Redis, clock: FakeClock, dice: random.Random) -> None:
        self.told: Counter[str] = Counter()
        self._directory = directory
        self._redis_url = redis_url
        self._redis = redis
        self._clock = clock
        self._dice = dice
        self._sandbox = Sandbox(clock=clock)
        self._stack = AsyncExitStack()
        self._gateways: list[tuple[AsyncExitStack, Asker]] = []
        self._base_url = ""
        world = self._sandbox.world
        self._tokens = [Token("junk-" + "x" * 35, None)]
        for user in USERS:
            self._tokens.append(Token(world.mint_access_token(user, application_of=None), user, own=True))
            self._tokens.append(Token(world.mint_access_token(user, application_of=FOREIGN), user))

    async def __aenter__(self) -> Self:
        """Open everything."""
        self._base_url = (await self._stack.enter_async_context(SandboxServer(self._sandbox))).base_url
        for _ in range(2):
            self._gateways.append(await self._open())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        for stack, _gateway in self._gateways:
            await stack.aclose()
        await self._stack.aclose()

    async def _open(self) -> tuple[AsyncExitStack, Asker]:
        toml = (
            'secret = "a-secret-that-is-long-enough-for-the-model"\n'
            f'[itch]\napi_key = "{seed.SELLER_KEY}"\nbase_url = "{self._base_url}"\naccess_tokens = true\n'
            f'[redis]\nurl = "{self._redis_url}"\n[games.x-moon]\nid = 3\n[games.sun-garden]\nid = 4\n'
        )
        stack = AsyncExitStack()
        settings = settings_from(self._directory, toml, sandbox=False)
        return stack, await stack.enter_async_context(opened(settings, clock=self._clock, log=LogLines()))

    async def step(self) -> None:
        """Let one thing happen, and ask."""
        dice, clock = self._dice, self._clock
        clock.jump(dice.choice(JUMPS))
        match dice.randrange(12):
            case 0 | 1 | 2:
                self._sandbox.faults.replace([Fault(**fault) for fault in dice.choice(FAULTS)])
            case 3 if (own := dice.choice(self._tokens)).revoked_at is None and own.user is not None:
                self._sandbox.world.revoke_access_token(own.text)
                own.revoked_at = clock.now()
                text = self._sandbox.world.mint_access_token(own.user, application_of=None if own.own else FOREIGN)
                self._tokens.append(Token(text, own.user, own=own.own))
            case 4:
                await self._redis.flushall()
            case 5:
                number = dice.randrange(2)
                await self._gateways[number][0].aclose()
                self._gateways[number] = await self._open()
            case 6:
                await self._by_jwt(dice.choice(USERS))
            case 7:
                _, gateway = dice.choice(self._gateways)
                await gateway.http.post("/admin/invalidate", json={"game": 3, "user_id": dice.choice(USERS)})
        for _ in range(3):
            await self._ask(dice.choice(self._tokens), dice.choice((3, 4)))

    async def _by_jwt(self, user: int) -> None:
        """Have a gateway learn about a player by another way."""
        _, gateway = self._dice.choice(self._gateways)
        async with passing_time(self._clock):
            await gateway.ask(Method.JWT, self._sandbox.mint_jwt(user).jwt)

    async def _ask(self, token: Token, game: int) -> None:
        _, gateway = self._dice.choice(self._gateways)
        fields = self._dice.choice(({}, {}, {"max_age": 0}, {"only_if_cached": True}))
        asked_at = self._clock.now()
        async with passing_time(self._clock):
            answer = (await gateway.ask(Method.ACCESS_TOKEN, token.text, game=game, **fields)).json()
        self.told[f"{'own' if token.own else 'foreign'} {answer['outcome']}"] += 1
        if not token.own:
            assert answer["outcome"] in ("rejected", "unknown"), (token, answer)
            assert answer["player"] is None, (token, answer)
            return
        assert answer["player"] is None or answer["player"]["id"] == token.user, (token, answer)
        if answer["allowed"]:
            assert token.user in OWNERS[game], (token, answer)
            assert token.revoked_at is None or asked_at - token.revoked_at <= LONGEST_GRACE, (token, answer)


@pytest.mark.parametrize("first", range(0, DECISIONS, ORDERS))
async def test_a_foreign_token_is_never_an_identity(
    tmp_path: Path, redis_url: str, empty_redis: Redis, clock: FakeClock, first: int
) -> None:
    """It is rejected or not known; the own ones let in whom they should, for as long as they may."""
    told: Counter[str] = Counter()
    for number in range(first, first + ORDERS):
        async with Town(tmp_path, redis_url, empty_redis, clock, random.Random(number)) as town:
            for _ in range(STEPS):
                await town.step()
        told += town.told
        await empty_redis.flushall()

    seen = {"own owned", "own not_owned", "own rejected", "own unknown", "foreign rejected", "foreign unknown"}
    assert {outcome for outcome, times in told.items() if times >= ORDERS} == seen, told
