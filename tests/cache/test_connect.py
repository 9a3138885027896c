"""Clients for every form of Redis, none of which makes a question wait."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from ssl import TLSVersion

import pytest
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.cache.results import CacheOperation, CacheResult
from service.redis.connect import RedisClient, close, connect
from service.secret import RedisUrl
from tests.cache.conftest import MakeTier
from tests.cache.samples import GAME, NAME, SECOND, Recorder, entry, yes
from tests.clock import FakeClock
from tests.redis_server import RedisServer, free_port

FORMS = [
    "redis://:s3cr3t@redis.invalid",
    "rediss://:s3cr3t@redis.invalid",
    "unix://:s3cr3t@/not/there.sock",
    "redis+sentinel://:s3cr3t@redis.invalid/mymaster?sentinel_password=s3cr3t",
    "rediss+sentinel://:s3cr3t@redis.invalid/mymaster",
    "redis+cluster://:s3cr3t@redis.invalid",
    "rediss+cluster://:s3cr3t@redis.invalid",
]


def settings_of(client: RedisClient) -> list[dict[str, object]]:
    """Return the settings of every kind of connection that a client makes."""
    if isinstance(client, RedisCluster):
        return [client.connection_kwargs | {"retry": client.retry}]
    pool = client.connection_pool
    pools = [pool]
    if isinstance(pool, SentinelConnectionPool):
        pools += [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
    return [pool.connection_kwargs for pool in pools]


@pytest.mark.parametrize("url", FORMS)
async def test_no_connection_waits_long(url: str) -> None:
    """Every form, and its Sentinels, have our time-outs, one retry, RESP2 and raw bytes."""
    for settings in settings_of(connect(RedisUrl(url))):
        retry = settings["retry"]
        assert settings["socket_timeout"] == 0.5
        assert settings["socket_connect_timeout"] == 0.1
        assert (retry._retries, retry._supported_errors) == (1, (RedisConnectionError,))  # type: ignore[attr-defined]
        assert not issubclass(RedisTimeoutError, retry._supported_errors)  # type: ignore[attr-defined]
        assert settings["health_check_interval"] == 0
        assert settings["protocol"] == 2
        assert settings["decode_responses"] is False


@pytest.mark.parametrize("url", FORMS[:5])
async def test_pools_are_bounded_and_wait_briefly(url: str) -> None:
    """At most 32 connections, and 20 ms for a free one."""
    client = connect(RedisUrl(url))

    assert isinstance(client, Redis)
    assert isinstance(client.connection_pool, BlockingConnectionPool)
    assert (client.connection_pool.max_connections, client.connection_pool.timeout) == (32, 0.02)


@pytest.mark.parametrize("url", [url for url in FORMS if url.startswith("rediss")])
async def test_tls_is_always_verified(url: str) -> None:
    """Certificate and host name, with TLS 1.2 or later, at the Sentinels too."""
    for settings in settings_of(connect(RedisUrl(url))):
        assert settings["ssl_cert_reqs"] == "required"
        assert settings["ssl_check_hostname"] is True
        assert settings["ssl_min_version"] is TLSVersion.TLSv1_2


@pytest.mark.parametrize("url", FORMS)
async def test_a_client_does_not_print_its_password(url: str) -> None:
    """The `repr` of redis-py does not show it either."""
    client = connect(RedisUrl(url))

    assert "s3cr3t" not in repr(client) + repr(getattr(client, "connection_pool", ""))


@pytest.mark.parametrize("url", FORMS)
async def test_a_connection_has_no_name(url: str) -> None:
    """Connecting takes no CLIENT SETNAME and no CLIENT SETINFO, at the Sentinels too."""
    for settings in settings_of(connect(RedisUrl(url))):
        assert settings.get("client_name") is None
        assert settings["driver_info"] is None


async def test_a_redis_that_refuses_client_commands_is_used(own_redis: RedisServer, make_tier: MakeTier) -> None:
    """Proxies and locked-down servers refuse them."""
    async with Redis.from_url(own_redis.url) as operator:
        await operator.acl_setuser("default", enabled=True, commands=["-client"])
    tier = make_tier(own_redis.url)

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())


async def test_by_unix_socket(make_tier: MakeTier, own_redis: RedisServer) -> None:
    """A sidecar Redis needs no port."""
    tier = make_tier(f"unix://{own_redis.socket_path}?db=1")

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())


async def test_by_tls(make_tier: MakeTier, tls_redis: RedisServer, tmp_path: Path, clock: FakeClock) -> None:
    """The operator's own authority is one more file."""
    tier = make_tier(f"rediss://127.0.0.1:{tls_redis.port}?ssl_ca_certs={tmp_path / 'certificate.pem'}")

    # A busy machine may take longer for the two handshakes than a connection may.
    async with asyncio.timeout(30):
        while await tier.get(NAME) is None:
            await tier.put(NAME, entry(yes()), game_id=GAME)
            await clock.advance(SECOND)

    assert await tier.get(NAME) == entry(yes())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_an_unknown_or_wrong_certificate_is_refused(
    make_tier: MakeTier, tls_redis: RedisServer, tmp_path: Path, recorder: Recorder, host: str
) -> None:
    """Neither a stranger's authority nor another host's certificate is good enough."""
    options = "" if host == "127.0.0.1" else f"?ssl_ca_certs={tmp_path / 'certificate.pem'}"
    tier = make_tier(f"rediss://{host}:{tls_redis.port}{options}")

    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert recorder.results(CacheOperation.PUT) == [CacheResult.FAILED]


