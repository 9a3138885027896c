"""Carries the store's answers over the wire, slowly, in pieces or not to the end where a fault says so."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Final
from urllib.parse import parse_qsl

from litestar import asgi
from litestar.enums import ScopeType
from litestar.handlers import ASGIRouteHandler
from litestar.types import HTTPScope, Receive, Scope, Send

from service.interfaces import Clock
from service.sandbox.faults import Drip, Fault
from service.sandbox.state import Sandbox
from service.sandbox.store_answers import SandboxAnswer
from service.sandbox.store_endpoints import StoreRequest

SANDBOX_HEADER: Final = "X-Sandbox"
SANDBOX_HEADER_VALUE: Final = "ownership-gateway"
"""On every answer of the sandbox, so that nobody takes it for the store."""


def create_store_handler(sandbox: Sandbox) -> ASGIRouteHandler:
    """Return the store's endpoints, in both dialects, as one mount at the root."""

    @asgi("/", is_mount=True, copy_scope=True)
    async def store(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await send({"type": "websocket.close", "code": 1000, "reason": None})
            return
        delivery = sandbox.receive(_read_request(scope))
        if delivery.fault is None:
            await _send(delivery.answer, delivery.answer.body, send)
            return
        spoilt = _send_spoilt(delivery.answer, delivery.fault, sandbox.clock, send)
        await _until_gone(receive, spoilt)

    return store


def _read_request(scope: HTTPScope) -> StoreRequest:
    authorization = next((value for name, value in scope["headers"] if name == b"authorization"), None)
    return StoreRequest(
        method=scope["method"],
        path=scope["path"],
        # Percent-decoding replaces what is no UTF-8.
        query=tuple(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        authorization=None if authorization is None else authorization.decode("latin-1"),
    )


async def _send_spoilt(answer: SandboxAnswer, fault: Fault, clock: Clock, send: Send) -> None:
    if fault.latency_ms:
        await clock.sleep(timedelta(milliseconds=fault.latency_ms))
    body = answer.body[: len(answer.body) // 2] if fault.truncated else answer.body
    if fault.drip is None:
        await _send(answer, body, send)
        return
    await _start(answer, send)
    await _drip(body, fault.drip, clock, send)
    await _end(answer, body, send)


async def _drip(body: bytes, drip: Drip, clock: Clock, send: Send) -> None:
    for at in range(0, len(body), drip.chunk_bytes):
        await clock.sleep(timedelta(milliseconds=drip.interval_ms))
        piece = body[at : at + drip.chunk_bytes]
        await send({"type": "http.response.body", "body": piece, "more_body": True})


async def _send(answer: SandboxAnswer, body: bytes, send: Send) -> None:
    await _start(answer, send)
    await send({"type": "http.response.body", "body": body, "more_body": True})
    await _end(answer, body, send)


async def _start(answer: SandboxAnswer, send: Send) -> None:
    headers = [
        (SANDBOX_HEADER, SANDBOX_HEADER_VALUE),
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *answer.headers,
    ]
    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": answer.status, "headers": raw})


async def _end(answer: SandboxAnswer, body: bytes, send: Send) -> None:
    # An answer that is never ended makes the server close the connection, in the middle of the promised length.
    if len(body) == len(answer.body):
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _until_gone(receive: Receive, sending: Coroutine[None, None, None]) -> None:
    """Send, but not to somebody who has hung up: a slow answer must not outlive its connection."""
    async with asyncio.TaskGroup() as both:
        writing = both.create_task(sending)
        leaving = both.create_task(_disconnected(receive))
        writing.add_done_callback(lambda _: leaving.cancel())
        leaving.add_done_callback(lambda _: writing.cancel())


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue
