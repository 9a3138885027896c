"""What the tests of the process share."""

import pytest

from tests.gateways import LogLines
from tests.process.serving import Application


@pytest.fixture
def log() -> LogLines:
    """What the gateway logs."""
    return LogLines()


@pytest.fixture
async def application() -> Application:
    """What is served where it does not matter what."""
    return Application()
