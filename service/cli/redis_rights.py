"""Missing rights of the gateway's Redis user: each command is tried once, on a key that has no other use."""

import re
from collections.abc import Iterator
from typing import Final

from redis.exceptions import NoPermissionError

from service.causes import Cause
from service.cli.findings import Finding, FindingLevel
from service.redis.acl import COMMANDS, FOR_A_CLUSTER, FOR_A_DATABASE, KEYS, as_rules
from service.redis.connect import RedisClient
from service.redis.failures import REDIS_FAILURES
from service.redis.url import Form, RedisAddress

_OURS: Final = {*COMMANDS, *FOR_A_DATABASE, *FOR_A_CLUSTER}
_NAMED: Final = re.compile(r"to run the '([a-z|]+)' command")


def sufficient(address: RedisAddress) -> str:
    """Return the remedy for any missing right: to grant all of them, so that there is no next time."""
    commands = [
        *COMMANDS,
        *(FOR_A_DATABASE if address.db else ()),
        *(FOR_A_CLUSTER if address.form is Form.CLUSTER else ()),
    ]
    return f"give its user {as_rules(*commands)} on ~{KEYS} (see the configuration reference)"


def refused(refusal: NoPermissionError) -> str:
    """Name the right that is missing. Of the refusal's own words nothing is repeated but a command of ours."""
    named = _NAMED.search(str(refusal))
    if named is None:
        return f"use keys that begin with {KEYS.removesuffix('*')}"
    return f"run {named[1].replace('|', ' ').upper()}" if named[1] in _OURS else "run a command that the gateway needs"


async def examine_rights(client: RedisClient, address: RedisAddress, key: str) -> Finding:
    """Try every command on this key, which must not exist, and does not exist afterwards.

    Only refusals count. Other faults of this Redis are for other checks to report.
    """
    # The time is not used, so it is not parsed: a server that only says it is a Redis may answer anything.
    client.set_response_callback("TIME", _unread)
    lacking: dict[str, None] = {}
    for command in _commands(key):
        if command[0] == "HSET" and "run SET" in lacking:
            # It would leave a hash without an end; to a text, which SET has written, it can do nothing.
            continue
        try:
            await client.execute_command(*command)
        except NoPermissionError as refusal:
            lacking[refused(refusal)] = None
        except REDIS_FAILURES:
            continue
    if lacking:
        detail = f"its user may not {' or '.join(lacking)}"
        return Finding("redis rights", FindingLevel.PROBLEM, detail, sufficient(address), Cause.FORBIDDEN)
    return Finding("redis rights", FindingLevel.OK, "its user may do all that the gateway does")


def _unread(response: object, **_: object) -> object:
    return response


def _commands(key: str) -> Iterator[tuple[str, ...]]:
    """Return a command for each right but those that connecting takes; the last one deletes all that they write."""
    yield ("TIME",)
    yield "GETRANGE", key, "0", "1"
    yield "SET", key, "1", "PX", "1000"
    yield "EVAL", "return 0", "1", key
    yield "EVALSHA", "0" * 40, "1", key
    yield "HSET", key, "field", "1"
    yield "HGET", key, "field"
    yield "HSTRLEN", key, "field"
    yield "HDEL", key, "field"
    yield "PEXPIRE", key, "1000"
    yield "PTTL", key
    yield "UNLINK", key
