"""`/admin/overrides`: who may, what holds and for how long, what the log says, and what is refused."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.api.paths import OVERRIDES_PATH
from service.cache.shared_overrides import MOST_UNCONFIGURED_GAMES
from service.ownership import Method
from service.sandbox import seed
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, store_calls

MODERATOR = "ogw_moderator"
SUPPORT = "ogw_support"
LOBBY = "ogw_lobby"
OTHER = "ogw_moderator-of-the-other-game"
SLOW = "ogw_slow-moderator"
CALLERS = (
    X_MOON
    + "[games.sun-garden]\nid = 4\n"
    + caller_lines("moderator", MODERATOR, rights='["override"]')
    + caller_lines("support", SUPPORT, rights='["support"]')
    + caller_lines("lobby", LOBBY, rights='["verify", "assert:user", "assert:email", "admin"]')
    + caller_lines("other", OTHER, rights='["override"]', games='["sun-garden"]')
    + caller_lines("slow", SLOW, rights='["override"]', rate="0.5")
)
WEEK = 7 * 86_400
SUBJECTS: dict[str, tuple[Method, str | int]] = {
    "download_key": (Method.DOWNLOAD_KEY, seed.OWNER_KEY),
    "email": (Method.EMAIL, seed.BUYER_EMAIL),
    "user_id": (Method.USER, seed.OWNER_ID),
}


def headers(token: str | None) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"} if token else {}


async def override(gateway: Asker, token: str | None = None, **body: Any) -> httpx.Response:
    """Say something about a player, a ban for a week unless it is said otherwise."""
    whole = {"game": 3, "word": "ban", "seconds": WEEK, **body}
    return await gateway.http.post(OVERRIDES_PATH, json=whole, headers=headers(token))


async def overrides(gateway: Asker, token: str | None = None, game: str | int = 3) -> list[dict[str, Any]]:
    """Return what holds."""
    response = await gateway.http.get(OVERRIDES_PATH, params={"game": game}, headers=headers(token))
    assert response.status_code == 200
    found: list[dict[str, Any]] = response.json()
    return found


async def remove(gateway: Asker, override_id: str, token: str | None = None) -> httpx.Response:
    """Take one back."""
    return await gateway.http.delete(f"{OVERRIDES_PATH}/{override_id}", headers=headers(token))


# What holds


@pytest.mark.parametrize("field", SUBJECTS)
async def test_a_banned_subject_is_kept_out_until_the_end(gateway: Asker, clock: FakeClock, field: str) -> None:
    """The answer is that of the configuration's bans, with the end of the word."""
    method, credential = SUBJECTS[field]
    said = await override(gateway, None, **{field: credential}, seconds=3600)

    banned = (await gateway.ask(method, credential)).json()
    calls = store_calls(gateway.sandbox)
    clock.jump(timedelta(hours=1))
    after = (await gateway.ask(method, credential)).json()

    assert said.status_code == 200
    assert (banned["outcome"], banned["reason"], banned["allowed"]) == ("banned", "operator_ban", False)
    assert (banned["usable_until"], calls) == ("2026-11-20T15:03:11Z", 0)
    assert after["outcome"] == "owned"


@pytest.mark.parametrize(
    ("field", "method", "credential"),
    [("email", Method.EMAIL, seed.STRANGER_EMAIL), ("user_id", Method.USER, seed.STRANGER_ID)],
)
async def test_a_granted_subject_is_let_in_until_the_end(
    gateway: Asker, clock: FakeClock, field: str, method: Method, credential: str | int
) -> None:
    """For a player of whom itch.io knows nothing."""
    await override(gateway, None, **{field: credential}, word="grant", seconds=3600)

    granted = (await gateway.ask(method, credential)).json()
    clock.jump(timedelta(hours=1))
    after = (await gateway.ask(method, credential)).json()

    assert (granted["outcome"], granted["reason"]) == ("granted", "operator_grant")
    assert (granted["usable_until"], granted["observed_at"]) == ("2026-11-20T15:03:11Z", None)
    assert after["outcome"] == "not_owned"


async def test_a_ban_of_an_account_holds_by_every_method_that_leads_to_it(gateway: Asker) -> None:
    """By id, by JWT, and by a key that it owns."""
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt
    await override(gateway, user_id=seed.OWNER_ID)

    answers = [await gateway.user(seed.OWNER_ID), await gateway.jwt(jwt), await gateway.key(seed.OWNER_KEY)]

    assert [answer.json()["reason"] for answer in answers] == ["operator_ban"] * 3


