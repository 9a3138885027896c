"""Short stories about two things at once, each of which goes well alone; the ledger judges how they end.

A story is told of one kind of fault that the promises had when they were put together. `World` has the means.
"""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeAlias

from service.sandbox import seed
from tests.fault_proxy import Mode
from tests.reliability.cast import ARCADE, OPERATOR, STUDIO, Presented, by_key, by_user
from tests.reliability.replicas import Question
from tests.reliability.world import WELL, World

Story: TypeAlias = Callable[[World], Awaitable[None]]

SECOND: Final = timedelta(seconds=1)
PAST_FRESH: Final = timedelta(hours=1, minutes=20)
"""So long that a yes is not repeated any more while the store answers, and is well within its grace."""

OTHER: Final = seed.OTHER_GAME_ID
OTHER_OWNER: Final = by_user(seed.OTHER_GAME_OWNER_ID, game=OTHER)
MORE: Final = STUDIO.failed_keys * 3 // 2
"""More than the caller's credentials of a minute that may be no good."""

FIRST_STRANGER: Final = 1_000_000


def strangers(number: int, *, game: int = seed.GAME_ID) -> list[Presented]:
    """Return players whom no store and no gateway has ever heard of."""
    return [by_user(FIRST_STRANGER + at, game=game) for at in range(number)]


def new_keys(world: World, number: int, *, game: int = seed.GAME_ID) -> list[Presented]:
    """Return the keys of players who have just bought the game."""
    return [by_key(world.sandbox.world.mint_key(game).text, game=game) for _ in range(number)]


async def _outlive_the_store(world: World) -> None:
    """The store goes away, and everything that was proven grows old; the owner of the other game plays on."""
    world.store("away")
    await world.leap(PAST_FRESH)
    await world.ask(Question(0, OTHER_OWNER), Question(1, OTHER_OWNER))


async def strangers_are_forgotten(world: World) -> None:
    """An operator invalidates more subjects of one game than a gateway remembers."""
    await world.ask(Question(0, OTHER_OWNER), Question(1, OTHER_OWNER))
    for stranger in strangers(world.most_invalidations + 2):
        await world.invalidate(0, stranger)
    await world.hear()
    await _outlive_the_store(world)


async def noes_overrule(world: World) -> None:
    """More yeses of one game are overruled by noes than a gateway remembers."""
    await world.ask(Question(0, OTHER_OWNER), Question(1, OTHER_OWNER))
    refunded = new_keys(world, world.most_invalidations + 2)
    await world.ask(*(Question(0, key) for key in refunded))
    await world.believe_the_store(0, seed.GAME_ID)  # so many refunds are held back else
    for key in refunded:
        world.sandbox.world.revoke_key(str(key.credential))
    await world.ask(*(Question(0, key, max_age=0) for key in refunded))
    await world.hear()
    await _outlive_the_store(world)


async def jwts_end(world: World) -> None:
    """More JWTs are shown once more after their end than a gateway remembers invalidations."""
    account = seed.OTHER_GAME_OWNER_ID
    lasting = world.mint(account, timedelta(hours=30), game=OTHER)
    await world.ask(Question(0, lasting), Question(0, OTHER_OWNER), Question(1, OTHER_OWNER))
    ending = [world.mint(seed.OWNER_ID, timedelta(seconds=40 + at)) for at in range(world.most_invalidations + 2)]
    await world.ask(*(Question(0, jwt) for jwt in ending))
    await world.leap(timedelta(minutes=2))
    await world.ask(*(Question(0, jwt) for jwt in ending))
    await world.hear()
    world.store("away")
    await world.leap(PAST_FRESH)
    await world.ask(Question(0, lasting), Question(0, OTHER_OWNER), Question(1, OTHER_OWNER))


async def one_key_is_asked_about_by_many(world: World) -> None:
    """Many equal questions about a new player come at once."""
    world.store("slow")
    [key] = new_keys(world, 1)
    await world.ask(*[Question(0, key, STUDIO)] * (MORE))
    world.store(WELL)
    await world.leap(SECOND)
    await world.ask(Question(0, key, STUDIO))


async def many_come_in_a_batch(world: World) -> None:
    """One request asks about more new players than the caller may be wrong about in a minute."""
    await world.ask_batch(0, new_keys(world, MORE), STUDIO)


async def many_come_to_a_slow_store(world: World) -> None:
    """New players come while the store takes longer than they wait, and once more."""
    world.store("slow")
    keys = new_keys(world, MORE)
    await world.ask(*(Question(0, key, STUDIO, deadline=SECOND / 2) for key in keys))
    await world.go_on(2 * SECOND)
    await world.ask(*(Question(0, key, STUDIO) for key in keys))
    world.store(WELL)
    await world.leap(SECOND)
    await world.ask(*(Question(0, key, STUDIO) for key in new_keys(world, MORE)))


