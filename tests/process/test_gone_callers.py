"""No work for callers who are gone, and no harm to those who are there."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Final

import pytest

from service.ownership import Fingerprint
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from service.verification.singleflight import SingleFlight
from tests.clock import START, FakeClock
from tests.gateways import X_MOON, LogLines, asked_store, befall, caller_lines, settings_from, until
from tests.process.ports import OnPort, on_port

SECOND: Final = timedelta(seconds=1)
NAME: Final = Fingerprint(b"a question")
FRUGAL: Final = "[itch]\nrate = 1\nburst = 1\ntimeout = 10\n" + X_MOON
"""A store that may be asked once a second."""

TOKEN: Final = "ogw_token-of-a-test"


def asked_keys(gateway: OnPort) -> int:
    """Return how often the store was asked about a key."""
    return asked_store(gateway.gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS)


def answering(gateway: OnPort) -> int:
    """Return how many questions the gateway is answering."""
    return gateway.gateway.gateway.http.in_flight


async def test_leaving_is_no_bug(
    tmp_path: Path, clock: FakeClock, log: LogLines, caplog: pytest.LogCaptureFixture
) -> None:
    """Callers hang up all day: nothing is logged, and nothing is left behind."""
    async with on_port(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        befall(gateway.gateway.sandbox, latency_ms=1000)
        wire = await gateway.caller(seed.OWNER_KEY)
        await until(lambda: asked_keys(gateway))
        wire.cut()
        await until(lambda: not answering(gateway))
        await clock.advance(2 * SECOND)

    assert [line["level"] for line in log.lines("bug")] == []
    assert [record for record in caplog.records if record.name.startswith("asyncio")] == []


async def test_what_the_store_was_asked_for_is_remembered(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """The request to the store is spent, so its answer serves the next caller."""
    async with on_port(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        befall(gateway.gateway.sandbox, latency_ms=1000)
        wire = await gateway.caller(seed.OWNER_KEY)
        await until(lambda: asked_keys(gateway))
        wire.cut()
        await until(lambda: not answering(gateway))
        asking = gateway.asking(seed.OWNER_KEY)
        await until(lambda: answering(gateway))
        await clock.advance(SECOND)
        answer = await asking

        assert (answer.json()["outcome"], asked_keys(gateway)) == ("owned", 1)


async def test_one_of_many_who_leaves_harms_nobody(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A caller that leaves cancels no other's look-up, even if it was the first to ask."""
    async with on_port(settings_from(tmp_path, FRUGAL, frugal=True), clock=clock, log=log) as gateway:
        first = await gateway.caller(seed.OWNER_KEY)  # it waits for its turn: the gateway has asked whose its key is
        await until(lambda: clock.sleepers and answering(gateway))
        others = [gateway.asking(seed.OWNER_KEY) for _ in range(20)]
        await until(lambda: answering(gateway) == 21)
        first.cut()
        await until(lambda: answering(gateway) == 20)
        await clock.advance(2 * SECOND)
        answers = await asyncio.gather(*others)

        assert [answer.json()["outcome"] for answer in answers] == ["owned"] * 20
        assert asked_keys(gateway) == 1


async def asked_after_all_have_left(gateway: OnPort, clock: FakeClock) -> int:
    """Return how often the store was asked about keys whose callers hung up before it was their turn."""
    wires = [await gateway.caller(f"a-key-that-nobody-has-{number}") for number in range(2)]
    await until(lambda: answering(gateway) == 2 and clock.sleepers)
    for wire in wires:
        wire.cut()
    await until(lambda: gateway.server.connections == 0)
    await clock.advance(5 * SECOND)
    for _ in range(100):
        await asyncio.sleep(0.001)
    return asked_keys(gateway)


async def test_store_is_not_asked_for_callers_who_left_before_their_turn(
    tmp_path: Path, clock: FakeClock, log: LogLines
) -> None:
    """The store budget is spent only on callers that are still there."""
    async with on_port(settings_from(tmp_path, FRUGAL, frugal=True), clock=clock, log=log) as gateway:
        assert await asked_after_all_have_left(gateway, clock) == 0


