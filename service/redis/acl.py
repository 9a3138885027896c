"""The rights that the gateway's user in Redis needs, and no others. Redis calls a right by its command: `+set`."""

import secrets
from typing import Final

PREFIX: Final = "og:v2:"
"""The beginning of the names of all that is stored; the number is the version of what is."""

KEYS: Final = f"{PREFIX}*"

COMMANDS: Final = (
    "getrange", "set", "unlink", "evalsha", "eval",
    "hget", "hset", "hdel", "hstrlen", "pexpire", "pttl", "time",
)  # fmt: skip
"""The commands for any Redis; Redis permits a script no more than its user."""

FOR_A_DATABASE: Final = ("select",)
"""For a database other than 0."""

FOR_A_CLUSTER: Final = ("cluster|slots", "command", "asking")
"""For Redis Cluster: which node has which keys, where commands name theirs, and keys that are just moving."""


def unused_key() -> str:
    """Return a name that nothing is stored under, and that no other program can foresee."""
    return f"{PREFIX}p:{secrets.token_hex(8)}"


def as_rules(*commands: str) -> str:
    """Return the rights as `ACL SETUSER` takes them."""
    return " ".join(f"+{command}" for command in commands)
