"""The rights of callers."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from service.ownership import Method


class Right(StrEnum):
    """A right of a caller; a caller without it may not do that."""

    VERIFY = "verify"
    """Ask about a credential that proves itself."""
    ASSERT_USER = "assert:user"
    """Name an itch.io user on its own word."""
    ASSERT_EMAIL = "assert:email"
    """Name an e-mail address on its own word."""
    PASS = "pass"  # noqa: S105 - a right, no secret
    """Ask for passes, which other servers check by themselves."""
    OVERRIDE = "override"
    """Let single players in or keep them out for a while."""
    SUPPORT = "support"
    """See why players are let in or kept out."""
    ADMIN = "admin"
    """Operate the gateway."""
    CHALLENGE = "challenge"
    """Have codes mailed that prove addresses."""


RIGHTS_FOR: Final[Mapping[Method, tuple[Right, ...]]] = {
    Method.DOWNLOAD_KEY: (Right.VERIFY,),
    Method.JWT: (Right.VERIFY,),
    Method.ACCESS_TOKEN: (Right.VERIFY,),
    Method.EMAIL: (Right.VERIFY, Right.ASSERT_EMAIL),
    Method.USER: (Right.ASSERT_USER,),
    Method.PASS: (Right.VERIFY,),
}
"""The rights that a question by each method needs: naming an address or a user on one's own word needs its own."""

RIGHTS_TO_BEGIN: Final[Mapping[Method, tuple[Right, ...]]] = {**RIGHTS_FOR, Method.EMAIL: (Right.VERIFY,)}
"""Those that it needs before its body is read, which may hold a proof of the address."""
