"""Failures for want of something on this machine, which are our own, and not those of the server that was asked."""

import errno
import os
import socket
from typing import Final

_USED_UP: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Descriptors, memory, ports to connect from."""


def used_up(error: BaseException) -> bool:
    """Whether it failed because this machine had nothing left to do it with. Drivers wrap that, so causes count too."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _USED_UP:
            return True
        if isinstance(cause, socket.gaierror) and _no_descriptor_left():  # the resolver does not say why it failed
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _no_descriptor_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _USED_UP
    return False
