"""A clock and a sandbox of one's own."""

import pytest

from service.sandbox.state import Sandbox
from tests.clock import FakeClock


@pytest.fixture
def sandbox(clock: FakeClock) -> Sandbox:
    """A sandbox as it starts."""
    return Sandbox(clock=clock)
