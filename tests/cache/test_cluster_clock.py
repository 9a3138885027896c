"""The time of the cluster, as replies of Redis tell it."""

from datetime import timedelta

import pytest

from service.cache.cluster_clock import SAMPLES, SLOWEST, ClusterClock
from tests.cache.samples import DAY, SECOND
from tests.clock import START, FakeClock, WrongClock

NO_TIME = timedelta()
MOMENT = timedelta(milliseconds=1)


@pytest.fixture
def offsets() -> list[timedelta]:
    """The offsets that are reported."""
    return []


@pytest.fixture
def machine(clock: FakeClock) -> WrongClock:
    """The machine's own clock, two minutes ahead."""
    return WrongClock(clock, 120 * SECOND)


@pytest.fixture
def shared(machine: WrongClock, offsets: list[timedelta]) -> ClusterClock:
    """The clock of the cluster, of which Redis has said nothing yet."""
    return ClusterClock(machine, on_offset=offsets.append)


def test_before_redis_has_said_the_time_it_is_the_machines(shared: ClusterClock, machine: WrongClock) -> None:
    assert (shared.now(), shared.learned) == (machine.now(), False)


def test_it_is_the_time_of_redis(shared: ClusterClock, clock: FakeClock, offsets: list[timedelta]) -> None:
    """From the first reply on; while there is none, the offset stays."""
    shared.learn(clock.now(), took=NO_TIME)
    clock.jump(DAY)

    assert (shared.now(), shared.learned, offsets) == (START + DAY, True, [-120 * SECOND])


def test_a_reply_tells_the_time_of_the_middle_of_its_exchange(shared: ClusterClock, clock: FakeClock) -> None:
    """It was made while the question was on its way half of that time."""
    shared.learn(clock.now() - SECOND / 5, took=2 * SECOND / 5)

    assert shared.now() == START


def test_a_slow_exchange_tells_nothing(shared: ClusterClock, clock: FakeClock, offsets: list[timedelta]) -> None:
    """The reply may have been made at its beginning, or at its end."""
    shared.learn(clock.now(), took=SLOWEST + MOMENT)

    assert (shared.learned, offsets) == (False, [])


def test_single_replies_that_come_late_move_nothing(shared: ClusterClock, clock: FakeClock) -> None:
    """The median of the last five counts."""
    late = SECOND / 2
    for error in (NO_TIME, late, NO_TIME, late, NO_TIME):
        shared.learn(clock.now() - error, took=NO_TIME)

    assert shared.now() == START


def test_a_clock_that_drifts_is_followed(shared: ClusterClock, machine: WrongClock, clock: FakeClock) -> None:
    """Only the last five replies count."""
    shared.learn(clock.now(), took=NO_TIME)
    for _ in range(SAMPLES * 20):
        machine.ahead += MOMENT
        shared.learn(clock.now(), took=NO_TIME)

    assert abs(shared.now() - clock.now()) <= SAMPLES * MOMENT


@pytest.mark.parametrize("by", [-3600 * SECOND, 6 * SECOND, DAY])
def test_a_clock_that_is_set_is_followed_at_once(
    shared: ClusterClock, machine: WrongClock, clock: FakeClock, by: timedelta
) -> None:
    """The replies from before the clock was set count no more."""
    for _ in range(SAMPLES):
        shared.learn(clock.now(), took=NO_TIME)
    machine.ahead += by

    shared.learn(clock.now(), took=NO_TIME)

    assert shared.now() == clock.now()


def test_it_says_when_it_is_set_back(shared: ClusterClock, machine: WrongClock, clock: FakeClock) -> None:
    """By how much; not when it is set forward, nor when it drifts."""
    told: list[timedelta] = []
    shared.on_set_back(told.append)
    shared.learn(clock.now(), took=NO_TIME)
    machine.ahead += SECOND
    shared.learn(clock.now(), took=NO_TIME)
    machine.ahead = NO_TIME
    shared.learn(clock.now(), took=NO_TIME)

    assert told == [120 * SECOND]


async def test_time_passes_as_on_the_machine(shared: ClusterClock, machine: WrongClock) -> None:
    """Waits and time limits know no offset."""
    async with shared.timeout(SECOND), shared.io_timeout(SECOND):
        await shared.sleep(NO_TIME)

    assert shared.monotonic() == machine.monotonic()