def redis_is_far(there_and_back: timedelta) -> Story:
    """Return the story of a Redis whose replies come later than they are waited for."""

    async def story(world: World) -> None:
        world.network(0, Mode.SLOW, there_and_back / 2)
        players = strangers(24)
        for player in players[:12]:
            await world.ask(Question(0, player))
            await world.go_on(SECOND / 4)
        world.expect_no_reads(0)
        for player in players[12:]:
            await world.ask(Question(0, player))
            await world.go_on(SECOND / 4)

    return story


async def a_replica_dies(world: World) -> None:
    """A replica that looks something up for all is gone from one moment to the next."""
    world.answers_take(1.5 * SECOND)
    [key] = new_keys(world, 1)
    under_way = world.begin(Question(0, key))
    await world.go_on(0.55 * SECOND, for_redis=True)  # it has just renewed its lease
    world.network(0, Mode.SWALLOW)
    await world.leave(under_way)
    for _ in range(3):
        world.begin(Question(1, key, deadline=3 * SECOND))
    await world.go_on(3.5 * SECOND, for_redis=True)


async def a_clock_was_ahead(world: World) -> None:
    """A whole game is invalidated on a machine whose clock is a day ahead; then the clock is right again."""
    await world.restart(1, ahead=timedelta(days=1))
    await world.invalidate_game(1, OTHER)
    await world.hear()
    await world.restart(1)
    await world.leap(10 * SECOND)
    await world.ask(Question(0, OTHER_OWNER), Question(1, OTHER_OWNER))
    await _outlive_the_store(world)


async def a_clock_is_ahead(world: World) -> None:
    """A yes is observed on a machine whose clock is ahead; a revoked key is invalidated on the other one."""
    await world.restart(0, ahead=10 * SECOND)
    [key] = new_keys(world, 1)
    await world.ask(Question(0, key), Question(1, key))
    world.sandbox.world.revoke_key(str(key.credential))
    await world.leap(SECOND)
    await world.invalidate(1, key)
    await world.hear()
    await world.ask(Question(0, key), Question(1, key))


async def a_jwt_ends_too_early(world: World) -> None:
    """A JWT is over by the clock of one machine, which is ahead, and then shown to the other."""
    await world.restart(1, ahead=4 * SECOND)
    jwt = world.mint(seed.OWNER_ID, 3 * SECOND)
    await world.ask(Question(1, jwt))
    await world.leap(SECOND)
    await world.ask(Question(0, jwt))


async def one_caller_asks_too_much(world: World) -> None:
    """One caller brings more new players than the store budget serves, another one a few; Redis is away."""
    for index in range(2):
        world.network(index, Mode.REFUSE)
    await world.go_on(SECOND)
    many, few = iter(new_keys(world, 200)), iter(new_keys(world, 5))
    for _ in range(5):
        for _ in range(4):
            await world.go_on(SECOND / 4)
            for _ in range(10):
                world.begin(Question(0, next(many), OPERATOR, deadline=3 * SECOND))
        world.begin(Question(0, next(few), ARCADE, deadline=3 * SECOND))
    await world.finish()


async def redis_comes_and_goes(world: World) -> None:
    """Redis is there for a second and a half and away for as long, while more is asked than the store budget serves."""
    keys = iter(new_keys(world, 72))
    for flap in range(3):
        for index in range(2):
            world.network(index, Mode.PASS if flap % 2 else Mode.REFUSE)
        for _ in range(6):
            for index in (0, 0, 1, 1):
                world.begin(Question(index, next(keys), OPERATOR, deadline=3 * SECOND))
            await world.go_on(SECOND / 4)
    await world.finish()
    world.expect_pace()


async def one_game_hangs(world: World) -> None:
    """Many new players of one game come while the store answers nothing about it; then one of the other game."""
    world.hang(seed.GAME_ID)
    for player in strangers(60):
        world.begin(Question(0, player))
    await world.go_on(SECOND)
    await world.ask(*(Question(0, key, STUDIO, deadline=3 * SECOND) for key in new_keys(world, 3, game=OTHER)))


async def one_player_is_throttled(world: World) -> None:
    """The store throttles a player; new players come with their JWTs and keys."""
    jwt = world.mint(seed.OWNER_ID, timedelta(hours=1))
    world.throttle(jwt)
    await world.ask(Question(0, jwt))
    await world.leap(SECOND)
    other = world.mint(seed.OTHER_GAME_OWNER_ID, timedelta(hours=1), game=OTHER)
    await world.ask(*(Question(index, one) for index in range(2) for one in (other, *new_keys(world, 1))))
