"""The causes for which the store or Redis gives no answer: one closed set, and those that the system itself tells.

A cause is found by walking the chain of an exception, for the classes of drivers say too little: httpx-aiohttp calls
every connection that could not be made a time-out. Drivers' own exceptions are told by their adapters,
`service.stores.transport` and `service.redis.failures`. Of an exception's text no more is read than error numbers.
"""

import errno
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """A cause in one word, for logs, readiness, metrics and `doctor`; docs/operations.md says what to do about each."""

    PROXY = "proxy"
    """The proxy on the way cannot be found, refuses, or does not speak as one."""
    DNS = "dns"
    REFUSED = "refused"
    """The port is closed, or there is no such Unix socket."""
    UNREACHABLE = "unreachable"
    """There is no route, or no Sentinel that leads to Redis."""
    TIMEOUT = "timeout"
    RESET = "reset"
    """The connection was closed before there was an answer."""
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_EXPIRED = "tls_expired"
    """The certificate is over, or not valid yet."""
    TLS_NAME = "tls_name"
    """The certificate is for another host."""
    NOT_TLS = "not_tls"
    """The other side does not speak TLS, which it was asked to."""
    AUTH = "auth"
    """The key, the password or the certificate that was shown is refused."""
    FORBIDDEN = "forbidden"
    """A right is missing: of the key, of the user in Redis, or of this process to connect."""
    MOVED = "moved"
    """It is a node of a Redis Cluster, and the key lives on another one."""
    READONLY = "readonly"
    FULL = "full"
    """Redis has no memory left, or no connection."""
    LOADING = "loading"
    THROTTLED = "throttled"
    SERVER_ERROR = "server_error"
    WEB_PAGE = "web_page"
    REDIRECT = "redirect"
    PROTOCOL = "protocol"
    """The answer is none of the protocol that was spoken."""
    OTHER = "other"


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the exception and those behind it, in the order of a traceback read from its end."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__


def find_cause(error: BaseException, told_by_driver: Callable[[BaseException], Cause | None]) -> Cause | None:
    """Return the cause that the outermost exception of a chain tells which tells any, None if none does."""
    for one in chain(error):
        cause = told_by_driver(one)
        # A driver's own `OSError` has the number of the one that it wraps, which is of TLS or of name resolution there.
        if cause is None and not isinstance(one.__cause__, OSError):
            cause = _told_by_system(one)
        if cause is not None:
            return cause
    return None


_OF_ERRNO: Final = {
    errno.ECONNREFUSED: Cause.REFUSED,
    errno.ENOENT: Cause.REFUSED,
    errno.ENETUNREACH: Cause.UNREACHABLE,
    errno.EHOSTUNREACH: Cause.UNREACHABLE,
    errno.ENETDOWN: Cause.UNREACHABLE,
    errno.EHOSTDOWN: Cause.UNREACHABLE,
    errno.EADDRNOTAVAIL: Cause.UNREACHABLE,
    errno.ETIMEDOUT: Cause.TIMEOUT,
    errno.ECONNRESET: Cause.RESET,
    errno.ECONNABORTED: Cause.RESET,
    errno.EPIPE: Cause.RESET,
    errno.ENOTCONN: Cause.RESET,
    errno.EACCES: Cause.FORBIDDEN,
    errno.EPERM: Cause.FORBIDDEN,
}
_NUMBERS: Final = re.compile(r"\[Errno (\d+)\]")
"""In the text of the one exception that event loops make of several, one for each address of a host."""

_OF_VERIFICATION: Final = {
    9: Cause.TLS_EXPIRED,
    10: Cause.TLS_EXPIRED,
    62: Cause.TLS_NAME,
    64: Cause.TLS_NAME,
}
"""OpenSSL's include/openssl/x509_vfy.h: not valid yet, no longer; of another host name, of another IP address."""

_NOT_TLS: Final = frozenset({"WRONG_VERSION_NUMBER", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST", "RECORD_LAYER_FAILURE"})
_OUR_CERTIFICATE: Final = re.compile(r"ALERT_.*(CERTIFICATE|UNKNOWN_CA)|ALERT_ACCESS_DENIED")
"""Alerts of a server about the certificate that it was shown, or was not."""


def _told_by_system(error: BaseException) -> Cause | None:
    match error:
        case ssl.SSLError():
            return _told_by_tls(error)
        case TimeoutError():
            return Cause.TIMEOUT
        case socket.gaierror() | UnicodeError():  # a name that is none, as "a..b", is not even asked for
            return Cause.DNS
        case OSError(errno=None):
            causes = (_OF_ERRNO.get(int(number)) for number in _NUMBERS.findall(str(error)))
            return next((cause for cause in causes if cause is not None), None)
        case OSError(errno=int(number)):
            return _OF_ERRNO.get(number, Cause.OTHER)
    return None


def _told_by_tls(error: ssl.SSLError) -> Cause:
    match error:
        case ssl.SSLCertVerificationError(verify_code=code):
            cause = _OF_VERIFICATION.get(code, Cause.TLS_UNTRUSTED)
        case ssl.SSLZeroReturnError() | ssl.SSLEOFError() | ssl.SSLSyscallError():
            cause = Cause.RESET
        case ssl.SSLError(reason=reason) if reason in _NOT_TLS:
            cause = Cause.NOT_TLS
        case ssl.SSLError(reason=str(reason)) if _OUR_CERTIFICATE.search(reason):
            cause = Cause.AUTH
        case _:
            cause = Cause.PROTOCOL
    return cause
