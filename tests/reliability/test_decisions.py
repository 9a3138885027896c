"""No wrong decision, through purchases, refunds, bans, outages, restarts, a lying Redis, and time.

Two whole gateways as they are in production, spoken to as their server does; a real Redis behind a proxy for each;
the sandbox for a store. Time is the tests' own. Their answers are checked against the record of the store's.
"""

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

import httpx
import msgspec
import pytest
import uvloop
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import BlockingConnectionPool, Redis
from redis.exceptions import ReadOnlyError, RedisError

from service.app import open_gateway
from service.http.application import Application, Listener
from service.http.connection import Request
from service.http.reply import Reply
from service.redis.connect import connect
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.world import SellerKeyState
from service.secret import RedisUrl
from service.verification.interfaces import Clock
from tests.clock import FakeClock
from tests.cluster.promises import Variant, variants
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import SECRET, X_MOON, LogLines, logging_into, pointing_at, settings_from
from tests.itch.rig import streamed
from tests.redis_server import RedisServer
from tests.reliability.ledger import (
    OVER_IT,
    SECOND,
    Answered,
    Asked,
    Bounds,
    Ledger,
    Presented,
    by_email,
    by_jwt,
    by_key,
    by_user,
)
from tests.reliability.store import BASE_URL, Statement, StoreLine
from tests.reliability.trouble import SPOILT, STORE, UNWELL, Entries, entries_of, flush, heal, put_back
from tests.reliability.wrapping import InFront, question_to
from tests.sizes import DECISIONS, STEPS

REPLICAS: Final = st.integers(0, 1)
STEP: Final = timedelta(milliseconds=50)
DEADLINE: Final = timedelta(seconds=10)
"""Longer than a look-up takes, or another replica's lease: so that only the store can leave a question unanswered."""

WELL: Final = "well"
TIMEOUT_SECONDS: Final = 0.02
"""Of the machine, for work on real sockets, before a question is taken to wait for time to pass, and a `STEP` of it
does. A deadline is 200 times as long: that must be enough for a busy machine and a Redis that hangs."""

SLOW_STEP: Final = timedelta(milliseconds=250)
SLOW_TIMEOUT_SECONDS: Final = 0.01
"""The same where it is the store that makes everybody wait, by the time of the test."""

OUTCOMES: Final = frozenset({"owned", "not_owned", "granted", "banned", "rejected", "unknown", "at once"})


def client_of(url: str) -> Redis:
    """Make a client as the gateway does."""
    client = connect(RedisUrl(url))
    assert isinstance(client, Redis)
    return client


def whole(application: Application) -> Application:
    """Let the application be as it is."""
    return application


class Parts(Struct, frozen=True):
    """The parts that a gateway is built from; a broken variant gets other ones."""

    transport: Callable[[StoreLine], httpx.AsyncBaseTransport] = lambda line: line
    clock: Callable[[FakeClock], Clock] = lambda clock: clock
    redis: Callable[[str], Redis] = client_of
    application: Callable[[Application], Application] = whole
    fails: str = ""
    """What the ledger says of it when it is broken."""


class Replica:
    """A gateway, its way to Redis, and the ledger of what it may answer."""

    def __init__(self, *, application: Application, ledger: Ledger, stack: AsyncExitStack) -> None:
        self._application = application
        self.ledger = ledger
        self._stack = stack

    async def ask(self, path: str, body: bytes) -> tuple[bool, int, Any]:
        """Ask as a connection does. Say whether it was answered at once, the status, and the body."""
        answer = self._application.answer(question_to(path, body), Listener.EVERYTHING)
        reply = answer if isinstance(answer, Reply) else await answer
        return reply is answer, reply.status, msgspec.json.decode(reply.body)

    async def close(self) -> None:
        """Close it."""
        await self._stack.aclose()


class Under(Struct, frozen=True):
    """A question under way."""

    task: "asyncio.Task[Answered]"
    asked: Asked
    bounds: Bounds
    ledger: Ledger
    leaps: int
    """How often time had leapt before."""


