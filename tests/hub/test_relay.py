"""A relay in front of a real hub: what it asks, what it remembers, what it says while the hub says nothing."""

from typing import Any

from service.sandbox import seed
from tests.gateways import Asker, store_calls
from tests.hub.conftest import Hub


async def test_the_hub_decides_and_the_relay_passes_it_on(hub: Hub, relay: Asker) -> None:
    """The answer is the hub's, but for the names of decision and request."""
    answer = (await relay.user(seed.OWNER_ID)).json()

    of_hub = (await hub.asker.user(seed.OWNER_ID, token="ogw_the-token-of-a-relay-in-tests-0000000000000")).json()
    own: dict[str, Any] = {"decision_id": None, "cache": None}
    assert answer | own == of_hub | own
    assert (answer["allowed"], answer["reason"], answer["cache"]) == (True, "download_key", "none")


async def test_a_decision_is_remembered(hub: Hub, relay: Asker) -> None:
    """The second question is answered from memory, and the hub is asked once."""
    await relay.user(seed.OWNER_ID)
    again = (await relay.user(seed.OWNER_ID)).json()

    assert (again["allowed"], again["cache"], again["stale"]) == (True, "memory", False)
    assert await hub.asker.metric("answers_total") == 1
    assert store_calls(hub.asker.sandbox) == 1
