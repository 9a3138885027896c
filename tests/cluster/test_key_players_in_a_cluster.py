"""Players of a download key, counted in a Redis Cluster."""

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis, RedisCluster

from service.cache.counted_players import CountedPlayers
from service.cache.keys import players_key
from tests.cache.test_counted_players import KEYS, MONTH, NAME, OTHER, WITHIN, shown
from tests.clock import FakeClock


async def test_a_redis_cluster_counts_them_too(
    one_node_cluster: RedisCluster, operator_of: Callable[[RedisCluster], Redis], clock: FakeClock
) -> None:
    """As many as are allowed of a hundred at once; what is not ours makes way, and what is forgotten is gone."""
    players, other = [CountedPlayers(client=one_node_cluster, key=KEYS.players, clock=clock) for _ in range(2)]
    operator = operator_of(one_node_cluster)
    await operator.hset(players_key(NAME), "a", "b")  # type: ignore[misc]  # redis-py says str or a coroutine

    uses = await asyncio.gather(
        *(players.judge(NAME, str(number), most=3, lasts=MONTH, within=WITHIN) for number in range(100))
    )

    assert sorted(uses) == ["new"] * 3 + ["over"] * 97
    assert await operator.strlen(players_key(NAME)) == 1 + 3 * 16
    assert await shown(other, "x", "x", name=OTHER) == "new known"
    assert await other.forget(NAME)
    assert await operator.keys(players_key(NAME)) == []
    for each in (players, other):
        await each.close()
