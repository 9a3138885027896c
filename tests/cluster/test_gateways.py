"""Whole gateways with one Redis and one store, as a game server sees them."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import httpx
import pytest
from redis.asyncio import Redis

from service.cache.leases import _TAKE as TAKE_LEASE
from service.cache.leases import LEASE_FOR
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from tests.clock import FakeClock
from tests.cluster.clocks import UnhurriedClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    asked_store,
    befall,
    opened,
    plain_client,
    pointing_at,
    sandbox_alone,
    settings_from,
    until,
    until_learned,
)
from tests.redis_server import free_port

THREE: Final = 3
SLOW_MS: Final = 100
"""A look-up at the store takes about as long as at the real one."""
PATIENT: Final[dict[str, object]] = {"deadline_ms": 10_000}
"""A thousand callers in one process with three gateways may wait for each other longer than for the store."""

MakeClient = Callable[[str], Redis | None]


class YesRedis(Redis):
    """Gives every replica the lease: broken on purpose."""

    async def evalsha(self, sha: str, *arguments: Any) -> Any:
        """Run the script, unless it is the one that takes a lease."""
        if sha == TAKE_LEASE._sha:
            return 1
        return await super().evalsha(sha, *arguments)


def one_redis(url: str) -> Redis:
    """Make a client of the Redis that all share."""
    return Redis.from_url(url)


def no_redis(url: str) -> None:
    """Make none."""


def without_leases(url: str) -> Redis:
    """Make a client for which every lease is free."""
    return YesRedis.from_url(url)


class Cluster:
    """Open gateways, and the store behind them."""

    def __init__(self, askers: list[Asker], sandbox: Sandbox, base_url: str) -> None:
        self.askers = askers
        self.sandbox = sandbox
        self.base_url = base_url

    @property
    def looked_up(self) -> int:
        """The number of requests to the store about keys."""
        return asked_store(self.sandbox, StoreEndpoint.DOWNLOAD_KEYS)

    def ask(self, number: int, **fields: object) -> list[asyncio.Task[httpx.Response]]:
        """Ask so many equal questions, of all replicas in turn."""
        return [
            asyncio.ensure_future(self.askers[which % len(self.askers)].key(seed.OWNER_KEY, **PATIENT | fields))
            for which in range(number)
        ]

    async def joined(self) -> float:
        """Return how many look-ups of another replica's were joined."""
        return sum([await asker.metric("singleflight_joined_total", scope="cluster") for asker in self.askers])


class OpenCluster(Protocol):
    """Opens gateways in front of one sandbox."""

    async def __call__(self, make_client: MakeClient = one_redis, *, replicas: int = THREE) -> Cluster:
        """Return them, once they know whose key they have."""


@pytest.fixture
async def open_cluster(tmp_path: Path, redis_url: str, empty_redis: Redis) -> AsyncIterator[OpenCluster]:
    """Open gateways in real time, on a store that takes its time."""
    async with AsyncExitStack() as stack:
        clock = UnhurriedClock()
        sandbox, base_url = await stack.enter_async_context(sandbox_alone(clock))

        async def open_all(make_client: MakeClient = one_redis, *, replicas: int = THREE) -> Cluster:
            settings = settings_from(tmp_path, f'secret = "{SECRET}"\n' + pointing_at(base_url) + X_MOON, sandbox=False)
            askers = []
            for _ in range(replicas):
                client = make_client(redis_url)
                if client is not None:
                    stack.push_async_callback(client.aclose)
                asker = await stack.enter_async_context(
                    opened(settings, clock=FakeClock(), log=LogLines(), real_clock=clock, redis=client)
                )
                await until_learned(asker.gateway)
                askers.append(asker)
            sandbox.journal.clear()
            befall(sandbox, latency_ms=SLOW_MS)
            return Cluster(askers, sandbox, base_url)

        yield open_all


def outcomes(answers: list[httpx.Response]) -> set[tuple[int, str]]:
    """Return the different answers that there are."""
    return {(answer.status_code, answer.json()["reason"]) for answer in answers}


@variants(one_redis, without_leases=without_leases, without_redis=no_redis)
async def test_thousand_equal_cold_questions_are_one_look_up(
    variant: Variant[MakeClient], open_cluster: OpenCluster
) -> None:
    """Over three replicas; all get the same answer, and the two that joined are counted."""
    cluster = await open_cluster(variant.make)

    answers = await asyncio.gather(*cluster.ask(1000))

    assert outcomes(answers) == {(200, "download_key")}
    with promised(variant):
        assert cluster.looked_up == 1
        assert await cluster.joined() == 2


async def test_without_redis_they_are_one_look_up_a_replica(open_cluster: OpenCluster) -> None:
    """Each replica shares a look-up among its own callers."""
    cluster = await open_cluster(no_redis)

    answers = await asyncio.gather(*cluster.ask(1000))

    assert outcomes(answers) == {(200, "download_key")}
    assert cluster.looked_up == THREE
    assert await cluster.joined() == 0


