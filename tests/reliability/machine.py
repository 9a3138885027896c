"""The world as a machine that Hypothesis drives: every event that there can be, in any order."""

import asyncio
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from service.sandbox import seed
from tests.fault_proxy import Mode
from tests.redis_server import RedisServer
from tests.reliability.cast import (
    ARCADE,
    GAMES,
    OPERATOR,
    STUDIO,
    GameServer,
    Presented,
    by_email,
    by_key,
    by_user,
)
from tests.reliability.ledger import SECOND
from tests.reliability.replicas import Parts, Question
from tests.reliability.trouble import SPOILT, STORE, UNWELL
from tests.reliability.world import WELL, World

REPLICAS: Final = st.integers(0, 1)
PRESENTED: Final = st.integers(0, 13)
CALLERS: Final = st.sampled_from([OPERATOR, STUDIO, ARCADE])
PLAYERS: Final = ((seed.OWNER_ID, 3), (seed.STRANGER_ID, 3), (seed.OTHER_GAME_OWNER_ID, 4))
DELAYS: Final = st.sampled_from([10, 30, 60, 100, 200])
"""Of a slow network to Redis, one way, in milliseconds."""


class Machine(RuleBasedStateMachine):
    """Two gateways and what happens to them. `told` counts the outcomes, `violations` are the ledger's."""

    def __init__(self, server: RedisServer, parts: Parts, *, told: dict[str, int], violations: list[str]) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.world = World(server, parts, told=told, passes=True)
        self.violations = violations
        self.keys = 0
        self.jwts: dict[int, Presented] = {}
        for account, _ in PLAYERS:
            self._mint(account, timedelta(hours=30))
        self.await_(self.world.open())

    def await_(self, work: Any) -> Any:
        """Run it in the loop of this machine."""
        try:
            return self.runner.run(work)
        except AssertionError as violation:
            self.violations.append(str(violation))
            raise

    def teardown(self) -> None:
        """Close everything; no bug may have been logged."""
        try:
            self.await_(self._close())
        finally:
            self.runner.close()

    async def _close(self) -> None:
        await self.world.close()
        assert not self.world.log.lines("bug"), "a bug was logged"

    @invariant()
    def no_two_steps_at_the_same_instant(self) -> None:
        """Events within one second have no order in messages that carry whole seconds."""
        self.world.clock.jump(SECOND)

    # The world

    @rule()
    def trade_a_key(self) -> None:
        """The seller revokes a key, or takes that back."""
        key = self.world.sandbox.world.keys[seed.OWNER_KEY]
        self.world.sandbox.world.keys[seed.OWNER_KEY] = replace(key, revoked=not key.revoked)

    @rule(buyer=st.sampled_from([seed.STRANGER_ID, seed.BUYER_ID]))
    def trade_a_game(self, buyer: int) -> None:
        """A player buys the game, or gives it back."""
        world = self.world.sandbox.world
        bought = world.purchases_by(seed.GAME_ID, world.accounts[buyer].emails)
        if not bought:
            world.buy([seed.GAME_ID], user_id=buyer)
        for purchase in bought:
            world.refund(purchase.id)

    @rule(player=st.sampled_from(PLAYERS[:2]), hours=st.sampled_from([1, 30]))
    def new_jwt(self, player: tuple[int, int], hours: int) -> None:
        """The player's app gets a new JWT."""
        self._mint(player[0], timedelta(hours=hours))

    def _mint(self, account: int, lifetime: timedelta) -> None:
        self.jwts[account] = self.world.mint(account, lifetime, game=dict(PLAYERS)[account])

    @rule(trouble=st.sampled_from([WELL, *STORE]), index=REPLICAS)
    def store(self, trouble: str, index: int) -> None:
        """A fault of the store begins or ends; then a new player comes, and a stranger."""
        self.world.store(trouble)
        self.keys += 1
        stranger = by_user(2_000_000 + self.keys)
        self.await_(self.world.ask(Question(index, self._new_key()), Question(index, stranger)))

    def _new_key(self) -> Presented:
        return by_key(self.world.sandbox.world.mint_key(seed.GAME_ID).text)

    @rule(revoked=st.booleans())
    def seller_key(self, *, revoked: bool) -> None:
        """The store refuses the seller's key, or accepts it."""
        self.world.refuse_seller(revoked=revoked)

    @rule(index=REPLICAS, mode=st.sampled_from([*[Mode.PASS] * 8, *Mode, Mode.SLOW]), delay=DELAYS)
    def network(self, index: int, mode: Mode, delay: int) -> None:
        """A replica loses Redis, or finds it again."""
        self.world.network(index, mode, timedelta(milliseconds=delay))

    @rule(how=st.sampled_from([*SPOILT, *UNWELL, "healed", "remembered", "restored"]))
    def redis(self, how: str) -> None:
        """A fault of Redis begins or ends, or its content changes."""
        self.await_(self.world.redis(how))

    @rule(seconds=st.sampled_from([2, 6, 50, 70, 600, 3000, 4000, 20_000, 80_000, 86_400]))
    def time(self, seconds: int) -> None:
        """Time passes, for Redis too."""
        self.await_(self.world.leap(timedelta(seconds=seconds)))

    @rule(index=REPLICAS, ban=st.sampled_from([seed.OWNER_ID, seed.OWNER_ID, seed.STRANGER_ID, None]))
    def restart(self, index: int, ban: int | None) -> None:
        """A replica is started anew, perhaps with other rules; its memory is lost."""
        self.await_(self.world.restart(index, banned=() if ban is None else (ban,)))
        self._ask_about_all_of(index)

    # Those who ask

    def _presented(self) -> list[Presented]:
        return [
            by_key(seed.OWNER_KEY, owner=seed.OWNER_ID),
            by_key(seed.REVOKED_KEY),
            by_user(seed.OWNER_ID),
            by_user(seed.STRANGER_ID),
            by_user(seed.SELLER_ID),
            by_email(seed.BUYER_EMAIL),
            by_key(seed.OTHER_GAME_KEY, owner=seed.OTHER_GAME_OWNER_ID, game=4),
            by_user(seed.OTHER_GAME_OWNER_ID, game=4),
            by_user(seed.STRANGER_ID, game=4),
            by_user(seed.BUNDLE_BUYER_ID, game=4),
            by_email(seed.BUNDLE_BUYER_EMAIL, game=4),
            *self.jwts.values(),
        ]

    def _question(self, index: int, which: int, caller: GameServer = OPERATOR, **more: Any) -> Question:
        return Question(index, self._presented()[which], caller, **more)

    @rule(
        index=REPLICAS,
        which=PRESENTED,
        caller=CALLERS,
        max_age=st.sampled_from([None, None, 0, 60, 7200]),
        cached=st.sampled_from([False, False, False, True]),
    )
    def ask(self, index: int, which: int, caller: GameServer, max_age: int | None, *, cached: bool) -> None:
        """A caller asks, and waits for the answer."""
        self.await_(self.world.ask(self._question(index, which, caller, max_age=max_age, cached=cached)))

    @rule(which=st.lists(st.tuples(REPLICAS, PRESENTED, CALLERS), min_size=2, max_size=12))
    def ask_together(self, which: list[tuple[int, int, GameServer]]) -> None:
        """Many ask at the same time."""
        self.await_(self.world.ask(*(self._question(*one) for one in which)))

    @rule(
        game=st.sampled_from([seed.GAME_ID, seed.GAME_ID, seed.OTHER_GAME_ID]),
        seconds=st.sampled_from([0, 0, 50, 4000, 80_000]),
    )
    def ask_about_all(self, game: int, seconds: int) -> None:
        """Each gateway is asked about each player of a game, and after some time once more."""
        players = [one for one in self._presented() if one.game == game]
        self.await_(self.world.ask(*(Question(index, one) for index in range(2) for one in players)))
        if seconds:
            self.await_(self.world.leap(timedelta(seconds=seconds)))
        self.await_(self.world.ask(*(Question(index, one) for index in range(2) for one in players)))

    def _ask_about_all_of(self, index: int) -> None:
        self.await_(self.world.ask(*(Question(index, one) for one in self._presented())))

    @rule(index=REPLICAS, player=st.sampled_from(PLAYERS[:2]))
    def ask_until_a_jwt_runs_out(self, index: int, player: tuple[int, int]) -> None:
        """A caller asks with a JWT that is about to expire, and again when it has expired."""
        self._mint(player[0], timedelta(minutes=1))
        for _ in range(3):
            self.await_(self.world.ask(Question(index, self.jwts[player[0]])))
            self.await_(self.world.leap(timedelta(seconds=29)))

    @rule(index=REPLICAS, player=st.sampled_from(PLAYERS[:2]), seconds=st.integers(1, 4))
    def ask_while_a_jwt_runs_out(self, index: int, player: tuple[int, int], seconds: int) -> None:
        """The store is slow, and a JWT that was valid when it was presented has expired when the answer comes."""
        self.world.store("slow")
        self._mint(player[0], timedelta(seconds=seconds))
        self.await_(self.world.ask(Question(index, self.jwts[player[0]])))
        self.world.store(WELL)

    @rule(index=REPLICAS, which=PRESENTED, leaves=st.booleans())
    def ask_slowly(self, index: int, which: int, *, leaves: bool) -> None:
        """A caller asks; other events come before the answer, or before the caller hangs up."""

        async def begin() -> None:
            under = self.world.begin(self._question(index, which))
            await asyncio.sleep(0)
            if leaves:
                await self.world.leave(under)

        self.await_(begin())

    @rule(index=REPLICAS, which=st.integers(0, 10))
    def invalidate(self, index: int, which: int) -> None:
        """An operator has a replica forget a subject."""
        self.await_(self.world.invalidate(index, self._presented()[which]))


