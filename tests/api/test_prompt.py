"""What is answered at once, and what is not: then it goes the usual way, as if there were no other."""

import json
from datetime import timedelta
from typing import Any

import pytest

from service.ownership import Method
from service.sandbox import seed
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import PATHS, X_MOON, Asker, LogLines, caller_lines, until

LOBBY, NARROW, OTHERS = "ogw_token-of-the-lobby", "ogw_token-that-may-little", "ogw_token-for-another-game"
CALLERS = (
    X_MOON
    + "\n[games.sun-garden]\nid = 4\n"
    + caller_lines("lobby", LOBBY)
    + caller_lines("narrow", NARROW, rights='["assert:user"]')
    + caller_lines("others", OTHERS, games='["sun-garden"]')
)
BODY = json.dumps({"game": 3, "download_key": seed.OWNER_KEY}).encode()
PATH = PATHS[Method.DOWNLOAD_KEY]


def request(
    *fields: str,
    body: bytes = BODY,
    path: str = PATH,
    verb: str = "POST",
    version: str = "1.1",
    token: str | None = None,
) -> bytes:
    """Write a request as a game server sends it."""
    head = [f"{verb} {path} HTTP/{version}", "Host: gateway", *fields, f"Content-Length: {len(body)}"]
    if not any(field.lower().startswith("content-type") for field in fields):
        head.append("Content-Type: application/json")
    if token is not None:
        head.append(f"Authorization: Bearer {token}")
    return "\r\n".join([*head, "\r\n"]).encode() + body


def at_once(gateway: Asker, *fields: str, server: Any = ("127.0.0.1", 8080), **parts: Any) -> bytes | None:
    """Show the gateway a request that has arrived whole."""
    return gateway.gateway.asgi.answer_at_once(request(*fields, **parts), b"date: today\r\n", server)


async def remembering(gateway: Asker, token: str | None = None, body: bytes = BODY, path: str = PATH) -> Asker:
    """Ask twice: the store answers the first time, memory the second."""
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {token}"} if token else {})
    for _ in range(2):
        await gateway.http.post(path, content=body, headers=headers)
    return gateway


async def test_what_memory_answered_is_answered_at_once(gateway: Asker) -> None:
    """The third time, nothing needs to be parsed, looked up or waited for."""
    await remembering(gateway)

    response = at_once(gateway)

    assert response is not None
    head, _, body = response.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ndate: today\r\ncontent-type: application/json\r\n")
    assert json.loads(body)["outcome"] == "owned"


async def test_what_the_store_was_asked_is_not_answered_at_once(gateway: Asker) -> None:
    """What was just looked up is not known to come from memory yet."""
    await gateway.http.post(PATH, content=BODY, headers={"content-type": "application/json"})

    assert at_once(gateway) is None


@pytest.mark.parametrize(
    "parts",
    [
        {"body": BODY + b" "},
        {"path": PATHS[Method.JWT]},
        {"path": f"{PATH}/"},
        {"path": f"{PATH}?game=4"},
        {"verb": "PUT"},
        {"version": "1.0"},
    ],
)
async def test_another_question_is_not_answered_at_once(gateway: Asker, parts: dict[str, Any]) -> None:
    """To the byte the same body, to the same place, in the same way."""
    await remembering(gateway)

    assert at_once(gateway, **parts) is None


@pytest.mark.parametrize(
    "field",
    [
        "Connection: close",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Connection: upgrade\r\nUpgrade: h2c",
        "Host: gateway",
        "Content-Type: text/plain",
        f"Content-Length: {len(BODY)}",
        "Content-Length: 7",
        "No header at all",
    ],
)
async def test_peculiar_request_is_not_answered_at_once(gateway: Asker, field: str) -> None:
    """Whoever sends more than a plain question is heard by those who understand it."""
    await remembering(gateway)

    assert at_once(gateway, field) is None


async def test_head_with_two_ends_is_not_answered_at_once(gateway: Asker) -> None:
    """Some parsers take two bare line feeds for one, and what comes after for a body."""
    await remembering(gateway)
    lines = request().partition(b"\r\n\r\n")[0].replace(b"\r\n", b"\n")

    assert gateway.gateway.asgi.answer_at_once(lines + b"\n\nX: 1\r\n\r\n" + BODY, b"", None) is None


