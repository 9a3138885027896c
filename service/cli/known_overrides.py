"""The overrides that running gateways have told through Redis, for commands that look at them once."""

from contextlib import AsyncExitStack

from service.cache.cluster_clock import ClusterClock
from service.cache.keys import KeyedFingerprints, derive_keys, table_key
from service.cache.replicated_table import ReplicatedTable
from service.cache.shared_overrides import SharedOverrides
from service.cache.table_entry import TableSealer
from service.cache.table_exchange import TableExchange
from service.clock import SystemClock
from service.redis.connect import close, connect
from service.settings import Settings
from service.wiring.background import run_in_background


async def read_overrides(settings: Settings, environment: str) -> SharedOverrides:
    """Return those that Redis has; none without Redis, or if it does not answer. Nothing is written there."""
    keys, url = derive_keys(settings.secret), settings.redis.url
    clock = ClusterClock(SystemClock(), on_offset=_ignore)
    table = ReplicatedTable(clock=clock, on_overflow=_ignore)
    if url is not None:
        async with AsyncExitStack() as stack:
            client = connect(url)
            stack.push_async_callback(close, client)
            exchange = TableExchange(
                table=table,
                client=client,
                key=table_key(keys.naming, environment),
                sealer=TableSealer(keys.table),
                clock=clock,
            )
            await run_in_background(stack, exchange.run(), crashed=_ignore)
            await exchange.catch_up()
    return SharedOverrides(
        table=table, fingerprints=KeyedFingerprints(keys.naming, environment), key=keys.overrides, clock=clock
    )


def _ignore(*_what: object) -> None:
    """Leave wrong clocks, and games with too many entries, to the gateways and to checks of their own."""
