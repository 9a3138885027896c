"""A bucket, its clock, and the pauses that it reports."""

import pytest

from service.limits.store_budget import ProcessBudget
from tests.clock import FakeClock
from tests.limits.buckets import Told, make


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until the test moves it."""
    return FakeClock()


@pytest.fixture
def told() -> Told:
    """The pauses that the bucket of the test reported."""
    return Told()


@pytest.fixture
def bucket(clock: FakeClock, told: Told) -> ProcessBudget:
    """Two requests a second, bursts of four, a time-out of three seconds, and pauses of their full length."""
    return make(clock, told)
