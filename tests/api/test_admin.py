"""`POST /admin/invalidate`: the right to it, its effect, and its log line."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.api.paths import INVALIDATE_PATH
from service.ownership import Method
from service.sandbox import seed
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import X_MOON, Asker, LogLines, befall, caller_lines, store_calls

ADMIN = "ogw_admin-of-everything"
ADMIN_OF_OTHER = "ogw_admin-of-the-other-game"
LOBBY = "ogw_lobby"
SLOW = "ogw_slow-admin"
CALLERS = (
    X_MOON
    + "[games.sun-garden]\nid = 4\n"
    + caller_lines("admin", ADMIN, rights='["admin"]')
    + caller_lines("other-admin", ADMIN_OF_OTHER, games='["sun-garden"]')
    + caller_lines("lobby", LOBBY, rights='["verify", "assert:user", "assert:email"]')
    + caller_lines("slow-admin", SLOW, rate="0.5")
)


async def invalidate(gateway: Asker, token: str | None = None, **body: Any) -> httpx.Response:
    """Have the gateway forget."""
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await gateway.http.post(INVALIDATE_PATH, json={"game": 3, **body}, headers=headers)


SUBJECTS: dict[Method, tuple[str, str | int]] = {
    Method.DOWNLOAD_KEY: ("download_key", seed.OWNER_KEY),
    Method.EMAIL: ("email", seed.BUYER_EMAIL),
    Method.USER: ("user_id", seed.OWNER_ID),
}
FORGETS_SUBJECT: dict[str, Any] = {}
FORGETS_OTHER_GAME: dict[str, Any] = {"game": 4}


@pytest.mark.parametrize("method", SUBJECTS)
@variants(FORGETS_SUBJECT, other_game=FORGETS_OTHER_GAME)
async def test_the_store_is_asked_again_about_a_subject(
    variant: Variant[dict[str, Any]], open_with: Open, method: Method
) -> None:
    """The store is asked again, and its answer is cached as usual."""
    gateway = await open_with(X_MOON + "[games.sun-garden]\nid = 4\n")
    field, credential = SUBJECTS[method]
    await gateway.ask(method, credential)

    body: dict[str, Any] = {field: credential, **variant.make}
    response = await invalidate(gateway, **body)

    answers = [await gateway.ask(method, credential) for _ in range(2)]
    assert response.status_code == 200
    with promised(variant):
        assert [answer.json()["cache"] for answer in answers] == ["none", "memory"]


async def test_a_url_names_the_key_in_it(gateway: Asker) -> None:
    """Support pastes the URL that the player sent."""
    await gateway.key(seed.OWNER_KEY)

    await invalidate(gateway, download_key=f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}")

    assert (await gateway.key(seed.OWNER_KEY)).json()["cache"] == "none"


async def test_a_slug_names_the_game(gateway: Asker) -> None:
    """The game is named by its slug, as everywhere."""
    await gateway.user(seed.OWNER_ID)

    response = await invalidate(gateway, game="x-moon", user_id=seed.OWNER_ID)

    assert response.json()["game_id"] == 3
    assert (await gateway.user(seed.OWNER_ID)).json()["cache"] == "none"


async def test_others_stay_known(gateway: Asker) -> None:
    """The store is asked again about the named subject alone."""
    await gateway.key(seed.OWNER_KEY)

    await invalidate(gateway, user_id=seed.OWNER_ID)

    assert (await gateway.key(seed.OWNER_KEY)).json()["cache"] == "memory"


async def test_without_a_subject_it_is_the_whole_game(open_with: Open) -> None:
    """All players of the game, by any credential; another game stays known."""
    gateway = await open_with("")
    asked: list[tuple[Method, str | int]] = [
        (Method.DOWNLOAD_KEY, seed.OWNER_KEY),
        (Method.EMAIL, seed.BUYER_EMAIL),
        (Method.USER, seed.OWNER_ID),
    ]
    for method, credential in asked:
        await gateway.ask(method, credential)
        await gateway.ask(method, credential, game=4)

    await invalidate(gateway)

    assert [(await gateway.ask(*question)).json()["cache"] for question in asked] == ["none"] * 3
    assert [(await gateway.ask(*question, game=4)).json()["cache"] for question in asked] == ["memory"] * 3


async def test_a_refund_shows_at_once(gateway: Asker, clock: FakeClock) -> None:
    """A refund shows in the next answer after the invalidation."""
    gateway.sandbox.world.buy([3], user_id=seed.STRANGER_ID)
    await gateway.user(seed.STRANGER_ID)
    gateway.sandbox.world.refund(max(gateway.sandbox.world.purchases))
    clock.jump(timedelta(seconds=1))
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "owned"

    await invalidate(gateway, user_id=seed.STRANGER_ID)

    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"


async def test_an_outage_does_not_bring_it_back(gateway: Asker, clock: FakeClock) -> None:
    """An invalidated player is unknown during an outage, which is not `not_owned`; others keep their grace."""
    await gateway.key(seed.OWNER_KEY)
    await gateway.key(seed.SHORT_KEY)
    clock.jump(timedelta(hours=2))
    befall(gateway.sandbox, status=500)

    await invalidate(gateway, download_key=seed.OWNER_KEY)

    forgotten, other = await gateway.key(seed.OWNER_KEY), await gateway.key(seed.SHORT_KEY)
    assert (forgotten.status_code, forgotten.json()["outcome"]) == (503, "unknown")
    assert (other.json()["outcome"], other.json()["stale"]) == ("owned", True)


async def test_the_store_is_not_asked_for_it(gateway: Asker) -> None:
    """Invalidating costs no request to the store; the next question does."""
    await invalidate(gateway, user_id=seed.OWNER_ID)

    assert store_calls(gateway.sandbox) == 0


async def test_the_answer_says_what_was_forgotten(gateway: Asker) -> None:
    """The answer has the subject's fingerprint, as in the log, and the time of the invalidation."""
    response = await invalidate(gateway, user_id=seed.OWNER_ID)

    await gateway.user(seed.OWNER_ID)
    verified = await gateway.log.line("verified")
    assert response.json() == {
        "game_id": 3,
        "subject": verified["subject"],
        "before": "2026-11-20T14:03:11.123457Z",
    }
    assert response.headers["cache-control"] == "no-store"