async def test_an_address_is_banned_however_it_is_written(gateway: Asker) -> None:
    """Upper and lower case reach the same player."""
    await override(gateway, email=seed.BUYER_EMAIL.upper())

    assert (await gateway.email(seed.BUYER_EMAIL)).json()["reason"] == "operator_ban"
    assert (await gateway.email(seed.BUYER_EMAIL.capitalize())).json()["reason"] == "operator_ban"


async def test_a_url_names_the_key_in_it(gateway: Asker) -> None:
    """Support pastes the URL that the player sent."""
    await override(gateway, download_key=f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}")

    assert (await gateway.key(seed.OWNER_KEY)).json()["reason"] == "operator_ban"


async def test_another_game_is_not_concerned(open_with: Open) -> None:
    """A word is about one game."""
    gateway = await open_with("")
    await override(gateway, user_id=seed.OWNER_ID)

    assert (await gateway.user(seed.OWNER_ID, game=4)).json()["outcome"] != "banned"
    assert await overrides(gateway, game=4) == []


async def test_setting_one_again_replaces_it(gateway: Asker, clock: FakeClock) -> None:
    """It has the same id, and the later word counts."""
    first = (await override(gateway, user_id=seed.STRANGER_ID, note="first")).json()
    clock.jump(timedelta(seconds=1))

    second = (await override(gateway, user_id=seed.STRANGER_ID, word="grant", seconds=60, note="second")).json()

    (listed,) = await overrides(gateway)
    assert (second["id"], listed["word"], listed["note"]) == (first["id"], "grant", "second")
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "granted"


async def test_a_word_that_takes_the_place_of_a_longer_one_ends_by_itself(gateway: Asker, clock: FakeClock) -> None:
    """The longer one does not come back."""
    await override(gateway, user_id=seed.STRANGER_ID, word="grant")
    await override(gateway, user_id=seed.STRANGER_ID, word="grant", seconds=60)
    clock.jump(timedelta(seconds=61))

    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"
    assert await overrides(gateway) == []


@pytest.mark.parametrize("around", ["{}", "%3C{}%3E.", "%20%22{}%22%0A"])
async def test_one_that_is_taken_back_holds_no_more(gateway: Asker, around: str) -> None:
    """The store decides again; a second time there is nothing to take back. Its id is taken as people paste it."""
    override_id = (await override(gateway, user_id=seed.OWNER_ID)).json()["id"]

    removed = await remove(gateway, around.format(override_id))

    assert (removed.status_code, removed.content) == (204, b"")
    assert (await gateway.user(seed.OWNER_ID)).json()["outcome"] == "owned"
    assert await overrides(gateway) == []
    assert (await remove(gateway, override_id)).status_code == 404


async def test_a_clock_that_is_set_back_moves_all_of_it(gateway: Asker, clock: FakeClock) -> None:
    """A word holds for as long as was said."""
    await override(gateway, user_id=seed.STRANGER_ID, word="grant", seconds=3600)
    clock.set_back(timedelta(days=1))

    answer = (await gateway.user(seed.STRANGER_ID)).json()
    (listed,) = await overrides(gateway)
    clock.jump(timedelta(hours=1))

    assert (answer["reason"], answer["usable_until"]) == ("operator_grant", "2026-11-19T15:03:11Z")
    assert (listed["at"], listed["until"]) == ("2026-11-19T14:03:11.123456Z", "2026-11-19T15:03:11.123456Z")
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"


# What is said and listed


async def test_the_answer_says_what_holds(gateway: Asker) -> None:
    """Without Redis it holds here alone."""
    response = await override(gateway, user_id=seed.OWNER_ID, note="see ticket 77")

    verified = await gateway.log.line_of((await gateway.user(seed.OWNER_ID)).headers["x-request-id"])
    (listed,) = await overrides(gateway)
    assert listed == {
        "id": response.json()["id"],
        "game_id": 3,
        "method": "user",
        "user_id": seed.OWNER_ID,
        "subject": verified["subject"],
        "word": "ban",
        "until": "2026-11-27T14:03:11.123456Z",
        "by": "local",
        "note": "see ticket 77",
        "at": "2026-11-20T14:03:11.123456Z",
    }
    assert response.json() == {**listed, "replicas": "this one"}


async def test_an_address_has_one_subject_however_it_is_written(gateway: Asker) -> None:
    """In the list, and in the line of the question that support looks for."""
    await override(gateway, email=seed.BUYER_EMAIL.upper())

    verified = await gateway.log.line_of((await gateway.email(seed.BUYER_EMAIL)).headers["x-request-id"])
    (listed,) = await overrides(gateway)
    assert listed["subject"] == verified["subject"]


