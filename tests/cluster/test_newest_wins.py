"""Two replicas under any interleaving: the newer observation wins, and an invalidated one never comes back.

Verification, both tiers, leases and invalidations are real, and so is Redis, from which either replica can be cut off.
The store is scripted, and the time stands still until a step lets it pass.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import pytest
import uvloop
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from service.cache.cluster_clock import ClusterClock
from service.cache.entry import CacheEntry
from service.cache.invalidations import SharedInvalidations
from service.cache.leases import ClusterLeases
from service.cache.memory import MemoryTier
from service.cache.redis_tier import RedisTier
from service.cache.replicated_table import ReplicatedTable
from service.cache.sealing import Sealer
from service.cache.table_entry import TableSealer
from service.cache.table_exchange import TableExchange
from service.cache.tiers import TieredCache
from service.errors import SourceUnavailable
from service.ownership import Evidence, Fingerprint, GameId, Observation, Outcome
from service.redis.connect import MAX_CONNECTIONS
from service.verification.interfaces import Clock
from service.verification.lookup import LookUps
from service.verification.question import Question, Verdict
from service.verification.singleflight import SingleFlight
from service.verification.verify import Verification
from tests.cache.invalidated import KEY as KEY_OF_TABLE
from tests.cache.samples import KEYS, fingerprints
from tests.clock import START, FakeClock, WrongClock
from tests.cluster.promises import Variant, variants
from tests.core.fakes import ObedientQueue, PlainOverrides, ScriptedSource
from tests.core.rig import GAME, KEY, KEY_PROOF, RULES
from tests.fault_proxy import FaultProxy, Mode
from tests.sizes import SOAK

INTERLEAVINGS: Final = 50_000 if SOAK else 60
"""The number of orders of steps that are tried."""

TOOK: Final = timedelta(seconds=1)
"""The time that a slow store takes."""

LONG: Final = timedelta(seconds=10)
AHEAD: Final = (timedelta(seconds=120), timedelta(seconds=-45))
"""The errors of the replicas' own clocks."""

REPLICAS: Final = st.integers(0, 1)


class Kinds:
    """The parts that a replica is built from."""

    invalidations: Callable[..., SharedInvalidations] = SharedInvalidations
    exchange: Callable[..., TableExchange] = TableExchange
    clock: Callable[..., ClusterClock] = ClusterClock
    memory: Callable[..., MemoryTier] = MemoryTier
    tells_of_noes = True


class Dated:
    """A source whose evidence is dated by a replica's clock; implements `OwnershipSource` as far as keys need it."""

    def __init__(self, source: ScriptedSource, clock: Clock) -> None:
        self._source = source
        self._clock = clock

    async def look_up(self, *about: Any, **how: Any) -> Evidence:
        """Return the evidence, dated by when the look-up began."""
        observed_at = self._clock.now()
        return replace(await self._source.look_up(*about, **how), observed_at=observed_at)

    def __getattr__(self, name: str) -> Any:
        """Return anything else as it is."""
        return getattr(self._source, name)


class Replica:
    """One gateway's memory, and its way to Redis. Its own clock is `ahead`; that of Redis is right."""

    def __init__(
        self, *, kinds: Kinds, client: Redis, right: FakeClock, ahead: timedelta, scripted: ScriptedSource
    ) -> None:
        machine = WrongClock(right, ahead)
        clock = kinds.clock(machine, on_offset=_ignored, redis_time=lambda _: right.now())
        table = ReplicatedTable(clock=clock, on_overflow=_ignored)
        self.invalidations = kinds.invalidations(table)
        self.exchange = kinds.exchange(
            table=table, client=client, key=KEY_OF_TABLE, sealer=TableSealer(KEYS.table), clock=clock
        )
        source: Any = Dated(scripted, clock)
        tell = self.invalidations.overruled if kinds.tells_of_noes else _ignored
        tier = RedisTier(
            client=client,
            sealer=Sealer(KEYS.sealing),
            clock=clock,
            on_operation=_ignored,
            on_state=_ignored,
            on_overruled=tell,
        )
        memory = kinds.memory(max_entries=100, max_bytes=1_000_000, clock=clock)
        self.store = TieredCache(memory=memory, redis=tier, on_operation=_ignored, on_overruled=tell)
        self.leases = ClusterLeases(
            client=client,
            leases_key=KEYS.leases,
            store=self.store,
            clock=clock,
            timeout=timedelta(seconds=5),
            joined=_ignored,
        )
        look_ups = LookUps(
            source=source,
            observations=self.store,
            queue=ObedientQueue(),
            fingerprints=fingerprints(),
            flights=SingleFlight[Observation](joined=_ignored, crashed=_crash),
            clock=clock,
            lease=self.leases,
            invalidations=self.invalidations,
        )
        self.verification = Verification(
            look_ups=look_ups,
            source=source,
            overrides=PlainOverrides(),
            clock=clock,
            local_clock=machine,
            sandbox=lambda: False,
        )

    async def close(self) -> None:
        """Close everything but the client."""
        await self.verification.close()
        await self.leases.close()
        await self.store.close()
        await self.exchange.close()