async def test_the_answer_about_a_game_names_nobody(gateway: Asker) -> None:
    """The answer about a whole game has no subject."""
    assert (await invalidate(gateway)).json()["subject"] is None


# Who may


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        (ADMIN, 200, None),
        (None, 401, "not_authenticated"),
        ("ogw_nobody", 401, "not_authenticated"),
        (LOBBY, 403, "not_permitted"),
        (ADMIN_OF_OTHER, 403, "not_permitted"),
    ],
)
async def test_it_needs_the_right_and_the_game(
    open_with: Open, token: str | None, status: int, code: str | None
) -> None:
    """A caller that lacks the right or the game changes nothing."""
    gateway = await open_with(CALLERS)
    await gateway.user(seed.OWNER_ID, token=LOBBY)

    response = await invalidate(gateway, token, user_id=seed.OWNER_ID)

    cache = (await gateway.user(seed.OWNER_ID, token=LOBBY)).json()["cache"]
    assert (response.status_code, response.json().get("code")) == (status, code)
    assert cache == ("none" if status == 200 else "memory")


async def test_it_counts_against_the_callers_rate(open_with: Open) -> None:
    """The rate bounds the harm that a stolen token can do."""
    gateway = await open_with(CALLERS)

    answers = [await invalidate(gateway, SLOW, user_id=number) for number in range(1, 4)]

    assert [answer.status_code for answer in answers] == [200, 429, 429]


async def test_the_local_caller_may(gateway: Asker) -> None:
    """The caller of a gateway without callers is on the same machine."""
    assert (await invalidate(gateway, user_id=seed.OWNER_ID)).status_code == 200


