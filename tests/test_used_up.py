"""Failures that this machine is to blame for."""

import errno
import socket

import pytest

from service.used_up import used_up
from tests.stores.descriptors import no_descriptor_left

UNKNOWN_NAME = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


def caused_by(error: Exception) -> Exception:
    """Return a driver's own error around it."""
    wrapped = ConnectionError("cannot connect")
    wrapped.__cause__ = error
    return wrapped


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL])
def test_want_of_something_is_our_own(code: int) -> None:
    assert used_up(caused_by(OSError(code, "used up")))


def test_refused_connection_is_not_our_own() -> None:
    assert not used_up(caused_by(ConnectionRefusedError(errno.ECONNREFUSED, "refused")))


def test_name_that_cannot_be_resolved_without_a_descriptor_is_our_own() -> None:
    """The resolver gives the same error as for an unknown name."""
    with no_descriptor_left():
        without = used_up(UNKNOWN_NAME)

    assert (without, used_up(UNKNOWN_NAME)) == (True, False)
