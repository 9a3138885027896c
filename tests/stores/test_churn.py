"""Hundreds of cancelled calls must not use up the connections."""

import asyncio
import random
from contextlib import suppress
from typing import Final

from service.secret import SellerKey
from service.stores.transport import StoreClient
from tests.stores.raw_server import http_answer, raw_server

WORKERS: Final = 40
CALLS: Final = 40
"""By each worker."""
TURNS: Final = 60
"""Of the event loop: how long an answer may take, and how long a caller may wait for it."""
HANGS: Final = 10
"""Seconds after which the clean call has failed; it takes a thousandth of that."""


async def test_a_clean_call_succeeds_after_hundreds_were_cut_off() -> None:
    """More callers than connections, most of them cancelled before their answer; then one that waits for its answer.

    With httpx's own transport in place of ours (`StoreClient(..., transport=httpx.AsyncHTTPTransport(
    limits=httpx.Limits(max_connections=16)))`) this test fails: its pool never gives the connections of cancelled calls
    back, and the clean call waits for one for ever.
    """
    chance = random.Random(7)

    async def serve(writer: asyncio.StreamWriter) -> None:
        await _turns(chance.randrange(TURNS))
        writer.write(http_answer(b'{"ok":true}'))
        await writer.drain()

    async with raw_server(serve) as server:
        client = StoreClient(base_url=server.base_url, user_agent="tests")

        async def call() -> int:
            return (await client.get("/path", bearer=SellerKey("k"), parameters={})).status

        async def worker() -> int:
            cut = 0
            for _ in range(CALLS):
                calling = asyncio.create_task(call())
                await _turns(chance.randrange(TURNS))
                cut += calling.cancel()
                with suppress(asyncio.CancelledError):
                    await calling
            return cut

        cut = sum(await asyncio.gather(*(worker() for _ in range(WORKERS))))
        async with asyncio.timeout(HANGS):
            clean = await call()
        await client.close()

    assert clean == 200
    assert cut > WORKERS * CALLS * 0.2
    assert len(server.received) > cut * 0.1


async def _turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)
