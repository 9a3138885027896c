"""A store on a real socket that knows a number for every player, and takes its time."""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

GAME: Final = 3
SELLER: Final = 1_000_000
_ASKED: Final = re.compile(rb"GET (?P<path>\S+?)(\?\S*?(download_key=key-of-player-|user_id=)(?P<number>\d+))? HTTP/1")


def owns(number: int) -> bool:
    """Whether the player has the game."""
    return number % 3 != 0


def key_of(number: int) -> str:
    """Return the player's download key."""
    return f"key-of-player-{number}"


@asynccontextmanager
async def numbered_store(*, slowest_seconds: float, chance: random.Random) -> AsyncIterator[str]:
    """Serve it meanwhile; yield its address. No answer takes longer than the slowest."""
    serving: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            asked = _ASKED.match(await reader.readuntil(b"\r\n\r\n"))
            assert asked is not None
            await asyncio.sleep(chance.random() * slowest_seconds)
            writer.write(_answer(asked["path"], int(asked["number"] or 0)))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the caller is gone
        except RuntimeError:
            if not writer.is_closing():  # else it is uvloop's word for the same
                raise
        finally:
            writers.discard(writer)
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        task = asyncio.get_running_loop().create_task(serve(reader, writer))
        serving.add(task)
        task.add_done_callback(serving.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await asyncio.gather(*serving)
        await server.wait_closed()


def _answer(path: bytes, number: int) -> bytes:
    body: dict[str, object]
    if path.endswith(b"/profile"):
        body = {"user": {"id": SELLER, "username": "seller"}}
    elif path.endswith(b"/purchases"):
        body = {"purchases": {}}
    elif owns(number):
        key = {"id": number, "game_id": GAME, "key": key_of(number), "created_at": "2020-01-01 00:00:00"}
        body = {"download_key": {**key, "owner": {"id": number, "username": f"player{number}"}}}
    else:
        body = {"errors": ["invalid download key"]}
    content = json.dumps(body).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )
