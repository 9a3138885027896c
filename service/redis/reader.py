"""Reads over one connection, each sent without waiting for the replies to those before it.

Redis answers in order, so a pipelined connection needs no batches, no pool and no lock: replies resolve futures in the
order in which those were asked for. redis-py makes the connection, with all that belongs to it (addresses, TLS, users,
Sentinels); how it then sends and reads costs 75 to 95 µs for each exchange (measured in 2026, redis-py 8.1).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final, Protocol

import hiredis
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, ResponseError

from service.redis.cluster_reader import ClusterReader
from service.redis.connect import SOCKET_SECONDS, RedisClient
from service.redis.failures import REDIS_FAILURES, closed_under_way, concerns_one_key
from service.redis.outbox import Outbox, Read
from service.redis.timeouts import fail_all
from service.verification.interfaces import Clock

LARGEST_REPLY: Final = 1_048_576
"""Bytes of a reply after which the rest is not read. Redis sends no more than it is asked for, so this is no Redis."""

_READ: Final = b"*4\r\n$8\r\nGETRANGE\r\n$%d\r\n%b\r\n%b"
_INCOMPLETE: Final = object()


class Reader(Protocol):
    """Reads single values, of each no more than its first `most` bytes: any program may have put anything there."""

    def get(self, key: str) -> asyncio.Future[object]:
        """Return the future reply: bytes, none of them if there is no such key, or an exception as its *result*.

        The future itself raises nothing, and a reader that cancels it takes nothing from others. One incident gives all
        the reads that it fails the same exception.
        """
        ...

    async def reconnect(self) -> None:
        """Leave connections that may lead to where Redis was."""
        ...

    async def close(self) -> None:
        """Fail what is still being read; nothing can be read any more."""
        ...


def open_reader(client: RedisClient, *, most: int, clock: Clock) -> Reader:
    """Return a reader from the Redis of the client, which stays open when the reader is closed."""
    if isinstance(client, Redis):
        return RedisReader(client, most=most, clock=clock)
    return ClusterReader(client, most=most, clock=clock)


class RedisReader:
    """Implements `Reader` over one connection, made when it is first needed.

    The reads of one turn of the event loop are sent in one write. When a connection that has been of use is lost, its
    unanswered reads are sent again over the next one, so that a connection closed while idle is not noticed.
    """

    def __init__(self, client: Redis, *, most: int, clock: Clock) -> None:
        self._client = client
        self._most = most
        self._clock = clock
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._unsent = Outbox(self._send, clock=clock)
        self._moves = 0

    def get(self, key: str) -> asyncio.Future[object]:
        """Ask with the next write; see `Reader`."""
        return self._unsent.put(key)

    async def reconnect(self) -> None:
        """Connect anew before the next read: the master is elsewhere, and redis-py never drops idle connections."""
        self._moves += 1
        if self._connection is not None:
            self._connection.leave()
        with suppress(*REDIS_FAILURES):  # a connection that is too slow even to close is given up all the same
            await self._client.connection_pool.disconnect(inuse_connections=False)

    async def close(self) -> None:
        """Fail what is still being read; see `Reader`."""
        closed = RedisConnectionError("the reader is closed")
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait((self._connecting,))
        self._unsent.end(closed)
        if self._connection is not None:
            self._connection.fail(closed)
        await self._unsent.close()

    # --- sending and connecting ---

    def _send(self) -> None:
        if self._connection is not None and not self._connection.usable():
            self._connection.lose(RedisConnectionError("the connection is closed, or owes a reply for too long"))
        if self._connection is not None:
            self._connection.send(self._unsent.take())
        elif self._unsent and self._connecting is None:
            self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        """Connect, and send the reads that wait. If they time out meanwhile, the connection serves the next ones."""
        try:
            connection = await self._connected()
        except REDIS_FAILURES as error:
            self._unsent.fail(error)
            return
        finally:
            self._connecting = None
        self._connection = _Connection(connection, most=self._most, clock=self._clock, on_end=self._ended)
        self._send()

    async def _connected(self) -> AbstractConnection:
        while True:
            moves = self._moves
            connection: AbstractConnection = self._client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # redis-py has no types here
            with closed_under_way():
                await connection.connect()  # type: ignore[no-untyped-call]  # as above
            if moves == self._moves:
                return connection
            await connection.disconnect(nowait=True)  # Redis has moved meanwhile

    def _ended(self, again: Iterable[Read]) -> None:
        self._connection = None
        self._unsent.put_back(again)
        self._send()


class _Connection(asyncio.Protocol):
    """A connection that redis-py has made, and that is ours from then on.

    `on_end` is called once, with the reads to be sent again.
    """

    def __init__(
        self, made: AbstractConnection, *, most: int, clock: Clock, on_end: Callable[[Iterable[Read]], None]
    ) -> None:
        last = b"%d" % (most - 1)
        self._range = b"$1\r\n0\r\n$%d\r\n%b\r\n" % (len(last), last)
        # These attributes of redis-py have no public name, but are as old as its asyncio. The writer is kept because it
        # closes its transport when it is collected (Python 3.13).
        self._writer = made._writer  # noqa: SLF001 - as said above
        self._transport: Any = made._writer.transport  # type: ignore[union-attr]  # noqa: SLF001 - it is connected
        made._reader = made._writer = None  # noqa: SLF001 - redis-py has nothing to close any more
        self._transport.set_protocol(self)
        self._parser = hiredis.Reader(
            protocolError=InvalidResponse, replyError=ResponseError, notEnoughData=_INCOMPLETE
        )
        self._clock = clock
        self._on_end = on_end
        self._awaited: deque[Read] = deque()
        self._unparsed = 0
        self._heard_at = 0.0
        self._of_use = False
        self._ended = False

    # --- sending ---

    def usable(self) -> bool:
        """Whether the connection is open, and owes no reply for so long that it counts as dead."""
        silent_seconds = self._clock.monotonic() - self._heard_at if self._awaited else 0.0
        return not self._transport.is_closing() and silent_seconds < SOCKET_SECONDS

    def send(self, reads: list[Read]) -> None:
        """Send the commands in one write."""
        if not self._awaited:
            self._heard_at = self._clock.monotonic()
        self._awaited.extend(reads)
        self._transport.write(b"".join([_READ % (len(key), key.encode("ascii"), self._range) for key, _ in reads]))

    # --- receiving ---

    def data_received(self, data: bytes) -> None:
        self._heard_at = self._clock.monotonic()
        self._unparsed += len(data)
        self._parser.feed(data)
        try:
            while (reply := self._parser.gets()) is not _INCOMPLETE:
                self._unparsed = 0
                self._resolve_next(reply)
        except (InvalidResponse, ResponseError) as error:
            self.fail(error)
        except TypeError:  # hiredis makes dictionaries, and a reply in the place of a key may not be fit for one
            self.fail(InvalidResponse("a reply that cannot be read"))
        if self._unparsed > LARGEST_REPLY:
            self.fail(InvalidResponse(f"a reply of more than {LARGEST_REPLY} bytes"))

    def _resolve_next(self, reply: object) -> None:
        if not self._awaited:
            raise InvalidResponse("a reply to no command")
        _, future = self._awaited.popleft()
        if not future.done():
            future.set_result(reply)
        if isinstance(reply, ResponseError) and not concerns_one_key(reply):
            # The error may concern this connection alone: its user has no permission, or its Redis is still loading.
            raise reply
        self._of_use = True

    # --- the end ---

    def connection_lost(self, exc: Exception | None) -> None:
        closed = RedisConnectionError("Redis has closed the connection")
        closed.__cause__ = exc
        self.lose(closed)

    def leave(self) -> None:
        """Close the connection for another; unanswered reads are sent again."""
        self._end(RedisConnectionError("the connection leads to where Redis was"), again=True)

    def lose(self, error: Exception) -> None:
        """Close the connection; unanswered reads are sent again if any read over it was ever answered."""
        self._end(error, again=self._of_use)

    def fail(self, error: Exception) -> None:
        """Close the connection, and give the error to all unanswered reads."""
        self._end(error, again=False)

    def _end(self, error: Exception, *, again: bool) -> None:
        if self._ended:
            return
        self._ended = True
        self._transport.abort()
        unanswered = [read for read in self._awaited if not read[1].done()]
        self._awaited.clear()
        if not again:
            fail_all((reply for _, reply in unanswered), error)
        self._on_end(unanswered if again else ())
