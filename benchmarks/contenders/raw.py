"""The floor of this server: reads the body, parses nothing, sends a prepared answer of the gateway's size."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

Message = dict[str, Any]

_BODY: Final = (
    b'{"allowed":true,"outcome":"owned","reason":"download_key","game_id":3,"method":"download_key","player":{"id":1,'
    b'"username":null,"display_name":null},"evidence":{"kind":"download_key","id":1,"acquired_at":'
    b'"2026-01-01T00:00:00Z"},"observed_at":"2026-01-01T00:00:00Z","fresh_until":"2026-01-01T01:00:00Z","usable_until":'
    b'"2026-01-02T00:00:00Z","stale":false,"cache":"memory","caveats":["sandbox"],"decision_id":'
    b'"01K00000000000000000000000"}'
)
_HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(_BODY))]


async def app(
    scope: Message,  # noqa: ARG001 - every path and method gets the same answer
    receive: Callable[[], Awaitable[Message]],
    send: Callable[[Message], Awaitable[None]],
) -> None:
    """Answer any request."""
    while (await receive()).get("more_body", False):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})
