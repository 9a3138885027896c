"""A client for Redis that never makes a question wait: nothing connects before the first command.

redis-py's own defaults are made for batch jobs: a GET to a server that never answers took 58.8 s (5 s a try, 10 times).

What its user must be permitted is in `service.redis.acl`.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ssl import TLSVersion
from typing import Any, Final, TypeAlias, assert_never

from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool, SentinelManagedSSLConnection
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.maint_notifications import MaintNotificationsConfig

from service.redis.failures import REDIS_FAILURES
from service.redis.redis_login import RedisLogin, RedisUrlFile, login_of
from service.redis.tls import sharing_trust
from service.redis.url import Form, RedisAddress, parse_redis_url
from service.secret import RedisUrl

RedisClient: TypeAlias = Redis | RedisCluster
_Trusting: TypeAlias = Callable[[type[SSLConnection]], type[SSLConnection]]

MAX_CONNECTIONS: Final = 32
POOL_WAIT_SECONDS: Final = 0.02
SOCKET_SECONDS: Final = 0.5
"""The time without a reply after which a connection is given up. Callers wait less, see `timeouts`."""

CONNECT_SECONDS: Final = 0.1


class BlockingSentinelPool(SentinelConnectionPool, BlockingConnectionPool):
    """The pool of a master that Sentinels watch; waits a little for a free connection, as the other pools do."""

    async def disconnect(self, inuse_connections: bool = True) -> None:  # noqa: FBT001, FBT002 - redis-py's signature
        """Close the connections; when it is all of them, those to the Sentinels too, which redis-py leaves open."""
        await super().disconnect(inuse_connections)
        if inuse_connections:
            await self.sentinel_manager.aclose()


def connect(
    url: RedisUrl, *, file: RedisUrlFile | None = None, tls_unusable: Callable[[str], None] = lambda _: None
) -> RedisClient:
    """Return a client that connects when it is first used; `close` closes it.

    With a `file` each connection logs in with the user and password that stand there when it is made. `tls_unusable` is
    told why a file for TLS cannot be used, once for each reason.
    Raises `SettingsError` for a URL that cannot be used; its text repeats nothing of the URL.
    """
    address = parse_redis_url(url)
    trusting = partial(sharing_trust, unusable=tls_unusable)
    match address.form:
        case Form.SERVER:
            host, port = address.hosts[0]
            kind = trusting(SSLConnection) if address.tls else Connection
            return _pooled(address, file, {"connection_class": kind, "host": host, "port": port, **_tls(address)})
        case Form.SOCKET:
            return _pooled(address, file, {"connection_class": UnixDomainSocketConnection, "path": address.path})
        case Form.SENTINEL:
            return _watched(address, file, trusting)
        case Form.CLUSTER:
            return _clustered(address, file, trusting)
        case _:
            assert_never(address.form)


async def close(client: RedisClient) -> None:
    """Close a client. One whose connections do not end in time, as redis-py then complains, is closed all the same."""
    with suppress(*REDIS_FAILURES):
        await client.aclose()


def _pooled(address: RedisAddress, file: RedisUrlFile | None, where: dict[str, Any]) -> Redis:
    pool = BlockingConnectionPool(
        max_connections=MAX_CONNECTIONS,
        timeout=POOL_WAIT_SECONDS,
        db=address.db,
        **_login(address, file),
        **_settings(),
        **where,
    )
    return Redis.from_pool(pool)


def _watched(address: RedisAddress, file: RedisUrlFile | None, trusting: _Trusting) -> Redis:
    sentinel = Sentinel(  # type: ignore[no-untyped-call]  # redis-py has no types there
        address.hosts,
        sentinel_kwargs={
            **_login(address, file, for_sentinels=True),
            **_settings(),
            **_tls_switch(address),
        },
    )
    client: Redis = sentinel.master_for(
        address.master,
        connection_pool_class=BlockingSentinelPool,
        max_connections=MAX_CONNECTIONS,
        timeout=POOL_WAIT_SECONDS,
        db=address.db,
        **_login(address, file),
        **_settings(),
        **_tls_switch(address),
    )
    if address.tls:
        client.connection_pool.connection_class = trusting(SentinelManagedSSLConnection)
        kind = trusting(SSLConnection)
        for watcher in sentinel.sentinels:
            watcher.connection_pool.connection_class = kind
    return client


def _clustered(address: RedisAddress, file: RedisUrlFile | None, trusting: _Trusting) -> RedisCluster:
    client = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in address.hosts],
        max_connections=MAX_CONNECTIONS,
        **_login(address, file),
        **_settings(),
        **_tls_switch(address),
    )
    if address.tls:
        # It takes no class from us; nodes that are found later are made with what is among its settings.
        kind = client.connection_kwargs["connection_class"] = trusting(SSLConnection)
        for node in client.startup_nodes:
            node.connection_class = kind
    return client


def _login(address: RedisAddress, file: RedisUrlFile | None, *, for_sentinels: bool = False) -> dict[str, Any]:
    """Return the settings by which a connection logs in; redis-py takes user and password, or asks a provider."""
    if file is not None:
        return {"credential_provider": RedisLogin(file, for_sentinels=for_sentinels)}
    username, password = login_of(address, for_sentinels=for_sentinels)
    return {"username": username, "password": password.reveal() if password is not None else None}


def _settings() -> dict[str, Any]:
    """Return the settings that all connections share."""
    return {
        "socket_timeout": SOCKET_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        # One retry, for the idle connection that the server has closed; a time-out is never tried again.
        "retry": Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        "health_check_interval": 0,
        # RESP2 needs no HELLO, so that a new connection costs one round trip less; RESP3 offers nothing we use.
        "protocol": 2,
        "maint_notifications_config": MaintNotificationsConfig(enabled=False),
        "decode_responses": False,
        # No `client_name`: proxies and locked-down servers refuse CLIENT SETNAME, and with it the connection, and no
        # command of ours depends on a name. None: CLIENT SETINFO is the same, twice, with a right that Redis 7.0 cannot
        # even grant.
        "driver_info": None,
    }


def _tls(address: RedisAddress) -> dict[str, Any]:
    if not address.tls:
        return {}
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_min_version": TLSVersion.TLSv1_2,
        "ssl_ca_certs": address.ssl_ca_certs,
        "ssl_certfile": address.ssl_certfile,
        "ssl_keyfile": address.ssl_keyfile,
    }


def _tls_switch(address: RedisAddress) -> dict[str, Any]:
    return {"ssl": True, **_tls(address)} if address.tls else {}
