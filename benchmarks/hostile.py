"""Hostile connections without a token: what they cost a gateway in memory, and others in waiting.

Every kind sends for a few seconds at most, and no more bytes than are named here, because a gateway that does not bound
them takes as much memory as they send. The load is a process of its own; the ordinary question is asked every 10 ms by
another one, on the load's core, with the greater right to it.
"""

import multiprocessing
import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Final, Self
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from benchmarks.identities import GAME, download_key
from benchmarks.laboratory import Laboratory, Target
from benchmarks.load import TOKEN
from benchmarks.processes import BenchmarkError, ServerProcess

CONNECTIONS: Final = 200
MOST_PEAK_MEBIBYTES: Final = 16
MOST_LATER_MEBIBYTES: Final = 2
MOST_WAIT_SECONDS: Final = 0.020

_SECONDS: Final = 5.0
_CONNECT_SECONDS: Final = 1.0
_MOST_BYTES: Final = 256 * 1024 * 1024
_LOAD_SECONDS: Final = 20.0
"""How long the load's process may take in all: to start, on a busy machine, and to send."""
_LATER_SECONDS: Final = 5.0
_SETTLE_SECONDS: Final = 3.0
_EVERY_SECONDS: Final = 0.010
_MOST_SECONDS_FOR_AN_ANSWER: Final = 30.0
_CHUNK: Final = 64 * 1024
_REFUSED_CONNECTIONS: Final = 1_600
_HEADER_BYTES: Final = 32 * 1024

_UNKNOWN: Final = b"POST /verify/download-key HTTP/1.1\r\nHost: benchmark\r\nContent-Type: application/json\r\n"
_CHUNKED: Final = _UNKNOWN + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
_FIELD: Final = b"X-Filler: " + b"f" * 52 + b"\r\n"
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Kind(Struct, frozen=True):
    """One kind of hostile connection: what it begins with, what it then sends without end, and how it goes on."""

    name: str
    title: str
    begin: bytes
    endless: bytes = b""
    answered_and_reset: int = 0
    """How many connections, one after the other on each of the 200, are answered and then reset."""


class Harm(Struct, frozen=True):
    """What one kind came to. Memory in MiB, waits in seconds."""

    kind: str
    before: float
    peak: float
    later: float
    longest_wait_before: float
    """Of the ordinary question while nothing hostile was sent: what this machine itself does."""
    longest_wait: float
    questions: int
    megabytes_sent: float
    closed: int
    """Connections that the gateway ended by itself."""


