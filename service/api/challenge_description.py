"""The description of the endpoints of codes that are mailed."""

from service.api.description_parts import body_of, overloaded, problem_response, problem_responses, response_of
from service.api.problems import MEDIA_TYPE
from service.api.schemas import Schema


def mail_code() -> Schema:
    """Describe `POST /email-challenges`."""
    over = "As many codes were mailed lately as may be (`too_many_challenges`), or the caller is over its rate."
    return {
        "tags": ["challenges"],
        "operationId": "mail_code",
        "summary": "Mail a code to the player who has typed this address.",
        "description": "Needs the right `challenge`. The answer is the same for every address: nothing is looked up. "
        "Another mail to the same address may be asked for after `resend_after`.",
        "requestBody": body_of("ChallengeRequest"),
        "responses": {
            "202": response_of("The mail server has taken the mail.", "ChallengeBegun"),
            **problem_responses(),
            "429": problem_response("429", over),
            "503": response_of(
                "The mail server has not taken the mail (`mail_unavailable`), or the gateway has too much to do even "
                "to read the request: send it again after `Retry-After`.",
                "MailProblem",
                "Retry-After",
                media_type=MEDIA_TYPE,
            ),
        },
    }


def confirm_code() -> Schema:
    """Describe `POST /email-challenges/confirm`."""
    return {
        "tags": ["challenges"],
        "operationId": "confirm_code",
        "summary": "Take the code that the player has typed.",
        "description": "Needs the right `challenge`. Five tries for each challenge, right or wrong. The proof goes "
        "into `/verify/email`, as often as needed until it ends.",
        "requestBody": body_of("CodeRequest"),
        "responses": {
            "200": response_of("A proof, or why there is none.", "CodeAnswer"),
            **problem_responses(),
            "503": overloaded(),
        },
    }
