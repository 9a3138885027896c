"""A bucket, its clock, and the pauses that it reports."""

import pytest

from service.limits.store_budget import ProcessBudget
from tests.clock import FakeClock
from tests.limits.buckets import Reported, make


@pytest.fixture
def reported() -> Reported:
    """The pauses that the bucket of the test reported."""
    return Reported()


@pytest.fixture
def bucket(clock: FakeClock, reported: Reported) -> ProcessBudget:
    """Two requests a second, bursts of four, a time-out of three seconds, and pauses of their full length."""
    return make(clock, reported)
