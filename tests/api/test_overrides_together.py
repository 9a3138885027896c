"""The operator's word about one player together with all else that decides: file, batches, invalidations, its end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from service.api.paths import INVALIDATE_PATH
from service.ownership import Method
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.test_overrides import override, overrides, remove
from tests.api.test_reload import BANNED, Following, outcomes
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, befall, store_calls, until

ADDRESS: Final = "the-owner@example.com"
SECOND: Final = timedelta(seconds=1)
GRANTED: Final = f"{X_MOON}grant_user_ids = [{seed.STRANGER_ID}]\n"


@pytest.fixture
async def follow(tmp_path: Path, clock: FakeClock, log: LogLines) -> AsyncIterator[Following]:
    """Open gateways with a file that they read again."""
    async with AsyncExitStack() as stack:
        yield Following(stack, tmp_path, clock, log)


def credentials_of_owner(gateway: Asker) -> list[tuple[Method, str, str | int]]:
    """Return all that leads to the account of the owner: its id, a JWT, its key, and a URL of that."""
    return [
        (Method.USER, "user_id", seed.OWNER_ID),
        (Method.JWT, "jwt", gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt),
        (Method.DOWNLOAD_KEY, "download_key", seed.OWNER_KEY),
        (Method.DOWNLOAD_KEY, "download_key", f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}"),
    ]


def whole_second(instant: str) -> str:
    """Return the instant as decisions write it, rounded down."""
    return instant.partition(".")[0] + "Z"


async def ask_each(gateway: Asker, credentials: list[tuple[Method, str, str | int]]) -> list[str]:
    """Ask one by one, and return the reasons."""
    return [(await gateway.ask(method, credential)).json()["reason"] for method, _, credential in credentials]


async def ask_at_once(gateway: Asker, credentials: list[tuple[Method, str, str | int]]) -> list[str]:
    """Ask in one batch, and return the reasons."""
    items = [
        {"id": str(number), "method": method, "game": 3, name: credential}
        for number, (method, name, credential) in enumerate(credentials)
    ]
    results = (await gateway.batch(*items)).json()["results"]
    return [result["decision"]["reason"] for result in results]


# Every method, alone and in a batch


async def test_a_ban_of_an_account_holds_by_all_that_leads_to_it(gateway: Asker) -> None:
    """Before it, and once it is taken back, its player is let in."""
    credentials = credentials_of_owner(gateway)
    before = await ask_each(gateway, credentials)
    said = (await override(gateway, user_id=seed.OWNER_ID)).json()
    banned = [await ask_each(gateway, credentials), await ask_at_once(gateway, credentials)]
    await remove(gateway, said["id"])
    after = [await ask_each(gateway, credentials), await ask_at_once(gateway, credentials)]

    assert before == ["download_key"] * 4
    assert banned == [["operator_ban"] * 4] * 2
    assert after == [before] * 2


async def test_a_batch_that_knows_nothing_yet_hears_the_ban(gateway: Asker) -> None:
    """The store is asked for what leads to the account, and for no more."""
    credentials = credentials_of_owner(gateway)
    await override(gateway, user_id=seed.OWNER_ID)

    reasons = await ask_at_once(gateway, credentials)

    assert reasons == ["operator_ban"] * 4
    assert store_calls(gateway.sandbox) == 2  # whose the JWT is, and the key, which the URL shows too


async def test_a_ban_of_an_account_holds_by_an_address_where_the_store_names_its_owner(
    gateway: Asker, clock: FakeClock
) -> None:
    """A purchase names none, as itch.io writes it: there only a ban of the address itself holds."""
    key = {"id": 5, "key": "a-key-sent-by-mail", "game_id": 3, "created_at": "2026-01-01 00:00:00", "downloads": 0}
    answers = [{"download_key": key}, {"download_key": key | {"owner": {"id": seed.OWNER_ID, "username": "amos"}}}]
    await override(gateway, user_id=seed.OWNER_ID)
    reasons = []
    for answer in answers:
        befall(gateway.sandbox, endpoint=StoreEndpoint.DOWNLOAD_KEYS, body=json.dumps(answer))
        reasons.append((await gateway.email(ADDRESS, max_age=0)).json()["reason"])
        clock.jump(SECOND)
    await override(gateway, email=ADDRESS.upper())
    befall(gateway.sandbox, endpoint=StoreEndpoint.DOWNLOAD_KEYS, body=json.dumps(answers[0]))
    reasons.append((await gateway.email(ADDRESS, max_age=0)).json()["reason"])

    assert reasons == ["download_key", "operator_ban", "operator_ban"]


async def test_words_about_several_subjects_of_one_player(gateway: Asker) -> None:
    """A ban of the key stays when the account is granted: any ban comes before any grant."""
    credentials = credentials_of_owner(gateway)
    await override(gateway, user_id=seed.OWNER_ID, word="grant")
    await override(gateway, download_key=seed.OWNER_KEY)

    grant, ban = "operator_grant", "operator_ban"
    assert await ask_at_once(gateway, credentials) == [grant, grant, ban, ban]


# The file beside it


async def test_a_grant_in_the_file_beside_a_ban(follow: Following) -> None:
    """Any ban wins, also over a grant that comes with a new file; without it the file's word holds again."""
    follower = await follow(GRANTED)
    gateway = follower.asker
    before = await gateway.user(seed.STRANGER_ID)
    said = (await override(gateway, user_id=seed.STRANGER_ID)).json()
    banned = await gateway.user(seed.STRANGER_ID)
    await follower.reload(X_MOON)
    alone = await gateway.user(seed.STRANGER_ID)
    await follower.reload(GRANTED)
    both = await gateway.user(seed.STRANGER_ID)
    await remove(gateway, said["id"])
    after = await gateway.user(seed.STRANGER_ID)

    assert outcomes([before, banned, alone, both, after]) == ["granted", "banned", "banned", "banned", "granted"]
    assert banned.json()["usable_until"] == whole_second(said["until"])


