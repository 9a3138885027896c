"""The newest version of a channel: how old it may be, who waits for it, and what becomes of it without a store."""

import asyncio
from datetime import timedelta

import pytest

from service.channels.newest_versions import FRESH, REFRESH_FROM, USABLE, FoundVersion, NewestVersions, ObservedVersion
from service.errors import DeadlineExceeded, NoAnswer, Overloaded, SourceUnavailable
from service.ownership import CacheTier, GameId
from service.verification.interfaces import Lane, Priority
from tests.clock import FakeClock, settle

MOON = GameId(3)
SECOND = timedelta(seconds=1)


class Shop:
    """A store, and the queue for it."""

    def __init__(self) -> None:
        self.latest_is: str | None = "1.0"
        self.trouble: NoAnswer | None = None
        self.busy = False
        self.asked: list[tuple[int, str]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def latest(self, game_id: GameId, channel: str, *, lane: Lane) -> str | None:
        """Answer, or fail."""
        assert lane.priority is Priority.BACKGROUND
        self.asked.append((game_id, channel))
        latest = self.latest_is
        await self.may_answer.wait()
        if self.trouble is not None:
            raise type(self.trouble)
        return latest

    def admit(self, lane: Lane, *, within: timedelta) -> None:
        """Refuse while callers wait for the store."""
        assert (lane.priority, within) == (Priority.BACKGROUND, timedelta())
        if self.busy:
            raise Overloaded


class Desk:
    """The versions as a caller asks for them."""

    def __init__(self, shop: Shop, clock: FakeClock) -> None:
        self.crashes: list[BaseException] = []
        self.joined = 0
        self.versions = NewestVersions(
            source=shop, room=shop, clock=clock, joined=self._join, crashed=self.crashes.append
        )

    def _join(self) -> None:
        self.joined += 1

    async def find(self, channel: str = "windows", *, max_age: timedelta | None = None) -> FoundVersion:
        """Ask, with three seconds to wait."""
        return await self.versions.find(MOON, channel, max_age=max_age, within=3 * SECOND)


@pytest.fixture
def shop() -> Shop:
    """A store that answers."""
    return Shop()


@pytest.fixture
def desk(shop: Shop, clock: FakeClock) -> Desk:
    """Versions that are not known yet."""
    return Desk(shop, clock)


async def test_a_version_is_asked_for_once_a_minute(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """A thousand callers of three channels cost three requests, and no more for as long as that is fresh."""
    first = await asyncio.gather(*(desk.find(f"c{number % 3}") for number in range(1000)))
    asked = len(shop.asked)
    clock.jump(REFRESH_FROM - SECOND)
    later = await desk.find("c0")

    assert {one.version.latest for one in first} == {"1.0"}
    assert {one.tier for one in first} == {CacheTier.NONE}
    assert (asked, desk.joined) == (3, 997)
    assert (later.stale, later.tier, len(shop.asked)) == (False, CacheTier.MEMORY, 3)


async def test_a_version_is_looked_up_again_before_it_is_old(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """From 50 seconds on a question has it looked up in the background, and gets what is known; once for all."""
    await desk.find()
    shop.latest_is = "1.1"
    clock.jump(REFRESH_FROM)
    shop.may_answer.clear()
    known = [await desk.find() for _ in range(5)]
    await settle()
    shop.may_answer.set()
    await settle()
    after = await desk.find()

    assert {one.version.latest for one in known} == {"1.0"}
    assert (after.version, len(shop.asked)) == (ObservedVersion("1.1", clock.now()), 2)


async def test_a_version_is_at_most_a_minute_old_while_the_store_answers(
    desk: Desk, shop: Shop, clock: FakeClock
) -> None:
    """A question after a quiet time waits for the answer."""
    await desk.find()
    shop.latest_is = "1.1"
    clock.jump(FRESH)

    assert (await desk.find()).version.latest == "1.1"


async def test_the_store_says_nothing_for_an_hour(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """The version is given as stale, asked for every five seconds at most, and is back as soon as the store is."""
    await desk.find()
    shop.trouble = SourceUnavailable()
    clock.jump(FRESH)
    found = []
    for _ in range(3600):
        found.append(await desk.find())
        clock.jump(SECOND)
    asked = len(shop.asked)
    shop.trouble, shop.latest_is = None, "2.0"
    clock.jump(5 * SECOND)
    back = await desk.find()

    assert all(one.stale and one.version.latest == "1.0" and one.tier is CacheTier.MEMORY for one in found)
    assert asked <= 3600 / 5 + 5
    assert (back.version.latest, back.stale) == ("2.0", False)


async def test_a_version_that_is_a_day_old_is_not_given(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """Nor one that is older than the caller accepts."""
    await desk.find()
    shop.trouble = SourceUnavailable()
    clock.jump(USABLE - SECOND)
    assert (await desk.find()).stale
    with pytest.raises(SourceUnavailable):
        await desk.find(max_age=3600 * SECOND)
    clock.jump(SECOND)

    with pytest.raises(SourceUnavailable):
        await desk.find()


async def test_a_caller_may_want_a_newer_one(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """The look-up under way does only if it is recent enough."""
    await desk.find()
    shop.latest_is = "1.1"
    clock.jump(10 * SECOND)

    assert (await desk.find(max_age=20 * SECOND)).version.latest == "1.0"
    assert (await desk.find(max_age=9 * SECOND)).version.latest == "1.1"


async def test_what_was_seen_later_stays(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """A look-up that began earlier, and hung, does not take its place."""
    hangs = shop.may_answer = asyncio.Event()
    before = asyncio.create_task(desk.find())
    await settle()
    shop.may_answer = asyncio.Event()
    shop.may_answer.set()
    shop.latest_is = "1.1"
    clock.jump(SECOND)
    newer = await desk.find(max_age=timedelta())
    hangs.set()

    assert ((await before).version.latest, newer.version.latest) == ("1.0", "1.1")
    assert (await desk.find()).version.latest == "1.1"


async def test_a_clock_that_is_set_back(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """A version of that future is not fresh until then: the store is asked, and what it says is remembered.

    While it says nothing, callers who accept any age get what is known.
    """
    await desk.find()
    clock.set_back(3600 * SECOND)
    shop.trouble, shop.latest_is = SourceUnavailable(), "1.1"
    away = await desk.find()
    with pytest.raises(SourceUnavailable):
        await desk.find(max_age=3600 * SECOND)
    shop.trouble = None
    clock.jump(5 * SECOND)
    back, again = await desk.find(), await desk.find()

    assert (away.version.latest, away.stale) == ("1.0", True)
    assert (back.version, back.stale, back.tier) == (again.version, False, CacheTier.NONE)
    assert (again.version.latest, again.tier) == ("1.1", CacheTier.MEMORY)


async def test_channels_of_two_games_are_two(desk: Desk, shop: Shop) -> None:
    """However they are called."""
    await desk.find()
    shop.latest_is = "9.9"
    other = await desk.versions.find(GameId(4), "windows", max_age=None, within=3 * SECOND)

    assert (other.version.latest, (await desk.find()).version.latest) == ("9.9", "1.0")
    assert shop.asked == [(3, "windows"), (4, "windows")]


async def test_a_store_that_fails_is_not_asked_by_each_question(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """Nor in the background. An answer ends the row of failures: the next one counts for a second again."""
    await desk.find()
    for _ in range(2):
        shop.trouble = SourceUnavailable()
        clock.jump(REFRESH_FROM)
        asked = len(shop.asked)
        for _ in range(5):
            await desk.find()
            await settle()
        assert len(shop.asked) == asked + 1
        shop.trouble = None
        clock.jump(SECOND)
        await desk.find()
        await settle()
        assert len(shop.asked) == asked + 2


async def test_players_come_first(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """While callers wait for the store it is not asked, and what is known is given."""
    await desk.find()
    shop.busy = True
    clock.jump(FRESH)
    known = await desk.find()

    assert (known.stale, len(shop.asked)) == (True, 1)
    with pytest.raises(Overloaded):
        await desk.find("linux")


async def test_a_store_that_hangs(desk: Desk, shop: Shop, clock: FakeClock) -> None:
    """A caller waits as long as it said; then it gets what is known, or no answer. The request goes on."""
    await desk.find()
    shop.may_answer.clear()
    clock.jump(FRESH)
    known, unknown = (asyncio.create_task(desk.find(channel)) for channel in ("windows", "linux"))
    await clock.advance(3 * SECOND)

    assert (await known).stale
    with pytest.raises(DeadlineExceeded):
        await unknown
    shop.may_answer.set()
    await settle()
    assert (await desk.find("linux")).tier is CacheTier.MEMORY


async def test_a_bug_is_seen_by_its_caller_and_reported(desk: Desk, shop: Shop) -> None:
    """An exception that is no `NoAnswer` is never taken for a store that says nothing."""
    desk.versions = NewestVersions(
        source=_Broken(), room=shop, clock=FakeClock(), joined=lambda: None, crashed=desk.crashes.append
    )

    with pytest.raises(ValueError, match="a bug"):
        await desk.find()
    assert len(desk.crashes) == 1


class _Broken:
    async def latest(self, *_: object, **__: object) -> str | None:
        raise ValueError("a bug")


async def test_closing_gives_up_what_is_under_way(desk: Desk, shop: Shop) -> None:
    """A caller who still waits is cancelled."""
    shop.may_answer.clear()
    waiting = asyncio.create_task(desk.find())
    await settle()
    await desk.versions.close()

    with pytest.raises(asyncio.CancelledError):
        await waiting