class World(RuleBasedStateMachine):
    """Every event that there can be, in any order."""

    server: ClassVar[RedisServer]
    parts: ClassVar[Parts]
    asked: ClassVar[dict[str, int]]
    violations: ClassVar[list[str]]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        self.stack = AsyncExitStack()
        self.clock = FakeClock()
        self.log = LogLines()
        self.sandbox = Sandbox(clock=self.clock)
        self.statements: list[Statement] = []
        self.under_way: list[Under] = []
        self.well_since: datetime | None = self.clock.now() - OVER_IT
        self.snapshot: Entries = {}
        self.banned: frozenset[int] = frozenset()
        self.leaps = 0
        self.overdue = False
        self.forgotten: dict[str, datetime] = {}
        self.jwts: dict[int, Presented] = {}
        for account in (seed.OWNER_ID, seed.STRANGER_ID):
            self._mint(account, timedelta(hours=30))
        self.await_(self._open())

    def await_(self, work: Any) -> Any:
        """Run it in the loop of this machine."""
        return self.runner.run(work)

    async def _open(self) -> None:
        directory = self.stack.enter_context(TemporaryDirectory())
        self.directory = Path(directory)
        self.logs = self.stack.enter_context(logging_into(self.log, clock=self.clock, level="error", sandbox=False))
        self.operator = await self.stack.enter_async_context(Redis.from_url(self.server.url))
        await heal(self.operator)
        await flush(self.operator)
        self.proxies = [await self.stack.enter_async_context(FaultProxy(self.server.port)) for _ in range(2)]
        for proxy in self.proxies:
            proxy.delay = 0.03
        self.replicas = [await self._start(index) for index in range(2)]

    async def _start(self, index: int) -> Replica:
        bans = f"ban_user_ids = {sorted(self.banned)}\n"
        toml = f'secret = "{SECRET}"\n{pointing_at(BASE_URL)}{X_MOON}{bans}'
        line = StoreLine(self.sandbox, clock=self.clock, statements=self.statements)
        async with AsyncExitStack() as stack:
            machine = self.parts.clock(self.clock)
            redis = self.parts.redis(f"redis://127.0.0.1:{self.proxies[index].port}")
            stack.push_async_callback(redis.aclose)
            gateway = await stack.enter_async_context(
                open_gateway(
                    settings_from(self.directory, toml, sandbox=False),
                    log=self.logs,
                    clock=machine,
                    transport=self.parts.transport(line),
                    redis=redis,
                    redis_time=lambda _: machine.now(),
                )
            )
            ledger = Ledger(self.statements, banned=self.banned, forgotten_anywhere=self.forgotten)
            application = self.parts.application(gateway.http.application)
            return Replica(application=application, ledger=ledger, stack=stack.pop_all())
        raise AssertionError("it returns above")

    def teardown(self) -> None:
        """Close everything; no bug may have been logged."""
        self.await_(self._close())
        self.runner.close()
        assert not self.log.lines("bug")

    async def _close(self) -> None:
        for under in self.under_way:
            under.task.cancel()
        await asyncio.gather(*(under.task for under in self.under_way), return_exceptions=True)
        for proxy in self.proxies:
            proxy.be(Mode.PASS)
        for replica in self.replicas:
            await replica.close()
        await self.stack.aclose()

    @invariant()
    def no_two_steps_at_the_same_instant(self) -> None:
        """Events within one second have no order in messages that carry whole seconds."""
        self.clock.jump(SECOND)

    # The world

    @rule()
    def trade_a_key(self) -> None:
        """The seller revokes a key, or takes that back."""
        key = self.sandbox.world.keys[seed.OWNER_KEY]
        self.sandbox.world.keys[seed.OWNER_KEY] = replace(key, revoked=not key.revoked)

    @rule(buyer=st.sampled_from([seed.STRANGER_ID, seed.BUYER_ID]))
    def trade_a_game(self, buyer: int) -> None:
        """A player buys the game, or gives it back."""
        world = self.sandbox.world
        bought = world.purchases_by(seed.GAME_ID, world.accounts[buyer].emails)
        if not bought:
            world.buy([seed.GAME_ID], user_id=buyer)
        for purchase in bought:
            world.refund(purchase.id)

    @rule(account=st.sampled_from([seed.OWNER_ID, seed.STRANGER_ID]), hours=st.sampled_from([1, 30]))
    def new_jwt(self, account: int, hours: int) -> None:
        """The player's app gets a new JWT."""
        self._mint(account, timedelta(hours=hours))

    def _mint(self, account: int, lifetime: timedelta) -> None:
        minted = self.sandbox.mint_jwt(account, lifetime=lifetime)
        self.jwts[account] = by_jwt(minted.jwt, account=account, expires_at=minted.expires_at)

    @rule(trouble=st.sampled_from([WELL, *STORE]))
    def store(self, trouble: str) -> None:
        """A fault of the store begins or ends."""
        self.sandbox.faults.replace([STORE[trouble]] if trouble != WELL else [])
        self._store_changed()

    @rule(revoked=st.booleans())
    def seller_key(self, *, revoked: bool) -> None:
        """The store refuses the seller's key, or accepts it."""
        self.sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=revoked)
        self._store_changed()

    def _store_changed(self) -> None:
        well = not self.sandbox.faults.state() and not self.sandbox.world.seller_keys[seed.SELLER_KEY].revoked
        if not well:
            self.well_since = None
        elif self.well_since is None:
            self.well_since = self.clock.now()

    @rule(index=REPLICAS, mode=st.sampled_from([*[Mode.PASS] * 8, *Mode]))
    def network(self, index: int, mode: Mode) -> None:
        """A replica loses Redis, or finds it again."""
        self.proxies[index].be(mode)

    @rule(how=st.sampled_from([*SPOILT, *UNWELL, "healed", "remembered", "restored"]))
    def redis(self, how: str) -> None:
        """A fault of Redis begins or ends, or its content changes."""

        async def act() -> None:
            if how == "remembered":
                self.snapshot = await entries_of(self.operator)
                return
            await heal(self.operator)  # what is spoilt must be writable
            if self.overdue:
                self.overdue = False
                await self._let_run_out()
            if how == "restored":
                await put_back(self.operator, self.snapshot)
            elif how != "healed":
                await {**SPOILT, **UNWELL}[how](self.operator)

        self.await_(act())

    @rule(seconds=st.sampled_from([2, 6, 50, 70, 600, 3000, 4000, 20_000, 80_000, 86_400]))
    def time(self, seconds: int) -> None:
        """Time passes, for Redis too."""
        self.await_(self._pass(timedelta(seconds=seconds)))

    async def _pass(self, duration: timedelta) -> None:
        await self.clock.advance(timedelta())
        self.clock.jump(duration)
        self.leaps += 1
        await self.clock.advance(timedelta())
        await self._let_run_out()
        await self._look_after()

    async def _let_run_out(self) -> None:
        """Redis has a clock of its own, by which no time has passed: end leases, and pauses of the store budget."""
        try:
            async for key in self.operator.scan_iter("og:v2:[lb]:*"):
                await self.operator.delete(key)
        except ReadOnlyError:
            self.overdue = True  # nobody can change them now; when it is healed they are over

    @rule(index=REPLICAS, ban=st.sampled_from([seed.OWNER_ID, seed.OWNER_ID, seed.STRANGER_ID, None]))
    def restart(self, index: int, ban: int | None) -> None:
        """A replica is started anew, perhaps with other rules; its memory is lost."""
        self.banned = frozenset() if ban is None else frozenset({ban})
        self.await_(self._restart(index))

    async def _restart(self, index: int) -> None:
        await self._finish()
        await self.replicas[index].close()
        self.replicas[index] = await self._start(index)
        await self._ask([(index, which) for which in range(8)])

    # Those who ask

    def _presented(self) -> list[Presented]:
        return [
            by_key(seed.OWNER_KEY, owner=seed.OWNER_ID),
            by_key(seed.REVOKED_KEY),
            by_user(seed.OWNER_ID),
            by_user(seed.STRANGER_ID),
            by_user(seed.SELLER_ID),
            by_email(seed.BUYER_EMAIL),
            *self.jwts.values(),
        ]

    @rule(
        index=REPLICAS,
        which=st.integers(0, 7),
        max_age=st.sampled_from([None, None, 0, 60, 7200]),
        cached=st.sampled_from([False, False, False, True]),
    )
    def ask(self, index: int, which: int, max_age: int | None, *, cached: bool) -> None:
        """A caller asks, and waits for the answer."""
        self.await_(self._ask([(index, which)], max_age=max_age, cached=cached))

    @rule(which=st.lists(st.tuples(REPLICAS, st.integers(0, 7)), min_size=2, max_size=12))
    def ask_together(self, which: list[tuple[int, int]]) -> None:
        """Many ask at the same time."""
        self.await_(self._ask(which))

    @rule()
    def ask_about_all(self) -> None:
        """Each gateway is asked about each player, twice."""
        for _ in range(2):
            self.await_(self._ask([(index, which) for index in range(2) for which in range(8)]))

    async def _ask(self, which: list[tuple[int, int]], *, max_age: int | None = None, cached: bool = False) -> None:
        for index, number in which:
            self._begin(index, number, max_age=max_age, cached=cached)
        await self._finish()

    @rule(index=REPLICAS, number=st.integers(0, 1))
    def ask_until_a_jwt_runs_out(self, index: int, number: int) -> None:
        """A caller asks with a JWT that is about to expire, and again when it has expired."""

        async def ask() -> None:
            self._mint([seed.OWNER_ID, seed.STRANGER_ID][number], timedelta(minutes=1))
            for _ in range(3):
                await self._ask([(index, 6 + number)])
                await self._pass(timedelta(seconds=29))

        self.await_(ask())

    @rule(index=REPLICAS, number=st.integers(0, 1), seconds=st.integers(1, 4))
    def ask_while_a_jwt_runs_out(self, index: int, number: int, seconds: int) -> None:
        """The store is slow, and a JWT that was valid when it was presented has expired when the answer comes."""
        self.store("slow")
        self._mint([seed.OWNER_ID, seed.STRANGER_ID][number], timedelta(seconds=seconds))
        self.await_(self._ask([(index, 6 + number)]))
        self.store(WELL)

    @rule(index=REPLICAS, which=st.integers(0, 7), leaves=st.booleans())
    def ask_slowly(self, index: int, which: int, *, leaves: bool) -> None:
        """A caller asks; other events come before the answer, or before the caller hangs up."""

        async def begin() -> None:
            self._begin(index, which)
            await asyncio.sleep(0)
            if leaves:
                await self._leave(self.under_way.pop())

        self.await_(begin())

    async def _leave(self, under: Under) -> None:
        under.task.cancel()
        await asyncio.gather(under.task, return_exceptions=True)

    def _begin(self, index: int, number: int, *, max_age: int | None = None, cached: bool = False) -> None:
        replica, presented = self.replicas[index], self._presented()[number]
        fields: dict[str, object] = {"game": 3, presented.field: presented.credential}
        fields |= {"deadline_ms": DEADLINE // timedelta(milliseconds=1), "only_if_cached": cached}
        if max_age is not None:
            fields["max_age"] = max_age
        oldest = None if max_age is None else timedelta(seconds=max_age)
        asked = Asked(presented, self.clock.now(), max_age=oldest, only_if_cached=cached)

        leaps = self.leaps

        async def answer() -> Answered:
            prompt, status, body = await replica.ask(presented.path, msgspec.json.encode(fields))
            now = self.clock.now()
            decided_at = asked.at if self.leaps > leaps else now
            self.asked["at once"] = self.asked.get("at once", 0) + prompt
            return Answered(status, body, now, decided_at)

        task = asyncio.get_running_loop().create_task(answer())
        self.under_way.append(Under(task, asked, replica.ledger.bounds(asked), replica.ledger, leaps))

    @rule(index=REPLICAS, which=st.integers(0, 5))
    def invalidate(self, index: int, which: int) -> None:
        """An operator has a replica forget a subject."""

        async def forget() -> None:
            replica, presented = self.replicas[index], self._presented()[which]
            body = {"game": 3, presented.field: presented.credential}
            _, status, answer = await replica.ask("/admin/invalidate", msgspec.json.encode(body))
            assert status == 200, answer
            replica.ledger.forget(presented.subject, self.clock.now())

        self.await_(forget())

    # What must hold

    async def _finish(self) -> None:
        """Wait for all questions under way: for real work a moment, for everything else by letting time pass."""
        late = self.clock.now() + DEADLINE + 2 * SLOW_STEP
        while self.under_way:
            slow = any(state.fault.latency_ms for state in self.sandbox.faults.state())
            timeout = SLOW_TIMEOUT_SECONDS if slow else TIMEOUT_SECONDS
            await asyncio.wait([under.task for under in self.under_way], timeout=timeout)
            await self._look_after()
            if self.under_way:
                assert self.clock.now() <= late, "somebody was kept waiting"
                await self.clock.advance(SLOW_STEP if slow else STEP)

    async def _look_after(self) -> None:
        """Check the questions that have been answered."""
        done = [under for under in self.under_way if under.task.done()]
        self.under_way = [under for under in self.under_way if not under.task.done()]
        for under in done:
            well_since = self.well_since
            well = well_since is not None and under.asked.at - well_since >= OVER_IT
            unhindered = well and under.leaps == self.leaps  # what leaps over a deadline leaves no time to answer
            try:
                outcome = under.ledger.check(under.asked, under.bounds, under.task.result(), unhindered=unhindered)
            except AssertionError as violation:
                self.violations.append(str(violation))
                raise
            self.asked[outcome] = self.asked.get(outcome, 0) + 1


class Credulous(httpx.AsyncBaseTransport):
    """Broken: a store's answer that is no answer is read as a yes."""

    def __init__(self, line: StoreLine) -> None:
        self._line = line

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make a key of every error."""
        response = await self._line.handle_async_request(request)
        if response.status_code < 429 or "download_keys" not in request.url.path:
            return response
        asked = request.url.params
        key = {"id": 1, "game_id": 3, "key": asked.get("download_key", "a-key"), "created_at": "2020-01-01 00:00:00"}
        owner = {"id": int(asked.get("user_id", "1"))}
        return _says({"download_key": {**key, "owner": owner}})


class Dismissive(httpx.AsyncBaseTransport):
    """Broken: a store's answer that is no answer is read as a no."""

    def __init__(self, line: StoreLine) -> None:
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

    def __init__(self, clock: FakeClock) -> None:
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

    def __init__(self, application: Application) -> None:
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
        except (RedisError, OSError) as error:
            raise ArithmeticError("Redis failed") from error


def alarmed(url: str) -> Redis:
    """Make a client like the gateway's whose failures are of an unexpected type."""
    made = client_of(url)
    pool = made.connection_pool
    assert isinstance(pool, BlockingConnectionPool)
    return Alarmed.from_pool(pool)


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    """A Redis that is spoilt by every example, and healed by the next."""
    server = RedisServer()
    server.start()
    yield server
    server.stop()


TOO_OLD: Final = "its grace is over|past its time|not fresh|could have been asked|run out|older than the caller accepts"


@variants(
    Parts(),
    no_answer_is_a_yes=Parts(transport=Credulous, fails="has not said yes"),
    no_answer_is_a_no=Parts(transport=Dismissive, fails="has not said no"),
    nothing_grows_old=Parts(clock=Timeless, fails=f"has not said|{TOO_OLD}"),
    yes_is_for_ever=Parts(application=Loyal, fails=f"has said no since|something newer|{TOO_OLD}"),
    redis_is_needed=Parts(redis=alarmed, fails="status 500"),
)
def test_no_decision_is_wrong(variant: Variant[Parts], server: RedisServer) -> None:
    """A yes and a no are the store's own, and recent enough; everything else is no answer."""

    class Machine(World):
        parts = variant.make
        asked: ClassVar[dict[str, int]] = {}
        violations: ClassVar[list[str]] = []

    Machine.server = server
    how = settings(
        max_examples=DECISIONS, stateful_step_count=STEPS, deadline=None, derandomize=True, phases=[Phase.generate]
    )
    if not variant.broken:
        run_state_machine_as_test(Machine, settings=how)
        assert all(Machine.asked.get(outcome, 0) for outcome in OUTCOMES), Machine.asked
        return
    with pytest.raises((AssertionError, Flaky)):
        run_state_machine_as_test(Machine, settings=how)
    assert re.search(variant.make.fails, Machine.violations[0]), Machine.violations
