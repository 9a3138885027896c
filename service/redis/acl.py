"""The rights that the gateway's user in Redis needs, and no others. Redis calls a right by its command: `+get`."""

from typing import Final

KEYS: Final = "og:v2:*"
"""The names of all that is stored; the number is the version of what is."""

COMMANDS: Final = (
    "get", "getrange", "set", "del", "evalsha", "eval",
    "hget", "hmget", "hset", "hdel", "hstrlen", "pexpire", "pttl", "time",
    "client|setname",
)  # fmt: skip
"""The commands for any Redis; Redis permits a script no more than its user."""

FOR_A_DATABASE: Final = ("select",)
"""For a database other than 0."""

FOR_A_CLUSTER: Final = ("cluster|slots", "command", "asking")
"""For Redis Cluster: which node has which keys, where commands name theirs, and keys that are just moving."""


def as_rules(*commands: str) -> str:
    """Return the rights as `ACL SETUSER` takes them."""
    return " ".join(f"+{command}" for command in commands)
