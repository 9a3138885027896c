"""Closing listening sockets without resetting connections that the kernel has already made.

The kernel completes a handshake before the process accepts the connection. Closing the listener in between resets all
that is queued; behind a proxy each such connection was a question answered 502: 40 of 172 000 in 36 rolling restarts.
"""

import asyncio
import select
import socket
import struct
import sys
from array import array
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

_HANDSHAKE_SECONDS: Final = 0.1
"""Time for the last packet of handshakes that have begun: one round trip, from a proxy in the same region."""

_MOST_TURNS: Final = 100
"""The most turns of the loop to wait: without a filter connections go on coming, and the queue may never be empty."""

_FILTERED: Final = {socket.AF_INET, socket.AF_INET6} if sys.platform == "linux" else set()

_SO_ATTACH_FILTER: Final = 26
"""asm-generic/socket.h; the socket module has no name for it. It needs no privileges."""

# Classic BPF on the TCP header (linux/filter.h): opcode, jump if true, jump if false, operand. It drops packets with
# SYN and no others: were the ACK of a half-open handshake dropped too, its client, which already counts as connected
# and has sent its question, would be lost. A client whose SYN is dropped repeats it after a second and is refused then;
# a proxy tries its next server.
_DROP_SYN: Final = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x45, 0, 1, 0x02),  # is SYN set?
    (0x06, 0, 0, 0),  # yes: drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # no: keep all of it
)


async def empty_accept_queues(listeners: Sequence[socket.socket]) -> None:
    """Return when the running event loop has accepted all connections made so far, to be called just before closing.

    1. Keep new connections from being made.
    2. Wait for handshakes under way.
    3. Wait until the loop's servers have accepted what is queued.
    4. Let the loop hand the last of them to their protocols: asyncio does that a turn after it has accepted.
    """
    for listener in listeners:
        refuse_new_connections(listener)
    await asyncio.sleep(_HANDSHAKE_SECONDS)
    for _ in range(_MOST_TURNS):
        if not any(map(has_unread, listeners)):
            break
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def refuse_new_connections(listener: socket.socket) -> None:
    """Drop the first packet of every new connection to this listener; what is queued can still be accepted.

    Does nothing for Unix sockets, outside Linux, and where the kernel permits no filter.
    """
    if listener.family not in _FILTERED:
        return
    program = array("B", b"".join(struct.pack("HBBI", *instruction) for instruction in _DROP_SYN))
    address, _ = program.buffer_info()
    with suppress(OSError):  # a sandbox such as gVisor may not have it
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(_DROP_SYN), address))


def has_unread(sock: socket.socket) -> bool:
    """Whether the kernel holds what was not taken yet: bytes of a connection, or connections of a listener."""
    # Not select(): it fails for descriptors from 1024 on.
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(0))
