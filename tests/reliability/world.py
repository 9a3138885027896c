"""Two whole gateways and the world around them: a store, a Redis behind a proxy for each, callers, time.

Everything that can happen to them is a method. Each answer goes to the ledger of the gateway that gave it.
"""

import asyncio
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ReadOnlyError

from service.app import open_gateway
from service.redis.connect import close
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.world_content import SellerKeyState
from tests.clock import WrongClock
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import SECRET, LogLines, logging_into, pointing_at, settings_from
from tests.redis_server import RedisServer
from tests.reliability.cast import ARCADE, GAME_SERVERS, OPERATOR, TOML, Asked, GameServer, Presented, by_jwt
from tests.reliability.ledger import Answered, Forgotten, Ledger
from tests.reliability.redis_watch import RedisWatch
from tests.reliability.replicas import DEADLINE, Parts, Question, Replica, Under, WorldClock
from tests.reliability.store import BASE_URL, Health, LineTrouble, Statements, StoreLine
from tests.reliability.trouble import SPOILT, STORE, UNWELL, Entries, entries_of, flush, heal, put_back
from tests.reliability.wallet import Wallet

T = TypeVar("T")

STEP: Final = timedelta(milliseconds=50)
WELL: Final = "well"
TIMEOUT_SECONDS: Final = 0.02
"""Of the machine, for work on real sockets, before a question is taken to wait for time to pass, and a `STEP` of it
does. A deadline is 200 times as long: that must be enough for a busy machine and a Redis that hangs."""

SLOW_STEP: Final = timedelta(milliseconds=250)
SLOW_TIMEOUT_SECONDS: Final = 0.01
"""The same where it is the store that makes everybody wait, by the time of the test."""

FINE_STEP: Final = timedelta(milliseconds=10)
FINE_TIMEOUT_SECONDS: Final = 0.005
"""The same where it is Redis: its replies are waited for 60 ms, by the time of the test."""

PATIENT_SECONDS: Final = 1.0
"""The same where no time may pass meanwhile, however busy the machine is."""

PLENTY_SECONDS: Final = 10.0
EXCHANGES: Final = 4
"""One that was under way, one that tells, one that hears, and one that shows that this has been heard."""


