"""Three failures open it, three answered tries close it, and meanwhile nothing else goes to Redis."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from service.causes import Cause
from service.redis.circuit_breaker import ANSWERS_TO_CLOSE, FAILURES_TO_OPEN, TRY_EVERY, CircuitBreaker
from service.redis.timeouts import REPLY_TIMEOUT
from tests.clock import FakeClock


class TriedRedis:
    """A Redis that answers tries as the test says; `tried` counts them, `changes` has the states that were reported."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.answers = False
        self.failure: Exception = RedisConnectionError("the connection was closed")
        self.takes = timedelta()
        self.tried = 0
        self.changes: list[bool] = []
        self.circuit = CircuitBreaker(self._answer, clock=clock, on_change=self._changed)

    def fail(self, times: int) -> None:
        """Let attempts fail, one after the other."""
        for _ in range(times):
            attempt = self.circuit.attempt()
            assert attempt is not None
            self.circuit.failed(attempt, self.failure)

    async def _answer(self) -> Exception | None:
        self.tried += 1
        self._clock.jump(self.takes)
        return None if self.answers else self.failure

    def _changed(self) -> None:
        self.changes.append(self.circuit.closed)


@pytest.fixture
async def redis(clock: FakeClock) -> AsyncIterator[TriedRedis]:
    """A Redis that has not been asked yet."""
    redis = TriedRedis(clock)
    yield redis
    await redis.circuit.close()


async def test_two_failures_change_nothing(redis: TriedRedis) -> None:
    """A lost connection or two is no outage."""
    redis.fail(FAILURES_TO_OPEN - 1)

    assert redis.circuit.closed
    assert redis.circuit.attempt() is not None


async def test_three_failures_in_a_row_open_it(redis: TriedRedis) -> None:
    """From then on no question waits for Redis."""
    redis.fail(FAILURES_TO_OPEN)

    assert (redis.circuit.closed, redis.circuit.attempt(), redis.changes) == (False, None, [False])


async def test_failures_with_a_success_between_do_not_open_it(redis: TriedRedis) -> None:
    """Only failures in a row count."""
    redis.fail(2)
    redis.circuit.succeeded()
    redis.fail(2)

    assert redis.circuit.closed


async def test_attempts_under_way_together_are_one_failure(redis: TriedRedis) -> None:
    """A hundred attempts in one short pause of Redis do not open it."""
    attempts = [redis.circuit.attempt() for _ in range(100)]
    for attempt in attempts:
        assert attempt is not None
        redis.circuit.failed(attempt, redis.failure)

    assert redis.circuit.closed


async def test_attempts_that_end_when_it_is_open_change_nothing(redis: TriedRedis, clock: FakeClock) -> None:
    """A late reply is no answer to a try, and a late failure is none of a try."""
    late = redis.circuit.attempt()
    assert late is not None
    redis.fail(FAILURES_TO_OPEN)
    redis.circuit.failed(late, redis.failure)
    redis.circuit.succeeded()
    redis.answers = True
    await clock.advance((ANSWERS_TO_CLOSE - 1) * TRY_EVERY)
    before = redis.circuit.closed
    await clock.advance(TRY_EVERY)

    assert (before, redis.circuit.closed, redis.changes) == (False, True, [False, True])


async def test_it_is_tried_once_a_second(redis: TriedRedis, clock: FakeClock) -> None:
    """No attempt is let through meanwhile, however long it takes."""
    redis.fail(FAILURES_TO_OPEN)
    await clock.advance(100 * TRY_EVERY)

    assert (redis.tried, redis.circuit.attempt()) == (100, None)


async def test_three_answered_tries_in_a_row_close_it(redis: TriedRedis, clock: FakeClock) -> None:
    """A try that fails makes the count begin anew."""
    redis.fail(FAILURES_TO_OPEN)
    closed = []
    for answers in [True, True, False, True, True, True]:
        redis.answers = answers
        await clock.advance(TRY_EVERY)
        closed.append(redis.circuit.closed)

    assert closed == [False] * 5 + [True]
    assert redis.circuit.attempt() is not None


async def test_a_try_that_takes_longer_than_callers_wait_is_not_answered(redis: TriedRedis, clock: FakeClock) -> None:
    """An answer is late, be it Redis or this machine that made it late."""
    redis.fail(FAILURES_TO_OPEN)
    redis.answers = True
    redis.takes = REPLY_TIMEOUT + timedelta(milliseconds=1)
    await clock.advance(10 * TRY_EVERY)
    late = redis.circuit.closed
    redis.takes = REPLY_TIMEOUT - timedelta(milliseconds=1)
    await clock.advance(4 * TRY_EVERY)

    assert (late, redis.circuit.closed) == (False, True)


async def test_closed_again_it_takes_three_failures_to_open(redis: TriedRedis, clock: FakeClock) -> None:
    """Failures from before are forgotten."""
    redis.fail(FAILURES_TO_OPEN)
    redis.answers = True
    await clock.advance(ANSWERS_TO_CLOSE * TRY_EVERY)
    redis.fail(FAILURES_TO_OPEN - 1)
    before = redis.circuit.closed
    redis.fail(1)

    assert (before, redis.circuit.closed) == (True, False)


async def test_it_closes_for_good_with_its_owner(redis: TriedRedis, clock: FakeClock) -> None:
    """Tries end with the owner, be the circuit open by then or later."""
    redis.fail(FAILURES_TO_OPEN - 1)
    await redis.circuit.close()
    redis.fail(1)
    await clock.advance(timedelta(minutes=1))

    assert redis.tried == 0
    assert not [task for task in asyncio.all_tasks() if "_try_until_back" in repr(task)]


async def test_the_cause_is_that_of_the_latest_failure(redis: TriedRedis, clock: FakeClock) -> None:
    """Another one is told as a change; a try that fails as before is none, and an answer that is late is a time-out."""
    causes = [redis.circuit.cause]
    redis.fail(FAILURES_TO_OPEN)
    causes.append(redis.circuit.cause)
    for failure in (redis.failure, ResponseError("LOADING it"), ResponseError("LOADING it")):
        redis.failure = failure
        await clock.advance(TRY_EVERY)
        causes.append(redis.circuit.cause)
    told = len(redis.changes)
    redis.answers, redis.takes = True, REPLY_TIMEOUT + timedelta(milliseconds=1)
    await clock.advance(TRY_EVERY)
    causes.append(redis.circuit.cause)
    redis.takes = timedelta()
    await clock.advance(4 * TRY_EVERY)

    assert causes == [None, Cause.RESET, Cause.RESET, Cause.LOADING, Cause.LOADING, Cause.TIMEOUT]
    assert (told, redis.changes, redis.circuit.cause) == (2, [False, False, False, True], None)
