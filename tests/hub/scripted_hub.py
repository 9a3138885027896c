"""A hub on a loopback port that says what a test wants it to say, byte by byte if need be."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final

from msgspec import Struct

from service.ownership import Outcome, Reason

SAME: Final = "the id of the request"


class Asked(Struct, frozen=True):
    """A request as it came."""

    method: str
    path: str
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


class Said(Struct, frozen=True):
    """An answer; `request_id` is that of the request unless it is another, or None for none."""

    status: int = 200
    body: bytes = b"{}"
    fields: dict[str, str] = {}
    request_id: str | None = SAME


Answers = Callable[[Asked], "Said | bytes | None"]
"""The answer to a request: as it is sent, its bytes, or none at all."""


class ScriptedHub:
    """The requests that came, and the connections; `answers` may be replaced at any time."""

    def __init__(self, answers: Answers) -> None:
        self.answers = answers
        self.asked: list[Asked] = []
        self.connections = 0
        self.url = ""
        self._writers: set[asyncio.StreamWriter] = set()
        self._open: list[tuple[asyncio.StreamWriter, Asked]] = []

    async def send_unasked(self, data: bytes) -> None:
        """Write bytes on all connections."""
        for writer in self._writers:
            writer.write(data)

    async def send(self, said: Said) -> None:
        """Answer the oldest request that has no answer yet."""
        writer, asked = self._open.pop(0)
        writer.write(written(said, asked))
        await writer.drain()

    def cut(self) -> None:
        """Close all connections."""
        for writer in tuple(self._writers):
            writer.transport.abort()

    def hang_up(self) -> None:
        """End all connections as a server does that has kept them for long enough."""
        for writer in tuple(self._writers):
            writer.close()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, path, _ = head[0].split(" ")
                fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:-2])}
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                asked = Asked(method, path, fields, body)
                self.asked.append(asked)
                said = self.answers(asked)
                if said is None:
                    self._open.append((writer, asked))
                    continue
                writer.write(said if isinstance(said, bytes) else written(said, asked))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the relay has gone, as it may
        finally:
            self._writers.discard(writer)
            writer.close()


def written(said: Said, asked: Asked) -> bytes:
    """Return an answer as a server sends it."""
    fields = {"Content-Type": "application/json", "Content-Length": str(len(said.body)), **said.fields}
    request_id = asked.fields["x-request-id"] if said.request_id == SAME else said.request_id
    if request_id is not None:
        fields["X-Request-ID"] = request_id
    head = [f"HTTP/1.1 {said.status} Any", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + said.body


@asynccontextmanager
async def scripted_hub(answers: Answers, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedHub]:
    """Serve."""
    hub = ScriptedHub(answers)
    server = await asyncio.start_server(hub.handle, "127.0.0.1", 0, ssl=tls)
    hub.url = f"http{'' if tls is None else 's'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield hub
    finally:
        server.close()
        hub.cut()
        await server.wait_closed()


def decided(
    reason: Reason, /, *, game: int = 3, method: str = "user", date: datetime | None = None, **more: Any
) -> Said:
    """Return a decision as a hub says it; instants are given as `datetime`."""
    outcome: Outcome = reason.outcome
    body: dict[str, Any] = {
        "allowed": outcome.allowed,
        "outcome": outcome,
        "reason": reason,
        "game_id": game,
        "method": method,
        "player": None,
        "evidence": None,
        "observed_at": None,
        "fresh_until": None,
        "usable_until": None,
        "stale": False,
        "cache": "memory",
        "caveats": [],
        "advice": None,
        "decision_id": "01M7WM9CCKEXSE9J4GNT784NA9",
    }
    body |= {key: value.isoformat() if isinstance(value, datetime) else value for key, value in more.items()}
    fields = {} if date is None else {"Date": format_datetime(date, usegmt=True)}
    return Said(body=json.dumps(body).encode(), fields=fields)


def problem(status: int, code: str, **more: Any) -> Said:
    """Return a problem as a hub says it."""
    body = {"type": f"/docs#{code}", "title": code, "status": status, "code": code}
    fields = {"Content-Type": "application/problem+json"}
    return Said(status, json.dumps(body | more).encode(), fields)


def unknown(reason: Reason, *, game: int = 3, method: str = "user", seconds: int = 1) -> Said:
    """Return an `unknown` as a hub says it."""
    more = {"allowed": False, "outcome": "unknown", "reason": reason, "game_id": game, "method": method}
    return problem(503, reason, **more, retry_after_seconds=seconds)
