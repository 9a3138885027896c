"""The OpenAPI description."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from service.api.openapi import describe_api
from service.api.paths import BATCH_PATH, OPERATIONS
from service.ownership import Method
from tests.gateways import PATHS, X_MOON, Asker

pytestmark = pytest.mark.asyncio(loop_scope="module")


TOML = f"[itch]\naccess_tokens = true\n{X_MOON}"


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
        "/games/{game}/channels/{channel}",
        "/verify/redeem",
        "/passes",
        "/passes/invalidated",
        "/email-challenges",
        "/email-challenges/confirm",
        "/.well-known/jwks.json",
        "/admin/invalidate",
        "/admin/revocations",
        "/admin/overrides",
        "/admin/overrides/{id}",
        "/admin/explain",
        "/admin/state",
        "/livez",
        "/readyz",
        "/metrics",
        "/version",
        "/openapi.json",
    }


DESCRIBED: dict[str, Any] = msgspec.json.decode(describe_api())


@pytest.mark.parametrize("path", [*PATHS.values(), BATCH_PATH, "/admin/invalidate", "/admin/revocations"])
async def test_description_names_every_status(path: str) -> None:
    """No status comes as a surprise, that of a gateway with too much to do included."""
    described = DESCRIBED["paths"][path]["post"]["responses"]

    assert set(described) == {"200", "400", "401", "403", "404", "408", "413", "415", "429", "500", "503"}


@pytest.mark.parametrize("path", DESCRIBED["paths"])
async def test_overload_is_described_where_it_can_happen(path: str) -> None:
    """Only health and its neighbours are answered by a gateway that takes on no more."""
    for operation in DESCRIBED["paths"][path].values():
        examples = operation["responses"].get("503", {}).get("content", {}).get("application/problem+json", {})

        assert ("overloaded" in examples.get("examples", {})) == (path not in OPERATIONS)


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Return every body of a request or response that is described, by its place."""
    for path, methods in DESCRIBED["paths"].items():
        for method, operation in methods.items():
            sent = {"request": operation["requestBody"]} if "requestBody" in operation else {}
            for status, response in (sent | operation["responses"]).items():
                for media_type, body in response.get("content", {}).items():
                    yield f"{method} {path} {status} {media_type}", body


@pytest.mark.parametrize(("place", "body"), [pytest.param(*one, id=one[0]) for one in bodies()])
async def test_every_body_has_examples_that_are_such_bodies(place: str, body: dict[str, Any]) -> None:
    """A reader sees what comes at each status, and a tool finds no example that the schema forbids."""
    assert body["examples"], place
    schema = {"$defs": DESCRIBED["components"]["schemas"]} | json.loads(
        json.dumps(body["schema"]).replace("#/components/schemas/", "#/$defs/")
    )
    validator = jsonschema_rs.Draft202012Validator(
        json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/")), validate_formats=True
    )
    for name, example in body["examples"].items():
        assert [str(error) for error in validator.iter_errors(example["value"])] == [], name


@pytest.mark.parametrize(
    ("path", "name", "body"),
    [
        pytest.param(path, name, example["value"], id=f"{path} {name}")
        for path in PATHS.values()
        for name, example in DESCRIBED["paths"][path]["post"]["requestBody"]["content"]["application/json"][
            "examples"
        ].items()
    ],
)
async def test_example_of_a_question_is_one(gateway: Asker, path: str, name: str, body: dict[str, Any]) -> None:
    """The sandbox answers each: a reader can send it as it stands."""
    response = await gateway.http.post(path, json=body)

    assert (response.status_code, response.json()["allowed"]) == (
        200,
        path not in {PATHS[Method.JWT], PATHS[Method.PASS], PATHS[Method.ACCESS_TOKEN]},
    ), name


async def test_nothing_that_is_sent_has_a_default() -> None:
    """Clients that are generated would send the defaults, which are the gateway's and may change."""
    assert '"default"' not in json.dumps(DESCRIBED["components"]["schemas"])


async def test_ids_are_named_as_large() -> None:
    """Clients of typed languages would cut them to 32 bits."""
    schemas = DESCRIBED["components"]["schemas"]

    for schema, field in [("UserQuestion", "user_id"), ("Answer", "game_id"), ("PlayerBody", "id")]:
        assert schemas[schema]["properties"][field]["format"] == "int64"
    assert schemas["GameName"]["anyOf"][0]["format"] == "int64"
    assert "format" not in schemas["UserQuestion"]["properties"]["deadline_ms"]["anyOf"][0]


async def test_texts_have_the_indentation_of_no_program() -> None:
    """They are the docstrings of the code."""
    assert "\\n    " not in json.dumps(DESCRIBED)


async def test_instants_are_named_as_such() -> None:
    """Clients read them as times."""
    schemas = DESCRIBED["components"]["schemas"]
    answer, evidence = schemas["Answer"]["properties"], schemas["EvidenceBody"]["properties"]
    nullable = [answer[f"{name}_at"] for name in ("observed",)] + [answer["fresh_until"], answer["usable_until"]]

    for instant in [*nullable, evidence["acquired_at"]]:
        assert {"type": "string", "format": "date-time"} in instant["anyOf"]
    for name, field in [("Invalidated", "before"), ("RevocationsSet", "until")]:
        assert schemas[name]["properties"][field] == {"type": "string", "format": "date-time"}


async def test_no_answer_is_told_apart_from_other_problems() -> None:
    """No body can be read as both: clients that try one type after the other never lose `allowed`."""
    schemas = DESCRIBED["components"]["schemas"]
    problem, no_answer = schemas["Problem"], schemas["NoAnswerProblem"]

    assert not set(problem["properties"]["status"]["enum"]) & set(no_answer["properties"]["status"]["enum"])
    assert {"allowed", "outcome", "reason", "advice", "retry_after_seconds"} <= set(no_answer["required"])
    assert schemas["Result"]["properties"]["problem"]["oneOf"] == [
        {"$ref": "#/components/schemas/NoAnswerProblem"},
        {"$ref": "#/components/schemas/Problem"},
    ]


async def test_an_object_is_one_class() -> None:
    """An `anyOf` beside its fields has generators make classes without them: `not` says what is demanded."""
    schemas = DESCRIBED["components"]["schemas"]
    split = [
        name
        for name, schema in schemas.items()
        if "properties" in schema and schema.keys() & {"anyOf", "oneOf", "allOf"}
    ]

    assert split == []
    for name in ("EmailQuestion", "EmailItem", "EmailOrder"):
        validator = jsonschema_rs.validator_for(
            {"components": {"schemas": schemas}} | {"$ref": f"#/components/schemas/{name}"}
        )
        asked = {"id": "a", "game": 3, "method": "email", "audience": "server-42"}
        fields = schemas[name]["properties"]
        body = {field: value for field, value in asked.items() if field in fields}
        assert not validator.is_valid(body)
        assert validator.is_valid(body | {"email": "bea@example.com"})
        assert validator.is_valid(body | {"proof": "a.b.c"})


async def test_every_operation_has_a_tag_that_is_explained() -> None:
    """Tools sort operations by their tags; the paths are those of the gateway that is asked."""
    explained = [tag["name"] for tag in DESCRIBED["tags"]]
    used = [tag for methods in DESCRIBED["paths"].values() for one in methods.values() for tag in one["tags"]]

    assert sorted(set(used)) == sorted(explained)
    assert [server["url"] for server in DESCRIBED["servers"]] == ["/"]


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
