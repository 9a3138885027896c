"""The faults that have a name, as a gateway in front of the sandbox meets them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from service.clock import SystemClock
from service.sandbox import seed
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, opened, settings_from

REASONS: Final = {
    "outage": "source_unavailable",
    "throttle": "source_rate_limited",
    "key_revoked": "gateway_credential",
    "slow": "deadline_exceeded",
}


@pytest.fixture
async def gateway(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Asker]:
    """A gateway that has the sandbox's time, ahead of that of the machine."""
    settings = settings_from(tmp_path, X_MOON)
    async with opened(settings, clock=clock, log=LogLines(), real_clock=SystemClock()) as open_gateway:
        yield open_gateway


@pytest.mark.parametrize(("name", "reason"), REASONS.items())
async def test_each_has_its_reason_and_ends_at_once(gateway: Asker, name: str, reason: str) -> None:
    """A new player is kept waiting for that reason, and is let in as soon as the fault is gone."""
    await gateway.http.put("/sandbox/faults", json={"name": name})
    during = await gateway.user(seed.OWNER_ID)
    await gateway.http.delete("/sandbox/faults")
    after = await gateway.user(seed.OWNER_ID)

    assert (during.status_code, during.json()["reason"]) == (503, reason)
    assert after.json()["outcome"] == "owned"


async def test_a_slow_store_costs_time_of_the_sandbox_alone(gateway: Asker) -> None:
    """The deadline passes on the clock, a hundred times as fast as on the machine's."""
    machine = SystemClock()
    began, before = machine.monotonic(), gateway.sandbox.clock.ahead
    await gateway.http.put("/sandbox/faults", json={"name": "slow"})
    await gateway.user(seed.OWNER_ID, deadline_ms=5_000)

    passed = (gateway.sandbox.clock.ahead - before).total_seconds()
    assert passed >= 4
    assert machine.monotonic() - began < passed


async def test_players_are_known_while_the_key_is_revoked(gateway: Asker) -> None:
    """The store refuses the seller's key alone: whose a JWT is, it still says."""
    await gateway.http.put("/sandbox/faults", json={"name": "key_revoked"})

    answer = await gateway.jwt(gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt)

    assert answer.json()["reason"] == "gateway_credential"
    assert gateway.sandbox.journal.report().last[0].status == 200


async def test_a_fault_with_a_name_can_be_bounded(gateway: Asker) -> None:
    """By an endpoint, a number of times or a share."""
    await gateway.http.put("/sandbox/faults", json={"name": "outage", "times": 1})

    during = await gateway.user(seed.OWNER_ID)
    shown = (await gateway.http.get("/sandbox/faults")).json()
    await gateway.http.post("/sandbox/clock", json={"advance_seconds": 10})
    after = await gateway.user(seed.OWNER_ID)

    assert (during.status_code, after.json()["outcome"]) == (503, "owned")
    assert shown == {"faults": [{"fault": {"times": 1, "name": "outage"}, "befallen": 1}]}
