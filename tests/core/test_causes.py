"""Causes that the system tells, found in chains of exceptions."""

import errno
import socket
import ssl
from typing import Final

import pytest

from service.causes import Cause, chain, find_cause


class DriverError(Exception):
    """An exception of a driver, of which only its text is known."""


class DriverOSError(OSError):
    """An exception of a driver that has the number of the one it wraps."""


def told_by_driver(error: BaseException) -> Cause | None:
    """Know one of the driver's exceptions."""
    return Cause.PROXY if str(error) == "proxy" else None


def raised_from(error: Exception, cause: Exception) -> Exception:
    """Return an exception that was raised from another one."""
    error.__cause__ = cause
    return error


def raised_while_handling(error: Exception, context: Exception) -> Exception:
    """Return an exception that was raised where another one was handled."""
    error.__context__ = context
    return error


SEVERAL: Final = "Multiple exceptions: [Errno 111] Connect call failed ('::1', 1), [Errno 113] No route to host"

FAILURES: Final = {
    "by number": (OSError(errno.EHOSTUNREACH, "x"), Cause.UNREACHABLE),
    "by a number that is none of ours": (OSError(errno.EDOM, "x"), Cause.OTHER),
    "of a firewall": (PermissionError(errno.EPERM, "x"), Cause.FORBIDDEN),
    "several addresses": (OSError(SEVERAL), Cause.REFUSED),
    "several numbers of which the second is ours": (OSError("[Errno 33] x, [Errno 104] y"), Cause.RESET),
    "no number at all": (OSError("x"), None),
    "no name": (socket.gaierror(socket.EAI_NONAME, "x"), Cause.DNS),
    "no time": (TimeoutError(), Cause.TIMEOUT),
    "no time, by number": (TimeoutError(errno.ETIMEDOUT, "x"), Cause.TIMEOUT),
    "behind a driver's": (raised_from(DriverError("x"), ConnectionResetError(errno.ECONNRESET, "x")), Cause.RESET),
    "around a driver's": (raised_while_handling(DriverError("x"), BrokenPipeError(errno.EPIPE, "x")), Cause.RESET),
    "the driver's own": (raised_from(DriverError("proxy"), ConnectionRefusedError(errno.ECONNREFUSED)), Cause.PROXY),
    "a number of TLS, which is one of the system's too": (
        raised_from(DriverOSError(errno.EPERM, "x"), ssl.SSLError(ssl.SSL_ERROR_SSL, "x")),
        Cause.PROTOCOL,
    ),
    "the end of TLS": (ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "x"), Cause.RESET),
    "nothing": (ValueError("x"), None),
}


@pytest.mark.parametrize(("failure", "cause"), FAILURES.values(), ids=FAILURES)
def test_a_cause_is_found(failure: Exception, cause: Cause | None) -> None:
    """In the outermost exception that tells any."""
    assert find_cause(failure, told_by_driver) is cause


def test_a_chain_that_is_a_ring_ends() -> None:
    """An exception may be its own context, by way of another."""
    one, other = DriverError("one"), DriverError("other")
    one.__context__, other.__cause__ = other, one

    assert list(chain(one)) == [one, other]