async def test_a_ban_in_the_file_beside_a_grant(follow: Following) -> None:
    """The ban wins, whichever came first; the grant holds while the file has none."""
    follower = await follow(X_MOON)
    gateway = follower.asker
    await override(gateway, user_id=seed.OWNER_ID, word="grant")
    granted = await gateway.user(seed.OWNER_ID)
    await follower.reload(BANNED)
    banned = [await gateway.user(seed.OWNER_ID), await gateway.key(seed.OWNER_KEY)]
    await override(gateway, user_id=seed.OWNER_ID, word="grant", seconds=3600)
    still = await gateway.user(seed.OWNER_ID)
    await follower.reload(X_MOON)
    after = await gateway.user(seed.OWNER_ID)

    assert outcomes([granted, *banned, still, after]) == ["granted", "banned", "banned", "banned", "granted"]


async def test_words_stay_with_the_game_through_a_new_file(follow: Following) -> None:
    """By the id of the game: under another name, while it is gone, and when it is there again."""
    follower = await follow(X_MOON)
    gateway = follower.asker
    said = (await override(gateway, user_id=seed.OWNER_ID)).json()
    await follower.reload("\n[games.moon-of-x]\nid = 3\n")
    renamed = await gateway.user(seed.OWNER_ID, game="moon-of-x")
    await follower.reload("\n[games.sun-garden]\nid = 4\n")
    gone = await gateway.user(seed.OWNER_ID, game="x-moon")
    await follower.reload(X_MOON)
    back = await gateway.user(seed.OWNER_ID)

    assert outcomes([renamed, gone, back]) == ["banned", "unknown_game", "banned"]
    assert [one["id"] for one in await overrides(gateway)] == [said["id"]]


# What is remembered


@pytest.mark.parametrize("body", [{}, {"user_id": seed.OWNER_ID}, {"download_key": seed.OWNER_KEY}])
async def test_an_invalidation_leaves_the_word(gateway: Asker, body: dict[str, Any]) -> None:
    """The store's answers are forgotten, the word of an operator is not."""
    await gateway.key(seed.OWNER_KEY)
    await override(gateway, user_id=seed.OWNER_ID)
    await override(gateway, user_id=seed.STRANGER_ID, word="grant")
    invalidated = await gateway.http.post(INVALIDATE_PATH, json={"game": 3, **body})
    calls = store_calls(gateway.sandbox)

    key = await gateway.key(seed.OWNER_KEY)
    asked = store_calls(gateway.sandbox) - calls
    others = [await gateway.user(seed.OWNER_ID), await gateway.user(seed.STRANGER_ID)]

    assert invalidated.status_code == 200
    assert outcomes([key, *others]) == ["banned", "banned", "granted"]
    assert asked == (0 if body == {"user_id": seed.OWNER_ID} else 1)


# Its end


async def slow_question(gateway: Asker, method: Method, credential: str | int) -> "asyncio.Task[httpx.Response]":
    """Begin to ask, and return when the store has been asked, which takes two seconds."""
    befall(gateway.sandbox, latency_ms=2000)
    asking = asyncio.create_task(gateway.ask(method, credential))
    await until(lambda: store_calls(gateway.sandbox))
    return asking


async def test_a_ban_that_ends_while_the_store_is_asked(gateway: Asker, clock: FakeClock) -> None:
    """The answer is of the moment in which it is given."""
    await override(gateway, user_id=seed.OWNER_ID, seconds=60)
    await clock.advance(timedelta(seconds=59))
    asking = await slow_question(gateway, Method.DOWNLOAD_KEY, seed.OWNER_KEY)
    await clock.advance(2 * SECOND)

    assert (await asking).json()["reason"] == "download_key"


async def test_a_grant_that_ends_while_the_store_says_whose_a_jwt_is(gateway: Asker, clock: FakeClock) -> None:
    """Then the store is asked whether its player owns the game."""
    jwt = gateway.sandbox.mint_jwt(seed.STRANGER_ID).jwt
    await override(gateway, user_id=seed.STRANGER_ID, word="grant", seconds=60)
    await clock.advance(timedelta(seconds=59))
    asking = await slow_question(gateway, Method.JWT, jwt)
    gateway.sandbox.faults.replace([])
    await clock.advance(2 * SECOND)

    assert (await asking).json()["outcome"] == "not_owned"


async def test_no_answer_may_be_used_for_longer_than_the_word(gateway: Asker, clock: FakeClock) -> None:
    """To the second; the question after its end is as ever, by every method."""
    credentials = credentials_of_owner(gateway)
    said = (await override(gateway, user_id=seed.OWNER_ID, seconds=60)).json()
    untils = {(await gateway.ask(method, credential)).json()["usable_until"] for method, _, credential in credentials}
    clock.jump(60 * SECOND - timedelta(microseconds=1))
    last = await ask_each(gateway, credentials)
    clock.jump(timedelta(microseconds=1))

    assert untils == {whole_second(said["until"])}
    assert last == ["operator_ban"] * 4
    assert await ask_each(gateway, credentials) == ["download_key"] * 4