@pytest.mark.parametrize(("field", "method"), [("email", "email"), ("download_key", "download_key")])
async def test_neither_an_address_nor_a_key_is_shown(gateway: Asker, field: str, method: str) -> None:
    """Support finds it by the fingerprint."""
    credential = str(SUBJECTS[field][1])

    response = await override(gateway, **{field: credential})

    (listed,) = await overrides(gateway)
    assert (listed["method"], listed["user_id"], listed["note"]) == (method, None, None)
    assert credential not in response.text + json.dumps(listed)


async def test_the_latest_comes_first(gateway: Asker, clock: FakeClock) -> None:
    """All that hold are listed."""
    for number in (1, 2, 3):
        await override(gateway, user_id=number)
        clock.jump(timedelta(seconds=1))

    assert [one["user_id"] for one in await overrides(gateway)] == [3, 2, 1]


async def test_both_leave_a_line_in_the_log(open_with: Open, log: LogLines) -> None:
    """The line says who, about whom and until when, and never why."""
    gateway = await open_with(CALLERS)
    said = (await override(gateway, MODERATOR, email=seed.BUYER_EMAIL, note="a private matter")).json()
    await remove(gateway, said["id"], MODERATOR)

    for event in ("override_set", "override_removed"):
        line = await log.line(event)
        assert {name: line[name] for name in ("level", "id", "by", "game", "subject", "word", "until", "replicas")} == {
            "level": "info",
            "id": said["id"],
            "replicas": "this one",
            "by": "moderator",
            "game": "x-moon",
            "subject": said["subject"],
            "word": "ban",
            "until": said["until"].replace("Z", "+00:00"),
        }
    assert b"private" not in log.written
    assert seed.BUYER_EMAIL.encode() not in log.written


async def test_those_that_hold_are_counted(gateway: Asker, clock: FakeClock) -> None:
    """By word, for all games."""
    await override(gateway, user_id=1)
    await override(gateway, user_id=2, seconds=60)
    await override(gateway, user_id=3, word="grant")
    clock.jump(timedelta(seconds=61))

    assert [await gateway.metric("overrides", word=word) for word in ("ban", "grant")] == [1, 1]


# Who may


@pytest.mark.parametrize(
    ("token", "set_status", "list_status"),
    [(MODERATOR, 200, 200), (SUPPORT, 403, 200), (LOBBY, 403, 403), (OTHER, 403, 403), (None, 401, 401)],
)
async def test_it_needs_the_right_and_the_game(
    open_with: Open, token: str | None, set_status: int, list_status: int
) -> None:
    """`support` sees; `override` does, too."""
    gateway = await open_with(CALLERS)
    override_id = (await override(gateway, MODERATOR, user_id=1)).json()["id"]

    said = await override(gateway, token, user_id=2)
    listed = await gateway.http.get(OVERRIDES_PATH, params={"game": "x-moon"}, headers=headers(token))
    removed = await remove(gateway, override_id, token)

    assert (said.status_code, listed.status_code) == (set_status, list_status)
    assert removed.status_code == (204 if set_status == 200 else set_status)
    assert len(await overrides(gateway, MODERATOR)) == 1


async def test_they_count_against_the_callers_rate(open_with: Open) -> None:
    """The rate bounds the harm that a stolen token can do."""
    gateway = await open_with(CALLERS)

    answers = [
        await override(gateway, SLOW, user_id=1),
        await gateway.http.get(OVERRIDES_PATH, params={"game": 3}, headers=headers(SLOW)),
        await remove(gateway, "0" * 32, SLOW),
    ]

    assert [answer.status_code for answer in answers] == [200, 429, 429]


# What is refused


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ({}, 400, "no_subject", ""),
        ({"game": "sun-garden", "user_id": 1}, 404, "unknown_game", None),
        ({"user_id": 1, "email": seed.OWNER_EMAIL}, 400, "too_many_subjects", "/user_id"),
        ({"user_id": 0}, 400, "out_of_range", "/user_id"),
        ({"email": "a@b@c"}, 400, "malformed_email", "/email"),
        ({"download_key": "no key"}, 400, "malformed_download_key", "/download_key"),
        ({"download_key": seed.OWNER_KEY, "word": "grant"}, 400, "key_not_granted", "/word"),
        ({"user_id": 1, "word": "forgive"}, 400, "out_of_range", "/word"),
        ({"user_id": 1, "seconds": 59}, 400, "out_of_range", "/seconds"),
        ({"user_id": 1, "seconds": 7_776_001}, 400, "out_of_range", "/seconds"),
        ({"user_id": 1, "seconds": None}, 400, "wrong_type", "/seconds"),
        ({"user_id": 1, "note": "n" * 201}, 400, "out_of_range", "/note"),
        ({"user_id": 1, "note": "one\ntwo"}, 400, "unprintable_note", "/note"),
        ({"user_id": 1, "note": "\N{RIGHT-TO-LEFT OVERRIDE}"}, 400, "unprintable_note", "/note"),
        ({"user_id": 1, "note": 7}, 400, "wrong_type", "/note"),
        ({"user_id": 1, "jwt": "a.b.c"}, 400, "unknown_field", "/jwt"),
    ],
)
async def test_bad_bodies_change_nothing(
    gateway: Asker, body: dict[str, Any], status: int, code: str, pointer: str | None
) -> None:
    """The problem says what is wrong, and where."""
    response = await override(gateway, **body)

    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert [mistake["pointer"] for mistake in problem.get("errors", [])] == ([] if pointer is None else [pointer])
    assert await overrides(gateway) == []


