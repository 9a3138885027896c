"""The keys of one issuer, kept and fetched again by these rules.

| known | the key is there | it is not |
|---|---|---|
| for less than an hour | it checks | fetched again, if a minute has passed since the last try |
| for less than a day | fetched again likewise; while that fails, it checks | the same |
| for longer, or never | fetched again likewise; while that fails, `IssuerUnavailable` | the same |

After a fetch that worked, a key that is not there is no key of the issuer's. All who wait share one fetch.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

from service.errors import IssuerUnavailable
from service.proofs.key_set import IssuerKey, KeySet
from service.verification.interfaces import Clock

KEPT_FOR: Final = timedelta(hours=1)
USED_FOR: Final = timedelta(hours=24)
TRIED_EVERY: Final = timedelta(minutes=1)


class IssuerKeys:
    """Keys that `fetch` returns. It raises `IssuerUnavailable` if there are none to be had.

    `told` is called after each fetch, with whether it worked.
    """

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], *, clock: Clock, told: Callable[[bool], None]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._told = told
        self._keys: KeySet = {}
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None

    async def find(self, kid: str, algorithm: str, *, within: timedelta) -> IssuerKey | None:
        """Return the key, None if the issuer has no such key. It waits for a fetch `within` that time.

        Raises `IssuerUnavailable` if that cannot be told.
        """
        key = self._known(kid, algorithm, KEPT_FOR)
        if key is not None:
            return key
        # A coroutine that was run by hand so far has become a task when this returns: time-outs need one.
        await asyncio.sleep(0)
        fetching = self._begin()
        if fetching is not None:
            try:
                async with self._clock.timeout(within):
                    await asyncio.shield(fetching)
            except TimeoutError:
                pass
        key = self._known(kid, algorithm, USED_FOR)
        if key is None and (self._failed or self._fetching is not None):
            raise IssuerUnavailable
        return key

    async def close(self) -> None:
        """Give up the fetch under way."""
        if self._fetching is not None:
            self._fetching.cancel()
            await asyncio.wait((self._fetching,))

    def _known(self, kid: str, algorithm: str, longest: timedelta) -> IssuerKey | None:
        if self._fetched_at is None or self._passed(self._fetched_at) >= longest:
            return None
        return self._keys.get((kid, algorithm))

    def _begin(self) -> asyncio.Task[None] | None:
        """Return the fetch under way, or a new one; None if it is too early for another."""
        if self._fetching is None and (self._tried_at is None or self._passed(self._tried_at) >= TRIED_EVERY):
            self._tried_at = self._clock.monotonic()
            self._fetching = asyncio.create_task(self._fetch_keys())
        return self._fetching

    async def _fetch_keys(self) -> None:
        try:
            self._keys = await self._fetch()
        except IssuerUnavailable:
            self._failed = True
        else:
            self._failed = False
            self._fetched_at = self._clock.monotonic()
        finally:
            self._fetching = None
        self._told(not self._failed)

    def _passed(self, since: float) -> timedelta:
        return timedelta(seconds=self._clock.monotonic() - since)
