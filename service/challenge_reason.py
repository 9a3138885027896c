"""The words for a mailed code that confirms nothing."""

from enum import StrEnum


class ChallengeReason(StrEnum):
    """The reasons why a code confirms nothing."""

    WRONG_CODE = "wrong_code"
    NO_TRIES_LEFT = "no_tries_left"
    EXPIRED_CHALLENGE = "expired_challenge"
    MALFORMED_CHALLENGE = "malformed_challenge"
