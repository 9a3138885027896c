"""Gateways that are broken on purpose: each breaks one promise that the ledger must see broken."""

import asyncio
import re
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import msgspec
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import NoScriptError, RedisError

from service.http.application import Application
from service.http.connection import Request
from service.http.reply import Reply
from service.sandbox import seed
from service.verification.interfaces import Clock
from tests.itch.rig import streamed
from tests.reliability.cast import OPERATOR, STUDIO, GameServer
from tests.reliability.replicas import client_of
from tests.reliability.store import THROTTLED_SECONDS, StoreLine
from tests.reliability.wrapping import InFront, question_to


class Credulous(httpx.AsyncBaseTransport):
    """Broken: a store's answer that is no answer is read as a yes."""

    def __init__(self, line: StoreLine, _clock: Clock) -> None:
        self._line = line

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make a key of every error."""
        response = await self._line.handle_async_request(request)
        if response.status_code < 429 or "download_keys" not in request.url.path:
            return response
        asked, game = request.url.params, int(request.url.path.split("/")[2])
        key = {"id": 1, "game_id": game, "key": asked.get("download_key", "a-key"), "created_at": "2020-01-01 00:00:00"}
        owner = {"id": int(asked.get("user_id", "1"))}
        return _says({"download_key": {**key, "owner": owner}})


class Dismissive(httpx.AsyncBaseTransport):
    """Broken: a store's answer that is no answer is read as a no."""

    def __init__(self, line: StoreLine, _clock: Clock) -> None:
        self._line = line

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make a no of every error."""
        response = await self._line.handle_async_request(request)
        if response.status_code < 429:
            return response
        return _says({"purchases": {}} if "purchases" in request.url.path else {"errors": ["no download key found"]})


def _says(body: dict[str, object]) -> httpx.Response:
    return streamed(httpx.Response(200, json=body))


class Timeless:
    """Broken: a clock by which nothing grows old."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now()
        self._clock = clock

    def now(self) -> datetime:
        """Return when it began."""
        return self._now

    def __getattr__(self, name: str) -> Any:
        """Be like the other clock in all else."""
        return getattr(self._clock, name)


class Loyal(InFront):
    """Broken: a player who was allowed in once stays allowed, also after a no of the store."""

    def __init__(self, application: Application, _clock: Clock, _redis_url: str) -> None:
        super().__init__(application)
        self._yes: dict[bytes, Reply] = {}

    async def reply(self, request: Request) -> Reply:
        """Answer as before if that was a yes."""
        reply = await super().reply(request)
        if b'"allowed":true' in reply.body:
            self._yes.setdefault(request.body, reply)
        return self._yes.get(request.body, reply)


class Alarmed(Redis):
    """Broken: a failure of Redis fails the question."""

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Fail with an exception of an unexpected type."""
        try:
            return await super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]  # nor is redis-py's
        except NoScriptError:
            raise  # every script is unknown at first
        except (RedisError, OSError) as error:
            raise ArithmeticError("Redis failed") from error


def as_client(kind: type[Redis], url: str) -> Redis:
    """Make a client like the gateway's, of another kind."""
    pool = client_of(url).connection_pool
    assert isinstance(pool, BlockingConnectionPool)
    return kind.from_pool(pool)


# What goes well alone, and not together


class _Behind(InFront):
    """An application that can ask the one behind it things of its own."""

    def __init__(self, application: Application, clock: Clock, redis_url: str) -> None:
        super().__init__(application)
        self.clock = clock
        self.redis_url = redis_url

    async def forget_game(self, game: int) -> None:
        """Have the gateway forget a whole game."""
        body = msgspec.json.encode({"game": game})
        await super().reply(question_to("/admin/invalidate", body, token=OPERATOR.token))


class OneFloor(_Behind):
    """Broken: what becomes too much in one table ends what is known of all games."""

    def __init__(self, application: Application, clock: Clock, redis_url: str) -> None:
        super().__init__(application, clock, redis_url)
        self._ended: set[bytes] = set()
        self._overflowed = False

    async def reply(self, request: Request) -> Reply:
        """Count what is invalidated, overruled or ended; forget everything once."""
        reply = await super().reply(request)
        if request.target.endswith(b"/invalidate") or b'"not_owned"' in reply.body or b'"rejected"' in reply.body:
            self._ended.add(request.body)
        if len(self._ended) > 20 and not self._overflowed:
            self._overflowed = True
            for game in (seed.GAME_ID, seed.OTHER_GAME_ID):
                await self.forget_game(game)
        return reply


class Prepaid(_Behind):
    """Broken: questions pay for a failure before they have an answer, and get it back after; who cannot is refused."""

    def __init__(self, application: Application, clock: Clock, redis_url: str) -> None:
        super().__init__(application, clock, redis_url)
        self._left = STUDIO.failed_keys

    async def reply(self, request: Request) -> Reply:
        """Charge one caller for each question about a key, and for each item of a batch."""
        price = request.body.count(b'"download_key":')
        if not price or not is_from(STUDIO, request):
            return await super().reply(request)
        paid = min(self._left, price)
        self._left -= paid
        try:
            reply = refused() if price > paid == 0 else await super().reply(request)
        finally:
            self._left += paid
        if price == paid or request.target != b"/verify/batch":
            return reply
        results = msgspec.json.decode(reply.body)["results"]
        too_many = [{"id": one["id"], "status": 429, "problem": REFUSED} for one in results[paid:]]
        return Reply(200, msgspec.json.encode({"results": results[:paid] + too_many}))


class Suspicious(_Behind):
    """Broken: a key about which there was no answer counts as one that is no good."""

    def __init__(self, application: Application, clock: Clock, redis_url: str) -> None:
        super().__init__(application, clock, redis_url)
        self._failed = 0

    async def reply(self, request: Request) -> Reply:
        """Count what one caller got no answer about."""
        if not is_from(STUDIO, request):
            return await super().reply(request)
        if self._failed >= STUDIO.failed_keys:
            return refused()
        reply = await super().reply(request)
        self._failed += b'"unknown"' in reply.body
        return reply


REFUSED: Final = {"code": "too_many_failed_keys"}


def refused() -> Reply:
    """Return the reply to a caller that has tried too much."""
    return Reply(429, msgspec.json.encode(REFUSED))


def is_from(caller: GameServer, request: Request) -> bool:
    """Whether that caller asks."""
    return request.headers.get(b"authorization") == f"Bearer {caller.token}".encode()


class Impatient(_Behind):
    """Broken: every question finds out by itself whether Redis is back."""

    async def reply(self, request: Request) -> Reply:
        """Read something from Redis first."""
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(self.redis_url).port)
        writer.write(b"*4\r\n$8\r\nGETRANGE\r\n$9\r\nog:v2:e:0\r\n$1\r\n0\r\n$1\r\n9\r\n")
        await writer.drain()
        writer.close()
        return await super().reply(request)


class Possessive(Redis):
    """Broken: a lease outlives its replica by more than those who wait for it have."""

    async def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Make a lease last, once it is taken or renewed."""
        reply = await super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]  # nor is redis-py's
        lease = next((one for one in arguments if re.fullmatch(r"og:v\d+:l:[0-9a-f]+", str(one))), None)
        if lease is not None:
            await super().execute_command("PEXPIRE", lease, 3000)  # type: ignore[no-untyped-call]  # as above
        return reply


class AheadOfAll(_Behind):
    """Broken: an invalidation of a game holds for a day, as if by a clock that is so far ahead."""

    def __init__(self, until: dict[int, datetime], application: Application, clock: Clock, redis_url: str) -> None:
        super().__init__(application, clock, redis_url)
        self._until = until

    async def reply(self, request: Request) -> Reply:
        """Forget the game before each question about it."""
        game = msgspec.json.decode(request.body)["game"]
        if request.target.endswith(b"/invalidate"):
            self._until[game] = self.clock.now() + timedelta(days=1)
        elif self.clock.now() < self._until.get(game, self.clock.now()):
            await self.forget_game(game)
        return await super().reply(request)


class OneLine(_Behind):
    """Broken: all callers wait in one line, and when it is long they are all sent away."""

    LONGEST: Final = 18

    def __init__(self, application: Application, clock: Clock, redis_url: str) -> None:
        super().__init__(application, clock, redis_url)
        self._waiting = 0

    async def reply(self, request: Request) -> Reply:
        """Answer if the line is short enough."""
        if self._waiting >= self.LONGEST:
            overloaded = {"outcome": "unknown", "reason": "overloaded", "allowed": False, "code": "overloaded"}
            return Reply(503, msgspec.json.encode(overloaded))
        self._waiting += 1
        try:
            return await super().reply(request)
        finally:
            self._waiting -= 1


class FewConnections(httpx.AsyncBaseTransport):
    """Broken: the connections are fewer than the gateway lets one game have."""

    def __init__(self, line: StoreLine, _clock: Clock) -> None:
        self._line = line
        self._connections = asyncio.Semaphore(4)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask once a connection is free."""
        async with self._connections:
            return await self._line.handle_async_request(request)


class AllThrottled(httpx.AsyncBaseTransport):
    """Broken: a store that throttles one player is left alone by all."""

    def __init__(self, line: StoreLine, clock: Clock) -> None:
        self._line = line
        self._clock = clock
        self._until = clock.monotonic()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Ask, unless the last refusal was just now."""
        if self._clock.monotonic() < self._until:
            return httpx.Response(429, headers={"retry-after": "1"}, stream=httpx.ByteStream(b""))
        response = await self._line.handle_async_request(request)
        if response.status_code == 429:
            self._until = self._clock.monotonic() + THROTTLED_SECONDS
        return response
