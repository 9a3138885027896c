"""The rights of callers."""

from enum import StrEnum


class Right(StrEnum):
    """A right of a caller; a caller without it may not do that."""

    VERIFY = "verify"
    """Ask about a credential that proves itself."""
    ASSERT_USER = "assert:user"
    """Name an itch.io user on its own word."""
    ASSERT_EMAIL = "assert:email"
    """Name an e-mail address on its own word."""
    ADMIN = "admin"
    """Operate the gateway."""
