"""The description of the endpoints of passes."""

from service.api.description_parts import (
    WITHOUT_BODY,
    body_of,
    header_refs,
    overloaded,
    problem_responses,
    response_of,
    responses_to_question,
)
from service.api.schemas import Schema


def ask_for_pass() -> Schema:
    """Describe `POST /passes`."""
    return {
        "tags": ["passes"],
        "operationId": "ask_for_pass",
        "summary": "Does this player own the game? If so, a pass.",
        "description": "Needs the rights `pass` and those of the method. The answer is that of `/verify/…`, and has a "
        "pass if it is `allowed`. A pass is renewed by asking with it.",
        "requestBody": body_of("Order"),
        "responses": responses_to_question("AnswerWithPass"),
    }


def show_keys() -> Schema:
    """Describe the list of public keys."""
    keys = response_of("All keys; look again for a `kid` that is not among them.", "PublicKeys", "Cache-Control")
    return {
        "tags": ["passes"],
        "operationId": "show_keys",
        "summary": "The public keys that check passes (RFC 7517).",
        "security": [],
        "responses": {"200": keys, **problem_responses(*WITHOUT_BODY, "404"), "503": overloaded()},
    }


def show_void_passes() -> Schema:
    """Describe the list of what makes passes void."""
    listed = response_of("The whole list.", "VoidPassesBody", "Cache-Control", "ETag")
    if_none_match = {"name": "If-None-Match", "in": "header", "schema": {"type": "string"}}
    return {
        "tags": ["passes"],
        "operationId": "show_void_passes",
        "summary": "What makes passes void before they end.",
        "description": "Invalidations, refunds, bans and grants taken back, on every replica within two seconds.",
        "security": [],
        "parameters": [if_none_match | {"description": "The `ETag` of the list that you have."}],
        "responses": {
            "200": listed,
            "304": {"description": "You have it.", "headers": header_refs("Cache-Control", "ETag", "X-Request-ID")},
            **problem_responses(*WITHOUT_BODY, "404"),
            "503": overloaded(),
        },
    }
