"""The sandbox's store at the end of a wire without sockets, and an exact record of its answers."""

import json
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

import httpx
from msgspec import Struct

from service.sandbox.faults import Fault
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreRequest
from service.verification.interfaces import Clock

BASE_URL: Final = "https://store.example"
_SUBJECTS: Final = ("download_key", "user_id", "email")


class Said(Enum):
    """The part of a store's answer about a subject that decides something."""

    YES = "yes"
    NO_KEY = "no key"
    NO_PURCHASE = "no purchase"


class Statement(Struct, frozen=True):
    """One answer that the store gave undisturbed: when, about whom, and what."""

    at: datetime
    subject: str
    said: Said


def subject_of(name: str, credential: str | int) -> str:
    """Name a subject as the store's query does."""
    return f"{name}={credential}"


class StoreLine(httpx.AsyncBaseTransport):
    """Leads from a gateway to the sandbox. Faults do here what they do on a socket, by the clock of the test.

    `statements` may be shared with the lines of other gateways.
    """

    def __init__(self, sandbox: Sandbox, *, clock: Clock, statements: list[Statement]) -> None:
        self._sandbox = sandbox
        self._clock = clock
        self.statements = statements
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer as the sandbox does, disturbed as its faults say."""
        self.asked += 1
        delivery = self._sandbox.receive(
            StoreRequest(
                method=request.method,
                path=request.url.path,
                query=tuple(request.url.params.multi_items()),
                authorization=request.headers.get("authorization"),
            )
        )
        answer, fault = delivery.answer, delivery.fault
        if fault is None or not (
            fault.truncated or fault.status or fault.html_challenge or fault.redirect or fault.body
        ):
            self._note(request, answer.body)
        if fault is not None and fault.latency_ms:
            await self._clock.sleep(timedelta(milliseconds=fault.latency_ms))
        if fault is not None and fault.truncated:
            raise httpx.ReadError("half of it is missing")
        headers = [("content-type", answer.content_type), *answer.headers]
        return httpx.Response(answer.status, headers=headers, stream=httpx.ByteStream(answer.body))

    def _note(self, request: httpx.Request, body: bytes) -> None:
        name = next((name for name in _SUBJECTS if name in request.url.params), None)
        said = _said(json.loads(body))
        if name is not None and said is not None:
            subject = subject_of(name, request.url.params[name])
            self.statements.append(Statement(self._clock.now(), subject, said))


def _only_late(fault: Fault) -> bool:
    return fault.latency_ms > 0 and fault == Fault(latency_ms=fault.latency_ms)


def _said(body: dict[str, object]) -> Said | None:
    if "download_key" in body or body.get("purchases"):
        return Said.YES
    if "purchases" in body:
        return Said.NO_PURCHASE
    if body.get("errors") in (["invalid download key"], ["no download key found"]):
        return Said.NO_KEY
    return None
