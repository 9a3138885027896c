"""Redis may only make answers faster: every fault that it can have, seen by game servers.

One gateway has filled Redis, another starts with an empty memory; through any fault, both answer as the store does.
"""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from service.clock import SystemClock
from service.http.application import Application
from service.http.connection import Request
from service.http.reply import Reply
from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.cache.wire import server_that_says
from tests.clock import FakeClock
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import SECRET, X_MOON, LogLines, opened, pointing_at, settings_from, until_learned
from tests.redis_server import RedisServer
from tests.reliability.cast import Presented, by_email, by_key, by_user
from tests.reliability.store import BASE_URL, Statements, StoreLine
from tests.reliability.trouble import SPOILT, UNWELL, Act, entries_of, heal, put_back
from tests.reliability.wrapping import InFront

QUESTIONS: Final[dict[Presented, str]] = {
    by_key(seed.OWNER_KEY): "owned",
    by_key(seed.REVOKED_KEY): "not_owned",
    by_user(seed.OWNER_ID): "owned",
    by_user(seed.STRANGER_ID): "not_owned",
    by_user(seed.SELLER_ID): "granted",
    by_email(seed.BUYER_EMAIL): "owned",
    by_email(seed.STRANGER_EMAIL): "not_owned",
}
BEFALLS: Final[dict[str, Act]] = {**SPOILT, **UNWELL}
ROUNDS: Final = 3
"""Enough to open every circuit, and to find them open."""

REPLIES: Final = {
    "loading": b"-LOADING Redis is loading the dataset in memory\r\n",
    "without a master": b"-MASTERDOWN Link with MASTER is down\r\n",
    "without its cluster": b"-CLUSTERDOWN The cluster is down\r\n",
    "wanting a password": b"-NOAUTH Authentication required.\r\n",
    "permitting nothing": b"-NOPERM this user has no permissions\r\n",
    "full": b"-OOM command not allowed when used memory > 'maxmemory'.\r\n",
    "read-only": b"-READONLY You can't write against a read only replica.\r\n",
    "busy": b"-BUSY Redis is busy running a script.\r\n",
    "unable to save": b"-MISCONF Redis is configured to save RDB snapshots\r\n",
    "elsewhere": b"-MOVED 1 127.0.0.1:1\r\n",
    "crowded": b"-ERR max number of clients reached\r\n",
    "no Redis": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "saying yes to all": b":1\r\n",
    "saying OK to all": b"+OK\r\n",
    "without end": b"$999999999\r\nnever complete",
    "empty": b"$-1\r\n",
    "a list": b"*2\r\n$1\r\na\r\n$1\r\nb\r\n",
    "hanging up": b"",
}

App = Callable[[Application, Redis], Application]


def whole(application: Application, _redis: Redis) -> Application:
    """Let the application be as it is."""
    return application


class Cluster:
    """Gateways with one store and one Redis, opened as they are needed."""

    def __init__(self, directory: Path, app: App = whole) -> None:
        self.clock = FakeClock()
        self.sandbox = Sandbox(clock=self.clock)
        self.log = LogLines()
        self._directory = directory
        self._app = app

    @asynccontextmanager
    async def gateway(self, url: str) -> AsyncIterator[httpx.AsyncClient]:
        """Open one, in real time: a Redis that does not answer costs real milliseconds."""
        line = StoreLine(self.sandbox, clock=self.clock, statements=Statements())
        toml = f'secret = "{SECRET}"\n{pointing_at(BASE_URL)}{X_MOON}\n[redis]\nurl = "{url}"\n'
        settings = settings_from(self._directory, toml, sandbox=False)
        async with (
            opened(
                settings, clock=self.clock, real_clock=SystemClock(), log=self.log, level="error", transport=line
            ) as asker,
            Redis.from_url(url) as redis,
        ):
            await until_learned(asker.gateway)
            http = asker.gateway.http
            http.application = self._app(http.application, redis)
            yield asker.http


async def outcome(http: httpx.AsyncClient, presented: Presented, **fields: object) -> str:
    """Ask; return the outcome, and fail unless there is one."""
    body = {"game": 3, "deadline_ms": 10_000, presented.field: presented.credential, **fields}
    response = await http.post(presented.path, json=body)
    assert response.status_code == 200, response.text
    return str(response.json()["outcome"])


async def all_is_well(http: httpx.AsyncClient) -> None:
    """Ask every question, with cached answers allowed and without; every answer must be right."""
    for presented, expected in QUESTIONS.items():
        assert await outcome(http, presented) == expected, presented
        assert await outcome(http, presented, max_age=0) == expected, presented