async def test_part_of_a_request_is_not_answered_at_once(gateway: Asker) -> None:
    """Nor is one with another behind it."""
    await remembering(gateway)
    edge = gateway.gateway.asgi

    assert edge.answer_at_once(request()[:-1], b"", None) is None
    assert edge.answer_at_once(request()[: -len(BODY)], b"", None) is None
    assert edge.answer_at_once(BODY, b"", None) is None
    assert edge.answer_at_once(request() * 2, b"", None) is None


@pytest.mark.parametrize("token", [None, "ogw_token-of-nobody", NARROW, OTHERS])
async def test_who_may_not_ask_is_not_answered_at_once(open_with: Open, token: str | None) -> None:
    """An answer is prepared for the question, not for everybody."""
    gateway = await remembering(await open_with(CALLERS), LOBBY)
    assert at_once(gateway, token=LOBBY) is not None

    assert at_once(gateway, token=token) is None


async def test_answer_at_once_counts_against_the_rate(open_with: Open) -> None:
    """Whoever is over its rate is told so, by the usual way."""
    gateway = await remembering(await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="2.0")), LOBBY)

    answers = [at_once(gateway, token=LOBBY) for _ in range(3)]

    assert [answer is not None for answer in answers] == [True, True, False]
    response = await gateway.key(seed.OWNER_KEY, token=LOBBY)
    assert response.status_code == 429


@pytest.mark.parametrize(("rate", "hits"), [("4.0", 1.0), ("1.0", 0.0)])
async def test_only_what_is_answered_at_once_counts_as_a_hit(open_with: Open, rate: str, hits: float) -> None:
    """Nothing has happened to what goes the usual way after all, however often it comes."""
    gateway = await remembering(await open_with(X_MOON + caller_lines("lobby", LOBBY, rate=rate)), LOBBY)
    labels = {"tier": "memory", "operation": "get", "result": "hit"}
    before = await gateway.metric("cache_operations_total", **labels)

    answered = at_once(gateway, token=LOBBY)

    assert (answered is not None) == bool(hits)
    assert await gateway.metric("cache_operations_total", **labels) - before == hits


async def test_known_keys_are_answered_at_once_although_guessing_is_over(open_with: Open) -> None:
    """What is known to be good always passes."""
    toml = X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1")
    gateway = await remembering(await open_with(toml), LOBBY)
    await gateway.key("x" * 20, token=LOBBY)

    assert (await gateway.key("y" * 20, token=LOBBY)).status_code == 429
    assert at_once(gateway, token=LOBBY) is not None


async def test_forgotten_answer_is_not_given_at_once(gateway: Asker) -> None:
    """From the moment of the invalidation on."""
    await remembering(gateway)

    await gateway.http.post("/admin/invalidate", json={"game": 3, "download_key": seed.OWNER_KEY})

    assert at_once(gateway) is None


async def test_forgotten_game_is_not_answered_at_once(gateway: Asker) -> None:
    """The same for all that is known about a game."""
    await remembering(gateway)

    await gateway.http.post("/admin/invalidate", json={"game": 3})

    assert at_once(gateway) is None


async def test_newer_answer_takes_the_place_of_the_older_at_once(gateway: Asker, clock: FakeClock) -> None:
    """A player who has just bought the game is not told the old no, nor its age."""
    await remembering(gateway)
    await clock.advance(timedelta(seconds=30))
    await gateway.key(seed.OWNER_KEY, max_age=0)

    assert at_once(gateway) is None
    await remembering(gateway)
    response = at_once(gateway)
    assert response is not None
    assert b"\r\nage: 0\r\n" in response


async def test_answer_due_for_a_refresh_is_not_given_at_once(gateway: Asker, clock: FakeClock) -> None:
    """Somebody has to begin the refresh: from four fifths of its hour on, give or take a tenth."""
    await remembering(gateway)

    await clock.advance(timedelta(minutes=40))
    assert at_once(gateway) is not None
    await clock.advance(timedelta(minutes=15))
    assert at_once(gateway) is None


async def test_answer_grows_old_at_once_too(gateway: Asker, clock: FakeClock) -> None:
    """`Age` and what is left of its freshness are those of the moment."""
    await remembering(gateway)
    response = at_once(gateway)
    assert response is not None
    ttl = int(response.partition(b"ttl=")[2].partition(b";")[0])

    await clock.advance(timedelta(seconds=61))

    response = at_once(gateway)
    assert response is not None
    assert b"\r\nage: 61\r\n" in response
    assert int(response.partition(b"ttl=")[2].partition(b";")[0]) == ttl - 61


