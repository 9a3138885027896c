"""Any answer of the store: a yes needs an explicit yes about exactly this question; and nothing crashes.

Answers are made from true ones by changing bytes, JSON trees, headers and encodings, and judged by a reader of its own
that shares no code with the gateway's.
"""

import asyncio
import gzip
import json
import random
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.clock import FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import X_MOON, Asker, LogLines, opened, pointing_at, settings_from, until_learned
from tests.itch.rig import streamed
from tests.reliability.spoiler import JSON_TYPE, Spoiler
from tests.reliability.store import BASE_URL
from tests.reliability.strict_reader import GAME, LARGEST, Question, Sent, denies, proves
from tests.sizes import SPOILT_ANSWERS
from tests.stores.raw_server import raw_server

SELLER: Final = 1_000_000_000
OVER: Final = timedelta(minutes=2)
"""After this the gateway has got over the effects of any answer."""


class Liar(httpx.AsyncBaseTransport):
    """A store that gives a prepared answer to the next question; `heard` are the answers that it sent."""

    def __init__(self) -> None:
        self.keys: Sent | None = None
        self.purchases: Sent | None = None
        self.heard: list[Sent] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer about keys or purchases from the script."""
        if request.url.path.endswith("/profile"):
            return streamed(httpx.Response(200, json={"user": {"id": SELLER}}))
        sent = self.keys if request.url.path.endswith("/download_keys") else self.purchases
        assert sent is not None
        self.heard.append(sent)
        return httpx.Response(sent.status, headers=list(sent.headers), stream=httpx.ByteStream(sent.body))


NO: Final = {"errors": ["invalid download key"]}
NO_PURCHASES: Final = Sent(200, JSON_TYPE, b'{"purchases": {}}')
NO_KEY: Final = Sent(400, JSON_TYPE, b'{"errors": ["no download key found"]}')


async def fuzz(gateway: Asker, liar: Liar, clock: FakeClock, count: int) -> dict[str, int]:
    """Ask so many questions that the store answers badly; return how often each outcome was right."""
    spoiler, chance = Spoiler(count), random.Random(count)
    outcomes: dict[str, int] = {}
    for number in range(1, count + 1):
        question = Question(chance.choice(["download_key", "user", "email"]), number)
        liar.heard.clear()
        kind = chance.random()
        if kind < 0.3:
            liar.keys, liar.purchases = spoiler.spoil(NO), NO_PURCHASES
        elif question.method != "download_key" and kind < 0.6:
            truth = question.purchases() if kind < 0.5 else {"purchases": []}
            liar.keys, liar.purchases = NO_KEY, spoiler.spoil(truth)
        else:
            liar.keys, liar.purchases = spoiler.spoil(question.key()), NO_PURCHASES
        response = await ask(gateway, question)
        check(question, liar.heard, response)
        outcome = response.json()["outcome"]
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        clock.jump(OVER)
    return outcomes


async def ask(gateway: Asker, question: Question) -> httpx.Response:
    """Ask it."""
    field = {"download_key": "download_key", "user": "user_id", "email": "email"}[question.method]
    path = f"/verify/{question.method.replace('_', '-')}"
    return await gateway.http.post(path, json={"game": GAME, field: question.credential})


def check(question: Question, heard: list[Sent], response: httpx.Response) -> None:
    """Check an answer against the store's."""
    assert heard, "the store was not asked"
    body = response.json()
    shown = f"{question}: {heard[-1].status} {heard[-1].headers} {heard[-1].body[:300]!r}"
    assert response.status_code in (200, 503), shown
    proven = any(proves(question, sent) for sent in heard)
    denied = all(denies(sent) for sent in heard)
    match body["outcome"]:
        case "owned":
            assert proven, shown
        case "not_owned":
            assert denied, shown
        case "unknown":
            assert heard[-1] not in true_answers(question), shown
        case _:
            raise AssertionError(shown)


def true_answers(question: Question) -> list[Sent]:
    """Return true answers."""
    return [Sent(200, JSON_TYPE, json.dumps(truth).encode()) for truth in (question.key(), question.purchases())]


Wrap = Callable[[Liar], httpx.AsyncBaseTransport]


def honest(liar: Liar) -> httpx.AsyncBaseTransport:
    """Send the answer as it is."""
    return liar


class Lenient(httpx.AsyncBaseTransport):
    """Broken: reads what it can find in an answer that cannot be read, as substrings."""

    def __init__(self, liar: Liar) -> None:
        self._liar = liar

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Repair the answer."""
        response = await self._liar.handle_async_request(request)
        body = await response.aread()
        if b"download key" in body and b"errors" in body:
            return streamed(httpx.Response(400, json={"errors": ["no download key found"]}))
        return streamed(httpx.Response(response.status_code, headers=response.headers, content=body))


class Generous(Lenient):
    """Broken: accepts a key of any player and any game."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Make it the one that was asked for."""
        response = await self._liar.handle_async_request(request)
        body = await response.aread()
        if b'"download_key"' not in body:
            return streamed(httpx.Response(response.status_code, headers=response.headers, content=body))
        asked = request.url.params
        number = int(asked.get("user_id", "1"))
        key = {"id": 1, "game_id": GAME, "key": asked.get("download_key", "key"), "owner": {"id": number}}
        return streamed(httpx.Response(200, json={"download_key": key}))