async def live_through(cluster: Cluster, server: RedisServer, befall: Act) -> None:
    """Fill Redis, let the fault happen, and ask the gateway that filled it and the one that starts then."""
    async with Redis.from_url(server.url) as operator, cluster.gateway(server.url) as one:
        await all_is_well(one)
        await befall(operator)
        async with cluster.gateway(server.url) as other:
            for _ in range(ROUNDS):
                await all_is_well(other)
                await all_is_well(one)
            await heal(operator)
            await all_is_well(other)
            await all_is_well(one)
    assert not cluster.log.lines("bug")


@pytest.mark.parametrize("befall", BEFALLS.values(), ids=BEFALLS)
async def test_whatever_befalls_redis(befall: Act, tmp_path: Path, own_redis: RedisServer) -> None:
    """Every answer agrees with the store, and every question gets one."""
    await live_through(Cluster(tmp_path), own_redis, befall)


@pytest.mark.parametrize("mode", [Mode.SLOW, Mode.DRIP, Mode.SWALLOW, Mode.REFUSE])
async def test_whatever_the_network_does(mode: Mode, tmp_path: Path, own_redis: RedisServer) -> None:
    """Faults on the way to Redis change no answer."""
    cluster = Cluster(tmp_path)
    async with FaultProxy(own_redis.port) as proxy, cluster.gateway(f"redis://127.0.0.1:{proxy.port}") as one:
        await all_is_well(one)
        proxy.be(mode)
        async with cluster.gateway(f"redis://127.0.0.1:{proxy.port}") as other:
            for _ in range(ROUNDS):
                await all_is_well(other)
                await all_is_well(one)
            proxy.be(Mode.PASS)
            await all_is_well(other)
    assert not cluster.log.lines("bug")


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
async def test_whatever_redis_says(reply: bytes, tmp_path: Path) -> None:
    """A Redis that gives the same reply to every command changes no answer."""
    cluster = Cluster(tmp_path)
    async with server_that_says(reply) as url, cluster.gateway(url) as one:
        for _ in range(ROUNDS):
            await all_is_well(one)
    assert not cluster.log.lines("bug")


async def test_wrong_password(tmp_path: Path) -> None:
    """A gateway with a wrong password for Redis works without it."""
    server = RedisServer(arguments=["--requirepass", "right"])
    server.start()
    cluster = Cluster(tmp_path)
    try:
        async with cluster.gateway(server.url.replace("//", "//:wrong@")) as one:
            for _ in range(ROUNDS):
                await all_is_well(one)
    finally:
        server.stop()
    assert not cluster.log.lines("bug")


async def test_older_entries_do_not_come_back(tmp_path: Path, own_redis: RedisServer) -> None:
    """A yes from before a refund, restored in Redis, is not used by a gateway that knows the no, nor by a new one."""
    cluster = Cluster(tmp_path)
    stranger = by_user(seed.STRANGER_ID)
    bought = cluster.sandbox.world.buy([seed.GAME_ID], user_id=seed.STRANGER_ID)
    async with Redis.from_url(own_redis.url) as operator, cluster.gateway(own_redis.url) as one:
        assert await outcome(one, stranger) == "owned"
        while not (older := {key: value for key, value in (await entries_of(operator)).items() if b":e:" in key}):
            continue  # the gateway writes to Redis without waiting
        cluster.sandbox.world.refund(bought.id)
        assert await outcome(one, stranger, max_age=0) == "not_owned"
        while not await operator.keys("og:v2:t:*"):
            continue  # and tells the other gateways without waiting
        await put_back(operator, older)

        assert await outcome(one, stranger) == "not_owned"
        async with cluster.gateway(own_redis.url) as other:
            assert await outcome(other, stranger) == "not_owned"


class Naive(InFront):
    """Broken: keeps whole answers in Redis, as they are, and cannot do without it."""

    def __init__(self, application: Application, redis: Redis) -> None:
        super().__init__(application)
        self._redis = redis

    async def reply(self, request: Request) -> Reply:
        """Answer from Redis, or else keep the answer there."""
        key = "og:v2:e:" + hashlib.sha256(request.body).hexdigest()
        body: Any = await self._redis.get(key)
        if body is None:
            body = (await super().reply(request)).body
            await self._redis.set(key, body)
        return Reply(200, body)


HARMFUL: Final = ("flipped", "cut", "swapped", "of another type", "nonsense")


@pytest.mark.parametrize("harm", HARMFUL)
async def test_gateway_that_believes_redis_fails(harm: str, tmp_path: Path, own_redis: RedisServer) -> None:
    """A control: the tests above can fail."""
    with pytest.raises((AssertionError, ValueError)):  # an answer that is no JSON is none
        await live_through(Cluster(tmp_path, Naive), own_redis, BEFALLS[harm])
