"""No caller, game or player pays for another: each part of the way to the store, and one that is broken on purpose.

Everything between a question and the wire is the gateway's own; the store is scripted, and time is virtual.
"""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import httpx
from msgspec import Struct
from msgspec.structs import replace

from service.errors import TooManyQuestions
from service.itch.dialect import Dialect
from service.itch.requests import StoreRequests
from service.itch.seller_key import KeySlot, SellerKeyRing
from service.itch.source import ItchSource
from service.limits.caller_limits import HeldTry, KeyTries
from service.limits.credential_pause import CredentialPause
from service.limits.fair_queue import FairQueue
from service.limits.store_budget import ProcessBudget
from service.ownership import AppJwt, AssertedUser, DownloadKey, GameId, Observation, PlayerId, Reason
from service.secret import SellerKey
from service.stores.transport import StoreClient
from service.verification.interfaces import Lane, NoLease
from service.verification.lookup import LookUps
from service.verification.policy import GameRules
from service.verification.question import Question, Verdict
from service.verification.singleflight import SingleFlight
from service.verification.verify import Verification
from tests.clock import FakeClock
from tests.cluster.budgets import AnyBudget
from tests.cluster.promises import Variant, promised, variants
from tests.core.fakes import PlainCache, PlainFingerprints, PlainInvalidations, PlainOverrides
from tests.itch.rig import Observer, streamed

SECOND: Final = timedelta(seconds=1)
DEADLINE: Final = 3 * SECOND
RATE: Final = 6.0
BURST: Final = 8
CONNECTIONS: Final = 32
A, B = GameRules(GameId(3), "a"), GameRules(GameId(4), "b")
FLOOD, VICTIM = "flood", "victim"
FOR_EVER: Final = timedelta(hours=1)
_NO_KEY: Final = {"errors": ["no download key found"]}


class Shop(httpx.AsyncBaseTransport):
    """A store to which every key is good that begins with `good`; `takes` is how long it needs, by game."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.takes: dict[int, timedelta] = defaultdict(lambda: SECOND / 20)
        self.throttled: set[str] = set()
        self.asked: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer about a key, or whose a JWT is."""
        self.asked.append(request.url.path)
        bearer = request.headers["authorization"].removeprefix("Bearer ")
        if request.url.path == "/profile":
            if bearer in self.throttled:
                return streamed(httpx.Response(429, headers={"Retry-After": "30"}))
            return streamed(httpx.Response(200, json={"user": {"id": 7, "username": "amos"}}))
        game, key = int(request.url.path.split("/")[2]), request.url.params.get("download_key", "")
        await self._clock.sleep(self.takes[game])
        if "user_id" in request.url.params:
            purchases = request.url.path.endswith("/purchases")
            return streamed(httpx.Response(200, json={"purchases": {}} if purchases else _NO_KEY))
        if not key.startswith("good"):
            return streamed(httpx.Response(400, json={"errors": ["invalid download key"]}))
        return streamed(httpx.Response(200, json={"download_key": {"id": 1, "key": key, "game_id": game}}))