def _ignored(*_: object) -> None:
    """Ignore it."""


def _crash(error: BaseException) -> None:
    raise AssertionError("a look-up ended in a bug") from error


_TRIED: Final = timedelta(seconds=5)
"""Enough for a Redis that is back to be found."""


class Known:
    """The replica's knowledge: no answer may be older than the first two, and no yes older than the last."""

    def __init__(self) -> None:
        self.seen = START
        """The time of its last answer's observation. A newer yes that only another replica has seen does not count."""

        self.invalidated = START
        self.yes = START
        self.has_yes = False

    @property
    def oldest(self) -> datetime:
        """The oldest observation that an answer may rest on."""
        return max(self.seen, self.invalidated)


class Asked:
    """A question under way, and the replica's knowledge when it was asked."""

    def __init__(self, task: "asyncio.Task[Verdict]", replica: int, known: Known) -> None:
        self.task = task
        self.replica = replica
        self.oldest, self.oldest_yes = known.oldest, known.yes


class Interleaving(RuleBasedStateMachine):
    """Steps of players, operators, the store, the network and time, in any order."""

    redis_url: ClassVar[str]
    kinds: ClassVar[Kinds] = Kinds()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.stack = AsyncExitStack()
        self.clock = FakeClock()
        self.source = ScriptedSource(self.clock)
        self.source.owns(GAME, KEY, KEY_PROOF)
        self.truth = [(START - timedelta(days=1), True)]
        self.under_way: list[Asked] = []
        self.known = [Known(), Known()]
        self.await_(self._open())

    def await_(self, work: Any) -> Any:
        """Run it in the loop of this machine."""
        return self.runner.run(work)

    async def _open(self) -> None:
        async with Redis.from_url(self.redis_url) as redis:
            await redis.flushall()
        port = urlsplit(self.redis_url).port
        assert port is not None
        self.proxies = [await self.stack.enter_async_context(FaultProxy(port)) for _ in range(2)]
        self.clients = [self._client(proxy.port) for proxy in self.proxies]
        self.replicas = [self._replica(index) for index in range(2)]
        for replica in self.replicas:
            await replica.exchange._exchange()

    def _client(self, port: int) -> Redis:
        # Patient, unlike the gateway's: a busy machine must not look like a network that is down.
        pool = BlockingConnectionPool.from_url(
            f"redis://127.0.0.1:{port}",
            max_connections=MAX_CONNECTIONS,
            timeout=10,
            socket_timeout=10,
            driver_info=None,  # else each connection reads the version of redis-py from a file
            retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        )
        client = Redis.from_pool(pool)
        self.stack.push_async_callback(client.aclose)
        return client

    def _replica(self, index: int) -> Replica:
        return Replica(
            kinds=self.kinds,
            client=self.clients[index],
            right=self.clock,
            ahead=AHEAD[index],
            scripted=self.source,
        )

    def teardown(self) -> None:
        """Close what was opened."""
        self.await_(self._close())
        self.runner.close()

    async def _close(self) -> None:
        for asked in self.under_way:
            asked.task.cancel()
        await asyncio.gather(*(asked.task for asked in self.under_way), return_exceptions=True)
        for replica in self.replicas:
            await replica.close()
        await self.stack.aclose()

    @invariant()
    def no_two_steps_at_the_same_instant(self) -> None:
        """Events of one instant have no order."""
        self.clock.jump(timedelta(milliseconds=1))

    # The world

    @rule()
    def trade(self) -> None:
        """The player gives the game back, or gets it again."""
        owned = not self.truth[-1][1]
        if owned:
            self.source.owns(GAME, KEY, KEY_PROOF)
        else:
            self.source.disowns(GAME, KEY)
        self.truth.append((self.clock.now(), owned))

    @rule(away=st.booleans())
    def store(self, *, away: bool) -> None:
        """The store goes away, or comes back."""
        self.source.failing = SourceUnavailable("away") if away else None

    @rule(index=REPLICAS, mode=st.sampled_from([Mode.PASS, Mode.PASS, Mode.PASS, Mode.REFUSE]))
    def network(self, index: int, mode: Mode) -> None:
        """A replica loses Redis, or finds it again."""
        self.proxies[index].be(mode)

    @rule(seconds=st.sampled_from([0.4, 1.5, 5.0, 50.0, 3000.0, 20_000.0]))
    def time(self, seconds: float) -> None:
        """Time passes; after two seconds, replicas that reach Redis have exchanged their invalidations."""
        self.await_(self._pass(timedelta(seconds=seconds)))

    async def _pass(self, duration: timedelta) -> None:
        # While Redis is away it is tried every second: hours of that would take minutes.
        self.clock.jump(max(timedelta(), duration - _TRIED))
        await self.clock.advance(min(duration, _TRIED))
        await self._rest()
        self._check_those_that_are_done()
        if duration > 2 * TOOK:
            await self._exchange()

    async def _exchange(self) -> None:
        reach = [index for index in range(2) if self.proxies[index].mode is Mode.PASS]
        for index in [*reach, *reach]:
            await self.replicas[index].exchange._exchange()
        for index in reach:
            self.known[index].invalidated = max(self.known[other].invalidated for other in reach)
            self.known[index].yes = max(self.known[other].yes for other in reach)

    # Those who ask, and those who operate

    @rule(index=REPLICAS)
    def ask(self, index: int) -> None:
        """A caller asks, and waits for the answer."""
        self.await_(self._ask(index, at_once=False))

    @rule(index=REPLICAS)
    def ask_at_once(self, index: int) -> None:
        """A caller accepts only an answer of this very moment."""
        self.await_(self._ask(index, at_once=True))

    @rule()
    def ask_everywhere(self) -> None:
        """A caller asks one replica after the other."""
        for index in range(2):
            self.ask(index)

    async def _ask(self, index: int, *, at_once: bool) -> None:
        self.source.takes = timedelta()
        self._begin(index, at_once=at_once)
        await self._rest()
        for _ in range(3):
            if any(not asked.task.done() for asked in self.under_way):
                await self.clock.advance(TOOK)  # another replica's lease, or a slow look-up, is in the way
                await self._rest()
        self._check_those_that_are_done()

    @rule(index=REPLICAS)
    def ask_slowly(self, index: int) -> None:
        """A caller asks while the store is slow; other events come before the answer."""

        async def begin() -> None:
            self.source.takes = TOOK
            self._begin(index, at_once=True)
            await self._rest()

        self.await_(begin())

    # Chances that steps alone would rarely give

    @rule(index=REPLICAS)
    def find_out(self, index: int) -> None:
        """Both replicas have an observation; the truth changes, and one of them looks it up."""
        self.ask_everywhere()
        self.trade()
        self.no_two_steps_at_the_same_instant()
        self.ask_at_once(index)
        self.time(5.0)
        self.ask(1 - index)

    @rule(index=REPLICAS)
    def overtake(self, index: int) -> None:
        """A replica on its own asks twice, and the second answer comes first."""
        self.network(index, Mode.REFUSE)
        self.ask_slowly(index)
        self.trade()
        self.no_two_steps_at_the_same_instant()
        self.ask_at_once(index)
        self.time(1.5)
        self.ask(index)

    @rule(index=REPLICAS)
    def invalidate(self, index: int) -> None:
        """An operator invalidates at one replica: at once there, and within two seconds wherever Redis is reached."""

        async def forget() -> None:
            before = self.replicas[index].verification.invalidate(RULES, KEY)
            self.known[index].invalidated = before

        self.await_(forget())

    @rule(index=REPLICAS)
    def restart(self, index: int) -> None:
        """A replica that reaches Redis starts anew; invalidations outlive that."""
        if self.proxies[index].mode is Mode.PASS:
            self.await_(self._restart(index))

    async def _restart(self, index: int) -> None:
        await self._finish()
        await self._exchange()
        await self.replicas[index].close()
        self.replicas[index] = self._replica(index)
        await self.replicas[index].exchange._exchange()
        self.known[index].seen = START
        self.known[index].has_yes = False

    async def _finish(self) -> None:
        while self.under_way:
            await self.clock.advance(TOOK)
            await self._rest()
            self._check_those_that_are_done()

    def _begin(self, index: int, *, at_once: bool) -> None:
        question = Question(RULES, KEY, LONG, timedelta() if at_once else None)
        task = asyncio.get_running_loop().create_task(self.replicas[index].verification.verify(question))
        self.under_way.append(Asked(task, index, self.known[index]))

    async def _rest(self) -> None:
        """Wait for everything on its way to or from Redis, which answers in the order of the commands."""
        for _ in range(3):
            await self.clock.advance(timedelta())
            for client, proxy in zip(self.clients, self.proxies, strict=True):
                if proxy.mode is Mode.PASS:
                    await client.ping()
        for replica in self.replicas:
            await replica.store.written(fingerprints().of_question(GAME, KEY, RULES.accept))

    # What must hold

    def _check_those_that_are_done(self) -> None:
        done = [asked for asked in self.under_way if asked.task.done()]
        self.under_way = [asked for asked in self.under_way if not asked.task.done()]
        for asked in done:
            self._check(asked, asked.task.result())

    def _check(self, asked: Asked, verdict: Verdict) -> None:
        decision = verdict.decision
        if decision.outcome is Outcome.UNKNOWN:
            return
        owned, known = decision.outcome is Outcome.OWNED, self.known[asked.replica]
        seen = decision.observed_at
        assert seen is not None
        assert owned in self._true_since(seen), "it was never so"
        assert seen >= asked.oldest, "it was invalidated, or something newer was known"
        assert not owned or seen >= asked.oldest_yes, "the store has said no since"
        known.seen = max(known.seen, seen)
        if not owned and known.has_yes:
            known.yes = max(known.yes, seen)
        known.has_yes = owned

    def _true_since(self, since: datetime) -> set[bool]:
        """Return the answers that the store may have given to a question that began then."""
        before = [owned for at, owned in self.truth if at < since]
        return {before[-1], *(owned for at, owned in self.truth if at >= since)}


