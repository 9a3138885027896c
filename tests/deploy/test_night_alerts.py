"""A bad night in front of a shipped process, which a real Prometheus scrapes: the shipped alerts name each cause."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.deploy.monitoring import Prometheus, until
from tests.process.night import TROUBLES, mend, nightfall


async def test_each_cause_of_a_night_is_in_its_alert(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked key, no Redis, an expired certificate at the store, and a Redis with another password."""
    with ExitStack() as stack:
        http = stack.enter_context(httpx.Client(trust_env=False, verify=False, timeout=10))  # noqa: S501 - loopback
        async with nightfall(tmp_path, monkeypatch) as night:
            prometheus = await asyncio.to_thread(
                Prometheus, tmp_path, stack, watching=night.gateway.base_url, http=http
            )
            for trouble in TROUBLES:
                trouble.befall(night)

                def told(alert: str = trouble.alert, cause: str = trouble.cause) -> bool:
                    return prometheus.descriptions().get(alert, "").endswith(f"Cause: {cause}.")

                await asyncio.to_thread(until, told)
            mend(night)
            await asyncio.to_thread(until, lambda: not prometheus.firing() & {trouble.alert for trouble in TROUBLES})