async def test_cancelling_any_of_them_hurts_no_other(open_cluster: OpenCluster) -> None:
    """A third of the callers goes away, the first of each replica among them; the rest is answered."""
    cluster = await open_cluster()
    tasks = cluster.ask(300)
    await until(lambda: cluster.looked_up)

    # The first three asked one replica each, and so began what all the others joined.
    leaving = tasks[:3] + tasks[3::3]
    for task in leaving:
        task.cancel()
    answers = await asyncio.gather(*(task for task in tasks if task not in leaving))
    await asyncio.gather(*leaving, return_exceptions=True)

    assert outcomes(answers) == {(200, "download_key")}
    assert len(answers) == 198
    assert cluster.looked_up == 1


async def test_who_wants_to_know_how_it_is_now_asks_once_too(open_cluster: OpenCluster) -> None:
    """Equal questions that came together share a look-up that began after they came, on any replica."""
    cluster = await open_cluster()
    before = UnhurriedClock().now()

    answers = await asyncio.gather(*cluster.ask(30, max_age=0))

    assert outcomes(answers) == {(200, "download_key")}
    assert all(answer.json()["observed_at"] >= before.strftime("%Y-%m-%dT%H:%M:%S") for answer in answers)
    assert cluster.looked_up <= THREE


async def test_a_no_of_the_store_is_one_look_up_too(open_cluster: OpenCluster) -> None:
    """Others join it as they join a yes."""
    cluster = await open_cluster()

    answers = await asyncio.gather(*(asker.key(seed.REVOKED_KEY) for asker in cluster.askers))

    assert outcomes(answers) == {(200, "invalid_download_key")}
    assert cluster.looked_up == 1


async def test_a_failing_store_is_tried_by_each_and_told_honestly(
    open_cluster: OpenCluster, empty_redis: Redis
) -> None:
    """Each replica tries the store for itself, and no lease is left behind that would delay the next questions."""
    cluster = await open_cluster()
    befall(cluster.sandbox, status=500)

    answers = await asyncio.gather(*cluster.ask(30))

    assert outcomes(answers) == {(503, "source_unavailable")}
    assert cluster.looked_up == THREE
    assert await leases_in(empty_redis) == []


async def test_one_replica_throttled_is_all_replicas_paused(open_cluster: OpenCluster, empty_redis: Redis) -> None:
    """The other replicas send nothing to the store, report the pause, and show it."""
    cluster = await open_cluster()
    befall(cluster.sandbox, status=429, retry_after="20", times=1)

    first = await cluster.askers[0].key(seed.OWNER_KEY)
    await refusal_is_known(empty_redis)
    answer = await cluster.askers[1].key(seed.SHORT_KEY)

    assert (first.status_code, first.json()["reason"]) == (503, "source_rate_limited")
    assert answer.json()["reason"] == "source_rate_limited"
    assert 1 <= int(answer.headers["retry-after"]) <= 21
    assert cluster.looked_up == 1
    ready = await cluster.askers[1].http.get("/readyz")
    assert ready.json()["components"]["source"] == "paused"
    assert ready.json()["causes"] == {"source": "throttled"}
    assert await cluster.askers[1].metric("source_paused_seconds") > 0


async def refusal_is_known(redis: Redis) -> None:
    """Return once the refusal is in Redis, which is written in the background."""
    async with asyncio.timeout(10):
        [budget] = await redis.keys("og:v2:b:*")
        while await redis.hget(budget, "refusals") != b"1":
            continue


async def leases_in(redis: Redis) -> list[bytes | str]:
    """Return the leases that are held."""
    return await redis.keys("og:v2:l:*")


async def test_a_gateway_that_is_killed_costs_one_look_up_more(
    open_cluster: OpenCluster, redis_url: str, empty_redis: Redis, tmp_path: Path
) -> None:
    """A process dies in the middle of a look-up for all: at most two in all, and within the time of its lease."""
    cluster = await open_cluster(replicas=2)
    port = free_port()
    async with (
        killable_gateway(
            tmp_path / "log",
            PORT=str(port),
            SECRET=SECRET,
            REDIS__URL=redis_url,
            ITCH__BASE_URL=cluster.base_url,
            ITCH__API_KEY=seed.SELLER_KEY,
        ) as process,
        plain_client(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        await until_ready(http)
        befall(cluster.sandbox, latency_ms=60_000, times=1, endpoint=StoreEndpoint.DOWNLOAD_KEYS)
        body = {"game": 3, "download_key": seed.OWNER_KEY}
        doomed = asyncio.ensure_future(http.post("/verify/download-key", json=body, timeout=60))
        await until(lambda: cluster.looked_up)
        assert len(await leases_in(empty_redis)) == 1

        process.kill()
        began = time.monotonic()
        answers = await asyncio.gather(*cluster.ask(10, deadline_ms=10_000))
        took = timedelta(seconds=time.monotonic() - began)
        await asyncio.gather(doomed, return_exceptions=True)

    assert outcomes(answers) == {(200, "download_key")}
    assert cluster.looked_up <= 2
    assert took < 10 * LEASE_FOR


@asynccontextmanager
async def killable_gateway(log: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a gateway as a process of its own, with its output in a file."""
    environment = {f"OWNERSHIP_GATEWAY_{name}": value for name, value in settings.items()}
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "service", "serve", env=os.environ | environment, stdout=output, stderr=output
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until_ready(http: httpx.AsyncClient) -> None:
    """Return once a gateway answers."""
    async with asyncio.timeout(30):
        while True:
            try:
                if (await http.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