class RenamedQueue(FairQueue):
    """The queue, which is told other lanes than those of the look-ups."""

    def __init__(
        self, rename: Callable[[Lane], Lane], *, budget: AnyBudget, clock: FakeClock, longest: timedelta
    ) -> None:
        super().__init__(budget=budget, clock=clock, longest=longest, connections=CONNECTIONS)
        self._rename = rename

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Admit it under another name."""
        super().admit(self._rename(lane), within=within)

    async def take_turn(self, lane: Lane, *, begun: bool = False) -> None:
        """Wait under another name."""
        await super().take_turn(self._rename(lane), begun=begun)

    def end_turn(self, lane: Lane) -> None:
        """End it under another name."""
        super().end_turn(self._rename(lane))


class Parts(Struct, frozen=True):
    """The parts that a variant replaces by broken ones."""

    lane: Callable[[Lane], Lane] = lambda lane: lane
    queue: type[RenamedQueue] = RenamedQueue
    tries: Callable[[FakeClock], KeyTries] = lambda clock: KeyTries(per_minute=60, clock=clock)
    pauses: Callable[[FakeClock], CredentialPause] = lambda clock: CredentialPause(clock=clock)
    verification: type[Verification] = Verification


REAL: Final = Parts()


class Town:
    """A gateway without its HTTP, one store, and callers who ask it.

    It has a store budget of its own, unless it is given a `budget` that it shares with other replicas. The `second` may
    be a longer time, in which as much happens.
    """

    def __init__(
        self,
        parts: Parts = REAL,
        *,
        clock: FakeClock | None = None,
        budget: AnyBudget | None = None,
        second: timedelta = SECOND,
    ) -> None:
        self.clock = clock or FakeClock()
        self.shop = Shop(self.clock)
        self._deadline = second * (DEADLINE / SECOND)
        observer = Observer()
        budget = budget or ProcessBudget(
            rate=RATE,
            burst=BURST,
            timeout=4 * SECOND,
            clock=self.clock,
            paused=observer.pauses.append,
            resumed=observer.resume,
        )
        flights = SingleFlight[Observation](joined=lambda: None, crashed=self._crashed)
        queue = self._queue = parts.queue(parts.lane, budget=budget, clock=self.clock, longest=self._deadline)
        self._tries = {name: parts.tries(self.clock) for name in (FLOOD, VICTIM)}
        client = StoreClient(base_url="https://store.example", user_agent="tests", transport=self.shop)
        requests = StoreRequests(
            seller_client=client,
            player_client=client,
            dialect=Dialect.CURRENT,
            seller_key=SellerKeyRing(
                [KeySlot("itch.api_key", SellerKey("k" * 40), file=None)],
                clock=self.clock,
                reloaded=lambda _: None,
                unreadable=lambda _setting, _why: None,
                switched=lambda _: None,
            ),
            queue=queue,
            budget=budget,
            pauses=parts.pauses(self.clock),
            clock=self.clock,
            observer=observer,
        )
        source = ItchSource(requests=requests, clock=self.clock, local_clock=self.clock, timeout=8 * second)
        look_ups = LookUps(
            source=source,
            observations=PlainCache(self.clock),
            queue=queue,
            fingerprints=PlainFingerprints(),
            flights=flights,
            clock=self.clock,
            lease=NoLease(),
            invalidations=PlainInvalidations(),
        )
        self.verification = parts.verification(
            look_ups=look_ups,
            source=source,
            overrides=PlainOverrides(),
            clock=self.clock,
            local_clock=self.clock,
            sandbox=lambda: False,
        )

    async def ask(
        self, credential: DownloadKey | AppJwt | AssertedUser, *, rules: GameRules = A, caller: str = VICTIM
    ) -> str:
        """Return the reason of the answer, or the limit that the caller is over."""
        question = Question(rules, credential, self._deadline, caller=caller, tries=self._tries[caller])
        try:
            return (await self.verification.verify(question)).decision.reason.value
        except TooManyQuestions as refusal:
            return refusal.limit

    def asking(self, number: int, *, rules: GameRules = A, caller: str = VICTIM) -> asyncio.Task[str]:
        """Let another player come to a caller, with a good key."""
        return asyncio.create_task(self.ask(key(number), rules=rules, caller=caller))

    async def come(
        self, number: int, *, every: timedelta, rules: GameRules = A, caller: str = VICTIM, first: int = 0
    ) -> list[asyncio.Task[str]]:
        """Let so many players come, one after the other."""
        tasks = []
        for one in range(first, first + number):
            tasks.append(self.asking(one, rules=rules, caller=caller))
            await self.clock.advance(every)
        return tasks

    async def end(self, *tasks: asyncio.Task[str]) -> Counter[str]:
        """Return how often there was each answer, once all have theirs."""
        await self.clock.advance(self._deadline)
        return Counter([await task for task in tasks])

    async def close(self) -> None:
        """Leave nothing under way."""
        await self.verification.close()
        await self._queue.close()

    def _crashed(self, bug: BaseException) -> None:
        raise bug


def key(number: int) -> DownloadKey:
    """Return a key that is good."""
    return DownloadKey(f"good-key-{number:020}")


def one_line(lane: Lane) -> Lane:
    """Let all wait in one line, in the order of asking."""
    return replace(lane, caller="")


def one_game(lane: Lane) -> Lane:
    """Let all hold the connections of one game."""
    return replace(lane, game_id=None)


class PaidInAdvance(KeyTries):
    """Tries that a question has spent until its answer is there: who finds none left is refused."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(per_minute=60, clock=clock)
        self.free = 60

    def check(self) -> None:
        """Refuse while all are held."""
        if not self.free:
            raise TooManyQuestions("failed_keys", retry_after=SECOND)

    async def hold(self) -> HeldTry:
        """Take one, or refuse."""
        self.check()
        self.free -= 1
        return await super().hold()

    def end(self, *, spent: bool) -> None:
        """Give it back."""
        self.free += not spent
        super().end(spent=spent)


