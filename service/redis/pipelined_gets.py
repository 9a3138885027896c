"""GETs over one connection, each sent without waiting for the replies to those before: what questions read.

redis-py makes the connection, with all that belongs to it: addresses, TLS, names and passwords, Sentinels. How it then
sends and reads, with a pool, a stream, a lock and time limits for each exchange, took 95 µs for any few keys.

Cluster clients keep to that: only they know which node has a key.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from service.redis.connect import SOCKET_SECONDS, RedisClient
from service.redis.errands import Errands
from service.redis.failures import closed_under_way

_GET: Final = b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n"
_INCOMPLETE: Final = object()


class PipelinedGets:
    """Reads from the Redis of `client`, which it neither closes nor takes connections from."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._line: _Line | None = None
        self._connecting: asyncio.Task[_Line] | None = None
        self._closed = False
        self._reconnected = 0
        self._farewells = Errands()

    async def get_all(self, keys: Sequence[str]) -> Sequence[Any]:
        """Return what is under each key, in order; in its place an error that Redis has only with that one.

        Raises what redis-py raises, and `TimeoutError`. Whoever is cancelled takes its reply from nobody else.
        """
        if not isinstance(self._client, Redis):
            return await _get_from_cluster(self._client, keys)
        if self._line is not None and not self._line.lost:
            try:
                return await self._line.get_all(keys)
            except RedisConnectionError:
                pass  # an idle connection may have been closed just now; one that is new may not
        line = await self._connected(self._client)
        return await line.get_all(keys)

    def reconnect(self) -> None:
        """Use another connection for what is read from now on: this one may lead to where Redis was."""
        self._reconnected += 1
        if self._line is not None:
            self._line.drop(RedisConnectionError("it leads to where Redis was"))

    async def close(self) -> None:
        """Give up what is being read; nothing can be read any more."""
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        self.reconnect()
        await self._farewells.close()

    async def _connected(self, client: Redis) -> "_Line":
        if self._closed:
            raise RedisConnectionError("nothing is read any more")
        if self._connecting is None:
            # Whoever gives up waiting leaves it to the others.
            self._connecting = asyncio.get_running_loop().create_task(self._connect(client))
            self._connecting.add_done_callback(self._connected_or_not)
        connecting = self._connecting
        # Not `asyncio.shield`: from Python 3.13.4 on that logs a failure as unhandled when a reader has gone.
        await asyncio.wait((connecting,))
        return connecting.result()

    async def _connect(self, client: Redis) -> "_Line":
        while True:
            reconnected = self._reconnected
            connection: AbstractConnection = client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
            with closed_under_way():
                await connection.connect()  # type: ignore[no-untyped-call]  # as above
            self._line = _Line(connection, self._farewells)
            if reconnected == self._reconnected:
                return self._line
            self._line.drop(RedisConnectionError("it leads to where Redis was"))

    def _connected_or_not(self, task: asyncio.Task["_Line"]) -> None:
        self._connecting = None
        if not task.cancelled():
            task.exception()  # those who waited have it; perhaps nobody does any more


class _Line(asyncio.Protocol):
    """A connection that redis-py has made, and that from now on is ours."""

    def __init__(self, connection: AbstractConnection, farewells: Errands) -> None:
        self._dropped = False
        self._connection = connection
        self._farewells = farewells
        self._loop = asyncio.get_running_loop()
        # It has no public name, but has been there as long as redis-py has had asyncio.
        self._transport: Any = connection._writer.transport  # type: ignore[union-attr]  # noqa: SLF001 - as said above
        self._stream: Any = self._transport.get_protocol()
        self._transport.set_protocol(self)
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, notEnoughData=_INCOMPLETE
        )
        self._replies: list[Any] = []
        self._awaited: deque[tuple[int, float, asyncio.Future[Sequence[Any]]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def lost(self) -> bool:
        """Whether nothing can be read over it any more."""
        return self._dropped or bool(self._transport.is_closing())

    def get_all(self, keys: Sequence[str]) -> asyncio.Future[Sequence[Any]]:
        """Send the requests, and return what will be the replies. Raises redis-py's `ConnectionError` if it is lost."""
        if self.lost:  # be it between the moment when it was made and now
            raise RedisConnectionError("the connection is lost")
        replies: asyncio.Future[Sequence[Any]] = self._loop.create_future()
        self._awaited.append((len(keys), self._loop.time(), replies))
        self._transport.write(b"".join([_GET % (len(key), key.encode("ascii")) for key in keys]))
        if self._timer is None:
            self._timer = self._loop.call_later(SOCKET_SECONDS, self._look_at_the_clock)
        return replies

    def drop(self, error: Exception) -> None:
        """Close it; whoever still waits for replies is told so by the error."""
        if self._dropped:
            return
        self._dropped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._transport.abort()
        self._farewells.start(self._connection.disconnect(nowait=True))
        while self._awaited:
            _, _, replies = self._awaited.popleft()
            if not replies.done():
                replies.set_exception(error)

    def data_received(self, data: bytes) -> None:
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not _INCOMPLETE:
                self._take(reply)
        except InvalidResponse as error:
            self.drop(error)
        except TypeError:  # what is in the place of a key cannot be one
            self.drop(InvalidResponse("a reply that cannot be read"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._stream.connection_lost(exc)
        self.drop(RedisConnectionError("Redis has closed the connection"))

    def _take(self, reply: Any) -> None:  # noqa: ANN401 - whatever Redis says
        if not self._awaited:
            raise InvalidResponse("a reply to nothing")
        self._replies.append(reply)
        count, _, replies = self._awaited[0]
        if len(self._replies) == count:
            self._awaited.popleft()
            if not replies.done():
                replies.set_result(self._replies)
            self._replies = []

    def _look_at_the_clock(self) -> None:
        """Give up what has taken too long; one timer does for all."""
        self._timer = None
        if not self._awaited:
            return
        _, sent_at, _ = self._awaited[0]
        left = sent_at + SOCKET_SECONDS - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_the_clock)
        else:
            self.drop(TimeoutError("Redis does not reply"))


async def _get_from_cluster(client: RedisClient, keys: Sequence[str]) -> list[Any]:
    # Not MGET: its keys would have to live on one node.
    pipeline = client.pipeline(transaction=False)
    for key in keys:
        pipeline.get(key)
    with closed_under_way():
        replies: list[Any] = await pipeline.execute(raise_on_error=False)
    return replies