# What is no invalidation


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({"game": None}, 400, "wrong_type", "/game"),
        ({"game": "sun-garden"}, 404, "unknown_game", None),
        ({"game": 3, "user_id": "1994"}, 400, "wrong_type", "/user_id"),
        ({"game": 3, "user_id": 0}, 400, "out_of_range", "/user_id"),
        ({"game": 3, "user_id": 2**53}, 400, "out_of_range", "/user_id"),
        ({"game": 3, "user_id": 2**70}, 400, "out_of_range", "/user_id"),
        ({"game": 3, "email": "a@b@c"}, 400, "malformed_email", "/email"),
        ({"game": 3, "email": 7}, 400, "wrong_type", "/email"),
        ({"game": 3, "download_key": "no key"}, 400, "malformed_download_key", "/download_key"),
        (
            {"game": 3, "download_key": "https://itch.io/bundle/download/abcdefgh"},
            400,
            "bundle_link",
            "/download_key",
        ),
        ({"game": 3, "jwt": "a.b.c"}, 400, "unknown_field", "/jwt"),
        ({"game": 3, "everything": True}, 400, "unknown_field", ""),
        ({"user_id": 1994}, 400, "missing_field", "/game"),
        ({"game": 3, "user_id": 1994, "email": seed.OWNER_EMAIL}, 400, "too_many_subjects", "/user_id"),
        ({"game": 3, "email": seed.OWNER_EMAIL, "download_key": "12345678"}, 400, "too_many_subjects", "/email"),
        ([], 400, "wrong_type", ""),
    ],
)
async def test_bad_bodies_change_nothing(
    gateway: Asker, body: object, status: int, code: str, pointer: str | None
) -> None:
    """The problem says what is wrong, and where."""
    await gateway.user(seed.OWNER_ID)

    response = await gateway.http.post(INVALIDATE_PATH, json=body)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert [mistake["pointer"] for mistake in problem.get("errors", [])] == ([] if pointer is None else [pointer])
    assert (await gateway.user(seed.OWNER_ID)).json()["cache"] == "memory"


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"game": "\xff"}', "application/json", 400),
        (b'{"game": 3}', "text/plain", 415),
        (b" " * 20_000, "application/json", 413),
    ],
)
async def test_what_cannot_be_read_is_refused(gateway: Asker, content: bytes, media_type: str, status: int) -> None:
    """A body that breaks off, above all, is not taken for the whole game."""
    response = await gateway.http.post(INVALIDATE_PATH, content=content, headers={"content-type": media_type})

    assert response.status_code == status
    assert gateway.log.lines("invalidated") == []


async def test_refusals_are_counted(gateway: Asker) -> None:
    """Refused invalidations are counted like refused questions."""
    await invalidate(gateway, user_id=0)

    assert await gateway.metric("refused_total", cause="bad_question") == 1


# The log


@pytest.mark.parametrize("method", SUBJECTS)
async def test_it_leaves_a_line_in_the_log(open_with: Open, method: Method) -> None:
    """The line has the caller, the request, and the subject, by its fingerprint alone."""
    gateway = await open_with(CALLERS)
    field, credential = SUBJECTS[method]

    response = await gateway.http.post(
        INVALIDATE_PATH,
        json={"game": 3, field: credential},
        headers={"authorization": f"Bearer {ADMIN}", "x-request-id": "ticket-77"},
    )

    line = await gateway.log.line("invalidated")
    assert {name: line[name] for name in ("level", "caller", "game", "request_id", "subject")} == {
        "level": "info",
        "caller": "admin",
        "game": "x-moon",
        "request_id": "ticket-77",
        "subject": response.json()["subject"],
    }
    assert str(credential) not in json.dumps(line) + response.text


async def test_the_log_says_nothing_of_a_subject_where_there_is_none(gateway: Asker, log: LogLines) -> None:
    """The log line about a whole game has no subject."""
    await invalidate(gateway)

    assert (await log.line("invalidated")).get("subject") is None


# The description


async def test_the_description_holds_it(gateway: Asker) -> None:
    """The description has every status, and the bodies for a subject and for a whole game."""
    described = (await gateway.http.get("/openapi.json")).json()
    operation: dict[str, Any] = described["paths"][INVALIDATE_PATH]["post"]

    assert set(operation["responses"]) == {"200", "400", "401", "403", "404", "408", "413", "415", "429", "500", "503"}
    assert set(described["components"]["schemas"]["Invalidation"]["properties"]) == {
        "game",
        "download_key",
        "email",
        "user_id",
    }
    assert described["components"]["schemas"]["Invalidation"]["required"] == ["game"]
    assert set(described["components"]["schemas"]["Invalidated"]["required"]) == {"game_id", "subject", "before"}