async def test_who_comes_when_all_have_left_is_answered(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A look-up that was dropped is begun again."""
    async with on_port(settings_from(tmp_path, FRUGAL, frugal=True), clock=clock, log=log) as gateway:
        wire = await gateway.caller(seed.OWNER_KEY)
        await until(lambda: answering(gateway) and clock.sleepers)
        wire.cut()
        await until(lambda: not answering(gateway))
        asking = gateway.asking(seed.OWNER_KEY)
        await until(lambda: answering(gateway))
        await clock.advance(2 * SECOND)
        answer = await asking

        assert answer.json()["outcome"] == "owned"


async def test_guessing_keys_and_hanging_up_is_not_free(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A caller that hangs up before the answer has spent its try at a key all the same."""
    toml = X_MOON + caller_lines("lobby", TOKEN, failed_keys_per_minute="3")
    async with on_port(settings_from(tmp_path, toml), clock=clock, log=log) as gateway:
        befall(gateway.gateway.sandbox, latency_ms=1000)
        for number in range(3):
            wire = await gateway.caller(f"a-guess-of-somebody-{number}", token=TOKEN)
            await until(lambda asked=number + 1: asked_keys(gateway) == asked)  # type: ignore[misc]  # mypy cannot infer it
            wire.cut()
            await until(lambda: not answering(gateway))
        await clock.advance(SECOND)

        answer = await gateway.ask("a-guess-of-somebody-4", token=TOKEN)

    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_failed_keys")


class Queue:
    """A single-flight whose look-ups wait in a queue until the test lets them go."""

    def __init__(self) -> None:
        self.flights: SingleFlight[str] = SingleFlight(joined=lambda: None, crashed=lambda _: None)
        self.may_go = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.begun = 0
        self.gone = 0

    async def look_up(self) -> str:
        """Queue, go, answer."""
        self.begun += 1
        with self.flights.queueing():
            await self.may_go.wait()
        self.gone += 1
        await self.may_answer.wait()
        return "owned"

    def fly(self) -> asyncio.Task[str]:
        """Begin to ask."""
        return asyncio.ensure_future(self.flights.fly(NAME, self.look_up, now=START))


async def turn() -> None:
    """Let every task run that can."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def queue() -> Queue:
    """A queue whose look-ups wait until the test lets them go."""
    return Queue()


async def leave(*callers: asyncio.Task[str]) -> None:
    """Let them hang up."""
    for caller in callers:
        caller.cancel()
    await turn()


async def test_look_up_that_queues_is_dropped_with_its_last_caller(queue: Queue) -> None:
    """A queued look-up is dropped with its last caller, and not with the one before."""
    callers = [queue.fly() for _ in range(3)]
    await turn()
    await leave(*callers[:2])
    under_way = queue.flights.under_way(NAME)
    await leave(callers[2])
    queue.may_go.set()
    await turn()

    assert (under_way, queue.flights.under_way(NAME), queue.gone) == (True, False, 0)


async def test_look_up_that_has_gone_is_finished_for_nobody(queue: Queue) -> None:
    """A look-up that has begun has cost a request; its answer is remembered for the next caller."""
    queue.may_go.set()
    caller = queue.fly()
    await turn()
    await leave(caller)
    late = queue.fly()
    queue.may_answer.set()

    assert (await late, queue.begun) == ("owned", 1)


async def test_look_up_is_dropped_when_it_begins_to_queue_and_nobody_is_left(queue: Queue) -> None:
    """A look-up whose callers have left is dropped when it begins to queue."""
    caller = queue.fly()
    await leave(caller)

    assert (queue.flights.under_way(NAME), queue.gone) == (False, 0)


async def test_refresh_that_queues_is_not_dropped(queue: Queue) -> None:
    """A refresh without callers stays in the queue; a caller that joins it and leaves changes nothing."""
    queue.flights.start(NAME, queue.look_up, now=START)
    caller = queue.fly()
    await turn()
    await leave(caller)
    queue.may_go.set()
    await turn()

    assert queue.gone == 1
    await queue.flights.close()


async def test_who_comes_in_the_moment_of_dropping_has_a_look_up_of_its_own(queue: Queue) -> None:
    """A look-up that is about to end is not joined."""
    first = queue.fly()
    await turn()
    first.cancel()
    await asyncio.sleep(0)
    second = queue.fly()
    queue.may_go.set()
    queue.may_answer.set()

    assert await second == "owned"


async def test_queueing_outside_of_any_look_up_is_nothing_special(queue: Queue) -> None:
    """A look-up that is outside of any single-flight, as of the seller's account, waits in the queue like others."""
    queue.may_go.set()
    queue.may_answer.set()

    assert await queue.look_up() == "owned"