def _many_fields(total: int) -> bytes:
    return b"a:b\r\n" * (total // len(b"a:b\r\n"))


KINDS: Final[Sequence[Kind]] = (
    Kind("H1-fields", "chunked body, then header fields without end", _CHUNKED, _FIELD * (_CHUNK // len(_FIELD))),
    Kind("H1-value", "chunked body, then one trailer value without end", _CHUNKED + b"X-Filler: ", b"f" * _CHUNK),
    Kind(
        "H2",
        "1 600 x 32 KiB of header in 6 500 fields, a 401, RST",
        _UNKNOWN + _many_fields(_HEADER_BYTES) + b"Content-Length: 2\r\n\r\n{}",
        answered_and_reset=_REFUSED_CONNECTIONS,
    ),
    Kind("H3", "32 KiB of header in 6 500 fields, then silence", _UNKNOWN + _many_fields(_HEADER_BYTES)),
)


def measure_harm(tell: Callable[[str], None]) -> tuple[Harm, ...]:
    """Send each kind to a gateway of its own."""
    with Laboratory() as laboratory:
        laboratory.warm(range(1))
        harms = []
        for kind in KINDS:
            tell(kind.title)
            harms.append(_measure(kind, laboratory.gateway()))
        return tuple(harms)


def table(harms: Sequence[Harm]) -> str:
    """Return the figures as lines of text, with what misses its target."""
    head = (
        f"{'':<58} {'before':>7} {'peak':>7} {'5 s later':>9}   {'wait ms, quiet':>14} {'hostile':>8} "
        f"{'MB sent':>8} {'ended':>6}"
    )
    return "\n".join([head, *map(_row, harms)])


def _row(harm: Harm) -> str:
    return (
        f"{harm.kind:<58} {harm.before:>7.0f} {harm.peak - harm.before:>+7.0f} {harm.later - harm.before:>+9.1f}   "
        f"{harm.longest_wait_before * 1000:>14.0f} {harm.longest_wait * 1000:>8.0f} {harm.megabytes_sent:>8.0f} "
        f"{harm.closed:>6}   {', '.join(_missed(harm)) or 'met'}"
    )


def _missed(harm: Harm) -> Iterator[str]:
    for name, value, most in (
        (f"peak at most +{MOST_PEAK_MEBIBYTES} MiB", harm.peak - harm.before, MOST_PEAK_MEBIBYTES),
        (f"later at most +{MOST_LATER_MEBIBYTES} MiB", harm.later - harm.before, MOST_LATER_MEBIBYTES),
        (f"wait at most {MOST_WAIT_SECONDS * 1000:.0f} ms", harm.longest_wait, MOST_WAIT_SECONDS),
    ):
        if value > most:
            yield f"MISSED {name}"


def _measure(kind: Kind, target: Target) -> Harm:
    where = urlsplit(target.base_url)
    address = (where.hostname or "", where.port or 0)
    # Two hundred ordinary connections first: what those cost is not what hostile ones cost.
    for _ in range(CONNECTIONS):
        _Caller(address).ask()
    caller = _Caller(address)
    quiet = _waits(caller, until=time.monotonic() + _SETTLE_SECONDS)
    before = target.server.resident_mebibytes()
    with _Peak(target.server) as peak:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        load = multiprocessing.get_context("spawn").Process(target=_attack, args=(kind, address, sender), daemon=True)
        load.start()
        waits = []
        kill_at = time.monotonic() + _LOAD_SECONDS
        while load.is_alive() and time.monotonic() < kill_at:
            waits += _waits(caller, until=time.monotonic() + 0.1)
        load.kill()
        load.join()
        if not receiver.poll():
            raise BenchmarkError(f"{kind.title}: the load ended without a word")
        sent, closed = receiver.recv()
        waits += _waits(caller, until=time.monotonic() + _LATER_SECONDS)
    return Harm(
        kind=f"{kind.name} {kind.title}",
        before=before,
        peak=peak.mebibytes,
        later=target.server.resident_mebibytes(),
        longest_wait_before=max(quiet),
        longest_wait=max(waits),
        questions=len(waits),
        megabytes_sent=sent / 1e6,
        closed=closed,
    )


class _Caller:
    """An ordinary caller, on one connection that it opens anew if it must."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._connection: socket.socket | None = None
        body = msgspec.json.encode({"game": GAME.game_id, "download_key": download_key(0)})
        self._request = (
            _UNKNOWN + f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n".encode("ascii") + body
        )

    def ask(self) -> float:
        """Return how long the answer took. Raises `BenchmarkError` for anything but a 200."""
        begun_at = time.monotonic()
        try:
            if self._connection is None:
                self._connection = socket.create_connection(self._address, timeout=_MOST_SECONDS_FOR_AN_ANSWER)
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connection.sendall(self._request)
            answer = self._connection.recv(_CHUNK)
        except OSError as error:
            raise BenchmarkError(f"an ordinary question was not answered: {error!r}") from None
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise BenchmarkError(f"an ordinary question was answered with {answer[:40]!r}")
        return time.monotonic() - begun_at


def _waits(caller: _Caller, *, until: float) -> list[float]:
    """Ask every 10 ms. A question that is due while another is waited for waits, too."""
    waits = []
    due = time.monotonic()
    while time.monotonic() < until:
        time.sleep(max(0.0, due - time.monotonic()))
        caller.ask()
        waits.append(time.monotonic() - due)
        due = max(due + _EVERY_SECONDS, time.monotonic())
    return waits


class _Peak:
    """`with _Peak(server) as peak`: looks at the server's memory all the time."""

    def __init__(self, server: ServerProcess) -> None:
        self.mebibytes = 0.0
        self._server = server
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_EVERY_SECONDS):
            self.mebibytes = max(self.mebibytes, self._server.resident_mebibytes())


def _attack(kind: Kind, address: tuple[str, int], report: Connection) -> None:
    """Send one kind of load until it is through, the time is up, or enough was sent; report bytes and ended ones."""
    os.nice(10)
    give_up_at = time.monotonic() + _SECONDS
    attack = _Attack(kind, address)
    while time.monotonic() < give_up_at and attack.sent < _MOST_BYTES and attack.goes_on():
        attack.turn(give_up_at)
    if not kind.endless and not kind.answered_and_reset:
        time.sleep(max(0.0, give_up_at - time.monotonic()))  # silent connections stay
    report.send((attack.sent, attack.closed))
    report.close()


class _Attack:
    """Two hundred connections of one kind."""

    def __init__(self, kind: Kind, address: tuple[str, int]) -> None:
        self.sent = 0
        self.closed = 0
        self._kind = kind
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._left: dict[socket.socket, bytes] = {}
        self._to_come = max(kind.answered_and_reset, CONNECTIONS)
        for _ in range(CONNECTIONS):
            self._open()

    def goes_on(self) -> bool:
        return bool(self._selector.get_map())

    def turn(self, give_up_at: float) -> None:
        for key, events in self._selector.select(timeout=0.1):
            if time.monotonic() > give_up_at:
                return
            connection = key.fileobj
            if not isinstance(connection, socket.socket):
                raise AssertionError("only sockets are registered")
            try:
                if events & selectors.EVENT_READ:
                    self._hear(connection)
                elif events & selectors.EVENT_WRITE:
                    self._send(connection)
            except OSError:
                self._end(connection, by_server=True)

    def _open(self) -> None:
        self._to_come -= 1
        try:
            connection = socket.create_connection(self._address, timeout=_CONNECT_SECONDS)
        except OSError:
            return  # the gateway takes no more of them
        connection.settimeout(0)
        self._left[connection] = self._kind.begin
        self._selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def _send(self, connection: socket.socket) -> None:
        left = self._left[connection] or self._kind.endless
        if not left:
            self._selector.modify(connection, selectors.EVENT_READ)
            return
        done = connection.send(left)
        self.sent += done
        self._left[connection] = left[done:]

    def _hear(self, connection: socket.socket) -> None:
        heard = connection.recv(_CHUNK)
        if not heard:
            self._end(connection, by_server=True)
        elif self._kind.answered_and_reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._end(connection, by_server=False)

    def _end(self, connection: socket.socket, *, by_server: bool) -> None:
        self.closed += by_server
        self._selector.unregister(connection)
        del self._left[connection]
        connection.close()
        if self._kind.answered_and_reset and self._to_come > 0:
            self._open()
