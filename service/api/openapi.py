"""The description of the API in OpenAPI 3.1, made from the very structs that read and write the bodies.

The framework's own generator describes what the framework converts; here it converts nothing (see routes.py).
"""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any, Final

import msgspec

from service.api.admin import Invalidated, Invalidation, Revocations, RevocationsSet
from service.api.answers import Answer, AnswerWithPass
from service.api.batch import BatchAnswer
from service.api.challenge_bodies import ChallengeBegun, ChallengeRequest, CodeAnswer, CodeRequest
from service.api.challenge_description import confirm_code, mail_code
from service.api.channel_body import ChannelAnswer
from service.api.channel_description import find_newest_version
from service.api.description_parts import (
    HEADERS,
    JSON,
    TEXT,
    body_of,
    header_refs,
    operation,
    overloaded,
    problem_response,
    problem_responses,
    response_of,
    responses_to_question,
    shown,
    text_response,
)
from service.api.examples import OVERRIDE_ID, examples_of
from service.api.explained import ExplainRequest, Explanation
from service.api.gateway_state import GatewayState
from service.api.operations import Alive, Health, RunningVersion
from service.api.overrides import OverrideBody, OverrideRequest, OverrideSet
from service.api.pass_bodies import PublicKeys, VoidPassesBody
from service.api.pass_description import ask_for_pass, show_keys, show_void_passes
from service.api.paths import (
    ADMIN_BELOW,
    BATCH_PATH,
    CHALLENGES_PATH,
    CHANNEL_PATH,
    CONFIRM_PATH,
    DESCRIPTION_PATH,
    EXPLAIN_PATH,
    INVALIDATE_PATH,
    KEYS_PATH,
    OVERRIDES_PATH,
    PASSES_PATH,
    PATHS,
    REDEEM_PATH,
    REVOCATIONS_PATH,
    STATE_PATH,
    VOID_PASSES_PATH,
)
from service.api.questions import (
    GAME_TEXT,
    AccessTokenQuestion,
    DownloadKeyQuestion,
    EmailQuestion,
    JwtQuestion,
    PassQuestion,
    QuestionBody,
    UserQuestion,
)
from service.api.redeem_bodies import RedeemAnswer, RedeemQuestion
from service.api.redeem_description import verify_redeem
from service.api.schemas import Schema, ref, schemas_of
from service.ownership import Method

DESCRIPTION_TYPE: Final = "application/vnd.oai.openapi+json"
"""The media type of the description."""

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
    PATHS[Method.ACCESS_TOKEN]: (
        AccessTokenQuestion,
        "Does the player who gave the game's application this access token own the game?",
        "Needs the right `verify`. itch.io is asked whether the application is one of the game's creator, and whose "
        "the token is. 404 (`not_enabled`) where access tokens are off.",
    ),
    PATHS[Method.PASS]: (
        PassQuestion,
        "May the player to whom this pass was given still play?",
        "Needs the right `verify`. 404 (`not_enabled`) where there are no passes.",
    ),
}

_TAGS: Final = {
    "questions": "Does this player own the game?",
    "passes": "Signed decisions, which other servers check by themselves. 404 (`not_enabled`) where they are off.",
    "channels": "The newest versions of a game. 404 (`not_enabled`) where no channels are configured.",
    "redeem": "Purchases of sub-products (DLC). 404 (`not_enabled`) where no secret for them is configured.",
    "challenges": "Codes that are mailed to players, to prove addresses. 404 (`not_enabled`) where they are off.",
    "administration": "What operators tell a running gateway.",
    "operations": "Health, metrics, version, and this description. They need no token; HEAD is answered as GET.",
}


@cache
def describe_api(*, relay: bool = False) -> bytes:
    """Return the description as JSON; it is made when it is first asked for, not at every start.

    A relay has no administration.
    """
    document: dict[str, Any] = {
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
        | {
            PASSES_PATH: {"post": ask_for_pass()},
            KEYS_PATH: {"get": show_keys()},
            VOID_PASSES_PATH: {"get": show_void_passes()},
            CHALLENGES_PATH: {"post": mail_code()},
            CONFIRM_PATH: {"post": confirm_code()},
        }
        | {CHANNEL_PATH: {"get": find_newest_version()}, REDEEM_PATH: {"post": verify_redeem()}}
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
                    AnswerWithPass,
                    PublicKeys,
                    ChallengeRequest,
                    ChallengeBegun,
                    CodeRequest,
                    CodeAnswer,
                    VoidPassesBody,
                    BatchAnswer,
                    ChannelAnswer,
                    RedeemQuestion,
                    RedeemAnswer,
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
            "headers": HEADERS,
            "securitySchemes": {"caller": {"type": "http", "scheme": "bearer", "bearerFormat": "ogw_…"}},
        },
        "security": [{"caller": []}, {}],
    }
    if relay:
        document["paths"] = {path: at for path, at in document["paths"].items() if not path.startswith(ADMIN_BELOW)}
        document["tags"] = [tag for tag in document["tags"] if tag["name"] != "administration"]
    return msgspec.json.encode(document)


