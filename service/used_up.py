"""Failures for want of something on this machine, which are our own, and not those of the server that was asked."""

import errno
import os
import socket
from typing import Final

from service.causes import chain

_USED_UP: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL})
"""Descriptors, memory, ports to connect from."""


def used_up(error: BaseException) -> bool:
    """Whether it failed because this machine had nothing left to do it with. Drivers wrap that, so causes count too."""
    return any(_says_so(one) for one in chain(error))


def _says_so(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in _USED_UP:
        return True
    return isinstance(error, socket.gaierror) and _no_descriptor_left()  # the resolver does not say why it failed


def _no_descriptor_left() -> bool:
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in _USED_UP
    return False
