"""The time after noes that were held back: a word of an operator that ends, a store that falls silent."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.reliability.town import MINUTE, SECOND, founded, hold, is_held


@pytest.mark.parametrize("replicas", [1, 3])
async def test_owners_who_were_believed_out_stay_out_after_a_short_word(
    tmp_path: Path, empty_redis: Redis, replicas: int
) -> None:
    """The guard's own hold was not over, and the store goes on saying so."""
    async with founded(tmp_path, [empty_redis] * replicas) as town:
        people = await hold(town)
        await town.tell({"game": 3, "believe": True, "seconds": 60})
        await town.pass_time(2 * SECOND)
        assert await town.ask_all(people) == {"not_owned": len(people)}

        for _ in range(5):
            await town.pass_time(61 * SECOND)
            assert await town.ask_all(people) == {"not_owned": len(people)}


async def test_owners_play_on_when_the_store_says_nothing_after_its_noes(tmp_path: Path) -> None:
    """As if it had said nothing from the beginning: until their grace ends."""
    async with founded(tmp_path, [None]) as town:
        people = await hold(town, game=4)
        town.shop.away = True
        for _ in range(5):
            await town.pass_time(10 * MINUTE, step=MINUTE)
            assert await town.ask_each(people, game=4) == {"owned": len(people)}
            assert is_held(await town.ask(people[0], game=4))

        await town.pass_time(11 * MINUTE, step=MINUTE)

        assert await town.ask_each(people, game=4) == {"unknown": len(people)}


async def test_nobody_is_let_in_again_by_a_store_that_falls_silent(tmp_path: Path) -> None:
    """Whose noes counted, because they came after the hold or before it."""
    async with founded(tmp_path, [None]) as town:
        people = town.settle(5)
        await town.play(people, rounds=1)
        town.shop.denies = True
        assert await town.lose(people) == {"not_owned": 5}
        town.shop.away = True

        for _ in range(3):
            await town.pass_time(10 * MINUTE, step=MINUTE)
            assert await town.ask_each(people) == {"unknown": 5}
