"""A credential is known to be good once the store has found it so, as long as that may still be of use."""

import pytest

from service.ownership import AppJwt, DownloadKey, Reason
from tests.core.rig import AMOS, GAME, HOUR, JWT, KEY, KEY_PROOF, MINUTE, RULES, Rig

CREDENTIALS: list[DownloadKey | AppJwt] = [KEY, JWT]


@pytest.fixture
async def shown(rig: Rig) -> Rig:
    """The rig, after the store has found both credentials good."""
    rig.source.belongs(JWT, AMOS)
    rig.source.owns(GAME, KEY, KEY_PROOF)
    for credential in CREDENTIALS:
        await rig.ask(credential)
    rig.calls.clear()
    return rig


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_a_good_credential_is_known(shown: Rig, credential: DownloadKey | AppJwt, *, restarted: bool) -> None:
    """A credential that only Redis knows is known too."""
    if restarted:
        shown.observations.forget()

    assert await shown.verification.known_good(RULES, credential)


@pytest.mark.parametrize("credential", CREDENTIALS)
async def test_a_credential_that_was_never_shown_is_not_known(rig: Rig, credential: DownloadKey | AppJwt) -> None:
    """The store is not asked for it."""
    assert not await rig.verification.known_good(RULES, credential)
    assert rig.calls == []


async def test_a_refused_credential_is_not_known_good(rig: Rig) -> None:
    """The store's no is remembered, too."""
    rig.source.refuses(JWT, Reason.REFUSED_JWT)
    for credential in CREDENTIALS:
        await rig.ask(credential)

    assert [await rig.verification.known_good(RULES, credential) for credential in CREDENTIALS] == [False, False]


async def test_a_credential_is_not_known_for_longer_than_it_is_of_use(shown: Rig) -> None:
    """Ten minutes for a JWT, a day for the key of an owner."""
    known = []
    for passing in (10 * MINUTE, 24 * HOUR):
        await shown.clock.advance(passing)
        known.append([await shown.verification.known_good(RULES, credential) for credential in CREDENTIALS])

    assert known == [[True, False], [False, False]]
