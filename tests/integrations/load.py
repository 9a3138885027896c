"""Many callers at once, over connections that stay and over a new one for each question."""

import asyncio
from collections import Counter
from itertools import count
from typing import Final

from tests.integrations.questions import PATH, fate, request, users

_TIMEOUT_SECONDS: Final = 20


class Load:
    """Callers that ask one question after the other; `fates` counts what became of the questions.

    With `every_seconds` they ask together at that pace: connections come in bursts, and a machine has time between.
    """

    def __init__(self, port: int, token: str = "", *, path: str = PATH, every_seconds: float = 0.0) -> None:
        self.fates: Counter[str] = Counter()
        self._port = port
        self._token = token
        self._path = path
        self._every_seconds = every_seconds
        self._stopped = False

    @property
    def seen(self) -> str:
        """The counts as one line."""
        return ", ".join(f"{number} {what}" for what, number in self.fates.most_common())

    def stop(self) -> None:
        """Let each caller end after the question that it is asking."""
        self._stopped = True

    async def run(self, *, staying: int, new: int = 0, questions: int | None = None) -> None:
        """Ask with so many callers of each kind, each so many questions or until `stop` is called."""
        async with asyncio.TaskGroup() as callers:
            for number in range(staying + new):
                callers.create_task(self._ask(stay=number < staying, questions=questions))

    async def _ask(self, *, stay: bool, questions: int | None) -> None:
        wire: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        in_turn = users(10)
        for number in count():
            if self._stopped or number == questions:
                break
            if self._every_seconds:
                await asyncio.sleep(self._every_seconds - asyncio.get_running_loop().time() % self._every_seconds)
            user_id = in_turn[number % len(in_turn)]
            try:
                async with asyncio.timeout(_TIMEOUT_SECONDS):
                    wire = wire or await asyncio.open_connection("127.0.0.1", self._port)
                    status, body, kept = await exchange(*wire, request(user_id, self._token, self._path))
                self.fates[fate(status, body, user_id)] += 1
            except (OSError, EOFError) as error:
                self.fates[type(error).__name__] += 1
                kept = False
            if wire is not None and not (stay and kept):
                wire[1].close()
                wire = None
        if wire is not None:
            wire[1].close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes) -> tuple[int, bytes, bool]:
    """Return status and body, and whether the connection stays open."""
    writer.write(sent)
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().lower().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if line)
    body = await reader.readexactly(int(fields["content-length"]))
    return int(status_line.split()[1]), body, fields.get("connection") != "close"
