"""Players of all kinds, who ask at any member, on and on; what they are told is judged."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx

from service.ownership import Method
from tests.gateways import PATHS
from tests.together.company import TOKEN, Company, Member
from tests.together.judgement import ANSWER_SECONDS, DEADLINE_SECONDS, Given, Judge

OWNERS: Final = range(100_000, 100_010)
STRANGERS: Final = range(200_000, 200_008)
FIRST_FICKLE: Final = 300_000
FIRST_NEW: Final = 400_000
"""From here on each player is asked about once, as in the minute of a launch; every other one owns the game."""

_GAME: Final = 3
_AT_A_TIME: Final = 12
_PAUSE_SECONDS: Final = 0.1
_DEADLINE_MS: Final = int(DEADLINE_SECONDS * 1000)
_TOKEN: Final = {"Authorization": f"Bearer {TOKEN}"}


class Players:
    """Asks and judges while `playing`; `met` are all of it."""

    def __init__(self, met: Company, judge: Judge, *, seed: int) -> None:
        self._met = met
        self._judge = judge
        self._chance = random.Random(seed)
        self._new = FIRST_NEW
        self._fickle = FIRST_FICKLE
        for owner in OWNERS:
            met.sandbox.world.mint_key(_GAME, user_id=owner)
            judge.owns(owner, 0.0, owns=True)
        for stranger in STRANGERS:
            met.sandbox.world.add_user(user_id=stranger)
            judge.owns(stranger, 0.0, owns=False)

    @asynccontextmanager
    async def playing(self) -> AsyncIterator[None]:
        """Ask until the block ends. What goes wrong in asking itself ends it, too."""
        async with asyncio.TaskGroup() as all_of_them:
            tasks = [all_of_them.create_task(self._play()) for _ in range(_AT_A_TIME)]
            tasks.append(all_of_them.create_task(self._change_minds()))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def introduce(self) -> None:
        """Have each member know each owner, so that troubles find something to take away."""
        members = self._met.members.values()
        await asyncio.gather(*(self.ask(member, owner) for owner in OWNERS for member in members))

    async def ask(self, member: Member, player: int, **fields: Any) -> Given:
        """Ask about a player, and judge the answer."""
        asked_at, starts = time.monotonic(), member.starts
        body = {"game": _GAME, "user_id": player, "deadline_ms": _DEADLINE_MS, **fields}
        status, said = await self._post(member, PATHS[Method.USER], body)
        given = Given(member, player, status, said, asked_at, time.monotonic(), starts)
        self._judge.judge(given)
        return given

    async def _post(self, member: Member, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        try:
            answer = await self._met.http.post(
                f"http://127.0.0.1:{member.port}{path}", json=body, headers=_TOKEN, timeout=ANSWER_SECONDS
            )
            said: dict[str, Any] = answer.json()
        except httpx.HTTPError:
            return 0, {}
        return answer.status_code, said

    async def _play(self) -> None:
        while True:
            members = list(self._met.members.values())
            await self.ask(self._chance.choice(members), self._choose())
            await asyncio.sleep(_PAUSE_SECONDS)

    def _choose(self) -> int:
        chosen = self._chance.random()
        if chosen < 0.75:
            return self._chance.choice(OWNERS)
        if chosen < 0.9:
            return self._chance.choice(STRANGERS)
        if chosen < 0.985 and self._fickle > FIRST_FICKLE:
            return self._chance.randrange(max(FIRST_FICKLE, self._fickle - 4), self._fickle)
        self._new += 1
        if self._new % 2:
            self._buy(self._new)
        else:
            self._judge.owns(self._new, 0.0, owns=False)
        return self._new

    def _buy(self, player: int) -> str:
        key = self._met.sandbox.world.mint_key(_GAME, user_id=player)
        self._judge.owns(player, time.monotonic(), owns=True)
        return key.text

    async def _change_minds(self) -> None:
        """Let one player after the other buy, play, and get the money back; an operator tells a replica."""
        while True:
            player = self._fickle
            key = self._buy(player)
            self._fickle += 1
            await asyncio.sleep(2.0)
            self._met.sandbox.world.revoke_key(key)
            self._judge.owns(player, time.monotonic(), owns=False)
            member = self._chance.choice(self._met.replicas)
            status, _ = await self._post(member, "/admin/invalidate", {"game": _GAME, "user_id": player})
            if status == httpx.codes.OK:
                self._judge.invalidated(player, time.monotonic(), member)
            await asyncio.sleep(1.0)