async def test_max_age_is_never_answered_at_once(gateway: Asker) -> None:
    """What it allows depends on when it is asked."""
    body = json.dumps({"game": 3, "download_key": seed.OWNER_KEY, "max_age": 3600}).encode()
    await remembering(gateway, body=body)

    assert at_once(gateway, body=body) is None


async def test_draining_gateway_answers_nothing_at_once(gateway: Asker) -> None:
    """Every response has to ask its connection to be closed."""
    await remembering(gateway)
    gateway.gateway.asgi.draining = True

    assert at_once(gateway) is None


async def test_port_of_operations_answers_nothing_at_once(gateway: Asker) -> None:
    """There is no question there; everywhere else there is."""
    await remembering(gateway)
    gateway.gateway.asgi.operations_port = 9090

    assert at_once(gateway, server=("127.0.0.1", 9090)) is None
    assert at_once(gateway, server=("127.0.0.1", 8080)) is not None
    assert at_once(gateway, server=None) is not None


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("X-Request-ID: match-7", b"\r\nx-request-id: match-7\r\n"),
        ("X-Request-ID: no id", b"\r\nx-request-id: 01"),
        ("X-Other: 1", b"\r\nx-request-id: 01"),
    ],
)
async def test_answer_at_once_has_the_id_of_its_request(gateway: Asker, field: str, expected: bytes) -> None:
    """The caller's own where it is safe to repeat, else a new one."""
    await remembering(gateway)

    response = at_once(gateway, field)

    assert response is not None
    assert expected in response


@pytest.mark.parametrize("request_id", ["match-7", "ogw_looks-like-a-secret"])
async def test_answer_at_once_is_logged_with_its_trace(gateway: Asker, log: LogLines, request_id: str) -> None:
    """What looks like a secret is not written down, wherever it stands."""
    await remembering(gateway)

    at_once(gateway, f"X-Request-ID: {request_id}", f"traceparent: 00-{'a7' * 16}-{'b7' * 8}-01")

    await until(lambda: len(log.lines("verified")) == 3)
    line = log.lines("verified")[-1]
    assert line["trace_id"] == "a7" * 16
    assert line["request_id"] == ("match-7" if request_id == "match-7" else "[redacted]")


@pytest.mark.parametrize("fields", [[], [f"traceparent: 00-{'a7' * 16}-{'b7' * 8}-01"]])
async def test_answer_at_once_is_logged_like_the_one_before(gateway: Asker, log: LogLines, fields: list[str]) -> None:
    """What it is about is the same; only when, by whom and how fast is not."""
    await remembering(gateway)
    at_once(gateway, *fields)
    await until(lambda: len(log.lines("verified")) == 3)

    before, line = log.lines("verified")[1:]

    alike = ("level", "event", "game", "method", "outcome", "reason", "cache", "caller", "subject")
    assert [line.get(name) for name in alike] == [before.get(name) for name in alike]
    assert line["subject"] is not None


async def test_answer_at_once_is_not_logged_where_answers_are_not(open_with: Open, log: LogLines) -> None:
    """A level above `info` is quiet."""
    gateway = await remembering(await open_with(level="warning"))

    assert at_once(gateway) is not None
    assert log.lines("verified") == []


async def test_prepared_answers_are_bounded(open_with: Open) -> None:
    """The least recently used make room, and the usual way answers for them."""
    gateway = await open_with(X_MOON + "\n[cache]\nmax_mebibytes = 1\n")
    await remembering(gateway)
    bodies = [BODY + b" " * blanks for blanks in range(1, 200)]

    for body in bodies:
        await remembering(gateway, body=body)

    assert at_once(gateway) is None
    assert at_once(gateway, body=bodies[-1]) is not None


async def test_heads_are_bounded(gateway: Asker) -> None:
    """However many different ones are sent, each is answered."""
    await remembering(gateway)

    answered = [at_once(gateway, f"X-Request-ID: match-{number}") for number in range(1_002)]

    assert None not in answered
    assert at_once(gateway, "X-Request-ID: match-0") is not None
