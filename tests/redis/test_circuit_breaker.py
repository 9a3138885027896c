"""Three failures open it, one success closes it, and meanwhile one attempt a second goes through."""

import pytest

from service.redis.circuit_breaker import CircuitBreaker
from tests.cache.samples import SECOND
from tests.clock import FakeClock


@pytest.fixture
def circuit(clock: FakeClock) -> CircuitBreaker:
    """A circuit to which nothing has happened."""
    return CircuitBreaker(clock)


def fail(circuit: CircuitBreaker, times: int) -> None:
    """Let attempts fail."""
    for _ in range(times):
        circuit.failed()


def test_two_failures_change_nothing(circuit: CircuitBreaker) -> None:
    """A lost connection or two is no outage."""
    fail(circuit, 2)

    assert (circuit.closed, circuit.lets_through()) == (True, True)


def test_three_failures_in_a_row_open_it(circuit: CircuitBreaker) -> None:
    """From then on no question waits for Redis."""
    fail(circuit, 3)

    assert (circuit.closed, circuit.skips, circuit.lets_through()) == (False, True, False)


def test_failures_with_a_success_between_do_not_open_it(circuit: CircuitBreaker) -> None:
    """Only failures in a row count."""
    fail(circuit, 2)
    circuit.succeeded()
    fail(circuit, 2)

    assert circuit.closed


def test_after_a_second_one_attempt_goes_through(circuit: CircuitBreaker, clock: FakeClock) -> None:
    """One only: the next has to wait for its own second."""
    fail(circuit, 3)
    clock.jump(SECOND)

    assert [circuit.lets_through() for _ in range(3)] == [True, False, False]


def test_an_attempt_that_never_ends_does_not_block_the_next(circuit: CircuitBreaker, clock: FakeClock) -> None:
    """A cancelled attempt costs its second and nothing more."""
    fail(circuit, 3)
    clock.jump(SECOND)
    circuit.lets_through()
    clock.jump(SECOND)

    assert circuit.lets_through()


def test_a_failed_attempt_costs_another_second(circuit: CircuitBreaker, clock: FakeClock) -> None:
    """The circuit stays open as long as attempts fail."""
    fail(circuit, 3)
    clock.jump(SECOND)
    circuit.lets_through()
    circuit.failed()

    assert circuit.skips


def test_a_successful_attempt_closes_it(circuit: CircuitBreaker, clock: FakeClock) -> None:
    """One answer is enough to go on as before."""
    fail(circuit, 3)
    clock.jump(SECOND)
    circuit.lets_through()
    circuit.succeeded()

    assert (circuit.closed, circuit.lets_through()) == (True, True)
