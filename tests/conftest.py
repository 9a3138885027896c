"""Fixtures that several parts of the suite use."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest
import uvloop
from hypothesis import settings
from redis import Redis as SyncRedis
from redis.asyncio import Redis

from tests.clock import FakeClock
from tests.redis_server import RedisServer, free_port, tls_server

# A busy machine is not a wrong answer.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_TESTS: Final = Path(__file__).parent
_PAGES: Final = _TESTS / "docs"
_FAULTS: Final = _TESTS / "reliability"
_DIFFERENT: Final = {_FAULTS / "test_cancellations.py", _FAULTS / "test_closing.py"}
"""Tests of cancellation: Pythons differ there."""
_MEASURED: Final = {
    _FAULTS / f"test_{name}.py" for name in ("revocations", "after_held_noes", "bounds_and_clocks", "decisions")
}
"""Those that reach lines which no other test reaches."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the pages and the random faults `once`, beside what has that mark; most are unmeasured.

    Coverage makes a test twice as slow. Pages are quick, and some import what no test file imports.
    """
    for item in items:
        if item.path.is_relative_to(_FAULTS) and item.path not in _DIFFERENT:
            item.add_marker(pytest.mark.once)
        if item.get_closest_marker("once") and item.path not in _MEASURED:
            item.add_marker(pytest.mark.no_cover)
        if item.path.is_relative_to(_PAGES):
            item.add_marker(pytest.mark.once)


def pytest_collection_finish() -> None:
    """Keep the garbage collector from looking at a million objects of imported modules and collected tests again."""
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run tests in the loop that the gateway runs in."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
def clock() -> FakeClock:
    """The time of everything in a test: it stands still until the test moves it."""
    return FakeClock()


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of the session's Redis, which may hold entries of other tests."""
    server = RedisServer()
    server.start()
    yield server.url
    server.stop()


@pytest.fixture
async def empty_redis(redis_url: str) -> AsyncIterator[Redis]:
    """A plain client of the session's Redis, which is empty.

    Gateways that use it must close before it: ask for it before the fixture that opens them.
    """
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """A Redis of the test's own, which it may break."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def session_cluster() -> Iterator[RedisServer]:
    """The session's Redis Cluster, whose one node has every slot; a cluster takes two seconds to begin."""
    server = RedisServer(arguments=["--cluster-enabled", "yes", "--cluster-port", str(free_port())])
    server.start()
    try:
        with SyncRedis.from_url(server.url) as operator:
            operator.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while "cluster_state:ok" not in str(operator.execute_command("CLUSTER", "INFO")):
                # WAIT for a replica that does not exist: the server itself holds us back for 50 ms.
                operator.wait(1, 50)
        yield server
    finally:
        server.stop()


@pytest.fixture
def one_node_cluster(session_cluster: RedisServer) -> Iterator[RedisServer]:
    """The session's cluster, empty; a test may freeze it."""
    with SyncRedis.from_url(session_cluster.url) as operator:
        operator.flushall()
    yield session_cluster
    session_cluster.resume()


@pytest.fixture
def tls_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of the test's own that speaks TLS; `tmp_path` has its `certificate.pem`, for 127.0.0.1."""
    server = tls_server(tmp_path)
    server.start()
    yield server
    server.stop()
