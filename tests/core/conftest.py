"""Fixtures of the core's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.core.rig import Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A verification whose store knows nobody but the seller; at the end no look-up may be left, and none crashed."""
    rig = Rig()
    yield rig
    await rig.verification.close()
    assert rig.crashes == []
