"""Faults on demand: the answers of an unwell itch.io, for a number of requests or until they are cleared."""

import random
from asyncio import StreamWriter
from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Final, Protocol

from msgspec import Meta, Struct

from service.sandbox.store_answers import SandboxAnswer, say
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world import SandboxError

HeaderText = Annotated[str, Meta(pattern=r"^[\x20-\x7e]*\Z", max_length=2048)]
"""Goes into a header as it is, so it must fit there."""

_CHALLENGE: Final = b"""<!DOCTYPE html>
<html lang="en-US"><head><title>Just a moment...</title></head>
<body><h1>itch.io</h1><p>Verifying you are human. This may take a few seconds.</p>
<p>This is the sandbox's challenge page.</p></body></html>
"""
_HTML: Final = "text/html; charset=utf-8"
_FIRST_ERROR_STATUS: Final = 400
_SERVER_ERROR: Final = 500
_REDIRECTS: Final = range(300, 400)


class Drip(Struct, frozen=True, forbid_unknown_fields=True):
    """Send the body so many bytes at a time, with a pause before each piece."""

    chunk_bytes: Annotated[int, Meta(ge=1, le=65_536)] = 1
    interval_ms: Annotated[int, Meta(ge=1, le=60_000)] = 100


class FaultName(StrEnum):
    """The faults that tests need most, by name."""

    OUTAGE = "outage"
    """The store answers with 502 and a page."""
    THROTTLE = "throttle"
    """The store answers with 429 and asks to be left alone for 7 seconds."""
    KEY_REVOKED = "key_revoked"
    """The store refuses the seller's keys. JWTs are answered as ever."""
    SLOW = "slow"
    """The store takes a minute to answer, which passes in 0.6 seconds where the gateway has the sandbox's time."""


class Patience(Protocol):
    """Lets time pass until a fault is over, or is taken away."""

    async def wait(self, duration: timedelta) -> None:
        """Return once so much time has passed."""

    async def lapse(self, duration: timedelta) -> None:
        """Do the same, in less time where the clock can skip it."""


