"""The event loop of the process: uvloop's, or asyncio's own."""

import asyncio
from collections.abc import Coroutine


def run(main: Coroutine[None, None, None]) -> None:
    """Run a coroutine to its end in uvloop; where that is not installed, as on Windows, in asyncio's event loop."""
    try:
        import uvloop  # noqa: PLC0415 - only for commands that serve, and only where it is there
    except ImportError:
        asyncio.run(main)
    else:
        uvloop.run(main)
