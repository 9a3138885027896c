"""Many reads, few round trips, and nobody gets another's reply."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from service.cache.joined_reads import BATCHES_UNDER_WAY, LARGEST_BATCH, MOST_UNDER_WAY, SLOW, JoinedReads
from service.cache.operations import CacheResult
from tests.clock import FakeClock


class Wire:
    """Answers every key with itself, once the test lets it."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.open = asyncio.Event()

    async def read_all(self, keys: Sequence[str]) -> Sequence[bytes]:
        """Answer all of them."""
        self.batches.append(list(keys))
        await self.open.wait()
        return [key.encode() for key in keys]


@pytest.fixture
async def wire() -> Wire:
    """A wire on which nothing comes back yet."""
    return Wire()


async def turns(count: int = 5) -> None:
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_reads_of_one_turn_travel_together(wire: Wire) -> None:
    """Three questions at once cost one round trip."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)
    wire.open.set()

    replies = await asyncio.gather(*(reads.read(key) for key in "abc"))

    assert (replies, wire.batches) == ([b"a", b"b", b"c"], [["a", "b", "c"]])


async def test_a_later_read_travels_alone(wire: Wire) -> None:
    """Nobody waits for company."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)
    wire.open.set()

    await reads.read("a")
    await reads.read("b")

    assert wire.batches == [["a"], ["b"]]


async def test_a_round_trip_has_a_largest_size(wire: Wire) -> None:
    """A flood is split, so that no one reply takes long."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)
    wire.open.set()

    await asyncio.gather(*(reads.read(str(number)) for number in range(LARGEST_BATCH + 1)))

    assert [len(batch) for batch in wire.batches] == [LARGEST_BATCH, 1]


async def test_reads_join_while_all_round_trips_are_taken(wire: Wire) -> None:
    """A busy Redis is asked for more at once, not more often."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep, slow=timedelta(hours=1))
    replies = []
    for number in range(BATCHES_UNDER_WAY + 10):
        replies.append(reads.read(str(number)))
        await turns()

    wire.open.set()

    assert await asyncio.gather(*replies) == [str(number).encode() for number in range(BATCHES_UNDER_WAY + 10)]
    assert [len(batch) for batch in wire.batches] == [1] * BATCHES_UNDER_WAY + [10]


async def test_who_gives_up_takes_nothing_from_the_others(wire: Wire) -> None:
    """A cancelled question leaves the round trip to the rest."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)
    gives_up, stays = reads.read("a"), reads.read("b")
    await turns()

    gives_up.cancel()
    wire.open.set()

    assert await stays == b"b"


async def test_who_gave_up_before_is_not_asked_for(wire: Wire) -> None:
    """A round trip that nobody wants is not made."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)

    reads.read("a").cancel()
    await turns()

    assert wire.batches == []


async def test_a_bug_reaches_everyone_who_waits() -> None:
    """What is wrong with our own code is not hidden as a miss."""

    async def broken(keys: Sequence[str]) -> Sequence[bytes]:
        raise KeyError(keys[0])

    reads = JoinedReads(broken, sleep=FakeClock().sleep)
    gave_up, first, second = reads.read("a"), reads.read("b"), reads.read("c")
    await turns(1)
    gave_up.cancel()

    assert [type(bug) for bug in await asyncio.gather(first, second, return_exceptions=True)] == [KeyError, KeyError]


async def test_closing_answers_everyone(wire: Wire) -> None:
    """Neither those under way nor those still waiting hang."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)
    under_way = reads.read("a")
    await turns()
    waiting = reads.read("b")

    await reads.close()

    assert [await under_way, await waiting] == [CacheResult.SKIPPED, CacheResult.SKIPPED]


async def test_slow_redis_does_not_make_reads_wait_for_each_other(wire: Wire) -> None:
    """Two round trips one after the other would take longer than anybody waits."""
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep)
    replies = []
    for number in range(MOST_UNDER_WAY + 1):
        replies.append(reads.read(str(number)))
        await asyncio.sleep(2 * SLOW.total_seconds())
    departed = list(wire.batches)
    wire.open.set()

    assert await asyncio.gather(*replies) == [str(number).encode() for number in range(MOST_UNDER_WAY + 1)]
    assert departed == [[str(number)] for number in range(MOST_UNDER_WAY)]


async def test_read_that_waits_for_others_departs_when_they_are_slow(wire: Wire) -> None:
    """Nothing else needs to happen."""
    slow = timedelta(milliseconds=200)
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep, slow=slow)
    replies = []
    for key in "abc":
        replies.append(reads.read(key))
        await turns(1)
    at_first = list(wire.batches)
    await asyncio.sleep(2 * slow.total_seconds())
    departed = list(wire.batches)
    wire.open.set()
    await asyncio.gather(*replies)

    assert (at_first, departed) == ([["a"], ["b"]], [["a"], ["b"], ["c"]])


async def test_nothing_is_read_after_closing(wire: Wire) -> None:
    """Whoever comes late is told at once; what was to depart later does not."""
    slow = timedelta(milliseconds=200)
    reads = JoinedReads(wire.read_all, sleep=FakeClock().sleep, slow=slow)
    waiting = []
    for key in "abc":
        waiting.append(reads.read(key))
        await turns(1)
    await reads.close()
    late = reads.read("d")
    await asyncio.sleep(2 * slow.total_seconds())

    assert [await reply for reply in (*waiting, late)] == [CacheResult.SKIPPED] * 4
    assert wire.batches == [["a"], ["b"]]
