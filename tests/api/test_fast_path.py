"""Whichever way a question takes, it gets the same answer, and is counted and logged alike."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from service.ownership import Method
from service.sandbox import seed
from tests.api.test_bad_input import JWT, KEY, NOT_QUESTIONS, in_bytes
from tests.clock import FakeClock
from tests.gateways import PATHS, X_MOON, Asker, LogLines, befall, caller_lines, opened, settings_from

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOBBY, NARROW, OTHERS = "ogw_token-of-the-lobby", "ogw_token-that-may-little", "ogw_token-for-another-game"
PLENTY = {"rate": "100000.0", "failed_keys_per_minute": "100000"}
TOML = "".join(
    [
        X_MOON,
        f"grant_user_ids = [{seed.STRANGER_ID}]\nban_user_ids = [{seed.REFUNDED_ID}]\n",
        "\n[games.sun-garden]\nid = 4\n",
        caller_lines("lobby", LOBBY, **PLENTY),
        caller_lines("narrow", NARROW, rights='["verify"]', **PLENTY),
        caller_lines("others", OTHERS, games='["sun-garden"]', **PLENTY),
    ]
)

KNOWN: list[tuple[Method, dict[str, Any]]] = [
    (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY}),
    (Method.DOWNLOAD_KEY, {"download_key": f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}"}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.UNCLAIMED_KEY}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.REVOKED_KEY}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY, "game": "x-moon", "deadline_ms": 900}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY, "only_if_cached": True}),
    (Method.EMAIL, {"email": seed.BUYER_EMAIL}),
    (Method.EMAIL, {"email": seed.STRANGER_EMAIL}),
    (Method.USER, {"user_id": seed.OWNER_ID}),
    (Method.USER, {"user_id": seed.BUNDLE_BUYER_ID}),
    (Method.USER, {"user_id": seed.OTHER_GAME_OWNER_ID}),
    (Method.JWT, {"jwt": seed.OWNER_ID}),
    (Method.JWT, {"jwt": seed.BUNDLE_BUYER_ID}),
    (Method.JWT, {"jwt": seed.OTHER_GAME_OWNER_ID}),
    (Method.JWT, {"jwt": seed.STRANGER_ID}),
    (Method.JWT, {"jwt": seed.REFUNDED_ID}),
    (Method.JWT, {"jwt": seed.SELLER_ID}),
]
"""Questions that memory can answer, of every method and outcome."""

NOT_KNOWN: list[tuple[Method, dict[str, Any]]] = [
    (Method.DOWNLOAD_KEY, {"download_key": "no key at all"}),
    (Method.DOWNLOAD_KEY, {"download_key": "abcdefgh1234.ijklmnop5678"}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY, "max_age": 100}),
    (Method.DOWNLOAD_KEY, {"download_key": "x" * 20, "only_if_cached": True}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY, "game": "moon-x"}),
    (Method.DOWNLOAD_KEY, {"download_key": seed.OWNER_KEY, "game": 7}),
    (Method.EMAIL, {"email": "no address"}),
    (Method.EMAIL, {"email": seed.BUYER_EMAIL, "proof": "a.b.c"}),
    (Method.USER, {"user_id": seed.STRANGER_ID}),
    (Method.USER, {"user_id": seed.REFUNDED_ID}),
    (Method.USER, {"user_id": 0}),
    (Method.JWT, {"jwt": "no-jwt-at-all"}),
]
"""Questions whose answers are never prepared, or that are none."""

HEADERS: list[list[tuple[str, str]]] = [
    [("authorization", f"Bearer {LOBBY}")],
    [("Authorization", f"bearer  {LOBBY}")],
    [("authorization", f"Bearer {NARROW}")],
    [("authorization", f"Bearer {OTHERS}")],
    [("authorization", "Bearer ogw_token-of-nobody")],
    [("authorization", f"Basic {LOBBY}")],
    [("authorization", f"Bearer {LOBBY}"), ("content-type", "text/plain")],
    [("authorization", f"Bearer {LOBBY}"), ("content-type", "application/json; charset=latin-1")],
    [("authorization", f"Bearer {LOBBY}"), ("content-type", 'Application/JSON; charset="UTF-8"')],
    [("authorization", f"Bearer {LOBBY}"), ("x-request-id", "match-7")],
    [("authorization", f"Bearer {LOBBY}"), ("x-request-id", "no id")],
    [("authorization", f"Bearer {LOBBY}"), ("x-request-id", "e" * 129)],
    [("authorization", f"Bearer {LOBBY}"), ("traceparent", f"00-{'a7' * 16}-{'b7' * 8}-01")],
    [("authorization", f"Bearer {LOBBY}"), ("traceparent", "nonsense")],
    [],
]


class Doors:
    """One gateway, and the three ways into it."""

    def __init__(self, gateway: Asker) -> None:
        self.gateway = gateway
        transport = httpx.ASGITransport(gateway.gateway.asgi)  # type: ignore[arg-type]  # httpx's own scopes
        self._application = httpx.AsyncClient(transport=transport, base_url="http://gateway")

    async def framework(self, path: str, body: bytes, headers: list[tuple[str, str]]) -> httpx.Response:
        """Ask by the long way: what names a header twice takes no other."""
        return await self._application.post(path, content=body, headers=[*headers, ("x-twice", "1"), ("x-twice", "1")])

    async def before_framework(self, path: str, body: bytes, headers: list[tuple[str, str]]) -> httpx.Response:
        """Ask the application."""
        return await self._application.post(path, content=body, headers=headers)

    async def at_once(self, path: str, body: bytes, headers: list[tuple[str, str]]) -> httpx.Response:
        """Ask as the server does, that is at once where that is possible."""
        return await self.gateway.http.post(path, content=body, headers=headers)

    async def all(self, path: str, body: bytes, headers: list[tuple[str, str]]) -> list[httpx.Response]:
        """Ask by all of them, once memory knows."""
        named = headers if any(name == "content-type" for name, _ in headers) else [*headers, *JSON.items()]
        for _ in range(2):
            await self.before_framework(path, body, [*JSON.items(), *TRUSTED.items()])
        return [await door(path, body, named) for door in (self.framework, self.before_framework, self.at_once)]


JSON = {"content-type": "application/json"}
TRUSTED = {"authorization": f"Bearer {LOBBY}"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def doors(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Doors]:
    """A gateway whose time stands still."""
    async with opened(settings_from(tmp_path_factory.mktemp("doors"), TOML), clock=FakeClock(), log=LogLines()) as it:
        yield Doors(it)


def seen(response: httpx.Response) -> tuple[int, dict[str, str], Any]:
    """Return all that a caller sees, but for what differs from answer to answer."""
    headers = dict(response.headers)
    body = response.json()
    given = headers.pop("x-request-id")
    if body.get("request_id") == given:
        del body["request_id"]
    if body.pop("decision_id", "") and "retry_after_seconds" in body:
        # Spread at random, so that not all come back together.
        body.pop("retry_after_seconds")
        headers.pop("retry-after")
        headers.pop("content-length")
    elif len(given) != 26:
        body["given"] = given
    return response.status_code, headers, (body, list(body))


def question(doors: Doors, fields: dict[str, Any]) -> bytes:
    """Return a body; whose a JWT is to be is said by their id."""
    if isinstance(fields.get("jwt"), int):
        fields = fields | {"jwt": JWTS.setdefault(fields["jwt"], doors.gateway.sandbox.mint_jwt(fields["jwt"]).jwt)}
    return json.dumps({"game": 3} | fields).encode()


JWTS: dict[int, str] = {}


@pytest.mark.parametrize(("method", "fields"), [*KNOWN, *NOT_KNOWN])
async def test_every_way_leads_to_the_same_answer(doors: Doors, method: Method, fields: dict[str, Any]) -> None:
    """Status, headers and body are the same, apart from ids."""
    answers = await doors.all(PATHS[method], question(doors, fields), list(TRUSTED.items()))

    assert seen(answers[0]) == seen(answers[1]) == seen(answers[2])


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("method", list(Method))
async def test_every_caller_is_told_the_same_by_every_way(
    doors: Doors, method: Method, headers: list[tuple[str, str]]
) -> None:
    """Whoever may not ask this, or not in this form, gets no answer by any way."""
    fields = next(fields for known, fields in KNOWN if known is method)

    answers = await doors.all(PATHS[method], question(doors, fields), headers)

    assert seen(answers[0]) == seen(answers[1]) == seen(answers[2])


@pytest.mark.parametrize(("path", "body", "code", "pointer"), NOT_QUESTIONS)
async def test_every_way_refuses_alike(doors: Doors, path: str, body: object, code: str, pointer: str) -> None:
    """What is no question is told so in the same words."""
    answers = await doors.all(path, in_bytes(body), list(TRUSTED.items()))

    assert seen(answers[0]) == seen(answers[1]) == seen(answers[2])


@pytest.mark.parametrize(
    "path", ["/verify/jwt/", "/verify/jwt?game=3", "/verify//jwt", "/verify/j%77t", "/verify/batch"]
)
async def test_other_ways_of_writing_a_path_are_read_alike(doors: Doors, path: str) -> None:
    """What the framework takes for a path it answers, and nothing else does."""
    answers = await doors.all(path, in_bytes(JWT | {"jwt": "no"}), list(TRUSTED.items()))

    assert seen(answers[0]) == seen(answers[1]) == seen(answers[2])


@pytest.mark.parametrize("length", [16 * 1024, 16 * 1024 + 1])
async def test_every_way_bounds_bodies_alike(doors: Doors, length: int) -> None:
    """16 KiB are read, and no more."""
    body = in_bytes(KEY).ljust(length)

    answers = await doors.all("/verify/download-key", body, list(TRUSTED.items()))

    assert seen(answers[0]) == seen(answers[1]) == seen(answers[2])


async def test_every_way_is_told_alike_that_the_store_says_nothing(doors: Doors) -> None:
    """A 503 is a 503 by every way."""
    befall(doors.gateway.sandbox, status=503)

    body = question(doors, {"download_key": "y" * 20})
    answers = await doors.all("/verify/download-key", body, list(TRUSTED.items()))

    doors.gateway.sandbox.faults.replace([])
    assert [answer.status_code for answer in answers] == [503] * 3
    assert seen(answers[0]) == seen(answers[1]) == seen(answers[2])


@pytest.mark.parametrize(("method", "fields"), KNOWN)
async def test_every_way_is_counted_alike(doors: Doors, method: Method, fields: dict[str, Any]) -> None:
    """One decision, one measured time, and each use of memory."""
    body = question(doors, fields)
    await doors.all(PATHS[method], body, list(TRUSTED.items()))

    grown = []
    for door in (doors.framework, doors.before_framework, doors.at_once):
        before = await _counted(doors)
        await door(PATHS[method], body, [*JSON.items(), *TRUSTED.items()])
        after = await _counted(doors)
        grown.append({line: after[line] - before[line] for line in after if after[line] != before[line]})

    assert grown[0] == grown[1] == grown[2]
    assert sum(grown[0].values()) >= 3


@pytest.mark.parametrize(("method", "fields"), KNOWN)
async def test_every_way_is_logged_alike(doors: Doors, method: Method, fields: dict[str, Any]) -> None:
    """One line with the same fields, apart from ids and the time that it took."""
    body, log = question(doors, fields), doors.gateway.log
    await doors.all(PATHS[method], body, list(TRUSTED.items()))

    lines = []
    for number, door in enumerate((doors.framework, doors.before_framework, doors.at_once)):
        request_id = f"logged-{KNOWN.index((method, fields))}-{number}"
        answer = await door(PATHS[method], body, [*JSON.items(), *TRUSTED.items(), ("x-request-id", request_id)])
        line = await log.line_of(request_id)
        assert line.pop("decision_id") == answer.json()["decision_id"]
        assert line.pop("duration_ms") >= 0
        lines.append((line | {"request_id": ""}, list(line)))

    assert lines[0] == lines[1] == lines[2]


async def _counted(doors: Doors) -> dict[str, float]:
    text = (await doors.gateway.http.get("/metrics")).text
    lines = (line.rpartition(" ") for line in text.splitlines() if line.startswith("ownership_gateway_"))
    # Gauges say how things stand, and sums and buckets how long it took.
    return {name: float(value) for name, _, value in lines if "_total" in name or "_seconds_count" in name}
