"""All that Redis can do wrong, as one tuple to catch, and the cause of each."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import AuthenticationError, InvalidResponse, RedisClusterException, RedisError, ResponseError
from redis.exceptions import AuthenticationWrongNumberOfArgsError as OldAuthenticationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.causes import Cause, find_cause
from service.redis.tls import TlsFileError

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


_OF_CODE: Final = {
    "NOAUTH": Cause.AUTH,
    "WRONGPASS": Cause.AUTH,
    "NOPERM": Cause.FORBIDDEN,
    "DENIED": Cause.FORBIDDEN,
    "MOVED": Cause.MOVED,
    "ASK": Cause.MOVED,
    "READONLY": Cause.READONLY,
    "MISCONF": Cause.READONLY,
    "NOREPLICAS": Cause.READONLY,
    "OOM": Cause.FULL,
    "LOADING": Cause.LOADING,
    "MASTERDOWN": Cause.LOADING,
}
"""By the first word of an error reply. MISCONF: it cannot save to its disk; NOREPLICAS: too few replicas follow it."""

_OF_WORDS: Final = {
    "max number of clients reached": Cause.FULL,
    "This instance has cluster support disabled": Cause.PROTOCOL,
    "unknown command": Cause.PROTOCOL,
    "The user executing the script can't run": Cause.FORBIDDEN,
    "ACL failure in script": Cause.FORBIDDEN,
}
"""By the beginning of an error reply that has no word of its own but ERR."""


def cause_of(failure: BaseException) -> Cause:
    """Return the cause of one of `REDIS_FAILURES`."""
    return find_cause(failure, _told_by_words) or find_cause(failure, _told_by_class) or Cause.OTHER


def _told_by_words(failure: BaseException) -> Cause | None:
    match failure:
        case RedisTimeoutError():
            return Cause.TIMEOUT
        case TlsFileError():
            return Cause.OTHER  # what lies behind it is about a file, and not about Redis
        case MasterNotFoundError():
            return Cause.UNREACHABLE
        case AuthenticationError() | OldAuthenticationError():
            return Cause.AUTH
        case RedisError():
            text = str(failure).removeprefix("ERR ")
            told = (cause for words, cause in _OF_WORDS.items() if text.startswith(words))
            return next(told, None) or _OF_CODE.get(failure.status_code or text.partition(" ")[0])
    return None


def _told_by_class(failure: BaseException) -> Cause | None:
    """Return the cause of what says no more than it is: a connection that ended, or any other error reply."""
    match failure:
        case RedisConnectionError():
            return Cause.RESET
        case InvalidResponse():
            return Cause.PROTOCOL
        case ResponseError():
            return Cause.SERVER_ERROR
    return None