def _question(path: str, kind: type[QuestionBody], summary: str, description: str) -> Schema:
    return {
        "tags": ["questions"],
        "operationId": path.removeprefix("/").replace("/", "_").replace("-", "_"),
        "summary": summary,
        "description": description,
        "requestBody": body_of(kind.__name__),
        "responses": responses_to_question("Answer"),
    }


def _batch() -> Schema:
    return _with_body(
        "verify_batch",
        "Up to 100 questions at once.",
        "Needs the right `verify`, and each item the rights of its method. Every item gets the status "
        "and body that it would have got alone; equal questions cost one look-up. A mistake in an item is that item's "
        "alone, as long as it has an `id`.",
        body="Batch",
        answer=response_of("The results, in the order asked.", "BatchAnswer"),
        tag="questions",
    )


def _invalidate() -> Schema:
    return _with_body(
        "invalidate",
        "Forget what is known about a subject and a game, or about a whole game.",
        "Needs the right `admin`. For instance after a refund. On every replica within two seconds.",
        body="Invalidation",
        answer=response_of("What was forgotten.", "Invalidated"),
    )


def _set_revocations() -> Schema:
    return _with_body(
        "set_revocations",
        "Say whether the store's noes about proven owners of a game are to be believed.",
        "Needs the right `admin`. The gateway holds such noes back by itself when there are more of "
        "them than can be true; this word comes first, on every replica within two seconds.",
        body="Revocations",
        answer=response_of("What holds now.", "RevocationsSet"),
    )


def _with_body(
    name: str, summary: str, description: str, *, body: str, answer: Schema, tag: str = "administration"
) -> Schema:
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        "requestBody": body_of(body),
        "responses": {"200": answer, **problem_responses(), "503": overloaded()},
    }


def _set_override() -> Schema:
    described = _with_body(
        "set_override",
        "Let one player of a game in for a while, or keep it out.",
        "Needs the right `override`. Name one of `user_id`, `email` and `download_key`; a key can only "
        "be banned. Setting it again replaces it. What is for good stands in the configuration.",
        body="OverrideRequest",
        answer=response_of("What holds now.", "OverrideSet"),
    )
    full = "The game has 1000 overrides already (`too_many_overrides`)."
    described["responses"]["409"] = problem_response("409", full)
    return described


def _list_overrides() -> Schema:
    listed = {"schema": {"type": "array", "items": ref("OverrideBody")}, "examples": shown(examples_of("overrides"))}
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
                "headers": header_refs("X-Request-ID"),
                "content": {JSON: listed},
            },
            **problem_responses("400", "401", "403", "404", "429", "500"),
            "503": overloaded(),
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
            "204": {"description": "It holds no more.", "headers": header_refs("X-Request-ID")},
            **problem_responses("401", "403", "429", "500"),
            "404": problem_response(
                "unknown_override", "There is no such override, or none any more (`unknown_override`)."
            ),
            "503": overloaded(),
        },
    }


def _explain() -> Schema:
    described = _with_body(
        "explain",
        "Why was a player let in or not?",
        "Needs the right `support`. Name a `decision_id`, or a `game` and one credential; with `ask` "
        "the store is asked now, which needs the right of the credential's method, too. By e-mail no account is named.",
        body="ExplainRequest",
        answer=response_of("All that is known.", "Explanation"),
    )
    described["responses"]["404"] = problem_response(
        "unknown_decision", "No refusal of that id is remembered (`unknown_decision`), or no such game is configured."
    )
    return described


def _show_state() -> Schema:
    return {
        "tags": ["administration"],
        "operationId": "show_state",
        "summary": "The state of this process, and what the caller may do.",
        "description": "Needs the right `support`. The console shows it.",
        "responses": {
            "200": response_of("The state.", "GatewayState"),
            **problem_responses("401", "403", "429", "500"),
            "503": overloaded(),
        },
    }


def _operations() -> dict[str, Schema]:
    ready = response_of("Send questions here, whatever state `components` are in.", "Health", examples=("ready",))
    not_ready = response_of("Starting or draining: send no questions here.", "Health", examples=("draining",))
    metrics = text_response(
        "Prometheus' text format.", TEXT, "# TYPE ownership_gateway_up gauge\nownership_gateway_up 1.0\n"
    )
    description = {
        "description": "OpenAPI 3.1.",
        "headers": header_refs("X-Request-ID"),
        "content": {
            DESCRIPTION_TYPE: {
                "schema": {"type": "object", "description": "A description in OpenAPI 3.1."},
                "examples": {"beginning": {"value": {"openapi": "3.1.0", "info": {"title": "Ownership gateway"}}}},
            }
        },
    }
    return {
        "/livez": {"get": operation("livez", "Alive?", {"200": response_of("The event loop turns.", "Alive")})},
        "/readyz": {"get": operation("readyz", "Ready?", {"200": ready, "503": not_ready})},
        "/metrics": {"get": operation("metrics", "Metrics.", {"200": metrics})},
        "/version": {
            "get": operation("version", "Version.", {"200": response_of("What is running.", "RunningVersion")})
        },
        DESCRIPTION_PATH: {"get": operation("openapi", "This.", {"200": description, "503": overloaded()})},
    }
