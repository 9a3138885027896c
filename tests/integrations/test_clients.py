"""The HTTP clients that other languages come with: each asks many questions over as few connections as it can."""

import asyncio
import http.client
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from tests.integrations.conftest import TOKEN
from tests.integrations.counting_proxy import CountingProxy
from tests.integrations.processes import Gateway, needed
from tests.integrations.questions import PATH, body, fate, users

_CLIENTS: Final = Path(__file__).parent / "clients"
_QUESTIONS: Final = 50
_FEW_CONNECTIONS: Final = 3
_TIMEOUT_SECONDS: Final = 300  # Java compiles its program first, and a busy machine takes its time


@pytest.mark.parametrize("kind", ["known", "streamed"])
@pytest.mark.parametrize("program", [("java", "Ask.java"), ("node", "ask.mjs")], ids=["java", "node"])
async def test_default_client(
    program: tuple[str, str], kind: str, gateway: Gateway, seen: Callable[[str], None]
) -> None:
    """Bodies of known length and streamed ones are read; connections are used again."""
    command, source = program
    asked = users(_QUESTIONS)
    async with CountingProxy(gateway.port) as proxy:
        process = await asyncio.create_subprocess_exec(
            *(needed(command), str(_CLIENTS / source), proxy.address, TOKEN, kind, *map(str, asked)),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            printed, _ = await process.communicate()
        connections = proxy.accepted

    answers = [line.split("\t", 1) for line in printed.decode().splitlines()]
    fates = Counter(fate(int(status), text, user) for (status, text), user in zip(answers, asked, strict=True))
    seen(f"{dict(fates)}, {connections} connections")
    assert fates == {"right": _QUESTIONS}
    assert connections <= _FEW_CONNECTIONS


async def test_http_client_of_python(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """Python's client sends head and body in packets of their own."""
    async with CountingProxy(gateway.port) as proxy:
        fates = await asyncio.to_thread(_ask_by_http_client, proxy.port)
        connections = proxy.accepted

    seen(f"{dict(fates)}, {connections} connections")
    assert fates == {"right": _QUESTIONS}
    assert connections == 1


def _ask_by_http_client(port: int) -> Counter[str]:
    fates: Counter[str] = Counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}"}
    for user in users(_QUESTIONS):
        connection.request("POST", PATH, body(user), headers)
        response = connection.getresponse()
        fates[fate(response.status, response.read(), user)] += 1
    connection.close()
    return fates
