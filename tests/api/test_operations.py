"""The endpoints for operators and orchestrators."""

import asyncio
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.api.operations import Health, Readiness
from service.http.connection import Request
from service.sandbox import seed
from service.sandbox.world_content import SellerKeyState
from tests.api.conftest import Open
from tests.gateways import X_MOON, Asker, befall, caller_lines, states_of
from tests.reliability.wrapping import reply_of


async def test_livez_says_alive(gateway: Asker) -> None:
    """`/livez` answers as long as the event loop turns."""
    response = await gateway.http.get("/livez")

    assert (response.status_code, response.json()) == (200, {"status": "alive"})


async def test_readyz_names_its_components(gateway: Asker) -> None:
    """Health lists the state of each component."""
    response = await gateway.http.get("/readyz")

    assert (response.status_code, response.json()) == (
        200,
        {
            "status": "ready",
            "components": {
                "source": "ok",
                "credential": "ok",
                "revocations": "ok",
                "redis": "disabled",
                "secrets": "disabled",
            },
        },
    )


async def test_dead_store_does_not_unready(gateway: Asker) -> None:
    """Owners keep playing, so questions should still be sent here."""
    befall(gateway.sandbox, status=500)
    await gateway.key(seed.OWNER_KEY)

    response = await gateway.http.get("/readyz")

    assert (response.status_code, response.json()["components"]["source"]) == (200, "unavailable")
    assert response.json()["causes"] == {"source": "server_error"}


async def test_throttled_store_shows_as_paused(gateway: Asker) -> None:
    """Operators see that the store asked for peace."""
    befall(gateway.sandbox, status=429, retry_after="7")
    await gateway.key(seed.OWNER_KEY)

    assert states_of(gateway.gateway)["source"] == "paused"
    assert (await gateway.http.get("/readyz")).json()["causes"] == {"source": "throttled"}
    assert await gateway.metric("source_paused_seconds") == 7


async def test_refused_seller_key_shows(gateway: Asker) -> None:
    """Our own dead key is named, and does not unready either."""
    gateway.sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)
    await gateway.key(seed.OWNER_KEY)

    response = await gateway.http.get("/readyz")

    assert (response.status_code, response.json()["components"]["credential"]) == (200, "refused")
    assert response.json()["causes"] == {"credential": "auth"}


async def test_draining_gateway_is_not_ready(gateway: Asker) -> None:
    """A 503 is for load balancers; questions that come are still answered."""
    gateway.gateway.readiness.draining()

    response = await gateway.http.get("/readyz")

    assert (response.status_code, response.json()["status"]) == (503, "draining")
    assert (await gateway.key(seed.OWNER_KEY)).status_code == 200


def test_starting_gateway_is_not_ready() -> None:
    """A gateway that has not started yet should get no questions."""
    assert Readiness({}, causes=dict).report() == (503, Health("starting", {}))


async def test_version_says_what_runs(gateway: Asker) -> None:
    """The version, and whether anything here is real."""
    response = await gateway.http.get("/version")

    assert response.json() == {"version": version("ownership-gateway"), "sandbox": True}


async def test_metrics_are_prometheus_text(gateway: Asker) -> None:
    """The metrics have the format that every scraper reads."""
    response = await gateway.http.get("/metrics")

    assert response.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'ownership_gateway_build_info{sandbox="true",version="' in response.text


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/version", "/openapi.json"])
async def test_operations_need_no_caller(open_with: Open, path: str) -> None:
    """Probes and scrapers have no token; a listener of their own keeps other clients away."""
    gateway = await open_with(X_MOON + caller_lines("lobby", "ogw_token-of-a-test"))

    assert (await gateway.http.get(path)).status_code == 200


async def test_sandbox_can_be_told_what_to_do_through_the_gateway(gateway: Asker) -> None:
    """Game developers let the store fail from their own tests."""
    response = await gateway.http.put("/sandbox/faults", json={"status": 500})

    assert (response.status_code, (await gateway.key(seed.OWNER_KEY)).status_code) == (200, 503)


async def test_gateway_of_the_real_store_has_no_sandbox(open_with: Open) -> None:
    """The faults of a sandbox cannot be set on a gateway of the real store."""
    gateway = await open_with(
        '[itch]\napi_key = "a-seller-key-of-a-test"\nbase_url = "http://127.0.0.1:9"\n' + X_MOON, sandbox=False
    )

    assert (await gateway.http.get("/sandbox/")).status_code == 404


class Counted(Collector):
    """A collector that counts how often the metrics are rendered."""

    def __init__(self) -> None:
        self.times = 0

    def collect(self) -> Iterator[Metric]:
        """Count, and show nothing."""
        self.times += 1
        yield from ()


async def test_scrapes_that_come_together_share_one_rendering(gateway: Asker) -> None:
    """It takes milliseconds in which no question is answered; a later scrape is rendered anew."""
    counted = Counted()
    gateway.gateway.metrics._registry.register(counted)
    before = counted.times
    request = Request(method=b"GET", target=b"/metrics", headers={b"host": b"gateway"})
    application = gateway.gateway.http.application

    replies = await asyncio.gather(*(reply_of(application, request) for _ in range(100)))
    together = counted.times - before
    await reply_of(application, request)

    assert {reply.status for reply in replies} == {200}
    assert (together, counted.times - before) == (1, 2)
