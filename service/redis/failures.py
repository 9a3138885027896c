"""All that Redis can do wrong, as one tuple to catch."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException, RedisError, ResponseError

REDIS_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""All that redis-py raises when Redis fails it: its two trees, and what the socket says."""


@contextmanager
def closed_under_way() -> Iterator[None]:
    """Raise `ConnectionError` of redis-py where uvloop says in its own way that a connection was closed meanwhile.

    Writing to it is a bare `RuntimeError` there, which redis-py lets through. To be put around redis-py alone.
    """
    try:
        yield
    except RuntimeError as error:
        if type(error) is not RuntimeError:
            raise
        raise RedisConnectionError("the connection was closed while it was being written to") from error


def concerns_one_key(error: Exception) -> bool:
    """Whether Redis has it with the type of one value; any other error reply says that Redis cannot be used now."""
    return isinstance(error, ResponseError) and str(error).startswith("WRONGTYPE")
