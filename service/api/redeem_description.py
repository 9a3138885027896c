"""The description of the endpoint for redeem tokens."""

from service.api.description_parts import body_of, overloaded, problem_responses, response_of
from service.api.schemas import Schema


def verify_redeem() -> Schema:
    """Describe `POST /verify/redeem`."""
    return {
        "tags": ["redeem"],
        "operationId": "verify_redeem",
        "summary": "Has itch.io sold what this redeem token says?",
        "description": "Needs the right `verify`. For a sub-product (DLC), by the signature alone. The gateway keeps "
        "no record: the same token is answered alike until it ends, so record `evidence.id` in the transaction that "
        "grants. It says nothing about owning the game.",
        "requestBody": body_of("RedeemQuestion"),
        "responses": {
            "200": response_of("What the token says, or why it counts for nothing.", "RedeemAnswer"),
            **problem_responses(),
            "503": overloaded(),
        },
    }