class BusyMachine(Machine):
    """The same with more that happens at once: games, players and clocks with their own troubles, crowds, guessers."""

    @rule(game=st.sampled_from(GAMES), hangs=st.booleans())
    def game(self, game: int, *, hangs: bool) -> None:
        """The store answers no more about one game, or does again."""
        self.world.hang(game, hangs=hangs)

    @rule(throttled=st.booleans())
    def player(self, *, throttled: bool) -> None:
        """The store throttles one player, or stops to."""
        self.world.throttle(self.jwts[seed.OTHER_GAME_OWNER_ID], throttled=throttled)

    @rule(index=REPLICAS, seconds=st.sampled_from([10, -10, 120, -120, 86_400]))
    def restart_with_another_clock(self, index: int, seconds: int) -> None:
        """A replica is started anew, on a machine whose clock is wrong."""
        self.await_(self.world.restart(index, ahead=timedelta(seconds=seconds)))
        self._ask_about_all_of(index)

    @rule(index=REPLICAS, which=st.lists(PRESENTED, min_size=1, max_size=20), caller=CALLERS)
    def ask_in_a_batch(self, index: int, which: list[int], caller: GameServer) -> None:
        """A caller asks about many in one request."""
        presented = self._presented()
        self.await_(self.world.ask_batch(index, [presented[one] for one in which], caller))

    @rule(index=REPLICAS, number=st.integers(1, 12), in_a_batch=st.booleans(), seconds=st.sampled_from([2, 10]))
    def new_players(self, index: int, number: int, *, in_a_batch: bool, seconds: int) -> None:
        """Players who bought a game just now come with their keys, together."""
        new = [self._new_key() for _ in range(number)]
        deadline = timedelta(seconds=seconds)
        if in_a_batch:
            self.await_(self.world.ask_batch(index, new, STUDIO, deadline=deadline))
        else:
            self.await_(self.world.ask(*(Question(index, one, STUDIO, deadline=deadline) for one in new)))

    @rule(index=REPLICAS, number=st.integers(1, 12))
    def same_new_player(self, index: int, number: int) -> None:
        """A new player's key is asked about many times at once."""
        self.await_(self.world.ask(*[Question(index, self._new_key(), STUDIO)] * number))

    @rule(index=REPLICAS, number=st.sampled_from([1, 30]), caller=st.sampled_from([STUDIO, ARCADE]))
    def guess(self, index: int, number: int, caller: GameServer) -> None:
        """A player of some game tries out keys."""
        guesses = [by_key(f"a-guess-of-a-key-{(self.keys + at):06}") for at in range(number)]
        self.keys += number
        self.await_(self.world.ask(*(Question(index, guess, caller) for guess in guesses)))

    @rule(index=REPLICAS, game=st.sampled_from(GAMES))
    def invalidate_game(self, index: int, game: int) -> None:
        """An operator has a replica forget a whole game."""
        self.await_(self.world.invalidate_game(index, game))

    @rule(index=REPLICAS, game=st.sampled_from(GAMES))
    def invalidate_strangers(self, index: int, game: int) -> None:
        """An operator has a replica forget more subjects of a game than it remembers invalidations."""
        for stranger in range(World.most_invalidations + 2):
            self.await_(self.world.invalidate(index, by_user(1_000_000 + stranger, game=game)))

    @rule()
    def hear(self) -> None:
        """The replicas find Redis again, if they had lost it, and hear of each other's invalidations."""
        for index in range(2):
            self.world.network(index, Mode.PASS)
        self.await_(self.world.redis("healed"))
        self.await_(self.world.finish())
        self.await_(self.world.hear())
