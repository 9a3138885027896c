"""The digests of secrets that replicas have told Redis."""

from redis.asyncio import Redis

from service.cache.keys import secrets_key


async def age(redis: Redis, milliseconds: int) -> None:
    """Let time pass for what was told to Redis."""
    told = await redis.get(secrets_key())
    if told is None:
        return
    lines = [line.split(b"=") for line in bytes(told).splitlines()]  # type: ignore[arg-type]  # never text here
    older = b"".join(b"%b=%d\n" % (digest, int(at) - milliseconds) for digest, at in lines)
    await redis.set(secrets_key(), older, px=15_000)
