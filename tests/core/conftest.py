"""Fixtures of the core's tests."""

from collections.abc import AsyncIterator

import pytest

from tests.core.rig import EMAIL, GAME, KEY, KEY_PROOF, USER, Rig


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A verification whose store knows only the seller; at the end no look-up may be left, and none crashed."""
    rig = Rig()
    yield rig
    await rig.verification.close()
    assert rig.crashes == []


@pytest.fixture
async def owner(rig: Rig) -> Rig:
    """The rig, after the store has shown at the start that the key, the address and the user own the game."""
    for subject in (KEY, EMAIL, USER):
        rig.source.owns(GAME, subject, KEY_PROOF)
        await rig.ask(subject)
    rig.calls.clear()
    return rig