class Deaf(TableExchange):
    """Broken: invalidations of other replicas are ignored."""

    def _take_over(self, answer: Any, telling: Any) -> None:
        """Do nothing."""


class OwnTime(ClusterClock):
    """Broken: every replica goes by its own clock."""

    def now(self) -> datetime:
        """Return the machine's time."""
        return self._machine.now()


class Fleeting(SharedInvalidations):
    """Broken: an invalidation is forgotten once it has been looked at."""

    def __init__(self, table: ReplicatedTable) -> None:
        """Remember what was looked at."""
        super().__init__(table)
        self._looked_at: set[datetime] = set()

    def invalidated_before(
        self, game_id: GameId | None, name: Fingerprint, *, by_operator: bool = False
    ) -> datetime | None:
        """Return it once."""
        found = super().invalidated_before(game_id, name, by_operator=by_operator)
        if found is None or found in self._looked_at:
            return None
        self._looked_at.add(found)
        return found


class LastOneWins(MemoryTier):
    """Broken: the observation that arrives last wins, even if it is older."""

    def put(self, name: Fingerprint, entry: CacheEntry) -> CacheEntry:
        """Forget the entry that was there."""
        for cache in (self._yes, self._no):
            if name in cache.entries:
                cache.remove(name)
        return super().put(name, entry)


def kinds(**parts: Any) -> Kinds:
    """Return the parts of a replica, some of them broken."""
    made = Kinds()
    for name, part in parts.items():
        setattr(made, name, part)
    return made


@variants(
    kinds(),
    deaf=kinds(exchange=Deaf),
    own_time=kinds(clock=OwnTime),
    fleeting=kinds(invalidations=Fleeting),
    last_one_wins=kinds(memory=LastOneWins),
    noes_kept_secret=kinds(tells_of_noes=False),
)
def test_newer_wins_and_nothing_invalidated_comes_back(variant: Variant[Kinds], redis_url: str) -> None:
    """This holds on any replica, through any interleaving of questions, look-ups, refunds, outages and partitions."""

    class Machine(Interleaving):
        kinds = variant.make

    Machine.redis_url = redis_url
    how = settings(
        max_examples=INTERLEAVINGS, stateful_step_count=30, deadline=None, derandomize=True, phases=[Phase.generate]
    )
    if not variant.broken:
        run_state_machine_as_test(Machine, settings=how)
        return
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Machine, settings=how)