class Slow(HeldTry):
    """A try that is spent, too, by a store that is too slow."""

    def __init__(self, tries: KeyTries, clock: FakeClock) -> None:
        super().__init__(tries)
        self._clock = clock
        self._began = clock.monotonic()

    def let_go(self) -> None:
        """Spend it, if the deadline of its caller has passed."""
        if self._clock.monotonic() - self._began > DEADLINE / SECOND:
            self.spend()
        super().let_go()


class Booked(KeyTries):
    """Tries that are spent, too, by a store that is too slow."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(per_minute=60, clock=clock)
        self.clock = clock

    async def hold(self) -> HeldTry:
        """Hold one."""
        await super().hold()
        return Slow(self, self.clock)


class Everybodys(CredentialPause):
    """Pauses that take one player's limit for that of all."""

    def refused(self, name: bytes, retry_after: timedelta | None) -> bool:
        """Pause all."""
        super().refused(name, retry_after)
        return True


@variants(REAL, one_queue_in_the_order_of_asking=Parts(lane=one_line))
async def test_a_flood_of_one_caller_costs_the_other_none_of_its_players(variant: Variant[Parts]) -> None:
    """Fifty new players a second beside two: of the two as many are in as without the flood, give or take one."""
    alone = Town(variant.make)
    quiet = await alone.end(*await alone.come(40, every=SECOND / 2))
    town = Town(variant.make)
    flood = []
    players = []
    for number in range(1000):
        flood.append(town.asking(10_000 + number, caller=FLOOD))
        if number % 25 == 0:
            players.append(town.asking(number))
        await town.clock.advance(SECOND / 50)
    beside = await town.end(*players)

    with promised(variant):
        assert beside["download_key"] >= quiet["download_key"] - 1
        assert (await town.end(*flood))["failed_keys"] == 0
    for task in flood:
        await task


class Forgetful(RenamedQueue):
    """A queue that lets the second request of a look-up wait like a first one."""

    async def take_turn(self, lane: Lane, *, begun: bool = False) -> None:  # noqa: ARG002 - that is forgotten
        """Wait behind all others."""
        await super().take_turn(lane)


@variants(REAL, second_requests_wait_like_first_ones=Parts(queue=Forgetful))
async def test_a_flood_of_players_by_name_breaks_no_look_up_off(variant: Variant[Parts]) -> None:
    """Each takes two requests; what the store was asked first for is asked to the end."""
    town = Town(variant.make)
    players = []
    for number in range(200):
        players.append(asyncio.create_task(town.ask(AssertedUser(PlayerId(1000 + number)))))
        await town.clock.advance(SECOND / 20)
    await town.end(*players)
    await town.clock.advance(10 * SECOND)

    asked = Counter(path.rpartition("/")[2] for path in town.shop.asked)
    with promised(variant):
        assert asked["purchases"] == asked["download_keys"]


@variants(REAL, every_connection_for_one_game=Parts(lane=one_game))
async def test_a_store_that_hangs_for_one_game_hangs_for_no_other(variant: Variant[Parts]) -> None:
    """Players of B come to the same caller, while those of A wait for a store that does not answer for it."""
    town = Town(variant.make)
    town.shop.takes[A.game_id] = FOR_EVER
    hanging = await town.come(40, every=SECOND / 4)
    players = []
    for number in range(14):
        players.append(town.asking(1000 + number, rules=B))
        hanging += await town.come(4, every=SECOND / 4, first=100 + 4 * number)

    with promised(variant):
        assert await town.end(*players) == {"download_key": 14}
    assert set(await town.end(*hanging)) <= {"deadline_exceeded", "overloaded", "source_unavailable"}


_LATER: Final = 28
"""Quarters of a second: three until the deadline, and four until the player tries again."""


@variants(REAL, slowness_is_booked_as_guilt=Parts(tries=Booked))
async def test_honest_players_at_a_slow_store_are_in_at_the_second_try(variant: Variant[Parts]) -> None:
    """Four new ones a second, each of whom hears at the deadline to come back; no player is taken for a guesser."""
    town = Town(variant.make)
    town.shop.takes[A.game_id] = 3.6 * SECOND
    first, second = [], []
    for tick in range(180 + _LATER):
        if tick < 180:
            first.append(town.asking(tick))
        if tick >= _LATER:
            second.append(town.asking(tick - _LATER))
        await town.clock.advance(SECOND / 4)

    said = await town.end(*first, *second)
    with promised(variant):
        assert said == {"deadline_exceeded": 180, "download_key": 180}
        assert {await task for task in second} == {"download_key"}