class World:
    """Gateways built from `parts`, and everything that can happen around them. `told` counts the outcomes.

    The store budget has no end, unless it is `frugal`: then only a caller that asks little is owed an answer. With
    `passes` every fourth question asks for one, too, and accounts show theirs now and then.
    """

    most_invalidations = 20
    """The most of one kind that a gateway remembers for one game."""

    def __init__(
        self,
        server: RedisServer,
        parts: Parts,
        *,
        told: dict[str, int] | None = None,
        frugal: bool = False,
        passes: bool = False,
    ) -> None:
        self._server = server
        self._parts = parts
        self._stack = AsyncExitStack()
        self.clock = WorldClock()
        self.log = LogLines()
        self.sandbox = Sandbox(clock=self.clock)
        self.told = {} if told is None else told
        self._frugal = frugal
        self._wallet = Wallet(self.told) if passes else None
        self._watches = [RedisWatch(), RedisWatch()]
        self._statements = Statements()
        self._trouble = LineTrouble()
        self._under_way: list[Under] = []
        self._health = Health(self.clock)
        self._snapshot: Entries = {}
        self._banned: frozenset[int] = frozenset()
        self._leaps: list[tuple[datetime, datetime]] = []
        self._overdue = False
        self._forgotten = Forgotten()
        self._perhaps_forgotten = Forgotten()
        self._invalidated: dict[int, set[str]] = {}

    # --- beginning and end ---

    async def open(self) -> None:
        """Open the gateways; Redis is empty."""
        self._directory = Path(self._stack.enter_context(TemporaryDirectory()))
        self._logs = self._stack.enter_context(logging_into(self.log, clock=self.clock, level="error", sandbox=False))
        self._operator = await self._stack.enter_async_context(Redis.from_url(self._server.url))
        await heal(self._operator)
        await flush(self._operator)
        self.proxies = [
            await self._stack.enter_async_context(FaultProxy(self._server.port, sleep=self._sleep, sent=watch.sent))
            for watch in self._watches
        ]
        self.replicas = [await self._start(index, timedelta()) for index in range(2)]

    async def _sleep(self, seconds: float) -> None:
        await self.clock.sleep(timedelta(seconds=seconds))

    async def close(self) -> None:
        """Close everything."""
        for under in self._under_way:
            under.task.cancel()
        await asyncio.gather(*(under.task for under in self._under_way), return_exceptions=True)
        for proxy in self.proxies:
            proxy.be(Mode.PASS)
        for replica in self.replicas:
            await self._while_time_passes(replica.close())
        await self._stack.aclose()

    async def _start(self, index: int, ahead: timedelta) -> Replica:
        bans = f"ban_user_ids = {sorted(self._banned)}"
        callers = "".join(caller.toml for caller in GAME_SERVERS)
        top = f'secret = "{SECRET}"\nreplicas = {self._parts.replicas}\n'
        passes = "" if self._wallet is None else self._wallet.toml
        toml = f"{top}{pointing_at(BASE_URL)}{passes}{TOML.format(bans=bans)}{callers}"
        clock = WrongClock(self.clock, ahead)
        machine = self._parts.clock(clock)
        redis_clock = self._parts.redis_clock(self.clock, machine)
        line = StoreLine(self.sandbox, clock=self.clock, statements=self._statements, trouble=self._trouble)
        url = f"redis://127.0.0.1:{self.proxies[index].port}"
        async with AsyncExitStack() as stack:
            redis = self._parts.redis(url)
            stack.push_async_callback(close, redis)
            gateway = await stack.enter_async_context(
                open_gateway(
                    settings_from(self._directory, toml, sandbox=False, frugal=self._frugal),
                    log=self._logs,
                    clock=machine,
                    redis_time=lambda _: redis_clock.now(),
                    most_invalidations=self.most_invalidations,
                    transport=self._parts.transport(line, self.clock),
                    redis=redis,
                )
            )
            ledger = Ledger(
                self._statements,
                banned=self._banned,
                forgotten_anywhere=self._forgotten,
                perhaps_forgotten=self._perhaps_forgotten,
                leaps=self._leaps,
                ahead=ahead,
            )
            application = self._parts.application(gateway.http.application, self.clock, url)
            return Replica(application=application, ledger=ledger, stack=stack.pop_all())
        raise AssertionError("it returns above")

    async def restart(self, index: int, *, banned: Iterable[int] = (), ahead: timedelta = timedelta()) -> None:
        """Start a replica anew, perhaps with other rules or another clock; its memory is lost.

        A clock that is wrong can be told by Redis only, which is therefore there while it starts, and quick: by the
        time of the test, for an exchange of over a second tells no time.
        """
        await self.finish()
        self._banned = frozenset(banned)
        if ahead:
            self.proxies[index].be(Mode.PASS)
            await heal(self._operator)
        await self._while_time_passes(self.replicas[index].close())
        patience = PATIENT_SECONDS if ahead else TIMEOUT_SECONDS
        self.replicas[index] = await self._while_time_passes(self._start(index, ahead), patience=patience)

    # --- time ---

    async def leap(self, duration: timedelta) -> None:
        """Let time pass, for Redis too."""
        await self.clock.advance(timedelta())
        before = self.clock.now()
        self.clock.jump(duration)
        self._leaps.append((before, self.clock.now()))
        await self.clock.advance(timedelta())
        await self._let_run_out()
        await self._look_after()

    async def _let_run_out(self) -> None:
        """Redis has a clock of its own, by which no time has passed: end leases, and pauses of the store budget."""
        try:
            async for key in self._operator.scan_iter("og:v?:[lb]:*"):
                await self._operator.delete(key)
        except ReadOnlyError:
            self._overdue = True  # nothing can be changed now; when it is healed they are over

    async def _while_time_passes(self, work: Coroutine[Any, Any, T], *, patience: float = TIMEOUT_SECONDS) -> T:
        """Do the work of a gateway on real sockets; when it waits for time to pass, time does."""
        task = asyncio.get_running_loop().create_task(work)
        async with asyncio.timeout(PLENTY_SECONDS):
            while not (await asyncio.wait([task], timeout=patience))[0]:
                await self.clock.advance(STEP)
        return task.result()

    async def go_on(self, duration: timedelta, *, for_redis: bool = False) -> None:
        """Let time pass step by step, with a moment of real work in each; with as much time `for_redis`, if it is so.

        Leases end by the clock of Redis.
        """
        end = self.clock.now() + duration
        while (left := end - self.clock.now()) > timedelta():
            step, timeout = self._pace()
            await asyncio.sleep(step.total_seconds() if for_redis else timeout)
            await self.clock.advance(min(step, left))
            await self._look_after()

    async def hear(self) -> None:
        """Let time pass until all replicas have heard of all invalidations; Redis is there."""
        enough = [watch.exchanges + EXCHANGES for watch in self._watches]
        async with asyncio.timeout(PLENTY_SECONDS):
            while any(watch.exchanges < then for watch, then in zip(self._watches, enough, strict=True)):
                await self.go_on(STEP)
        for replica in self.replicas:
            replica.ledger.hear()

    # --- the store ---

    def store(self, trouble: str) -> None:
        """A fault of the store begins or ends."""
        self.sandbox.faults.replace([STORE[trouble]] if trouble != WELL else [])
        self._store_changed()

    def refuse_seller(self, *, revoked: bool) -> None:
        """The store refuses the seller's key, or accepts it."""
        self.sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=revoked)
        self._store_changed()

    def _store_changed(self) -> None:
        revoked = self.sandbox.world.seller_keys[seed.SELLER_KEY].revoked
        self._health.becomes(None, well=not self.sandbox.faults.state() and not revoked)

    def answers_take(self, duration: timedelta) -> None:
        """The store answers everything, and takes its time."""
        self._trouble.take = duration

    def hang(self, game: int, *, hangs: bool = True) -> None:
        """The store answers no more about one game, or does again."""
        (self._trouble.hanging.add if hangs else self._trouble.hanging.discard)(game)
        self._health.becomes(game, well=not hangs)

    def throttle(self, jwt: Presented, *, throttled: bool = True) -> None:
        """The store throttles one player, or stops to."""
        text = str(jwt.credential)
        (self._trouble.throttled.add if throttled else self._trouble.throttled.discard)(text)
        self._health.becomes(text, well=not throttled)

    def _is_owed_to(self, asked: Asked) -> bool:
        """Whether a caller must have an answer: all that it needs of the store has been well for long."""
        if self._frugal and asked.caller is not ARCADE:
            return False
        presented = asked.presented
        jwt = [str(presented.credential)] if presented.method == "jwt" else []
        return self._health.was_well_for_long([None, presented.game, *jwt], asked.at)

    def mint(self, account: int, lifetime: timedelta, *, game: int = seed.GAME_ID) -> Presented:
        """Return a new JWT of a player."""
        minted = self.sandbox.mint_jwt(account, lifetime=lifetime)
        return by_jwt(minted.jwt, account=account, expires_at=minted.expires_at, game=game)

    # --- Redis ---

    async def redis(self, how: str) -> None:
        """A fault of Redis begins or ends, or its content changes."""
        if how == "remembered":
            self._snapshot = await entries_of(self._operator)
            return
        await heal(self._operator)  # what is spoilt must be writable
        if self._overdue:
            self._overdue = False
            await self._let_run_out()
        if how == "restored":
            await put_back(self._operator, self._snapshot)
        elif how != "healed":
            await {**SPOILT, **UNWELL}[how](self._operator)

    def network(self, index: int, mode: Mode, delay: timedelta = timedelta(milliseconds=30)) -> None:
        """A replica loses Redis, or finds it again; `delay` is that of a slow network, there and back again."""
        self.proxies[index].delay = delay.total_seconds()
        self.proxies[index].be(mode)

    def expect_pace(self) -> None:
        """The store was never asked more than its budget allows."""
        self._statements.check_pace()

    def expect_no_reads(self, index: int) -> None:
        """From now on no question may wait for Redis: it has been too far away for long."""
        self._watches[index].expect_no_reads()

    # --- those who ask ---

    async def ask(self, *questions: Question) -> None:
        """Callers ask, all at the same time, and wait for the answers."""
        for question in questions:
            self.begin(question)
        await self.finish()

    def begin(self, question: Question) -> Under:
        """Begin to ask."""
        return self._begin([question], self._one(question))[0]

    async def _one(self, question: Question) -> list[tuple[int, Any]]:
        replica = self.replicas[question.index]
        path, asked = question.presented.path, question.body
        if self._wallet is not None:
            path, asked = self._wallet.ask(question, self.clock.now())
        prompt, status, body = await replica.ask(path, asked, question.caller)
        if self._wallet is not None:
            self._wallet.check(question, path, status, body)
        self.told["at once"] = self.told.get("at once", 0) + prompt
        return [(status, body)]

    async def ask_batch(self, index: int, presented: Iterable[Presented], caller: GameServer, **more: Any) -> None:
        """A caller asks about many in one request, and waits for the answers."""
        questions = [Question(index, one, caller, **more) for one in presented]
        self._begin(questions, self._many(questions))
        await self.finish()

    async def _many(self, questions: list[Question]) -> list[tuple[int, Any]]:
        items = [
            {"id": str(at), "method": question.presented.method, **question.body}
            for at, question in enumerate(questions)
        ]
        first = questions[0]
        _, status, body = await self.replicas[first.index].ask("/verify/batch", {"items": items}, first.caller)
        assert status == 200, f"status {status}: {body}"
        return [(one["status"], one.get("decision") or one["problem"]) for one in body["results"]]

    def _begin(self, questions: list[Question], asking: Coroutine[Any, Any, list[tuple[int, Any]]]) -> list[Under]:
        leaps = len(self._leaps)
        task = asyncio.get_running_loop().create_task(asking)

        async def answer(at: int, asked: Asked) -> Answered:
            try:
                status, body = (await asyncio.shield(task))[at]
            except asyncio.CancelledError:
                task.cancel()
                raise
            now = self.clock.now()
            earlier = len(self._leaps) > leaps or len(questions) > 1
            return Answered(status, body, now, asked.at if earlier else now)

        begun = []
        for at, question in enumerate(questions):
            presented, caller = question.presented, question.caller
            ledger, now = self.replicas[question.index].ledger, self.clock.now()
            asked = Asked(
                presented,
                now,
                None if question.max_age is None else timedelta(seconds=question.max_age),
                question.cached,
                caller,
                over_its_rate=not ledger.purses.ask(caller, presented, now),
            )
            waiting = asyncio.get_running_loop().create_task(answer(at, asked))
            begun.append(Under(waiting, asked, ledger.bounds(asked), ledger, leaps))
        self._under_way += begun
        return begun

    async def leave(self, under: Under) -> None:
        """A caller hangs up."""
        self._under_way.remove(under)
        under.task.cancel()
        await asyncio.gather(under.task, return_exceptions=True)

    async def invalidate(self, index: int, presented: Presented) -> None:
        """An operator has a replica forget a subject."""
        await self._invalidate(index, {"game": presented.game, presented.field: presented.credential})
        self.replicas[index].ledger.forget(presented, self.clock.now())
        of_the_game = self._invalidated.setdefault(presented.game, set())
        of_the_game.add(presented.subject)
        if len(of_the_game) > self.most_invalidations:
            self._perhaps_forgotten.note_game(presented.game, self.clock.now())

    async def invalidate_game(self, index: int, game: int) -> None:
        """An operator has a replica forget a whole game."""
        await self._invalidate(index, {"game": game})
        self.replicas[index].ledger.forget_game(game, self.clock.now())

    async def believe_the_store(self, index: int, game: int) -> None:
        """An operator says that the refunds of a game are true."""
        _, status, answer = await self.replicas[index].ask(
            "/admin/revocations", {"game": game, "believe": True}, OPERATOR
        )
        assert status == 200, answer

    async def _invalidate(self, index: int, body: dict[str, object]) -> None:
        _, status, answer = await self.replicas[index].ask("/admin/invalidate", body, OPERATOR)
        assert status == 200, answer

    # --- what must hold ---

    async def finish(self) -> None:
        """Wait for all questions under way: for real work a moment, for everything else by letting time pass."""
        late = self.clock.now() + DEADLINE + 2 * SLOW_STEP
        while self._under_way:
            step, timeout = self._pace()
            await asyncio.wait([under.task for under in self._under_way], timeout=timeout)
            await self._look_after()
            if self._under_way:
                assert self.clock.now() <= late, "somebody was kept waiting"
                await self.clock.advance(step)

    def _pace(self) -> tuple[timedelta, float]:
        """Return the next step of time, and the seconds that real work has until then."""
        hangs = all(under.asked.presented.game in self._trouble.hanging for under in self._under_way)
        if hangs or any(state.fault.latency_ms for state in self.sandbox.faults.state()):
            return SLOW_STEP, SLOW_TIMEOUT_SECONDS
        if any(proxy.mode is Mode.SLOW for proxy in self.proxies):
            return FINE_STEP, FINE_TIMEOUT_SECONDS
        return STEP, TIMEOUT_SECONDS

    async def _look_after(self) -> None:
        """Check the questions that have been answered."""
        done = [under for under in self._under_way if under.task.done()]
        self._under_way = [under for under in self._under_way if not under.task.done()]
        for watch in self._watches:
            watch.check()
        for under in done:
            # What leaps over a deadline leaves no time to answer.
            unhindered = self._is_owed_to(under.asked) and under.leaps == len(self._leaps)
            outcome = under.ledger.check(under.asked, under.bounds, under.task.result(), unhindered=unhindered)
            self.told[outcome] = self.told.get(outcome, 0) + 1