class Fault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A fault and the share of requests that it befalls; parts of the answer that it does not name stay as they are.

    At most one of `html_challenge`, `redirect`, `body` and `body_base64` replaces the answer; `status` alone replaces
    it by a page that fits. `retry_after` is sent as it is, be it seconds, a date or nonsense.
    """

    endpoint: StoreEndpoint | None = None
    """Only requests to this endpoint; none: all."""
    times: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    """The number of requests that it befalls; none: all until it is taken away."""
    rate: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """The share of requests that it befalls."""
    seed: int = 0
    """The seed of the choice of those requests, the same in every run."""

    name: FaultName | None = None
    """A fault by name, which has no effect beside its own."""
    deny: bool = False
    """Say no to every question about ownership."""
    latency_ms: Annotated[int, Meta(ge=0, le=600_000)] = 0
    drip: Drip | None = None
    truncated: bool = False
    """Close the connection after half of the body."""
    status: Annotated[int, Meta(ge=200, le=599)] | None = None
    retry_after: HeaderText | None = None
    html_challenge: bool = False
    redirect: HeaderText | None = None
    body: str | None = None
    body_base64: bytes | None = None
    content_type: HeaderText | None = None

    def __post_init__(self) -> None:
        """Refuse a fault that contradicts itself or does nothing."""
        replacements = (self.html_challenge, self.redirect, self.body, self.body_base64)
        named = sum(given is not None and given is not False for given in replacements)
        if named > 1:
            raise ValueError("name one of html_challenge, redirect, body and body_base64")
        if self.redirect is not None and self.status is not None and self.status not in _REDIRECTS:
            raise ValueError("a redirect has a status from 300 to 399")
        if self.content_type is not None and self.body is None and self.body_base64 is None:
            raise ValueError("content_type goes with body or body_base64")
        if named == 0 and self.status is not None and self.status < _FIRST_ERROR_STATUS:
            raise ValueError("a status below 400 goes with html_challenge, redirect, body or body_base64")
        effects = (
            named or self.deny or self.status or self.latency_ms or self.drip or self.truncated or self.retry_after
        )
        if self.name is not None and effects:
            raise ValueError("a fault with a name has no effect beside its own")
        if self.name is None and not effects:
            raise ValueError("this fault does nothing")

    @property
    def befalls_all(self) -> bool:
        """Whether it befalls each request to its endpoint."""
        return self.times is None and self.rate == 1

    def spoil(self, answer: SandboxAnswer) -> SandboxAnswer:
        """Return the answer that is sent instead."""
        replaced = self._replacement() or answer
        if self.retry_after is None:
            return replaced
        headers = (*replaced.headers, ("Retry-After", self.retry_after))
        return SandboxAnswer(replaced.status, replaced.body, replaced.content_type, headers)

    def cut(self, body: bytes) -> bytes:
        """Return the part of a body that is sent before the connection closes."""
        return body[: len(body) // 2] if self.truncated else body

    async def send(self, head: bytes, body: bytes, writer: StreamWriter, patience: Patience) -> None:
        """Send an answer as slowly as this fault says."""
        if self.name is FaultName.SLOW:
            await patience.lapse(_SLOW)
        if self.latency_ms:
            await patience.wait(timedelta(milliseconds=self.latency_ms))
        if self.drip is None:
            writer.write(head + body)
            return
        writer.write(head)
        for at in range(0, len(body), self.drip.chunk_bytes):
            await patience.wait(timedelta(milliseconds=self.drip.interval_ms))
            writer.write(body[at : at + self.drip.chunk_bytes])
            await writer.drain()

    def _replacement(self) -> SandboxAnswer | None:
        if self.html_challenge:
            return SandboxAnswer(self.status or 403, _CHALLENGE, _HTML)
        if self.redirect is not None:
            return SandboxAnswer(self.status or 302, b"", _HTML, (("Location", self.redirect),))
        if self.body is not None or self.body_base64 is not None:
            body = self.body_base64 if self.body is None else self.body.encode()
            return SandboxAnswer(self.status or 200, body or b"", self.content_type or "application/json")
        if self.status == _SERVER_ERROR:
            return say({"errors": ["There was a server error"]}, status=self.status)
        if self.status is not None:
            page = f"<html><head><title>{self.status}</title></head><body><h1>{self.status}</h1></body></html>\n"
            return SandboxAnswer(self.status, page.encode(), _HTML)
        return None


_SLOW: Final = timedelta(minutes=1)
_NAMED: Final = {FaultName.OUTAGE: Fault(status=502), FaultName.THROTTLE: Fault(status=429, retry_after="7")}


def check_faults(faults: Sequence[Fault]) -> None:
    """Raise `SandboxError` if one could never befall a request, because one before it befalls all of them."""
    for index, fault in enumerate(faults):
        for before in faults[:index]:
            if before.befalls_all and before.endpoint in (None, fault.endpoint):
                raise SandboxError(
                    "this fault contradicts one before it, which befalls each request", pointer=f"/{index}"
                )


class FaultState(Struct, frozen=True):
    """A fault and the number of requests that it has befallen."""

    fault: Fault
    befallen: int


class _ActiveFault:
    __slots__ = ("befallen", "chance", "fault")

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.befallen = 0
        self.chance = random.Random(fault.seed)  # noqa: S311 - repeatable on purpose, protects nothing

    def befalls(self, endpoint: StoreEndpoint | None) -> bool:
        fault = self.fault
        if fault.endpoint is not None and fault.endpoint is not endpoint:
            return False
        if fault.times is not None and self.befallen >= fault.times:
            return False
        return self.chance.random() < fault.rate


class FaultPlan:
    """The faults in force. A request meets at most one of them, the first that befalls it."""

    def __init__(self) -> None:
        self._active: list[_ActiveFault] = []

    def replace(self, faults: Sequence[Fault]) -> None:
        """Put exactly these faults in force, none of them used up."""
        self._active = [_ActiveFault(fault) for fault in faults]

    def spend(self, endpoint: StoreEndpoint | None) -> Fault | None:
        """Return the fault that this request meets, and count it."""
        for active in self._active:
            if active.befalls(endpoint):
                active.befallen += 1
                name = active.fault.name
                return active.fault if name is None else _NAMED.get(name, active.fault)
        return None

    def state(self) -> list[FaultState]:
        """Return the faults in force, also those that are used up."""
        return [FaultState(active.fault, active.befallen) for active in self._active]
