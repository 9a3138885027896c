"""The description of the API in OpenAPI 3.1, made from the very structs that read and write the bodies.

The framework's own generator describes what the framework converts; here it converts nothing (see routes.py).
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Final

import msgspec

from service.api.admin import Invalidated, Invalidation, Revocations, RevocationsSet
from service.api.answers import TITLES, Answer
from service.api.batch import BatchAnswer
from service.api.examples import OVERRIDE_ID, Examples, examples_of, problem_examples
from service.api.explained import ExplainRequest, Explanation
from service.api.gateway_state import GatewayState
from service.api.operations import Alive, Health, RunningVersion
from service.api.overrides import OverrideBody, OverrideRequest, OverrideSet
from service.api.paths import (
    BATCH_PATH,
    DESCRIPTION_PATH,
    EXPLAIN_PATH,
    INVALIDATE_PATH,
    OVERRIDES_PATH,
    PATHS,
    REVOCATIONS_PATH,
    STATE_PATH,
)
from service.api.problems import MEDIA_TYPE
from service.api.questions import GAME_TEXT, DownloadKeyQuestion, EmailQuestion, JwtQuestion, QuestionBody, UserQuestion
from service.api.schemas import Schema, ref, schemas_of
from service.ownership import Method, Reason

DESCRIPTION_TYPE: Final = "application/vnd.oai.openapi+json"
"""The media type of the description."""

_JSON: Final = "application/json"
_TEXT: Final = "text/plain"

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

_TAGS: Final = {
    "questions": "Does this player own the game?",
    "administration": "What operators tell a running gateway.",
    "operations": "Health, metrics, version, and this description. They need no token; HEAD is answered as GET.",
}

_PROBLEMS: Final = {
    "400": "The request is unreadable, or not a question: `errors` says where and what.",
    "401": "No caller token, or none that is known.",
    "403": "The caller lacks the right or the game.",
    "404": "No such game is configured.",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than 16 KiB.",
    "415": "The body is not `application/json` in UTF-8.",
    "429": "The caller is over its limit; `Retry-After` says for how long.",
    "500": "A bug of the gateway's.",
}
_WITHOUT_BODY: Final = ("400", "500")
"""The refusals of an endpoint that reads no body and knows no callers."""


@cache
def describe_api() -> bytes:
    """Return the description as JSON; it is made when it is first asked for, not at every start."""
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "Ownership gateway",
            "version": version("ownership-gateway"),
            "summary": "Does this player own the game on itch.io?",
            "description": "Grant content if, and only if, `allowed` is true. A 503 is no answer, not a no.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The gateway that serves this description."}],
        "tags": [{"name": name, "description": description} for name, description in _TAGS.items()],
        "paths": {path: {"post": _question(path, *rest)} for path, rest in _QUESTIONS.items()}
        | {BATCH_PATH: {"post": _batch()}, INVALIDATE_PATH: {"post": _invalidate()}}
        | {REVOCATIONS_PATH: {"post": _set_revocations()}}
        | {OVERRIDES_PATH: {"post": _set_override(), "get": _list_overrides()}}
        | {OVERRIDES_PATH + "/{id}": {"delete": _remove_override()}}
        | {EXPLAIN_PATH: {"post": _explain()}}
        | {STATE_PATH: {"get": _show_state()}}
        | _operations(),
        "components": {
            "schemas": schemas_of(
                [
                    Answer,
                    BatchAnswer,
                    Invalidation,
                    Invalidated,
                    Revocations,
                    RevocationsSet,
                    OverrideRequest,
                    OverrideSet,
                    OverrideBody,
                    ExplainRequest,
                    Explanation,
                    GatewayState,
                    Alive,
                    Health,
                    RunningVersion,
                    *(kind for kind, _, _ in _QUESTIONS.values()),
                ]
            ),
            "headers": _HEADERS,
            "securitySchemes": {"caller": {"type": "http", "scheme": "bearer", "bearerFormat": "ogw_…"}},
        },
        "security": [{"caller": []}, {}],
    }
    return msgspec.json.encode(document)


def _question(path: str, kind: type[QuestionBody], summary: str, description: str) -> Schema:
    answer = _response(
        "The answer, whether yes, no, or that the credential is no good.", "Answer", "Age", "Cache-Status"
    )
    no_answer = _response(
        "No usable answer (`unknown`): ask again after `Retry-After`. Without a decision if the gateway has too much "
        f"to do even to read the question. {_unknown_reasons()}",
        "NoAnswerProblem",
        "Retry-After",
        media_type=MEDIA_TYPE,
    )
    return {
        "tags": ["questions"],
        "operationId": path.removeprefix("/").replace("/", "_").replace("-", "_"),
        "summary": summary,
        "description": description,
        "requestBody": _body(kind.__name__),
        "responses": {"200": answer, **_problem_responses(), "503": no_answer},
    }


def _batch() -> Schema:
    return _with_body(
        "verify_batch",
        "Up to 100 questions at once.",
        "Needs the right `verify`, and each item the rights of its method. Every item gets the status "
        "and body that it would have got alone; equal questions cost one look-up. A mistake in an item is that item's "
        "alone, as long as it has an `id`.",
        body="Batch",
        answer=_response("The results, in the order asked.", "BatchAnswer"),
        tag="questions",
    )


def _invalidate() -> Schema:
    return _with_body(
        "invalidate",
        "Forget what is known about a subject and a game, or about a whole game.",
        "Needs the right `admin`. For instance after a refund. On every replica within two seconds.",
        body="Invalidation",
        answer=_response("What was forgotten.", "Invalidated"),
    )


def _set_revocations() -> Schema:
    return _with_body(
        "set_revocations",
        "Say whether the store's noes about proven owners of a game are to be believed.",
        "Needs the right `admin`. The gateway holds such noes back by itself when there are more of "
        "them than can be true; this word comes first, on every replica within two seconds.",
        body="Revocations",
        answer=_response("What holds now.", "RevocationsSet"),
    )


def _with_body(
    name: str, summary: str, description: str, *, body: str, answer: Schema, tag: str = "administration"
) -> Schema:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        "requestBody": _body(body),
        "responses": {"200": answer, **_problem_responses(), "503": _overloaded()},
    }


def _set_override() -> Schema:
    operation = _with_body(
        "set_override",
        "Let one player of a game in for a while, or keep it out.",
        "Needs the right `override`. Name one of `user_id`, `email` and `download_key`; a key can only "
        "be banned. Setting it again replaces it. What is for good stands in the configuration.",
        body="OverrideRequest",
        answer=_response("What holds now.", "OverrideSet"),
    )
    full = "The game has 1000 overrides already (`too_many_overrides`)."
    operation["responses"]["409"] = _problem_response("409", full)
    return operation


def _list_overrides() -> Schema:
    listed = {"schema": {"type": "array", "items": ref("OverrideBody")}, "examples": _shown(examples_of("overrides"))}
    schema = {"type": "string", "pattern": GAME_TEXT}
    game = {"name": "game", "in": "query", "required": True, "schema": schema, "example": "x-moon"}
    return {
        "tags": ["administration"],
        "operationId": "list_overrides",
        "summary": "The overrides of a game that hold.",
        "description": "Needs the right `override` or `support`. Neither addresses nor keys are shown.",
        "parameters": [game | {"description": "The game's configured slug, or its itch.io id."}],
        "responses": {
            "200": {
                "description": "Those that hold, the latest first.",
                "headers": _header_refs("X-Request-ID"),
                "content": {_JSON: listed},
            },
            **_problem_responses("400", "401", "403", "404", "429", "500"),
            "503": _overloaded(),
        },
    }


def _remove_override() -> Schema:
    one = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "tags": ["administration"],
        "operationId": "remove_override",
        "summary": "Take an override back.",
        "description": "Needs the right `override`. On every replica within two seconds.",
        "parameters": [one | {"description": "The `id` of the override.", "example": OVERRIDE_ID}],
        "responses": {
            "204": {"description": "It holds no more.", "headers": _header_refs("X-Request-ID")},
            **_problem_responses("401", "403", "429", "500"),
            "404": _problem_response(
                "unknown_override", "There is no such override, or none any more (`unknown_override`)."
            ),
            "503": _overloaded(),
        },
    }


def _explain() -> Schema:
    operation = _with_body(
        "explain",
        "Why was a player let in or not?",
        "Needs the right `support`. Name a `decision_id`, or a `game` and one credential; with `ask` "
        "the store is asked now, which needs the right of the credential's method, too. By e-mail no account is named.",
        body="ExplainRequest",
        answer=_response("All that is known.", "Explanation"),
    )
    operation["responses"]["404"] = _problem_response(
        "unknown_decision", "No refusal of that id is remembered (`unknown_decision`), or no such game is configured."
    )
    return operation


def _show_state() -> Schema:
    return {
        "tags": ["administration"],
        "operationId": "show_state",
        "summary": "The state of this process, and what the caller may do.",
        "description": "Needs the right `support`. The console shows it.",
        "responses": {
            "200": _response("The state.", "GatewayState"),
            **_problem_responses("401", "403", "429", "500"),
            "503": _overloaded(),
        },
    }


def _operations() -> dict[str, Schema]:
    ready = _response("Send questions here, whatever state `components` are in.", "Health", examples=("ready",))
    not_ready = _response("Starting or draining: send no questions here.", "Health", examples=("draining",))
    metrics = _text("Prometheus' text format.", _TEXT, "# TYPE ownership_gateway_up gauge\nownership_gateway_up 1.0\n")
    description = {
        "description": "OpenAPI 3.1.",
        "headers": _header_refs("X-Request-ID"),
        "content": {
            DESCRIPTION_TYPE: {
                "schema": {"type": "object", "description": "A description in OpenAPI 3.1."},
                "examples": {"beginning": {"value": {"openapi": "3.1.0", "info": {"title": "Ownership gateway"}}}},
            }
        },
    }
    return {
        "/livez": {"get": _operation("livez", "Alive?", {"200": _response("The event loop turns.", "Alive")})},
        "/readyz": {"get": _operation("readyz", "Ready?", {"200": ready, "503": not_ready})},
        "/metrics": {"get": _operation("metrics", "Metrics.", {"200": metrics})},
        "/version": {
            "get": _operation("version", "Version.", {"200": _response("What is running.", "RunningVersion")})
        },
        DESCRIPTION_PATH: {"get": _operation("openapi", "This.", {"200": description, "503": _overloaded()})},
    }


def _operation(name: str, summary: str, responses: Mapping[str, object]) -> Schema:
    told = {"tags": ["operations"], "operationId": name, "summary": summary, "security": []}
    return told | {"responses": {**responses, **_problem_responses(*_WITHOUT_BODY)}}


def _body(name: str) -> Schema:
    return {"required": True, "content": {_JSON: {"schema": ref(name), "examples": _shown(examples_of(name))}}}


def _response(
    description: str, name: str, *headers: str, media_type: str = _JSON, examples: tuple[str, ...] = ()
) -> Schema:
    """Return a response whose body has this schema, with those of its examples, or with all."""
    shown = examples_of(name)
    return {
        "description": description,
        "headers": _header_refs(*headers, "X-Request-ID"),
        "content": {
            media_type: {
                "schema": ref(name),
                "examples": _shown({one: shown[one] for one in examples or shown}),
            }
        },
    }


def _text(description: str, media_type: str, example: str) -> Schema:
    return {
        "description": description,
        "headers": _header_refs("X-Request-ID"),
        "content": {media_type: {"schema": {"type": "string"}, "examples": {"part": {"value": example}}}},
    }


def _overloaded() -> Schema:
    return _response(
        f"{TITLES[Reason.OVERLOADED]}, so that the request was not read: send it again after `Retry-After`.",
        "NoAnswerProblem",
        "Retry-After",
        media_type=MEDIA_TYPE,
        examples=("overloaded",),
    )


def _problem_responses(*statuses: str) -> dict[str, Schema]:
    """Return the refusals of these statuses, without any those of an endpoint that reads a body."""
    return {status: _problem_response(status, _PROBLEMS[status]) for status in statuses or _PROBLEMS}


def _problem_response(example: str, description: str) -> Schema:
    """Return the response for a refusal; `example` is its status, or the code of a rarer one of the same status."""
    own = {"401": ("WWW-Authenticate",), "429": ("Retry-After",)}.get(example, ())
    return {
        "description": description,
        "headers": _header_refs(*own, "X-Request-ID"),
        "content": {
            MEDIA_TYPE: {
                "schema": ref("Problem"),
                "examples": _shown(problem_examples(example)),
            }
        },
    }


def _shown(examples: Examples) -> dict[str, Schema]:
    return {name: {"value": value} for name, value in examples.items()}


def _unknown_reasons() -> str:
    return "Reasons: " + "; ".join(f"`{reason}`: {title}" for reason, title in TITLES.items()) + "."


_HEADERS: Final = {
    "Age": {"description": "Seconds since the store was asked (RFC 9111).", "schema": {"type": "integer"}},
    "Cache-Status": {"description": "What the cache did (RFC 9211).", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until asking again makes sense.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "The scheme of the token: `Bearer`.", "schema": {"type": "string"}},
    "X-Request-ID": {"description": "The caller's own id, or a new one.", "schema": {"type": "string"}},
}


def _header_refs(*names: str) -> Schema:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