@variants(REAL, a_try_spent_by_the_question=Parts(tries=PaidInAdvance))
async def test_good_keys_in_a_batch_are_never_guesses(variant: Variant[Parts]) -> None:
    """Of a hundred at once those are in that the budget bears in time, and the others are told that it is full."""
    town = Town(variant.make)
    said = await town.end(*[town.asking(number) for number in range(100)])

    with promised(variant):
        assert (said["failed_keys"], said["overloaded"]) == (0, 100 - BURST - RATE * DEADLINE / SECOND)
        # The last of them is sent at its deadline, and answered a moment later.
        assert said["download_key"] >= BURST + RATE * DEADLINE / SECOND - 1


class PaidByEach(Verification):
    """Broken: each question pays with a try before the answer is known, also one that joins the look-up of another."""

    async def verify(self, question: Question) -> Verdict:
        """Hold a try meanwhile."""
        assert isinstance(question.tries, KeyTries)
        question.tries.check()
        held = await question.tries.hold()
        try:
            return await super().verify(question)
        finally:
            held.let_go()


class BookedForEach(Verification):
    """Broken: a no costs a try of each who hears it."""

    async def verify(self, question: Question) -> Verdict:
        """Book it."""
        verdict = await super().verify(question)
        if verdict.decision.reason is Reason.INVALID_DOWNLOAD_KEY:
            assert isinstance(question.tries, KeyTries)
            held = await question.tries.hold()
            held.spend()
            held.let_go()
        return verdict


@variants(
    REAL,
    each_question_pays_in_advance=Parts(tries=PaidInAdvance, verification=PaidByEach),
    a_no_is_booked_for_each=Parts(verification=BookedForEach),
)
async def test_a_herd_is_answered_by_one_look_up(variant: Variant[Parts]) -> None:
    """Three hundred who ask the same have one answer, no caller is refused, and a no costs one try."""
    with promised(variant):
        for asked, answer in ((key(1), "download_key"), (DownloadKey("a-guess-of-a-player"), "invalid_download_key")):
            town = Town(variant.make)
            town.shop.takes[A.game_id] = SECOND * 0.4
            said = await town.end(*[asyncio.create_task(town.ask(asked)) for _ in range(300)])
            guesses = []
            for number in range(61):
                guesses.append(asyncio.create_task(town.ask(DownloadKey(f"a-guess-number-{number:010}"))))
                await town.clock.advance(SECOND / 5)
            refused = (await town.end(*guesses))["failed_keys"]

            assert said == {answer: 300}
            # Twelve seconds gave twelve tries back.
            assert refused == 0
            assert town.shop.asked.count("/games/3/download_keys") == 1 + 61


@variants(REAL, one_players_limit_is_everybodys=Parts(pauses=lambda clock: Everybodys(clock=clock)))
async def test_a_player_whom_the_store_limits_is_alone_with_it(variant: Variant[Parts]) -> None:
    """It is told when to come back, and costs no more requests until then; all others are answered."""
    town = Town(variant.make)
    limited = [jwt(number) for number in range(3)]
    town.shop.throttled = {one.reveal() for one in limited[:1]}
    first = await town.end(asyncio.create_task(town.ask(limited[0])))
    others = await town.end(*[town.asking(number) for number in range(5)], asyncio.create_task(town.ask(jwt(9))))
    before = len(town.shop.asked)
    again = await town.end(asyncio.create_task(town.ask(limited[0])))
    asked = len(town.shop.asked) - before

    assert (first, again, asked) == ({"source_rate_limited": 1}, {"source_rate_limited": 1}, 0)
    with promised(variant):
        assert (others["download_key"], others["source_rate_limited"]) == (5, 0)


async def test_three_players_in_a_row_are_about_all() -> None:
    """Then the store limits us, and nothing is asked."""
    town = Town()
    limited = [jwt(number) for number in range(3)]
    town.shop.throttled = {one.reveal() for one in limited}
    for one in limited:
        await town.end(asyncio.create_task(town.ask(one)))

    assert await town.end(town.asking(1)) == {"source_rate_limited": 1}


def jwt(number: int) -> AppJwt:
    """Return a JWT of some player."""
    parts = [json.dumps(part).encode() for part in ({"alg": "HS256"}, {"nonce": number}, {"sign": number})]
    return AppJwt(".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts))
