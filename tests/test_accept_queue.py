"""Listening sockets that close while clients connect."""

import asyncio
import contextlib
import socket
import sys
import threading
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Final

import pytest

from service.accept_queue import empty_accept_queues, refuse_new_connections

_CLIENTS: Final = 100
_TIMEOUT_SECONDS: Final = 30
_SHORT_SECONDS: Final = 0.2
_SYN: Final = 0x02
_ACK: Final = 0x10
_RST: Final = 0x04
_SO_LOCK_FILTER: Final = 44
_BUSY_CLIENTS: Final = 20

only_linux = pytest.mark.skipif(sys.platform != "linux", reason="socket filters are Linux's")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A TCP socket that listens, with room for all clients in its queue."""
    with socket.create_server(("127.0.0.1", 0), backlog=2 * _CLIENTS) as listening:
        yield listening


@asynccontextmanager
async def echoing(listener: socket.socket) -> AsyncIterator[asyncio.Server]:
    """Answer one byte on each connection with the same byte."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            writer.write(await reader.read(1))
            writer.close()
            await writer.wait_closed()

    server = await asyncio.start_server(echo, sock=listener, backlog=2 * _CLIENTS)
    try:
        yield server
    finally:
        server.close()
        await server.wait_closed()


def connected(listener: socket.socket, clients: contextlib.ExitStack, number: int = _CLIENTS) -> list[socket.socket]:
    """Return clients that are connected, as they see it, and have asked; the server has not accepted them yet."""
    found = []
    for _ in range(number):
        client = clients.enter_context(socket.socket(listener.family))
        client.settimeout(_TIMEOUT_SECONDS)
        client.connect(listener.getsockname())
        client.sendall(b"?")
        found.append(client)
    return found


def answer(client: socket.socket) -> str:
    """Return what became of the question."""
    try:
        return "answered" if client.recv(1) == b"?" else "ended"
    except ConnectionResetError:
        return "reset"


def answers(clients: list[socket.socket]) -> Counter[str]:
    """Return how many questions had each fate."""
    return Counter(map(answer, clients))


async def fates_of_queued_clients(listener: socket.socket, *, emptied: bool = True) -> Counter[str]:
    """Close a listener that has a hundred clients in its queue, and return what became of their questions."""
    with contextlib.ExitStack() as stack:
        clients = connected(listener, stack)
        async with echoing(listener) as server:
            if emptied:
                await empty_accept_queues([listener])
            server.close()
            return await asyncio.to_thread(answers, clients)


async def test_queued_clients_are_answered_before_the_listener_closes(listener: socket.socket) -> None:
    """A hundred clients that connected before the server accepts any are all answered."""
    fates = await fates_of_queued_clients(listener)

    assert fates == {"answered": _CLIENTS}


async def test_queued_clients_are_reset_by_a_listener_that_just_closes(listener: socket.socket) -> None:
    """The control: without emptying the queue all of them are lost."""
    fates = await fates_of_queued_clients(listener, emptied=False)

    assert fates == {"reset": _CLIENTS}


@only_linux
async def test_busy_listener_loses_no_client_that_has_connected() -> None:
    """Clients that connect without a pause are answered or refused, each time the listener closes."""
    total: Counter[str] = Counter()
    for _ in range(3):
        total += await fates_of_busy_clients()

    assert total["answered"] > _BUSY_CLIENTS
    assert not set(total) - {"answered", "refused"}


async def fates_of_busy_clients() -> Counter[str]:
    """Close a listener under load, and return what became of its clients."""
    fates: Counter[str] = Counter()
    warm = threading.Event()
    with closing(socket.create_server(("127.0.0.1", 0), backlog=2 * _CLIENTS)) as listener:
        address = listener.getsockname()
        async with echoing(listener) as server:
            threads = [
                threading.Thread(target=ask_until_refused, args=(address, fates, warm)) for _ in range(_BUSY_CLIENTS)
            ]
            for thread in threads:
                thread.start()
            await asyncio.to_thread(warm.wait, _TIMEOUT_SECONDS)
            await empty_accept_queues([listener])
            server.close()
            for thread in threads:
                await asyncio.to_thread(thread.join, _TIMEOUT_SECONDS)
    return fates


def ask_until_refused(address: tuple[str, int], fates: Counter[str], warm: threading.Event) -> None:
    """Connect and ask again and again; `warm` is set once a few have been answered."""
    while True:
        with socket.socket() as client:
            client.settimeout(_TIMEOUT_SECONDS)
            try:
                client.connect(address)
            except ConnectionRefusedError:
                fates["refused"] += 1
                return
            try:
                client.sendall(b"?")
                fate = answer(client)
            except OSError:
                fate = "reset"
            fates[fate] += 1
            if fates["answered"] > _BUSY_CLIENTS:
                warm.set()


@only_linux
async def test_new_client_waits_and_is_refused_when_the_listener_closes(listener: socket.socket) -> None:
    """No handshake completes any more; the client's second attempt, a second later, finds the port closed."""
    refuse_new_connections(listener)
    with socket.socket() as client:
        client.settimeout(_TIMEOUT_SECONDS)
        connecting = asyncio.create_task(asyncio.to_thread(client.connect, listener.getsockname()))
        waited, _ = await asyncio.wait([connecting], timeout=_SHORT_SECONDS)
        listener.close()

        with pytest.raises(ConnectionRefusedError):
            await connecting

    assert not waited


@only_linux
@pytest.mark.parametrize(
    ("flags", "passes"), [(_SYN, False), (_SYN | _ACK, False), (_ACK, True), (_RST, True), (0, True)]
)
def test_filter_tells_a_new_connection_from_a_handshake_under_way(flags: int, *, passes: bool) -> None:
    """The ACK that completes a handshake must pass, or a client that has sent its question is lost.

    On UDP, where packets need no privileges: its header has 8 bytes, and the filter looks at byte 13.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender,
    ):
        receiver.bind(("127.0.0.1", 0))
        refuse_new_connections(receiver)
        receiver.settimeout(_TIMEOUT_SECONDS)
        marker = bytes(12)
        packet = bytes([0, 0, 0, 0, 0, flags, 1, 1, 1, 1, 1, 1])

        sender.sendto(packet, receiver.getsockname())
        sender.sendto(marker, receiver.getsockname())

        assert receiver.recv(64) == (packet if passes else marker)


@only_linux
async def test_kernel_that_permits_no_filter_is_borne(listener: socket.socket) -> None:
    """Connections in the queue are accepted all the same."""
    listener.setsockopt(socket.SOL_SOCKET, _SO_LOCK_FILTER, 1)
    fates = await fates_of_queued_clients(listener)

    assert fates == {"answered": _CLIENTS}


async def test_unix_socket_needs_no_filter(tmp_path: Path) -> None:
    """Clients in the queue of a Unix socket are answered before it closes."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen(2 * _CLIENTS)
        fates = await fates_of_queued_clients(listener)

    assert fates == {"answered": _CLIENTS}


async def test_queue_that_is_never_empty_does_not_keep_a_server_from_closing(listener: socket.socket) -> None:
    """No server accepts from this queue at all."""
    with contextlib.ExitStack() as stack:
        connected(listener, stack, number=1)

        async with asyncio.timeout(_TIMEOUT_SECONDS):
            await empty_accept_queues([listener])