class Fragile(Lenient):
    """Broken: assumes that an answer has every field."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Look for errors, which may be anything."""
        response = await self._liar.handle_async_request(request)
        body = await response.aread()
        if body.startswith(b'{"errors"'):
            assert isinstance(json.loads(body)["errors"][0], str)
        return streamed(httpx.Response(response.status_code, headers=response.headers, content=body))


@variants(honest, lenient=Lenient, generous=Generous, fragile=Fragile)
async def test_yes_is_a_yes_and_no_is_a_no(variant: Variant[Wrap], tmp_path: Path) -> None:
    """Every other answer of a store is no answer, and no bug of ours."""
    clock, log, liar = FakeClock(), LogLines(), Liar()
    settings = settings_from(tmp_path, pointing_at(BASE_URL) + X_MOON, sandbox=False)
    async with opened(settings, clock=clock, log=log, level="error", transport=variant.make(liar)) as gateway:
        await until_learned(gateway.gateway)
        with promised(variant):
            outcomes = await fuzz(gateway, liar, clock, SPOILT_ANSWERS)
            assert not log.lines("bug")
            assert all(outcomes[outcome] > SPOILT_ANSWERS / 50 for outcome in ("owned", "not_owned", "unknown")), (
                outcomes
            )


YES: Final = json.dumps(Question("download_key", 1).key()).encode()
NOT: Final = json.dumps(NO).encode()
HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BOMB: Final = gzip.compress(YES + b" " * 50_000_000)


def _length(body: bytes, length: int) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n%b" % (length, body)


def _chunks(*chunks: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    return (
        HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks)
        + end
    )


FRAMES: Final[dict[str, bytes]] = {
    "too short a body": _length(YES, len(YES) + 1),
    "too short a no": _length(NOT, len(NOT) + 1),
    "cut by its length": _length(YES, len(YES) - 1),
    "a no cut by its length": _length(NOT, len(NOT) - 1),
    "negative length": _length(YES, -1),
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: %d\r\n\r\n%b" % (len(YES), YES),
    "truncated chunk": _chunks(YES, end=b"ff\r\n{"),
    "no last chunk": _chunks(YES, end=b""),
    "no last chunk of a no": _chunks(NOT, end=b""),
    "bad chunk size": HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + YES,
    "gzip bomb": HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(BOMB), BOMB),
    "gzip": HEAD
    + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(gzip.compress(YES)), gzip.compress(YES)),
    "no gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b" % (len(YES), YES),
    "deflate": HEAD + b"Content-Encoding: deflate\r\nContent-Length: %d\r\n\r\n%b" % (len(YES), YES),
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
    "long header": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
    "no HTTP": YES,
    "other protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "only informed": b"HTTP/1.1 100 Continue\r\n\r\n",
    "switched": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n" + YES,
    "bad status": b"HTTP/1.1 2xx OK\r\n\r\n" + YES,
    "header with NUL": b"HTTP/1.1 200 OK\r\nX: \x00\r\nContent-Length: %d\r\n\r\n%b" % (len(YES), YES),
    "too much": _length(YES + b" " * LARGEST, len(YES) + LARGEST),
    "too many chunks": _chunks(YES, *[b" " * 65_536] * 5),
    "nothing": b"",
    "headers only": HEAD,
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
async def test_badly_framed_answer_is_no_answer(frame: bytes, tmp_path: Path) -> None:
    """A truncated yes is no yes, a truncated no is no no, and a compressed body is not unpacked."""
    served = await answer_to(frame, tmp_path)

    assert (served.status_code, served.json()["outcome"]) == (503, "unknown")


@pytest.mark.parametrize(
    ("frame", "outcome"),
    [
        (_length(YES, len(YES)), "owned"),
        (_length(NOT, len(NOT)), "not_owned"),
        (_chunks(YES[:9], YES[9:]), "owned"),
        (_chunks(NOT[:9], NOT[9:]), "not_owned"),
        (HEAD + b"Connection: close\r\n\r\n" + YES, "owned"),
    ],
)
async def test_well_framed_answer_is_one(frame: bytes, outcome: str, tmp_path: Path) -> None:
    """A control: the test above can fail."""
    served = await answer_to(frame, tmp_path)

    assert (served.status_code, served.json()["outcome"]) == (200, outcome)


async def answer_to(frame: bytes, directory: Path) -> httpx.Response:
    """Return what is answered when the store sends these bytes and hangs up."""

    async def serve(writer: asyncio.StreamWriter) -> None:
        writer.write(frame)
        await writer.drain()
        writer.close()

    log = LogLines()
    async with raw_server(serve) as store:
        settings = settings_from(directory, pointing_at(store.base_url) + X_MOON, sandbox=False)
        async with opened(settings, clock=FakeClock(), log=log, level="error") as gateway:
            served = await ask(gateway, Question("download_key", 1))
            assert not log.lines("bug")
            return served
