"""A store with the seeded world, and the time and the log of the gateways in front of it."""

import pytest

from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import LogLines


@pytest.fixture
def log() -> LogLines:
    """The log of all gateways."""
    return LogLines()


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    """The store."""
    return Sandbox(clock=clock)
