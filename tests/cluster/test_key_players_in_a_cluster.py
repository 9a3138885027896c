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
    node = one_node_cluster.get_default_node()
    # Patient: a busy machine is no failure of Redis.
    client = RedisCluster(host=node.host, port=int(node.port), socket_timeout=10, socket_connect_timeout=10)
    players, other = [CountedPlayers(client=client, key=KEYS.players, clock=clock) for _ in range(2)]
    operator = operator_of(one_node_cluster)
    await operator.hset(players_key(NAME), "a", "b")

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
    await client.aclose()