@pytest.mark.parametrize("edge", [{"seconds": 60}, {"seconds": 7_776_000}, {"note": "n" * 200}, {"note": ""}])
async def test_the_bounds_themselves_are_good(gateway: Asker, edge: dict[str, Any]) -> None:
    """A minute, 90 days, 200 characters."""
    assert (await override(gateway, user_id=1, **edge)).status_code == 200


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 400, "missing_field"),
        ("?game=", 400, "out_of_range"),
        ("?game=0", 404, "unknown_game"),
        ("?game=%C2%B2", 400, "out_of_range"),
        ("?game=%ED%A0%80", 400, "out_of_range"),
        ("?game=" + "9" * 5000, 400, "out_of_range"),
        ("?game=sun-garden", 404, "unknown_game"),
    ],
)
async def test_a_list_is_of_a_game(gateway: Asker, query: str, status: int, code: str) -> None:
    """Anything else in the query is a mistake of the caller's."""
    response = await gateway.http.get(OVERRIDES_PATH + query)

    assert (response.status_code, response.json()["code"]) == (status, code)


@pytest.mark.parametrize("override_id", ["0" * 32, "0" * 31, "F" * 32, "none", "%C2%B2", "0" * 5000])
async def test_an_id_that_is_not_there(gateway: Asker, override_id: str) -> None:
    """404 for any text."""
    await override(gateway, user_id=1)

    response = await remove(gateway, override_id)

    assert (response.status_code, response.json()["code"]) == (404, "unknown_override")
    assert await gateway.metric("refused_total", cause="unknown_override") == 1


async def test_a_game_has_a_thousand_and_no_more(gateway: Asker, clock: FakeClock) -> None:
    """Those that have ended make room, and one of the thousand can still be changed."""
    for number in range(1, 1001):
        await override(gateway, user_id=number, seconds=60 if number == 7 else WEEK)

    refused = await override(gateway, user_id=1001)
    changed = await override(gateway, user_id=5, word="grant")
    clock.jump(timedelta(seconds=61))
    after_one_ended = await override(gateway, user_id=1001)

    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_overrides")
    assert [changed.status_code, after_one_ended.status_code] == [200, 200]
    assert (await gateway.user(1)).json()["outcome"] == "banned"


@pytest.mark.parametrize(("toml", "statuses"), [("", {200, 409}), ("configured", {200})])
async def test_a_number_that_no_game_is_configured_for(open_with: Open, toml: str, statuses: set[int]) -> None:
    """Without configured games a hundred have overrides; configured ones are as many as there are."""
    games = range(1, MOST_UNCONFIGURED_GAMES + 2)
    gateway = await open_with("".join(f"[games.game-{number}]\nid = {number}\n" for number in games) if toml else "")

    answers = [(await override(gateway, game=number, user_id=1)).status_code for number in games]

    assert set(answers[:-1]) == {200}
    assert set(answers) == statuses


# The description


async def test_the_description_holds_them(gateway: Asker) -> None:
    """Every operation has its statuses, and the bodies their fields."""
    described = (await gateway.http.get("/openapi.json")).json()
    paths, schemas = described["paths"], described["components"]["schemas"]

    assert set(paths[OVERRIDES_PATH]["post"]["responses"]) == {
        "200", "400", "401", "403", "404", "408", "409", "413", "415", "429", "500", "503",
    }  # fmt: skip
    assert set(paths[OVERRIDES_PATH]["get"]["responses"]) == {"200", "400", "401", "403", "404", "429", "500", "503"}
    one = paths[OVERRIDES_PATH + "/{id}"]["delete"]
    assert set(one["responses"]) == {"204", "401", "403", "404", "429", "500", "503"}
    assert schemas["OverrideRequest"]["required"] == ["game", "word", "seconds"]
    assert "replicas" in schemas["OverrideSet"]["required"]
