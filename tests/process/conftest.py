"""Fixtures that the tests of the process share."""

import pytest

from tests.gateways import LogLines
from tests.http.serving import Application


@pytest.fixture
def log() -> LogLines:
    """The lines that the gateway logs."""
    return LogLines()


@pytest.fixture
async def application() -> Application:
    """The application served by tests that are about the connection."""
    return Application()
