"""The parts that the descriptions of all endpoints are made of."""

from collections.abc import Mapping
from typing import Final

from service.api.answers import TITLES
from service.api.examples import Examples, examples_of, problem_examples
from service.api.problems import MEDIA_TYPE
from service.api.schemas import Schema, ref
from service.ownership import Reason

JSON: Final = "application/json"
TEXT: Final = "text/plain"

_PROBLEMS: Final = {
    "400": "The request is unreadable, or not a question: `errors` says where and what.",
    "401": "No caller token, or none that is known.",
    "403": "The caller lacks the right or the game.",
    "404": "No such game is configured (`unknown_game`), or this is not turned on (`not_enabled`).",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than 16 KiB.",
    "415": "The body is not `application/json` in UTF-8.",
    "429": "The caller is over its limit; `Retry-After` says for how long.",
    "500": "A bug of the gateway's.",
}
WITHOUT_BODY: Final = ("400", "500")
"""The refusals of an endpoint that reads no body and knows no callers."""


def responses_to_question(answer: str) -> Schema:
    """Return the responses of an endpoint that answers one question."""
    return {
        "200": response_of(
            "The answer, whether yes, no, or that the credential is no good.", answer, "Age", "Cache-Status"
        ),
        **problem_responses(),
        "503": response_of(
            "No usable answer (`unknown`): ask again after `Retry-After`. Without a decision if the gateway has too "
            f"much to do even to read the question. {_unknown_reasons()}",
            "NoAnswerProblem",
            "Retry-After",
            media_type=MEDIA_TYPE,
        ),
    }


def operation(name: str, summary: str, responses: Mapping[str, object]) -> Schema:
    """Return the description of an operational endpoint."""
    return {
        "tags": ["operations"],
        "operationId": name,
        "summary": summary,
        "security": [],
        "responses": {**responses, **problem_responses(*WITHOUT_BODY)},
    }


def body_of(name: str) -> Schema:
    """Return a body that is required, and has this schema."""
    return {"required": True, "content": {JSON: {"schema": ref(name), "examples": shown(examples_of(name))}}}


def response_of(
    description: str, name: str, *headers: str, media_type: str = JSON, examples: tuple[str, ...] = ()
) -> Schema:
    """Return a response whose body has this schema, with those of its examples, or with all."""
    known = examples_of(name)
    return {
        "description": description,
        "headers": header_refs(*headers, "X-Request-ID"),
        "content": {
            media_type: {
                "schema": ref(name),
                "examples": shown({one: known[one] for one in examples or known}),
            }
        },
    }


def text_response(description: str, media_type: str, example: str) -> Schema:
    """Return a response whose body is text."""
    return {
        "description": description,
        "headers": header_refs("X-Request-ID"),
        "content": {media_type: {"schema": {"type": "string"}, "examples": {"part": {"value": example}}}},
    }


def overloaded() -> Schema:
    """Return the 503 of a gateway that has too much to do even to read the request."""
    return response_of(
        f"{TITLES[Reason.OVERLOADED]}, so that the request was not read: send it again after `Retry-After`.",
        "NoAnswerProblem",
        "Retry-After",
        media_type=MEDIA_TYPE,
        examples=("overloaded",),
    )


def problem_responses(*statuses: str) -> dict[str, Schema]:
    """Return the refusals of these statuses, without any those of an endpoint that reads a body."""
    return {status: problem_response(status, _PROBLEMS[status]) for status in statuses or _PROBLEMS}


def problem_response(example: str, description: str) -> Schema:
    """Return the response for a refusal; `example` is its status, or the code of a rarer one of the same status."""
    own = {"401": ("WWW-Authenticate",), "429": ("Retry-After",)}.get(example, ())
    return {
        "description": description,
        "headers": header_refs(*own, "X-Request-ID"),
        "content": {
            MEDIA_TYPE: {
                "schema": ref("Problem"),
                "examples": shown(problem_examples(example)),
            }
        },
    }


def shown(examples: Examples) -> dict[str, Schema]:
    """Return examples as a description has them."""
    return {name: {"value": value} for name, value in examples.items()}


def _unknown_reasons() -> str:
    return "Reasons: " + "; ".join(f"`{reason}`: {title}" for reason, title in TITLES.items()) + "."


HEADERS: Final = {
    "Age": {"description": "Seconds since the store was asked (RFC 9111).", "schema": {"type": "integer"}},
    "Cache-Control": {"description": "How long it may be kept (RFC 9111).", "schema": {"type": "string"}},
    "Cache-Status": {"description": "What the cache did (RFC 9211).", "schema": {"type": "string"}},
    "ETag": {"description": "What tells the list from any other.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until asking again makes sense.", "schema": {"type": "integer"}},
    "WWW-Authenticate": {"description": "The scheme of the token: `Bearer`.", "schema": {"type": "string"}},
    "X-Request-ID": {"description": "The caller's own id, or a new one.", "schema": {"type": "string"}},
}


def header_refs(*names: str) -> Schema:
    """Return references to descriptions of header fields."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
