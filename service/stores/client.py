"""The interface of a store's HTTP client, and one that is opened in the background.

httpx, aiohttp and PyJWT take a third of the time to start, most of it to be imported. That is done in a thread while
the rest of the gateway is built; the gateway is ready when it is done, so that its first question for the store waits
no longer than later ones.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, TypeAlias

from service.secret import ProxyUrl, Secret
from service.stores.answer import LARGEST_BODY, StoreAnswer

if TYPE_CHECKING:  # a name for the type checker alone: importing it is what is put off here
    import httpx

Network: TypeAlias = "httpx.AsyncBaseTransport | None"
"""A stand-in for the network; None is the network itself."""


class Client(Protocol):
    """Asks the store over HTTP. It has no credential of its own: each request names the one it carries, if any."""

    async def get(
        self, path: str, *, bearer: Secret | None, parameters: Mapping[str, str], largest: int = LARGEST_BODY
    ) -> StoreAnswer:
        """Return the answer. Raises `SourceUnavailable` when there was none, `SourceProtocolError` when it is unfit.

        It is `AnswerTooLargeError` when the body is longer than `largest` bytes.
        """

    async def close(self) -> None:
        """Close the connections."""


class OpenedInBackground:
    """A client that `open_it` makes in a thread of its own, by `open` or for the first request.

    Requests that come before it is open share the wait, and cancelling one of them cancels no other. If the client
    cannot be opened, all of them fail with the reason, and the next request tries again. Closing opens no client.
    """

    def __init__(self, open_it: Callable[[], Client]) -> None:
        self._open_it = open_it
        self._opening: asyncio.Task[Client] | None = None

    async def get(
        self, path: str, *, bearer: Secret | None, parameters: Mapping[str, str], largest: int = LARGEST_BODY
    ) -> StoreAnswer:
        """Ask the client, once it is open."""
        client = await asyncio.shield(self._begin())
        return await client.get(path, bearer=bearer, parameters=parameters, largest=largest)

    async def open(self) -> None:
        """Return once it is open; nothing is connected by that."""
        await asyncio.shield(self._begin())

    async def close(self) -> None:
        """Close the client, if there ever was one."""
        if self._opening is not None:
            client = await self._opening
            await client.close()

    def _begin(self) -> asyncio.Task[Client]:
        if self._opening is None:
            self._opening = asyncio.create_task(self._open())
        return self._opening

    async def _open(self) -> Client:
        try:
            return await asyncio.to_thread(self._open_it)
        except BaseException:
            self._opening = None
            raise


def store_client(
    *,
    base_url: str,
    user_agent: str,
    network: Network,
    proxy: Callable[[], ProxyUrl] | None = None,
    also_imported: Sequence[str] = (),
) -> OpenedInBackground:
    """Return a client of a store, which goes through the proxy with the URL that `proxy` returns, if there is one.

    With it modules are imported that its answers are read with, so that the first answer finds them.
    """
    return OpenedInBackground(partial(_import_and_open, base_url, user_agent, network, proxy, also_imported))


def _import_and_open(
    base_url: str,
    user_agent: str,
    network: Network,
    proxy: Callable[[], ProxyUrl] | None,
    also_imported: Sequence[str],
) -> Client:
    for module in also_imported:
        import_module(module)

    from service.stores.transport import StoreClient  # noqa: PLC0415 - this is what is put off, see above

    return StoreClient(base_url=base_url, user_agent=user_agent, transport=network, proxy=proxy)
