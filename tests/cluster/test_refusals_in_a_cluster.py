"""Whole gateways that share a Redis: a refusal at one of them is explained by all, until it is invalidated."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.crc import key_slot

from service.api.paths import EXPLAIN_PATH, INVALIDATE_PATH
from service.cache.results import CacheResult
from service.redis.acl import KEYS
from service.sandbox import seed
from tests.cache.test_shared_refusals import GAME, Replica
from tests.clock import FakeClock
from tests.cluster.test_forgotten_everywhere import gateways
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import SECRET, X_MOON, Asker, LogLines, opened, settings_from, until
from tests.redis_server import RedisServer


async def refuse(gateway: Asker) -> str:
    """Refuse a player there, and return the decision's id once Redis has it."""
    decision_id: str = (await gateway.user(seed.STRANGER_ID)).json()["decision_id"]
    await until(lambda: b'refusals_shared_total{result="stored"} 1.0' in gateway.gateway.metrics.render()[0])
    return decision_id


async def explain(gateway: Asker, **body: Any) -> tuple[int, Any]:
    """Return the status and the body."""
    response = await gateway.http.post(EXPLAIN_PATH, json=body)
    return response.status_code, response.json()


async def test_a_refusal_at_one_is_explained_by_all(tmp_path: Path, clock: FakeClock, empty_redis: Redis) -> None:
    """By its id, and among the last of the player; both tiers are shown."""
    async with gateways(tmp_path, clock, empty_redis, SECRET, SECRET) as two:
        one, other = two.members
        decision_id = await refuse(one)

        status, found = await explain(other, decision_id=decision_id)
        _, here = await explain(one, decision_id=decision_id)

        assert (status, found["decision"]["reason"]) == (200, "no_download_key")
        assert [past["decision_id"] for past in found["refusals"]] == [decision_id]
        assert [answer["tier"] for answer in found["remembered"]] == ["redis"]
        assert [answer["tier"] for answer in here["remembered"]] == ["memory", "redis"]


async def test_an_invalidation_at_one_holds_at_all(tmp_path: Path, clock: FakeClock, empty_redis: Redis) -> None:
    """Also for what is put back into Redis, and for what another replica remembers itself."""
    async with gateways(tmp_path, clock, empty_redis, SECRET, SECRET, SECRET) as three:
        one, other, third = three.members
        decision_id = await refuse(one)
        stored = {key: await empty_redis.get(key) async for key in empty_redis.scan_iter(KEYS) if b"{x}" in key}

        await other.http.post(INVALIDATE_PATH, json={"game": 3, "user_id": seed.STRANGER_ID})
        await three.pass_time()
        for key, value in stored.items():
            await empty_redis.set(key, value or b"")

        assert len(stored) == 2
        for member in (one, other, third):
            assert (await explain(member, decision_id=decision_id))[0] == 404
            assert (await explain(member, game=3, user_id=seed.STRANGER_ID))[1]["refusals"] == []


async def test_an_invalidation_is_in_the_log_though_its_caller_hangs_up(
    tmp_path: Path, clock: FakeClock, own_redis: RedisServer
) -> None:
    """While Redis is asked to forget refusals, everything else has happened."""
    log, asked = LogLines(), asyncio.Event()

    def sent(data: bytes) -> None:
        if b"{x}" in data:
            asked.set()

    async with FaultProxy(own_redis.port, sent=sent) as proxy:
        toml = f'secret = "{SECRET}"\n{X_MOON}[redis]\nurl = "redis://127.0.0.1:{proxy.port}"\n'
        async with opened(settings_from(tmp_path, toml), clock=clock, log=log) as gateway:
            await refuse(gateway)
            asked.clear()
            proxy.be(Mode.SWALLOW)
            body = {"game": 3, "user_id": seed.STRANGER_ID}
            caller = asyncio.create_task(gateway.http.post(INVALIDATE_PATH, json=body))
            await asked.wait()
            caller.cancel()
            await asyncio.wait([caller])

            assert (await log.line("invalidated"))["caller"] == "local"
            proxy.be(Mode.REFUSE)


async def test_a_redis_cluster_has_them_too(
    one_node_cluster: RedisCluster, operator_of: Callable[[RedisCluster], Redis], clock: FakeClock
) -> None:
    """All keys of one script live in one slot."""
    one = Replica(one_node_cluster, clock)
    decision_id = one.refuse("aa", account="bb")
    await one.settle()
    keys = [key async for key in operator_of(one_node_cluster).scan_iter(KEYS)]

    assert one.results == {CacheResult.STORED: 1}
    assert await one.shared.find(decision_id) is not None
    assert len(await one.shared.of(GAME, "bb")) == 1
    assert len({key_slot(key) for key in keys}) == 1
    assert len(keys) == 3
    await one.shared.close()
