"""Real alerts: a real Prometheus scrapes the real gateway, faults befall it, and a webhook hears of each.

The rules and routes are the shipped ones; only their minutes are seconds.
"""

from collections.abc import Iterator
from typing import Final

import pytest

from tests.deploy.monitoring import Scene, scene, shipped_rules, until

_RECORDED: Final = sorted({rule["record"] for rule in shipped_rules() if "record" in rule})

_OF_A_BUSY_MACHINE: Final = {"LatencyBudgetBurning", "EventLoopLag"}
"""Alerts that are about the machine, where tests run side by side."""


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A gateway that has been watched for a while."""
    with scene(tmp_path_factory.mktemp("monitored")) as running:
        until(lambda: "Sandbox" in running.firing())
        until(lambda: all(running.query(name) for name in _RECORDED))
        yield running


def _started_at(monitored: Scene) -> str | None:
    """Return when the gateway was started, as Prometheus knows it."""
    found = monitored.query('process_start_time_seconds{job="ownership-gateway"}')
    return found[0]["value"][1] if found else None


def _restart(monitored: Scene) -> None:
    """Start the gateway again, and return once Prometheus has seen it: it starts faster than it is scraped."""
    before = _started_at(monitored)
    monitored.gateway.kill()
    monitored.gateway.start()
    until(lambda: _started_at(monitored) not in {None, before})


def _reaches(monitored: Scene, receiver: str, name: str, status: str = "firing") -> None:
    until(lambda: monitored.webhook.alerts(receiver, name, status))


@pytest.mark.parametrize("name", _RECORDED)
def test_is_recorded(monitored: Scene, name: str) -> None:
    """Every recording rule yields data for a gateway that is asked."""
    assert monitored.query(name)


def test_all_is_well(monitored: Scene) -> None:
    """The only alert that fires is the one that says that this is a sandbox."""
    assert monitored.firing() - _OF_A_BUSY_MACHINE == {"Sandbox"}


def test_the_sandbox_reaches_somebody(monitored: Scene) -> None:
    """A warning arrives where warnings go."""
    _reaches(monitored, "tickets", "Sandbox")

    assert not monitored.webhook.alerts("pager", "Sandbox", "firing")


def test_a_refused_key_reaches_somebody(monitored: Scene) -> None:
    """A refused key is a page with the instructions in it; and its end is sent too."""
    monitored.sandbox("PUT", "seller-key", {"revoked": True})
    try:
        _reaches(monitored, "pager", "SellerKeyRefused")
    finally:
        monitored.sandbox("PUT", "seller-key", {"revoked": False})
    _reaches(monitored, "pager", "SellerKeyRefused", "resolved")

    alert = monitored.webhook.alerts("pager", "SellerKeyRefused", "firing")[0]
    assert alert["labels"]["job"] == "ownership-gateway"
    assert alert["annotations"]["runbook"] == "docs/operations.md#seller-key-refused"


def test_a_throttling_store_reaches_somebody(monitored: Scene) -> None:
    """When itch.io throttles the gateway for long, a warning arrives."""
    monitored.sandbox("PUT", "faults", {"status": 429, "retry_after": "30"})
    try:
        _reaches(monitored, "tickets", "StorePaused")
    finally:
        monitored.sandbox("DELETE", "faults")


def test_noes_that_are_held_back_reach_somebody(monitored: Scene) -> None:
    """While noes about owners are held back there is a page with the instructions in it, and its end is sent too."""
    monitored.believe(believe=False)
    try:
        _reaches(monitored, "pager", "RevocationsHeld")
    finally:
        monitored.believe(believe=True)
    _reaches(monitored, "pager", "RevocationsHeld", "resolved")

    alert = monitored.webhook.alerts("pager", "RevocationsHeld", "firing")[0]
    assert alert["labels"]["game"] == "x-moon"
    assert alert["annotations"]["runbook"] == "docs/operations.md#revocations-held"


def test_a_lost_redis_reaches_somebody(monitored: Scene) -> None:
    """When Redis dies a warning arrives, and its end when it is back."""
    monitored.redis.kill()
    try:
        _reaches(monitored, "tickets", "RedisLost")
    finally:
        monitored.redis.start()
    _reaches(monitored, "tickets", "RedisLost", "resolved")


def test_a_dead_gateway_reaches_somebody(monitored: Scene) -> None:
    """A dead gateway is first a failed scrape, and later no gateway at all."""
    monitored.gateway.kill()
    try:
        _reaches(monitored, "tickets", "Down")
        _reaches(monitored, "pager", "Absent")
    finally:
        monitored.gateway.start()
    _reaches(monitored, "pager", "Absent", "resolved")


def test_a_restarting_gateway_reaches_somebody(monitored: Scene) -> None:
    """A gateway that starts over and over again is a page."""
    for _ in range(3):
        _restart(monitored)

    _reaches(monitored, "pager", "RestartLoop")
