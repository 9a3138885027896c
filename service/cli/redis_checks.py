"""The checks of `doctor` that use Redis as the gateway does, with an entry of their own that they delete again."""

import secrets
import statistics
from datetime import timedelta
from typing import Final

from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.cache.keys import redis_key
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.secrets_in_use import SecretsDigest, SharedSecret, secrets_in_use
from service.cli.findings import Finding, FindingLevel
from service.cli.redis_rights import SUFFICIENT, examine_rights, refused
from service.ownership import Fingerprint
from service.redis.acl import FOR_A_CLUSTER, as_rules
from service.redis.connect import CONNECT_SECONDS, SOCKET_SECONDS, RedisClient, close, connect
from service.redis.failures import REDIS_FAILURES
from service.redis.timeouts import REPLY_TIMEOUT
from service.secret import RedisUrl
from service.verification.interfaces import Clock

SLOW_MILLISECONDS: Final = 10.0
"""A store's answer takes some 100 ms; a Redis that takes a tenth of that is still worth asking first."""

_TRIES: Final = 5
_TIMEOUT_MILLISECONDS: Final = REPLY_TIMEOUT // timedelta(milliseconds=1)
_LIFETIME_MILLISECONDS: Final = 1_000


async def examine_secrets(url: RedisUrl, ours: SecretsDigest) -> Finding:
    """Return whether the gateways at this Redis use our secrets; nothing of them is written there."""
    client = connect(url)
    try:
        in_use = await secrets_in_use(client)
    finally:
        await close(client)
    if in_use is None:
        return Finding("secret", FindingLevel.OK, "set; it must be the same on all replicas")
    if not in_use:
        return Finding("secret", FindingLevel.OK, "set; no gateway uses this Redis now to compare it with")
    for differs, named in ((SharedSecret.SEALING, "secret"), (SharedSecret.SELLER_KEY, "seller key")):
        if differs in (ours.differs(theirs) for theirs in in_use):
            hint = f"give all replicas the same {differs}; gateways that are no replicas need another database of Redis"
            return Finding("secret", FindingLevel.PROBLEM, f"a gateway at this Redis uses another {named}", hint)
    return Finding("secret", FindingLevel.OK, "set; the gateways at this Redis use the same, and the same seller key")


async def examine_redis(url: RedisUrl, *, clock: Clock) -> list[Finding]:
    """Return whether Redis answers, how fast, what its user may do, and whether it stores entries."""
    client = connect(url)
    try:
        return await _examine(client, clock)
    finally:
        await close(client)


async def _examine(client: RedisClient, clock: Clock) -> list[Finding]:
    key = _own_key()
    try:
        # Not PING: the gateway's Redis user needs no right to it. The first read connects, which is not counted.
        await client.getrange(key, 0, 0)
        milliseconds = [await _time(client, key, clock) for _ in range(_TRIES)]
    except REDIS_FAILURES as failure:
        why = "Redis did not answer"
        skipped = [Finding(check, FindingLevel.SKIPPED, why) for check in ("redis rights", "redis writes")]
        return [_failed("redis", failure), *skipped]
    latency, rights = _latency(statistics.median(milliseconds)), await examine_rights(client, _own_key())
    if rights.verdict is FindingLevel.PROBLEM:
        return [latency, rights, Finding("redis writes", FindingLevel.SKIPPED, "not without the rights")]
    return [latency, rights, await _try_writing(client, key)]


def _own_key() -> str:
    """Return the name of an entry that no question will ever ask for."""
    return redis_key(Fingerprint(secrets.token_bytes(16)))


async def _time(client: RedisClient, key: str, clock: Clock) -> float:
    started = clock.monotonic()
    await client.getrange(key, 0, 0)
    return (clock.monotonic() - started) * 1000


def _latency(milliseconds: float) -> Finding:
    detail = f"answers in {milliseconds:.1f} ms"
    if milliseconds <= SLOW_MILLISECONDS:
        return Finding("redis", FindingLevel.OK, detail)
    hint = f"every question that this process cannot answer waits that long; beyond {_TIMEOUT_MILLISECONDS} ms the"
    return Finding("redis", FindingLevel.WARNING, detail, f"{hint} gateway goes on without it: put Redis nearer")


async def _try_writing(client: RedisClient, key: str) -> Finding:
    entry = secrets.token_bytes(32)
    try:
        await PUT_NEWEST.run(client, key, entry, _LIFETIME_MILLISECONDS, 0)
        stored = await client.getrange(key, 0, len(entry))
        await DELETE_SAME.run(client, key, entry, len(entry) + 1)
    except REDIS_FAILURES as failure:
        return _failed("redis writes", failure)
    if stored != entry:
        hint = "is it a replica that lags, or does something evict keys at once?"
        return Finding("redis writes", FindingLevel.PROBLEM, "an entry was gone as soon as it was written", hint)
    return Finding("redis writes", FindingLevel.OK, "an entry could be written, read and deleted")


def _failed(check: str, failure: Exception) -> Finding:
    """Name the failure by its type: its text may carry what was sent."""
    match failure:
        case AuthenticationError():
            detail, hint = "Redis refuses user or password", "check both in OWNERSHIP_GATEWAY_REDIS__URL"
        case NoPermissionError():
            detail, hint = f"Redis does not permit its user to {refused(failure)}", SUFFICIENT
        case ReadOnlyError():
            detail = "this Redis is a replica that takes no writes"
            hint = "name the master, or let Sentinel or Cluster find it: redis+sentinel://, redis+cluster://"
        case BusyLoadingError():
            detail, hint = "Redis is still loading its data", "run it again in a minute"
        case OutOfMemoryError():
            detail = "Redis is full and evicts nothing"
            hint = "raise maxmemory, or set maxmemory-policy to volatile-ttl"
        case RedisTimeoutError() | TimeoutError():
            detail = f"Redis does not answer within {SOCKET_SECONDS * 1000:.0f} ms"
            hint = (
                f"the gateway waits {_TIMEOUT_MILLISECONDS} ms, so it does without; look at Redis's slow log and the "
            )
            hint += "network between"
        case RedisClusterException():
            detail = f"no node of a cluster answers there within {CONNECT_SECONDS * 1000:.0f} ms"
            hint = (
                f"check hosts, ports and TLS; that they are a cluster; and that its user has {as_rules(*FOR_A_CLUSTER)}"
            )
        case RedisConnectionError() | OSError():
            detail = f"nobody answers there within {CONNECT_SECONDS * 1000:.0f} ms"
            hint = "check host, port and TLS in OWNERSHIP_GATEWAY_REDIS__URL, and that Redis runs"
        case _:
            detail = f"Redis answers with an error ({type(failure).__name__})"
            hint = "look at its own log; the gateway goes on without it"
    return Finding(check, FindingLevel.PROBLEM, detail, hint)
