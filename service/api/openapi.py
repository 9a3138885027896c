"""The description of the API in OpenAPI 3.1, made from the very structs that read and write the bodies.

The framework's own generator describes what the framework converts; here it converts nothing (see routes.py).
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from service.api.admin import Invalidated, Invalidation, Revocations, RevocationsSet
from service.api.answers import TITLES, Answer, NoAnswerProblem
from service.api.batch import BatchAnswer
from service.api.operations import Health
from service.api.overrides import OverrideBody, OverrideRequest, OverrideSet
from service.api.paths import BATCH_PATH, INVALIDATE_PATH, OVERRIDES_PATH, PATHS, REVOCATIONS_PATH
from service.api.problems import MEDIA_TYPE, Problem
from service.api.questions import (
    GAME_TEXT,
    Batch,
    DownloadKeyQuestion,
    EmailQuestion,
    Item,
    ItemHead,
    JwtQuestion,
    Presented,
    QuestionBody,
    UserQuestion,
)
from service.ownership import Method

_JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{name}"

_QUESTIONS: Final[Mapping[str, tuple[type[QuestionBody], str, str]]] = {
    PATHS[Method.DOWNLOAD_KEY]: (
        DownloadKeyQuestion,
        "Does whoever holds this download key own the game?",
        "Needs the right `verify`. Takes the key itself, or the whole download URL that a player pasted.",
    ),
    PATHS[Method.JWT]: (
        JwtQuestion,
        "Does the player to whom the itch.io app gave this JWT own the game?",
        "Needs the right `verify`. itch.io is asked whose the JWT is; nothing in it is believed.",
    ),
    PATHS[Method.EMAIL]: (
        EmailQuestion,
        "Does the player who controls this address own the game?",
        "Needs the rights `verify` and `assert:email`: the caller vouches for the address.",
    ),
    PATHS[Method.USER]: (
        UserQuestion,
        "Does this itch.io user own the game?",
        "Needs the right `assert:user`: the caller vouches for the user.",
    ),
}

_PROBLEMS: Final = {
    "400": "The body is unreadable, or not a question: `errors` says where and what.",
    "401": "No caller token, or none that is known.",
    "403": "The caller lacks the right or the game.",
    "404": "No such game is configured.",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than 16 KiB.",
    "415": "The body is not `application/json` in UTF-8.",
    "429": "The caller is over its limit; `Retry-After` says for how long.",
    "500": "A bug of the gateway's.",
}


@cache
def describe_api() -> bytes:
    """Return the description as JSON; it is made when it is first asked for, not at every start."""
    schemas, components = msgspec.json.schema_components(
        [
            Answer,
            NoAnswerProblem,
            Problem,
            Batch,
            BatchAnswer,
            Item,
            ItemHead,
            Invalidation,
            Invalidated,
            Revocations,
            RevocationsSet,
            Health,
            OverrideRequest,
            OverrideSet,
            OverrideBody,
            *(kind for kind, _, _ in _QUESTIONS.values()),
        ],
        schema_hook=_schema_of_custom,
        ref_template=_REF,
    )
    # A batch reads each item on its own: it takes anything with an id, and each result is an answer or a problem.
    components["Batch"]["properties"]["items"]["items"] = {"anyOf": [schemas[5], schemas[6]]}
    components["Result"]["properties"]["decision"] = {"$ref": _REF.format(name="Answer")}
    components["Result"]["properties"]["problem"] = {
        "anyOf": [{"$ref": _REF.format(name=name)} for name in ("Problem", "NoAnswerProblem")]
    }
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Ownership gateway",
            "version": version("ownership-gateway"),
            "summary": "Does this player own the game on itch.io?",
            "description": "Grant content if, and only if, `allowed` is true. A 503 is no answer, not a no.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {path: {"post": _question(path, *rest)} for path, rest in _QUESTIONS.items()}
        | {BATCH_PATH: {"post": _batch()}, INVALIDATE_PATH: {"post": _invalidate()}}
        | {REVOCATIONS_PATH: {"post": _set_revocations()}}
        | {OVERRIDES_PATH: {"post": _set_override(), "get": _list_overrides()}}
        | {OVERRIDES_PATH + "/{id}": {"delete": _remove_override()}}
        | _operations(),
        "components": {
            "schemas": components,
            "headers": _HEADERS,
            "securitySchemes": {"caller": {"type": "http", "scheme": "bearer", "bearerFormat": "ogw_…"}},
        },
        "security": [{"caller": []}, {}],
    }
    return msgspec.json.encode(document)


def _schema_of_custom(kind: type[Any]) -> dict[str, object]:
    if kind is Presented:
        return {"type": "string", "format": "password"}
    raise AssertionError(f"no schema for {kind.__name__}")


def _question(path: str, kind: type[QuestionBody], summary: str, description: str) -> dict[str, object]:
    return {
        "operationId": path.removeprefix("/").replace("/", "_").replace("-", "_"),
        "summary": summary,
        "description": description,
        "requestBody": _body(kind.__name__),
        "responses": {
            "200": _response("The answer, whether yes, no, or that the credential is no good.", _JSON, "Answer")
            | {"headers": _header_refs("Age", "Cache-Status", "X-Request-ID")},
            "503": _response(
                "No usable answer (`unknown`): ask again after `Retry-After`. " + _unknown_reasons(),
                MEDIA_TYPE,
                "NoAnswerProblem",
            )
            | {"headers": _header_refs("Retry-After", "X-Request-ID")},
            **_problem_responses(),
        },
    }


def _batch() -> dict[str, object]:
    return {
        "operationId": "verify_batch",
        "summary": "Up to 100 questions at once.",
        "description": "Needs the right `verify`, and each item the rights of its method. Every item gets the status "
        "and body that it would have got alone; equal questions cost one look-up.",
        "requestBody": _body("Batch"),
        "responses": {
            "200": _response("The results, in the order asked.", _JSON, "BatchAnswer"),
            **_problem_responses(),
        },
    }


def _invalidate() -> dict[str, object]:
    return {
        "operationId": "invalidate",
        "summary": "Forget what is known about a subject and a game, or about a whole game.",
        "description": "Needs the right `admin`. For instance after a refund, of which itch.io tells nobody. "
        "On every replica within two seconds.",
        "requestBody": _body("Invalidation"),
        "responses": {"200": _response("What was forgotten.", _JSON, "Invalidated"), **_problem_responses()},
    }


def _set_revocations() -> dict[str, object]:
    return {
        "operationId": "set_revocations",
        "summary": "Say whether the store's noes about proven owners of a game are to be believed.",
        "description": "Needs the right `admin`. The gateway holds such noes back by itself when there are more of "
        "them than can be true; this word comes first, on every replica within two seconds.",
        "requestBody": _body("Revocations"),
        "responses": {"200": _response("What holds now.", _JSON, "RevocationsSet"), **_problem_responses()},
    }


def _set_override() -> dict[str, object]:
    return {
        "operationId": "set_override",
        "summary": "Let one player of a game in for a while, or keep it out.",
        "description": "Needs the right `override`. Name one of `user_id`, `email` and `download_key`; a key can only "
        "be banned. Setting it again replaces it. What is for good stands in the configuration.",
        "requestBody": _body("OverrideRequest"),
        "responses": {
            "200": _response("What holds now.", _JSON, "OverrideSet"),
            **_problem_responses(),
            "409": _problem_response("The game has 1000 overrides already (`too_many_overrides`)."),
        },
    }


def _list_overrides() -> dict[str, object]:
    items = {"type": "array", "items": {"$ref": _REF.format(name="OverrideBody")}}
    listed = {"description": "Those that hold, the latest first.", "content": {_JSON: {"schema": items}}}
    schema = {"type": "string", "pattern": GAME_TEXT}
    game = {"name": "game", "in": "query", "required": True, "schema": schema}
    return {
        "operationId": "list_overrides",
        "summary": "The overrides of a game that hold.",
        "description": "Needs the right `override` or `support`. Neither addresses nor keys are shown.",
        "parameters": [game | {"description": "The game's configured slug, or its itch.io id."}],
        "responses": {"200": listed, **_problem_responses("400", "401", "403", "404", "429", "500")},
    }


def _remove_override() -> dict[str, object]:
    one = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "operationId": "remove_override",
        "summary": "Take an override back.",
        "description": "Needs the right `override`. On every replica within two seconds.",
        "parameters": [one | {"description": "The `id` of the override."}],
        "responses": {
            "204": {"description": "It holds no more.", "headers": _header_refs("X-Request-ID")},
            **_problem_responses("401", "403", "429", "500"),
            "404": _problem_response("There is no such override, or none any more (`unknown_override`)."),
        },
    }


def _operations() -> dict[str, object]:
    alive = {"description": "The event loop turns."}
    ready = _response("Send questions here, whatever state `components` are in.", _JSON, "Health")
    not_ready = _response("Starting or draining: send no questions here.", _JSON, "Health")
    return {
        "/livez": {"get": _operation("livez", "Alive?", {"200": alive})},
        "/readyz": {"get": _operation("readyz", "Ready?", {"200": ready, "503": not_ready})},
        "/metrics": {"get": _operation("metrics", "Metrics", {"200": {"description": "Prometheus' text format."}})},
        "/version": {"get": _operation("version", "Version", {"200": {"description": "What is running."}})},
        "/openapi.json": {"get": _operation("openapi", "This", {"200": {"description": "OpenAPI 3.1."}})},
    }


def _operation(name: str, summary: str, responses: Mapping[str, object]) -> dict[str, object]:
    return {"operationId": name, "summary": summary, "security": [], "responses": responses}


def _body(name: str) -> dict[str, object]:
    return {"required": True, "content": {_JSON: {"schema": {"$ref": _REF.format(name=name)}}}}


def _response(description: str, media_type: str, name: str) -> dict[str, object]:
    return {"description": description, "content": {media_type: {"schema": {"$ref": _REF.format(name=name)}}}}


def _problem_responses(*statuses: str) -> dict[str, object]:
    """Return the refusals of these statuses, without any those of an endpoint that reads a body."""
    return {
        status: _problem_response(_PROBLEMS[status], *(("Retry-After",) if status == "429" else ()))
        for status in statuses or _PROBLEMS
    }


def _problem_response(description: str, *headers: str) -> dict[str, object]:
    return _response(description, MEDIA_TYPE, "Problem") | {"headers": _header_refs(*headers, "X-Request-ID")}


def _unknown_reasons() -> str:
    return "Reasons: " + "; ".join(f"`{reason}`: {title}" for reason, title in TITLES.items()) + "."


_HEADERS: Final = {
    "Age": {"description": "Seconds since the store was asked (RFC 9111).", "schema": {"type": "integer"}},
    "Cache-Status": {"description": "What the cache did (RFC 9211).", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until asking again makes sense.", "schema": {"type": "integer"}},
    "X-Request-ID": {"description": "The caller's own id, or a new one.", "schema": {"type": "string"}},
}


def _header_refs(*names: str) -> dict[str, object]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
