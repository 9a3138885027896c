"""A server that speaks just enough of Redis's protocol to give every client one and the same reply."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def server_that_says(reply: bytes) -> AsyncIterator[str]:
    """Yield the URL of a server that answers everything with `reply`.

    An empty reply closes the connection instead.
    """
    clients: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        clients.add(writer)
        while await reader.read(65_536):
            if not reply:
                break
            writer.write(reply)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.close()
        for writer in clients:
            writer.close()
        await server.wait_closed()
