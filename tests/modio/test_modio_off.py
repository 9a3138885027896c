"""A gateway without mod.io has nothing of it; in a process of its own, since here other tests have imported it."""

from typing import Final

import pytest

from tests.hub.test_off import opened

OF_MODIO: Final = ("service.modio", "service.products", "service.sandbox.modio")


@pytest.mark.parametrize("sandbox", [False, True])
def test_nothing_of_mod_io_is_imported(sandbox: bool) -> None:  # noqa: FBT001
    """Neither by a gateway in front of itch.io nor by one in front of its sandbox; there is no series either."""
    if sandbox:
        modules, metrics = opened(SANDBOX="true")
    else:
        modules, metrics = opened(ITCH__API_KEY="a-key", ITCH__BASE_URL="http://127.0.0.1:9")

    assert [name for name in modules if name.startswith(OF_MODIO)] == []
    assert "modio" not in metrics
