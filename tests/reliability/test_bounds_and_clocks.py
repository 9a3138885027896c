"""Promises together: what is much of one game costs no other, and replicas whose clocks differ agree on the order."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from service.cache.keys import derive_keys
from service.cache.replicated_table import MOST_ENTRIES, ReplicatedTable
from service.cache.sealing import stamp
from service.cache.table_entry import INVALIDATING, WHOLE_GAME, TableEntry, TableKind, TableSealer
from service.cache.table_exchange import TableExchange
from service.ownership import Fingerprint, GameId, Method
from service.sandbox import seed
from service.secret import SealingSecret
from tests.cache.invalidated import OURS, Kinds, Replica
from tests.cache.samples import name_of
from tests.clock import FakeClock, WrongClock
from tests.cluster.promises import Variant, promised, variants
from tests.cluster.test_forgotten_everywhere import Gateways
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    befall,
    opened,
    pointing_at,
    sandbox_alone,
    settings_from,
    store_calls,
    until,
    until_learned,
)
from tests.redis_server import RedisServer
from tests.reliability.replicas import client_of

TWO_GAMES: Final = f"{X_MOON}\n[games.sun-garden]\nid = {seed.OTHER_GAME_ID}\n"
NO_TIME: Final = timedelta()

RedisTime = Callable[[WrongClock, FakeClock], Callable[[datetime], datetime]]


def right(_machine: WrongClock, clock: FakeClock) -> Callable[[datetime], datetime]:
    """Let Redis have the right time."""
    return lambda _: clock.now()


def own(machine: WrongClock, _clock: FakeClock) -> Callable[[datetime], datetime]:
    """Broken: every replica goes by its own clock."""
    return lambda _: machine.now()


@asynccontextmanager
async def gateways(
    directory: Path, clock: FakeClock, redis: Redis | None, *ahead: timedelta, redis_time: RedisTime = right
) -> AsyncIterator[tuple[Gateways, list[WrongClock]]]:
    """Open a gateway for each clock, which is so far ahead, in front of one store."""
    async with AsyncExitStack() as stack:
        sandbox, base_url = await stack.enter_async_context(sandbox_alone(clock))
        machines = [WrongClock(clock, by) for by in ahead]
        members = [
            await stack.enter_async_context(
                _gateway(directory, base_url, clock=clock, machine=machine, redis=redis, redis_time=redis_time)
            )
            for machine in machines
        ]
        yield Gateways(members=members, sandbox=sandbox, redis=redis, clock=clock), machines


@asynccontextmanager
async def _gateway(
    directory: Path,
    base_url: str,
    *,
    clock: FakeClock,
    machine: WrongClock,
    redis: Redis | None,
    redis_time: RedisTime,
) -> AsyncIterator[Asker]:
    settings = settings_from(directory, f'secret = "{SECRET}"\n{pointing_at(base_url)}{TWO_GAMES}', sandbox=False)
    async with opened(
        settings,
        clock=clock,
        real_clock=machine,
        log=LogLines(),
        redis=redis,
        redis_time=redis_time(machine, clock),
    ) as member:
        await until_learned(member.gateway)
        yield member


# Too much of one game


class OneTable(ReplicatedTable):
    """Broken: one bound for all games, and all pay for it."""

    def _keep_bounds(self, _kind: TableKind, _game_id: GameId, names: dict[Fingerprint, TableEntry]) -> None:
        """Invalidate every game."""
        if len(names) > MOST_ENTRIES:
            latest = max(entry.version for entry in names.values())
            for game_id in (seed.GAME_ID, seed.OTHER_GAME_ID):
                self.put(TableKind.INVALIDATED, GameId(game_id), WHOLE_GAME, latest)


async def another_gateway(clock: FakeClock, redis: Redis, kinds: Kinds) -> Replica:
    """Return another replica of the cluster in this Redis, as far as its table goes."""
    replica = Replica(None, clock, kinds=kinds)
    [key] = [key async for key in redis.scan_iter("og:v2:t:*")]
    sealer = TableSealer(derive_keys(SealingSecret(SECRET)).table)
    replica._exchange = TableExchange(
        table=replica.table, client=redis, key=bytes(key).decode(), sealer=sealer, clock=replica.clock
    )
    return replica


@pytest.mark.parametrize("kind", INVALIDATING)
@variants(OURS, one_table=Kinds(table=OneTable))
async def test_too_much_of_one_game_takes_no_owner_of_another(
    variant: Variant[Kinds], kind: TableKind, tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """More strangers than there is room for are invalidated in one game; then the store goes away."""
    about = {"game": seed.OTHER_GAME_ID}
    async with gateways(tmp_path, clock, empty_redis, NO_TIME, NO_TIME) as (two, _):
        for member in two.members:
            response = await two.ask(member, Method.DOWNLOAD_KEY, seed.OTHER_GAME_KEY, **about)
            assert response.json()["outcome"] == "owned"
            await two.rest()
        await two.invalidate(user_id=seed.STRANGER_ID)
        await two.pass_time()
        third = await another_gateway(clock, empty_redis, variant.make)
        for number in range(MOST_ENTRIES + 100):
            third.table.put(kind, GameId(seed.GAME_ID), name_of(number), stamp(clock.now()) + number)
        other = TableKind.OVERRULED if kind is TableKind.INVALIDATED else TableKind.INVALIDATED
        third.table.put(other, GameId(seed.GAME_ID), name_of(0), stamp(clock.now()) + 2 * MOST_ENTRIES)  # the last one
        while third.table.untold(1):
            await third.exchange.close()
        await two.pass_time()
        arrived = 2 if other is TableKind.INVALIDATED else 1  # the stranger, or the whole game, is there beside it
        await until(lambda: _fullest(two.members, other) >= arrived)
        befall(two.sandbox, status=500)

        outcomes = []
        for member in two.members:
            response = await two.ask(member, Method.DOWNLOAD_KEY, seed.OTHER_GAME_KEY, **about)
            outcomes.append(response.json()["outcome"])

        with promised(variant):
            assert outcomes == ["owned"] * 2


def _fullest(members: list[Asker], kind: TableKind) -> float:
    text = [member.gateway.metrics.render()[0].decode() for member in members]
    label = f'ownership_gateway_invalidations{{kind="{kind.name.lower()}"}}'
    values = [float(line.rpartition(" ")[2]) for lines in text for line in lines.splitlines() if line.startswith(label)]
    return min(values)


@pytest.mark.parametrize("redis", [True, False])
async def test_jwts_that_have_expired_take_no_room(
    redis: bool,  # noqa: FBT001 - drawn
    tmp_path: Path,
    clock: FakeClock,
    empty_redis: Redis,
) -> None:
    """Every player of an evening comes back with the JWT of yesterday."""
    async with gateways(tmp_path, clock, empty_redis if redis else None, NO_TIME) as (one, _):
        [member] = one.members
        jwts = [one.sandbox.mint_jwt(seed.OWNER_ID, lifetime=timedelta(minutes=5, seconds=n)).jwt for n in range(20)]
        for jwt in jwts:
            assert (await one.ask(member, Method.JWT, jwt)).json()["outcome"] == "owned"
        await one.rest()
        clock.jump(timedelta(minutes=6))

        answers = [(await one.ask(member, Method.JWT, jwt)).json()["reason"] for jwt in jwts]

        assert answers == ["expired_jwt"] * 20
        assert _fullest(one.members, TableKind.OVERRULED) == 0


# Clocks that differ


@pytest.mark.parametrize("ahead", [(10, 0), (120, 0), (0, 120), (120, -120), (86_400, -86_400)])
@variants(right, own=own)
async def test_an_invalidation_is_seen_by_all_though_their_clocks_differ(
    variant: Variant[RedisTime], ahead: tuple[int, int], tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """It concerns what any replica has observed before, wherever its clock stands, within two seconds."""
    offsets = [timedelta(seconds=seconds) for seconds in ahead]
    async with gateways(tmp_path, clock, empty_redis, *offsets, redis_time=variant.make) as (two, _):
        two.sandbox.world.buy([seed.GAME_ID], user_id=seed.STRANGER_ID)
        assert await two.outcomes(Method.USER, seed.STRANGER_ID) == ["owned"] * 2
        two.sandbox.world.refund(max(two.sandbox.world.purchases))
        clock.jump(timedelta(seconds=3))

        two.members.reverse()  # the one that has not looked it up is told
        await two.invalidate(user_id=seed.STRANGER_ID)
        await two.pass_time()

        with promised(variant):
            assert await two.outcomes(Method.USER, seed.STRANGER_ID) == ["not_owned"] * 2
            answer = (await two.ask(two.members[0], Method.USER, seed.STRANGER_ID)).json()
            assert abs(datetime.fromisoformat(answer["observed_at"]) - clock.now()) < timedelta(seconds=5)


@pytest.mark.parametrize("redis", [True, False])
@pytest.mark.parametrize("ahead", [timedelta(minutes=2), timedelta(days=1)])
async def test_a_game_forgotten_while_the_clock_was_ahead_is_remembered_again_when_it_is_right(
    redis: bool,  # noqa: FBT001 - drawn
    ahead: timedelta,
    tmp_path: Path,
    clock: FakeClock,
    empty_redis: Redis,
) -> None:
    """One look-up for each owner; in an outage they get in."""
    keys = [seed.OWNER_KEY, seed.SHORT_KEY]
    async with gateways(tmp_path, clock, empty_redis if redis else None, ahead) as (one, [machine]):
        await one.invalidate()
        await one.pass_time()
        machine.ahead = NO_TIME
        await one.pass_time()
        one.sandbox.journal.clear()

        first = [await one.outcomes(Method.DOWNLOAD_KEY, key) for key in keys]
        asked = store_calls(one.sandbox)
        again = [await one.outcomes(Method.DOWNLOAD_KEY, key) for key in keys]
        befall(one.sandbox, status=500)
        in_an_outage = [await one.outcomes(Method.DOWNLOAD_KEY, key) for key in keys]

        assert first == again == in_an_outage == [["owned"]] * 2
        assert store_calls(one.sandbox) == asked


async def test_a_clock_that_is_ahead_until_redis_says_the_time(
    tmp_path: Path, clock: FakeClock, own_redis: RedisServer
) -> None:
    """A player who was let in meanwhile is let in while the store is away; one who is invalidated then is not."""
    own_redis.kill()
    ahead = timedelta(minutes=2)
    async with client_of(own_redis.url) as redis, gateways(tmp_path, clock, redis, ahead, NO_TIME) as (two, _):
        early = two.members[0]
        two.sandbox.world.buy([seed.GAME_ID], user_id=seed.STRANGER_ID)
        before = [(await two.ask(early, Method.USER, user)).json() for user in (seed.OWNER_ID, seed.STRANGER_ID)]
        own_redis.start()
        for _ in range(10):
            await two.pass_time()
        learned = await early.metric("cluster_clock_offset_seconds")
        two.members.remove(early)
        await two.invalidate(user_id=seed.STRANGER_ID)
        two.members.insert(0, early)
        await two.pass_time()
        two.sandbox.world.refund(max(two.sandbox.world.purchases))
        befall(two.sandbox, status=500)
        in_an_outage = (await two.ask(early, Method.USER, seed.OWNER_ID)).json()
        befall(two.sandbox, latency_ms=1)
        clock.jump(timedelta(minutes=3))
        after = (await two.ask(early, Method.USER, seed.STRANGER_ID)).json()

    assert [said["outcome"] for said in before] == ["owned", "owned"]
    assert learned == -120
    assert in_an_outage["outcome"] == "owned"
    assert after["outcome"] == "not_owned"


async def test_a_clock_that_differs_is_said_and_that_it_agrees_again(
    tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """By a line and a gauge; JWTs expire by the clock of the machine."""
    two_minutes = timedelta(minutes=2)
    async with gateways(tmp_path, clock, empty_redis, two_minutes) as (one, [machine]):
        [member] = one.members
        jwt = one.sandbox.mint_jwt(seed.OWNER_ID, lifetime=timedelta(minutes=1)).jwt
        expired = (await one.ask(member, Method.JWT, jwt)).json()
        wrong = await member.metric("cluster_clock_offset_seconds")
        line = await member.log.line("cluster_clock_differs")
        machine.ahead = NO_TIME
        await one.pass_time()
        fine = (await one.ask(member, Method.JWT, jwt, max_age=0)).json()
        await member.log.line("cluster_clock_agrees")
        right_again = await member.metric("cluster_clock_offset_seconds")

    assert (expired["reason"], fine["outcome"]) == ("expired_jwt", "owned")
    assert (wrong, line["seconds"], right_again) == (-120, -120, 0)
