"""The client that opens at the first request: off the event loop, and once for all requests that wait."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Final

import pytest

from service.secret import Secret, SellerKey
from service.stores.answer import LARGEST_BODY, StoreAnswer
from service.stores.client import OpenedInBackground, store_client
from tests.gateways import until
from tests.stores.raw_server import http_answer, raw_server

KEY: Final = SellerKey("k")
YES: Final = StoreAnswer(
    status=200, content_type="application/json", body=b"{}", retry_after=None, date=None, sandbox=False
)


class Shop:
    """A `Client` that says yes; `doors` are the threads in which it was opened."""

    def __init__(self, *, failures: int = 0) -> None:
        self.doors: list[int] = []
        self.may_open = threading.Event()
        self.closed = 0
        self._failures = failures

    def open(self) -> "Shop":
        """Open once it may; fail at first, if it is to."""
        self.doors.append(threading.get_ident())
        assert self.may_open.wait(10)
        if len(self.doors) <= self._failures:
            raise RuntimeError("can't start new thread")
        return self

    async def get(
        self, path: str, *, bearer: Secret | None, parameters: Mapping[str, str], largest: int = LARGEST_BODY
    ) -> StoreAnswer:
        """Say yes."""
        del path, bearer, parameters, largest
        return YES

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


@pytest.fixture
def shop() -> Shop:
    """A client that opens when its test lets it."""
    return Shop()


async def ask(client: OpenedInBackground) -> StoreAnswer:
    """Ask it something."""
    return await client.get("/path", bearer=KEY, parameters={})


async def test_opening_leaves_the_event_loop_turning(shop: Shop) -> None:
    """Importing takes as long as dozens of answers, so the client opens in a thread while the event loop runs on."""
    client = OpenedInBackground(shop.open)

    asking = asyncio.create_task(ask(client))
    await until(lambda: shop.doors)
    shop.may_open.set()

    assert await asking is YES
    assert shop.doors != [threading.get_ident()]


async def test_it_is_opened_once_for_all_who_wait(shop: Shop) -> None:
    """A hundred requests that come before the client is open share one opening."""
    client = OpenedInBackground(shop.open)

    asking = [asyncio.create_task(ask(client)) for _ in range(100)]
    await until(lambda: shop.doors)
    shop.may_open.set()

    assert await asyncio.gather(*asking) == [YES] * 100
    assert len(shop.doors) == 1


async def test_who_gives_up_takes_it_from_nobody(shop: Shop) -> None:
    """Cancelling the request that started the opening does not cancel the others."""
    client = OpenedInBackground(shop.open)
    first, second = asyncio.create_task(ask(client)), asyncio.create_task(ask(client))
    await until(lambda: shop.doors)

    first.cancel()
    await asyncio.wait([first])
    shop.may_open.set()

    assert await second is YES
    assert (first.cancelled(), len(shop.doors)) == (True, 1)


async def test_what_could_not_be_opened_is_tried_again() -> None:
    """A machine without a thread to spare at one moment has one at another."""
    shop = Shop(failures=1)
    shop.may_open.set()
    client = OpenedInBackground(shop.open)
    with pytest.raises(RuntimeError):
        await ask(client)

    assert await ask(client) is YES


async def test_what_was_never_asked_is_never_opened(shop: Shop) -> None:
    """A client that was never asked is not opened in order to be closed."""
    await OpenedInBackground(shop.open).close()

    assert (shop.doors, shop.closed) == ([], 0)


async def test_closing_waits_for_what_is_being_opened(shop: Shop) -> None:
    """A client that is still opening is closed once it is open, so that no connection stays open."""
    client = OpenedInBackground(shop.open)
    asking = asyncio.create_task(ask(client))
    await until(lambda: shop.doors)

    closing = asyncio.create_task(client.close())
    shop.may_open.set()
    await closing

    assert shop.closed == 1
    assert await asking is YES


async def test_the_store_is_asked_over_the_network() -> None:
    """Without a stand-in for the network, the real client is opened."""

    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(http_answer(b'{"ok":true}'))
        await writer.drain()

    async with raw_server(serve) as server:
        client = store_client(base_url=server.base_url, user_agent="tests", network=None)
        answer = await client.get("/path", bearer=KEY, parameters={})
        await client.close()

    assert answer.body == b'{"ok":true}'
