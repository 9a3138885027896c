"""The time after noes that were held back: a word of an operator that ends, a store that falls silent."""

from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.reliability.town import FEW, MINUTE, SECOND, Town, founded, hold, is_held


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


async def held_again(town: Town, *, game: int = 3) -> range:
    """Have noes held, and each of them given once more meanwhile."""
    people = await hold(town, game=game)
    for _ in range(2):
        await town.pass_time(MINUTE, step=20 * SECOND)
        assert await town.ask_each(people, game=game) == {"owned": len(people)}
    return people


async def test_owners_play_on_when_the_store_says_nothing_after_its_noes(tmp_path: Path) -> None:
    """As if it had said nothing from the beginning: until their grace ends."""
    async with founded(tmp_path, [None]) as town:
        people = await held_again(town, game=4)
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


async def test_owners_play_on_at_every_replica_when_the_store_says_nothing_after_its_noes(
    tmp_path: Path, empty_redis: Redis
) -> None:
    """Also where only another replica has heard the noes, and the store may not even be asked."""
    async with founded(tmp_path, [empty_redis] * 2) as town:
        people = town.settle(FEW, game=4)
        for moved in (0, 1):
            await town.ask_all(people, game=4, moved=moved)
        await town.pass_time(2 * MINUTE, step=20 * SECOND)
        town.shop.denies = True
        await town.lose(people, game=4)
        assert town.held() == [True, True]
        await town.pass_time(MINUTE, step=20 * SECOND)
        await town.ask_each(people, game=4)
        town.shop.throttles = True
        await town.pass_time(25 * MINUTE, step=20 * SECOND)
        assert town.held() == [False, False]

        for moved in (0, 1):
            assert await town.ask_all(people, game=4, moved=moved) == {"owned": FEW}


async def test_store_that_is_as_wrong_after_its_silence_is_held_again(tmp_path: Path) -> None:
    """The noes of before have not counted: owners who hear them again are owners who are asked about again."""
    async with founded(tmp_path, [None]) as town:
        people = await held_again(town)
        town.shop.away = True
        await town.pass_time(25 * MINUTE, step=MINUTE)
        assert await town.ask_each(people) == {"owned": FEW}
        assert town.held() == [False]

        town.shop.away = False
        await town.pass_time(10 * SECOND)
        assert await town.lose(people) == {"not_owned": 19, "owned": FEW - 19}
        for _ in range(3):
            assert await town.ask_each(people) == {"owned": FEW}
            await town.pass_time(MINUTE, step=20 * SECOND)


@pytest.mark.parametrize("long_held", [True, False])
@pytest.mark.parametrize("mistaken", [2 * SECOND, 5 * MINUTE])
async def test_wrong_word_is_mended_by_the_other(tmp_path: Path, mistaken: timedelta, *, long_held: bool) -> None:
    """Within minutes; that hold goes on, and after it the guard is as good as before."""
    async with founded(tmp_path, [None]) as town:
        people = await hold(town)
        for _ in range(6 if long_held else 0):
            await town.pass_time(5 * MINUTE, step=20 * SECOND)
            assert await town.ask_each(people) == {"owned": FEW}
        await town.tell({"game": 3, "believe": True, "seconds": 86400})
        await town.ask_all(people)
        await town.pass_time(mistaken, step=20 * SECOND)
        await town.ask_all(people)

        await town.tell({"game": 3, "believe": False, "seconds": 3600})
        for _ in range(14):
            assert await town.ask_each(people) == {"owned": FEW}
            await town.pass_time(5 * MINUTE, step=20 * SECOND)

        assert town.held() == [True]
        assert await town.ask_each(people) == {"owned": FEW}


async def test_word_that_noes_are_not_believed_does_no_harm_in_silence(tmp_path: Path) -> None:
    """Nor does it come too late just after the hold."""
    async with founded(tmp_path, [None]) as town:
        people = await held_again(town)
        town.shop.away = True
        await town.pass_time(40 * MINUTE, step=MINUTE)
        assert await town.ask_each(people) == {"owned": FEW}

        await town.tell({"game": 3, "believe": False, "seconds": 3600})
        assert await town.ask_each(people) == {"owned": FEW}

        await town.pass_time(timedelta(minutes=61), step=MINUTE)
        await town.tell({"game": 3, "believe": False, "seconds": 3600})
        town.shop.away = False
        for _ in range(3):
            assert await town.ask_each(people) == {"owned": FEW}
            await town.pass_time(MINUTE, step=20 * SECOND)
