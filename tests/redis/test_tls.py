"""Trusted certificates are read once for all connections of a client, and again when they have changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from ssl import SSLContext
from typing import Any, Final

import pytest
from redis.asyncio import Redis, RedisCluster
from redis.asyncio.connection import SSLConnection
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.causes import Cause
from service.redis.connect import RedisClient, connect
from service.redis.failures import cause_of
from service.redis.tls import TlsFileError
from service.secret import RedisUrl
from tests.cache.certificates import write_certificate
from tests.redis_server import RedisServer

PLENTY_SECONDS: Final = 60


@asynccontextmanager
async def client_of(
    url: str, directory: Path, *, tls_unusable: Callable[[str], None] = lambda _: None
) -> AsyncIterator[RedisClient]:
    """Open a client that trusts the certificate in the directory."""
    client = connect(RedisUrl(f"{url}?ssl_ca_certs={directory / 'certificate.pem'}"), tls_unusable=tls_unusable)
    yield client
    await client.aclose()


async def connections_of(client: RedisClient, port: int) -> list[list[SSLConnection]]:
    """Connect twice in every way that the client connects: to the servers, and to the Sentinels that know them."""
    if isinstance(client, RedisCluster):
        return [[await connected(client.startup_nodes[0].acquire_connection(), port) for _ in range(2)]]
    pools: list[Any] = [client.connection_pool]
    if isinstance(client.connection_pool, SentinelConnectionPool):
        pools += [watcher.connection_pool for watcher in client.connection_pool.sentinel_manager.sentinels]
    return [[await connected(pool.make_connection(), port) for _ in range(2)] for pool in pools]


async def connected(connection: Any, port: int) -> SSLConnection:
    """Connect it, be it one that would ask a Sentinel first; a busy machine may need several tries."""
    async with asyncio.timeout(PLENTY_SECONDS):
        while not connection.is_connected:
            with suppress(RedisTimeoutError):
                if isinstance(connection, SentinelManagedSSLConnection):
                    await connection.connect_to(("127.0.0.1", port))  # type: ignore[no-untyped-call]  # redis-py has no types here
                else:
                    await connection.connect()
    assert isinstance(connection, SSLConnection)
    return connection


def context_of(connection: SSLConnection) -> SSLContext:
    """Return what the connection trusts."""
    return connection.ssl_context.get()


@pytest.mark.parametrize("form", ["rediss://{}", "rediss+sentinel://{}/mymaster", "rediss+cluster://{}"])
async def test_connections_of_a_client_share_what_they_trust(tls_redis: RedisServer, tmp_path: Path, form: str) -> None:
    """In every form; redis-py itself would read the authorities of the whole machine for each connection."""
    async with client_of(form.format(f"127.0.0.1:{tls_redis.port}"), tmp_path) as client:
        ways = await connections_of(client, tls_redis.port)
        contexts = [{id(context_of(connection)) for connection in connections} for connections in ways]
        for connections in ways:
            for connection in connections:
                await connection.disconnect()

    assert [len(shared) for shared in contexts] == [1] * len(ways)


async def test_renewed_certificates_are_read_again(tls_redis: RedisServer, tmp_path: Path) -> None:
    """Connections from before know the server's new certificate too."""
    async with client_of(f"rediss://127.0.0.1:{tls_redis.port}", tmp_path) as client:
        assert isinstance(client, Redis)
        old = await connected(client.connection_pool.make_connection(), tls_redis.port)  # type: ignore[no-untyped-call]  # as above
        trusted = context_of(old)
        tls_redis.kill()
        write_certificate(tmp_path, address="127.0.0.1")
        tls_redis.start()
        await old.disconnect()
        await connected(old, tls_redis.port)
        renewed = context_of(old)
        await old.disconnect()

    assert renewed is not trusted


async def test_certificates_that_have_gone_are_missed_once_they_are_read_again(
    tls_redis: RedisServer, tmp_path: Path
) -> None:
    """A new connection fails as it would without sharing, and no more once the files are back."""
    certificate = tmp_path / "certificate.pem"
    text = certificate.read_bytes()
    said: list[str] = []
    async with client_of(f"rediss://127.0.0.1:{tls_redis.port}", tmp_path, tls_unusable=said.append) as client:
        assert isinstance(client, Redis)
        await client.ping()
        certificate.unlink()
        await client.connection_pool.disconnect()
        with pytest.raises(TlsFileError):
            await client.ping()
        with pytest.raises(TlsFileError) as caught:
            await client.ping()
        certificate.write_bytes(text)

        assert await client.ping()

    assert said == [str(caught.value)] == ["ssl_ca_certs in redis.url cannot be used: No such file or directory"]
    assert cause_of(caught.value) is Cause.OTHER


async def test_open_connections_do_not_miss_what_they_no_longer_need(tls_redis: RedisServer, tmp_path: Path) -> None:
    """No file is read again before each command."""
    async with client_of(f"rediss://127.0.0.1:{tls_redis.port}", tmp_path) as client:
        assert isinstance(client, Redis)
        connection = await connected(client.connection_pool.make_connection(), tls_redis.port)  # type: ignore[no-untyped-call]  # as above
        trusted = context_of(connection)
        (tmp_path / "certificate.pem").unlink()
        await connected(connection, tls_redis.port)
        still_trusted = context_of(connection)
        await connection.disconnect()

    assert still_trusted is trusted


async def test_authorities_of_the_machine_are_read_again(
    tls_redis: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When they change: a server whose authority came later is known, one whose authority has gone is not."""
    authorities = tmp_path / "authorities.pem"
    authorities.write_bytes((tmp_path / "certificate.pem").read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(authorities))
    client = connect(RedisUrl(f"rediss://127.0.0.1:{tls_redis.port}"))
    assert isinstance(client, Redis)
    known = await client.ping()
    tls_redis.kill()
    write_certificate(tmp_path, address="127.0.0.1")
    tls_redis.start()
    with pytest.raises(RedisConnectionError):
        await client.ping()
    authorities.write_bytes((tmp_path / "certificate.pem").read_bytes())

    assert (known, await client.ping()) == (True, True)
    await client.aclose()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ("ssl_ca_certs={0}", "ssl_ca_certs"),
        ("ssl_certfile={0}&ssl_keyfile={0}", "ssl_certfile and ssl_keyfile"),
    ],
)
async def test_files_that_say_nothing_are_one_clear_error(
    tls_redis: RedisServer, tmp_path: Path, options: str, named: str
) -> None:
    """The content of the files is not repeated."""
    nonsense = tmp_path / "nonsense.pem"
    nonsense.write_text("s3cr3t")
    client = connect(RedisUrl(f"rediss://127.0.0.1:{tls_redis.port}?{options.format(nonsense)}"))

    with pytest.raises(TlsFileError) as caught:
        await client.ping()

    assert str(caught.value) == f"{named} in redis.url cannot be used: no certificate or key in PEM form"
    assert cause_of(caught.value) is Cause.OTHER
    await client.aclose()
