"""What a caller may do."""

from enum import StrEnum


class Right(StrEnum):
    """What a caller may do; what it was not given it may not."""

    VERIFY = "verify"
    """Ask about a credential that proves itself."""
    ASSERT_USER = "assert:user"
    """Name an itch.io user on its own word."""
    ASSERT_EMAIL = "assert:email"
    """Name an e-mail address on its own word."""
    ADMIN = "admin"
    """Operate the gateway."""
