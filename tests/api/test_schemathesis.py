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
from schemathesis.checks import (
    content_type_conformance,
    positive_data_acceptance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.python.asgi import shutdown_lifespans

from service.api.paths import EXPLAIN_PATH, INVALIDATE_PATH, OPERATIONS, OVERRIDES_PATH
from service.http.application import Answering, Listener
from service.http.connection import Bounds, HttpRefusal, Request
from service.http.reply import Reply
from service.rights import Right
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, caller_lines, opened, settings_from

ALL_RIGHTS: Final = msgspec.json.encode(list(Right)).decode()
TOKEN: Final = "ogw_token-of-the-schema-reader-00000000"


class OpenedByLifespan:
    """An ASGI application in front of a gateway, which is opened and closed with the lifespan, in the same loop.

    One that is `full` answers as a gateway that has `max_requests` under way.
    """

    def __init__(self, *, full: bool = False) -> None:
        self._full = full
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

    def _answering(self, request: Request) -> Answering:
        # The description itself is read from it first, which a full gateway does not give out.
        if self._full and request.target.partition(b"?")[0] != b"/openapi.json":
            shed: Answering = self._application.shed(request, Listener.EVERYTHING)
            return shed
        answering: Answering = self._application.answer(request, Listener.EVERYTHING)
        return answering

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer as a connection does, within its bounds."""
        body = (await receive()).get("body", b"")
        target = scope.get("raw_path", scope["path"].encode()) + b"?" + scope["query_string"]
        request = Request(method=scope["method"].encode(), target=target, headers=dict(scope["headers"]), body=body)
        if len(body) > Bounds().body_bytes:
            reply = self._application.refuse(HttpRefusal(413))
        else:
            begun = self._answering(request)
            reply = begun if isinstance(begun, Reply) else await begun
        headers = {**reply.headers, "content-type": reply.media_type}
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
        await send({"type": "http.response.body", "body": reply.body})


# A list that is far too long is refused as a body that is too large.
REFUSALS: Final = {"checks": {"negative_data_rejection": {"expected-statuses": [400, 404, 413, 415]}}}


AS_DESCRIBED: Final = [
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
"""A gateway that is full refuses all alike, whether it is a question or not."""


@schemathesis.hook
def before_load_schema(context: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Have a batch take any items with an id: the description says what to send, and mistakes are results."""
    head = {"type": "object", "properties": {"id": {"type": "string", "minLength": 1, "maxLength": 128}}}
    items = raw_schema["components"]["schemas"]["Batch"]["properties"]["items"]
    items["items"] = {"anyOf": [items["items"], head | {"required": ["id"]}]}


schema = schemathesis.openapi.from_asgi(
    "/openapi.json", OpenedByLifespan(), config=schemathesis.Config.from_dict(REFUSALS)
)
overloaded = schemathesis.openapi.from_asgi("/openapi.json", OpenedByLifespan(full=True))


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
    # That a subject or an id is malformed, or one of two, cannot be said in a schema.
    beyond = (
        [positive_data_acceptance] if case.operation.path in {EXPLAIN_PATH, INVALIDATE_PATH, OVERRIDES_PATH} else []
    )

    case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, excluded_checks=beyond)


@overloaded.exclude(path=[*OPERATIONS, "/openapi.json"]).parametrize()
@settings(max_examples=10, deadline=None)
def test_every_response_of_a_full_gateway_is_as_described(case: schemathesis.Case[Any]) -> None:
    """A gateway that takes on no more says so in the described way, to every request."""
    response = case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=AS_DESCRIBED)

    assert response.status_code in {503, 413}


def give_ids_of_their_own(body: Any) -> None:
    """Rename items of a batch whose id stands twice: that rule alone cannot be said in a schema."""
    items = body.get("items") if isinstance(body, dict) else None
    seen: set[str] = set()
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and isinstance(item.get("id"), str):
            while item["id"] in seen:
                item["id"] = f"{item['id'][:100]}-{len(seen)}"
            seen.add(item["id"])
