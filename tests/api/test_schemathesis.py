"""The description and the application agree, as an independent reader of the description finds."""

import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import schemathesis
from hypothesis import settings
from schemathesis.python.asgi import shutdown_lifespans

from service.http.connection import Bounds, HttpRefusal, Request
from service.rights import Right
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, caller_lines, opened, settings_from
from tests.reliability.wrapping import reply_of

ALL_RIGHTS: Final = msgspec.json.encode(list(Right)).decode()
TOKEN: Final = "ogw_token-of-the-schema-reader-00000000"


class OpenedByLifespan:
    """An ASGI application in front of a gateway, which is opened and closed with the lifespan, in the same loop."""

    def __init__(self) -> None:
        self._application: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await self._answer(scope, receive, send)
            return
        async with AsyncExitStack() as stack:
            await receive()
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            toml = X_MOON + caller_lines("reader", TOKEN, rights=ALL_RIGHTS, rate="100000")
            gateway = await stack.enter_async_context(
                opened(settings_from(Path(directory), toml), clock=FakeClock(), log=LogLines(), level="error")
            )
            self._application = gateway.gateway.http.application
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as a connection does, within its bounds."""
        body = (await receive()).get("body", b"")
        target = scope.get("raw_path", scope["path"].encode()) + b"?" + scope["query_string"]
        request = Request(method=scope["method"].encode(), target=target, headers=dict(scope["headers"]), body=body)
        if len(body) > Bounds().body_bytes:
            reply = self._application.refuse(HttpRefusal(413))
        else:
            reply = await reply_of(self._application, request)
        headers = {**reply.headers, "content-type": reply.media_type}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
        await send({"type": "http.response.body", "body": reply.body})


# A list that is far too long is refused as a body that is too large.
REFUSALS: Final = {"checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 413, 415]}}}

schema = schemathesis.openapi.from_asgi(
    "/openapi.json", OpenedByLifespan(), config=schemathesis.Config.from_dict(REFUSALS)
)


@pytest.fixture(scope="module", autouse=True)
def closed_in_the_end() -> Iterator[None]:
    """Close the gateway after the last question."""
    yield
    shutdown_lifespans()


@schema.parametrize()
@settings(max_examples=40, deadline=None)
def test_every_response_is_as_described(case: schemathesis.Case[Any]) -> None:
    """Any question, allowed by the description or not, gets an answer that is described."""
    give_ids_of_their_own(case.body)

    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"})


def give_ids_of_their_own(body: Any) -> None:
    """Rename items of a batch whose id stands twice: that rule alone cannot be said in a schema."""
    items = body.get("items") if isinstance(body, dict) else None
    seen: set[str] = set()
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            while item["id"] in seen:
                item["id"] = f"{item['id'][:100]}-{len(seen)}"
            seen.add(item["id"])