async def test_in_a_cluster(make_tier: MakeTier, one_node_cluster: RedisServer) -> None:
    """The same reads and scripts work where keys are spread over nodes."""
    tier = make_tier(f"redis+cluster://127.0.0.1:{one_node_cluster.port}")

    # Learning what the cluster looks like may take longer than one question waits.
    await tier.get(NAME)
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert await tier.get(NAME) == entry(yes())


async def test_a_cluster_that_is_not_there(make_tier: MakeTier, recorder: Recorder) -> None:
    """The get is a miss, counted as failed, as with a single server."""
    tier = make_tier(f"redis+cluster://127.0.0.1:{free_port()}")

    assert await tier.get(NAME) is None
    assert recorder.results(CacheOperation.GET) == [CacheResult.FAILED]


@pytest.fixture
def sentinel(own_redis: RedisServer, tmp_path: Path) -> Iterator[RedisServer]:
    """A Sentinel that watches the test's own Redis under the name `mymaster`."""
    configuration = tmp_path / "sentinel.conf"
    configuration.write_text(f"sentinel monitor mymaster 127.0.0.1 {own_redis.port} 1\n")
    server = RedisServer(arguments=["--sentinel"], configuration=configuration)
    server.start()
    yield server
    server.stop()


async def test_by_sentinel(
    make_tier: MakeTier, sentinel: RedisServer, own_redis: RedisServer, clock: FakeClock
) -> None:
    """The master is found, lost, and found again."""
    tier = make_tier(f"redis+sentinel://127.0.0.1:{free_port()},127.0.0.1:{sentinel.port}/mymaster")

    await tier.put(NAME, entry(yes()), game_id=GAME)
    found = await tier.get(NAME)
    own_redis.kill()
    lost = await tier.get(NAME)
    own_redis.start()
    clock.jump(SECOND)
    await tier.put(NAME, entry(yes()), game_id=GAME)

    assert (found, lost, await tier.get(NAME)) == (entry(yes()), None, entry(yes()))


class Clinging(Redis):
    """A client whose connections do not end in time, as on a machine that has other things to do."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001 - redis-py's signature
        """Complain as redis-py does."""
        await super().aclose(close_connection_pool)
        raise RedisTimeoutError("Timed out closing connection after 0.1")


async def test_a_connection_that_does_not_end_in_time_is_no_failure() -> None:
    """A gateway that closes has no use for the complaint."""
    await close(Clinging())
