"""The checks of `doctor` that use Redis as the gateway does, with an entry of their own that they delete again."""

import secrets
import statistics
from datetime import timedelta
from typing import Final

from redis.exceptions import NoPermissionError

from service.cache.keys import redis_key
from service.cache.scripts import DELETE_SAME, PUT_NEWEST
from service.cache.secrets_in_use import SecretsDigest, SharedSecret, secrets_in_use
from service.causes import Cause, chain
from service.cli.findings import Finding, FindingLevel
from service.cli.redis_rights import examine_rights, refused, sufficient
from service.ownership import Fingerprint
from service.redis.connect import CONNECT_SECONDS, SOCKET_SECONDS, RedisClient, close, connect
from service.redis.failures import REDIS_FAILURES, cause_of
from service.redis.timeouts import REPLY_TIMEOUT
from service.redis.tls import TlsFileError
from service.redis.url import RedisAddress, parse_redis_url
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
        return await _examine(client, parse_redis_url(url), clock)
    finally:
        await close(client)


async def _examine(client: RedisClient, address: RedisAddress, clock: Clock) -> list[Finding]:
    key = _own_key()
    try:
        # Not PING: the gateway's Redis user needs no right to it. The first read connects, which is not counted.
        await client.getrange(key, 0, 0)
        milliseconds = [await _time(client, key, clock) for _ in range(_TRIES)]
    except REDIS_FAILURES as failure:
        why = "Redis did not answer"
        skipped = [Finding(check, FindingLevel.SKIPPED, why) for check in ("redis rights", "redis writes")]
        return [_failed("redis", failure, address), *skipped]
    latency, rights = _latency(statistics.median(milliseconds)), await examine_rights(client, address, _own_key())
    if rights.verdict is FindingLevel.PROBLEM:
        return [latency, rights, Finding("redis writes", FindingLevel.SKIPPED, "not without the rights")]
    return [latency, rights, await _try_writing(client, address, key)]


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


async def _try_writing(client: RedisClient, address: RedisAddress, key: str) -> Finding:
    entry = secrets.token_bytes(32)
    try:
        await PUT_NEWEST.run(client, key, entry, _LIFETIME_MILLISECONDS, 0)
        stored = await client.getrange(key, 0, len(entry))
        await DELETE_SAME.run(client, key, entry, len(entry) + 1)
    except REDIS_FAILURES as failure:
        return _failed("redis writes", failure, address)
    if stored != entry:
        hint = "is it a replica that lags, or does something evict keys at once?"
        return Finding("redis writes", FindingLevel.PROBLEM, "an entry was gone as soon as it was written", hint)
    return Finding("redis writes", FindingLevel.OK, "an entry could be written, read and deleted")


def _failed(check: str, failure: Exception, address: RedisAddress) -> Finding:
    """Name the failure by its cause: its text may carry what was sent."""
    cause = cause_of(failure)
    detail, hint = _REMEDIES.get(cause, _REMEDIES[Cause.OTHER])
    for refusal in chain(failure):
        if isinstance(refusal, NoPermissionError):
            detail, hint = f"Redis does not permit its user to {refused(refusal)}", sufficient(address)
        if isinstance(refusal, TlsFileError):
            detail, hint = (
                str(refusal),
                "put the file back as it was; the next connection of the gateway reads it again",
            )
    if cause in _WRONG_SCHEME and (other := _WRONG_SCHEME[cause][address.tls]):
        hint = f"{hint}; {other}"
    return Finding(check, FindingLevel.PROBLEM, detail, hint, cause)


_REMEDIES: Final = {
    Cause.DNS: ("no name server knows its host", "check the host in redis.url, and the name servers of this machine"),
    Cause.REFUSED: (
        "nothing listens there",
        "check host and port in redis.url, that Redis runs, and that it listens on that address (`bind`)",
    ),
    Cause.UNREACHABLE: (
        "no way leads there",
        "check network and firewall; of Sentinels, that they answer, and that they watch a master of that name",
    ),
    Cause.TIMEOUT: (
        f"no connection within {CONNECT_SECONDS * 1000:.0f} ms, or no reply within {SOCKET_SECONDS * 1000:.0f} ms",
        f"the gateway waits {_TIMEOUT_MILLISECONDS} ms, so it does without; look at Redis's slow log and the network",
    ),
    Cause.RESET: (
        "the connection was closed",
        "check that it is Redis which listens at that port, and that it has connections left (`maxclients`)",
    ),
    Cause.TLS_UNTRUSTED: (
        "no authority that is trusted has signed its certificate",
        "name the authority's file in redis.url: ?ssl_ca_certs=/path",
    ),
    Cause.TLS_EXPIRED: ("its certificate is over, or not valid yet", "renew it; look at the clocks of both machines"),
    Cause.TLS_NAME: ("its certificate is for another host", "name the host in redis.url as the certificate does"),
    Cause.NOT_TLS: ("what answers there does not speak TLS", "check the port, or write redis:// for rediss://"),
    Cause.AUTH: ("Redis refuses user or password", "check both in redis.url"),
    Cause.FORBIDDEN: (
        "this machine may not connect there",
        "look at the rights of the socket's file, at the firewall, and at Redis's `protected-mode`",
    ),
    Cause.MOVED: (
        "it is one node of a Redis Cluster, which has others for other keys",
        "write redis+cluster:// in redis.url, rediss+cluster:// with TLS",
    ),
    Cause.READONLY: (
        "this Redis is a replica that takes no writes, or cannot save to its disk",
        "name the master, or let Sentinel or Cluster find it: redis+sentinel://, redis+cluster://",
    ),
    Cause.FULL: (
        "Redis is full and evicts nothing, or takes no more connections",
        "raise maxmemory, or set maxmemory-policy to volatile-ttl; raise maxclients",
    ),
    Cause.LOADING: ("Redis is still loading its data", "run it again in a minute"),
    Cause.SERVER_ERROR: ("Redis answers with an error", "look at its own log; the gateway goes on without it"),
    Cause.PROTOCOL: (
        "what answers there is not what redis.url says",
        "check the port; redis+cluster:// is for a cluster alone, and redis+sentinel:// names the ports of Sentinels",
    ),
    Cause.OTHER: ("Redis cannot be used", "look at its own log; the gateway goes on without it"),
}
"""The facts and the remedy for each cause; those that are missing are the store's alone."""

_WRONG_SCHEME: Final = {
    Cause.TIMEOUT: ("", "where Redis speaks no TLS, write redis:// for rediss://"),
    Cause.RESET: ("where Redis speaks TLS, write rediss:// for redis://", ""),
}
"""Further remedies, without TLS and with it. A Redis waits for the end of the line that it takes a handshake for."""
