"""Reads from a Redis Cluster. Only redis-py knows which node has a key, and follows keys that move."""

import asyncio
from typing import Final

from redis.asyncio import RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError

from service.redis.background_tasks import BackgroundTasks
from service.redis.failures import REDIS_FAILURES, closed_under_way
from service.redis.outbox import Outbox
from service.redis.timeouts import fail_all
from service.verification.interfaces import Clock

MOST_UNDER_WAY: Final = 8
"""Pipelines at once, a quarter of the connections to a node. Reads that find so many travel together in the next."""


class ClusterReader:
    """Implements `Reader`: the reads of one turn of the event loop make one pipeline of redis-py."""

    def __init__(self, client: RedisCluster, *, most: int, clock: Clock) -> None:
        self._client = client
        self._most = most
        self._unsent = Outbox(self._send, clock=clock)
        self._under_way = BackgroundTasks()

    def get(self, key: str) -> asyncio.Future[object]:
        """Ask with the next pipeline; see `Reader`."""
        return self._unsent.put(key)

    async def reconnect(self) -> None:
        """Leave it to redis-py, which every node tells where the master of a key is."""

    async def close(self) -> None:
        """Let pipelines under way end, for a second at most; see `Reader`."""
        self._unsent.end(RedisConnectionError("the reader is closed"))
        await self._under_way.close()
        await self._unsent.close()

    def _send(self) -> None:
        if self._unsent and len(self._under_way) < MOST_UNDER_WAY:
            self._under_way.start(self._read())

    async def _read(self) -> None:
        """Read all that waits, and again if more has come to wait meanwhile."""
        while reads := self._unsent.take():
            # Not MGET: its keys would have to live on one node.
            pipeline = self._client.pipeline(transaction=False)
            for key, _ in reads:
                pipeline.getrange(key, 0, self._most - 1)
            try:
                with closed_under_way():
                    replies = await pipeline.execute(raise_on_error=False)
            except REDIS_FAILURES as error:
                fail_all((reply for _, reply in reads), error)
                continue
            for (_, reply), value in zip(reads, replies, strict=True):
                if not reply.done():
                    reply.set_result(value)
