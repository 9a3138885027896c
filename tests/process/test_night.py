"""A bad night in front of a shipped process: health, log and `doctor` name the cause of each trouble.

What the alerts say meanwhile is in tests/deploy, for it needs a Prometheus.
"""

from pathlib import Path

import pytest

from tests.process.night import TROUBLES, mend, nightfall


async def test_each_cause_of_a_night_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked key, no Redis, an expired certificate at the store, and a Redis with another password."""
    diagnoses: list[dict[str, str]] = []
    async with nightfall(tmp_path, monkeypatch) as night:
        for trouble in TROUBLES:
            trouble.befall(night)
            await night.until_health_names(trouble.causes)
            diagnoses.append(await night.diagnosis())
        mend(night)
        await night.until_health_names({})
        await night.gateway.line("redis_found")

    whys = [(line["event"], line["why"]) for line in night.gateway.lines if "why" in line]
    # A question under way may see its connection end, and a busy machine may be late.
    assert [why for why in whys if why[1] not in {"reset", "timeout"}] == [
        (trouble.event, trouble.cause) for trouble in TROUBLES
    ]
    assert diagnoses == [
        {"seller key": "auth"},
        {"redis": "refused"},
        {"seller key": "tls_expired", "redis": "refused"},
        {"redis": "auth"},
    ]
