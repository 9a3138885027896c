"""The OpenAPI description."""

import json

import pytest

from tests.gateways import PATHS, Asker

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """The gateway of this module."""
    return shared


async def test_description_names_every_endpoint(gateway: Asker) -> None:
    """OpenAPI 3.1, with all there is to ask."""
    response = await gateway.http.get("/openapi.json")

    described = response.json()
    assert response.headers["content-type"].startswith("application/vnd.oai.openapi+json")
    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]) == {
        *PATHS.values(),
        "/verify/batch",
        "/admin/invalidate",
        "/admin/revocations",
        "/admin/overrides",
        "/admin/overrides/{id}",
        "/livez",
        "/readyz",
        "/metrics",
        "/version",
        "/openapi.json",
    }


@pytest.mark.parametrize("path", [*PATHS.values(), "/verify/batch"])
async def test_description_names_every_status(gateway: Asker, path: str) -> None:
    """No status comes as a surprise; a batch is answered with 200 where a question would get 503."""
    described = (await gateway.http.get("/openapi.json")).json()["paths"][path]["post"]["responses"]

    wanted = {"200", "400", "401", "403", "404", "408", "413", "415", "429", "500"}
    assert set(described) == wanted | ({"503"} if path != "/verify/batch" else set())


async def test_description_points_only_at_what_it_holds(gateway: Asker) -> None:
    """Every reference in the description leads to a part of it."""
    text = (await gateway.http.get("/openapi.json")).text
    described = json.loads(text)

    for reference in references_in(described):
        found = described
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references_in(part: object) -> set[str]:
    """Return every `$ref` in a description."""
    if isinstance(part, dict):
        own = {part["$ref"]} if isinstance(part.get("$ref"), str) else set()
        return own.union(*map(references_in, part.values()))
    return set().union(*map(references_in, part)) if isinstance(part, list) else set()
