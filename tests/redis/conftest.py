"""A clock, for tests of what every user of Redis shares."""

import pytest

from tests.clock import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    """The clock of everything in a test."""
    return FakeClock()
