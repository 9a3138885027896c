"""Proxies of tests: they ask with the bytes that a test gives them."""

import asyncio
import json
from datetime import timedelta
from typing import Any, Final

from msgspec import Struct

from service.sandbox import seed
from service.sandbox.jwts import mint
from tests.clock import FakeClock
from tests.http.serving import TIMEOUT

PROXY: Final = "ogw_the-token-of-a-proxy-in-tests-0000000000000"
OTHER: Final = "ogw_the-token-of-another-proxy-in-tests-0000000"

FIELDS: Final = ("x-ownership-player", "x-ownership-outcome", "x-ownership-reason", "x-ownership-decision")


class Answered(Struct, frozen=True):
    """A response as it came, and whether the connection had ended behind it."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: bool

    @property
    def problem(self) -> dict[str, Any]:
        """The body as JSON."""
        found: dict[str, Any] = json.loads(self.body)
        return found


class Edge:
    """A proxy that asks with the bytes that a test gives it."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(
        self,
        *fields: str,
        path: str = "/forward-auth/downloads",
        method: str = "GET",
        token: str = PROXY,
        behind: bytes = b"",
    ) -> Answered:
        """Ask over a connection of its own; `behind` comes after the head."""
        lines = [f"{method} {path} HTTP/1.1", "Host: edge", *fields]
        if token:
            lines.append(f"X-Ownership-Caller: {token}")
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + behind)
            async with asyncio.timeout(TIMEOUT):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = dict(line.lower().split(": ", 1) for line in head[1:-2])
                length = 0 if method == "HEAD" else int(headers["content-length"])
                body = await reader.readexactly(length)
                ended = headers.get("connection") == "close" and await reader.read() == b""
            return Answered(int(head[0].split()[1]), headers, body, ended)
        finally:
            writer.close()


def jwt_of(user_id: int, clock: FakeClock, lifetime: timedelta = timedelta(hours=1)) -> str:
    """Return the field with a JWT of that user."""
    return f"Authorization: Bearer {mint(user_id=user_id, issued_at=clock.now(), lifetime=lifetime).jwt}"


def key(text: str = seed.OWNER_KEY) -> str:
    """Return the field with a download key."""
    return f"X-Download-Key: {text}"
