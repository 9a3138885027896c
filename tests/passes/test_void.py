"""Invalidations, noes, bans and grants taken back: each makes passes void before they end."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.passes.void_passes import FOR_GOOD
from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import Asker
from tests.passes.conftest import OpenReal
from tests.passes.test_asking import ask_for, checked, show

Act = Callable[[Asker], Awaitable[Any]]


async def listed(gateway: Asker) -> dict[str, float]:
    """Return the list."""
    answer = await gateway.http.get("/passes/invalidated")
    assert answer.headers["cache-control"] == "public, max-age=30"
    before: dict[str, float] = answer.json()["before"]
    return before


async def is_void(gateway: Asker, value: str) -> bool:
    """Whether a pass is void, as a match server would see it."""
    claims, before = await checked(gateway, value), await listed(gateway)
    decided_at = claims.get("observed_at", claims["iat"])
    return any(decided_at < before.get(handle, 0) for handle in claims["handles"])


async def post(gateway: Asker, path: str, **body: Any) -> Any:
    """Post a body, and return the answer."""
    answer = await gateway.http.post(path, json={"game": 3, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def forgetting(**subject: Any) -> Act:
    """Return the act of having a subject forgotten."""
    return lambda gateway: post(gateway, "/admin/invalidate", **subject)


def banning(**subject: Any) -> Act:
    """Return the act of banning a subject for an hour."""
    return lambda gateway: post(gateway, "/admin/overrides", word="ban", seconds=3600, **subject)


KEY = {"method": "download_key", "download_key": seed.OWNER_KEY}
USER = {"method": "user", "user_id": seed.OWNER_ID}
EMAIL = {"method": "email", "email": seed.BUYER_EMAIL}


@pytest.mark.parametrize(
    ("order", "act"),
    [
        pytest.param(KEY, forgetting(), id="key, whole game"),
        pytest.param(KEY, forgetting(download_key=seed.OWNER_KEY), id="key"),
        pytest.param(KEY, forgetting(user_id=seed.OWNER_ID), id="key, its owner"),
        pytest.param(KEY, banning(download_key=seed.OWNER_KEY), id="key, banned"),
        pytest.param(KEY, banning(user_id=seed.OWNER_ID), id="key, its owner banned"),
        pytest.param(USER, forgetting(), id="user, whole game"),
        pytest.param(USER, forgetting(user_id=seed.OWNER_ID), id="user"),
        pytest.param(USER, banning(user_id=seed.OWNER_ID), id="user, banned"),
        pytest.param(EMAIL, forgetting(email=seed.BUYER_EMAIL), id="address"),
        pytest.param(EMAIL, banning(email=seed.BUYER_EMAIL.upper()), id="address, banned"),
    ],
)
async def test_what_is_invalidated_is_void(
    open_real: OpenReal, clock: FakeClock, order: dict[str, Any], act: Act
) -> None:
    """In the list within its second, and at the gateway at once: there the store is asked, or the pass refused."""
    gateway = await open_real()
    issued = await ask_for(gateway, **order)
    value = issued["pass"]["value"]
    assert not await is_void(gateway, value)
    clock.jump(timedelta(seconds=1))

    await act(gateway)

    answer = await show(gateway, value)
    fresh = answer.get("observed_at") not in {None, issued["observed_at"]}
    assert answer["reason"] in {"refused_pass", "operator_ban"} or (answer["outcome"] == "owned" and fresh)
    clock.jump(timedelta(seconds=1))
    assert await is_void(gateway, value)


async def test_others_stay_good(open_real: OpenReal, clock: FakeClock) -> None:
    """A control: what is about one player ends no pass of another, nor one from after it."""
    gateway = await open_real()
    other = await ask_for(gateway, method="user", user_id=seed.BUYER_ID)
    clock.jump(timedelta(seconds=1))
    await forgetting(user_id=seed.OWNER_ID)(gateway)
    clock.jump(timedelta(seconds=1))

    later = await ask_for(gateway, **USER)

    assert not await is_void(gateway, other["pass"]["value"])
    assert not await is_void(gateway, later["pass"]["value"])
    assert await listed(gateway)


async def test_a_no_that_is_found_makes_it_void(open_real: OpenReal, store: Sandbox, clock: FakeClock) -> None:
    """A refund is in the list as soon as the store has told of it."""
    gateway = await open_real()
    store.world.buy([3], user_id=seed.STRANGER_ID)
    issued = await ask_for(gateway, method="user", user_id=seed.STRANGER_ID)
    store.world.refund(max(store.world.purchases))
    clock.jump(timedelta(minutes=5))

    assert (await gateway.user(seed.STRANGER_ID, max_age=0)).json()["outcome"] == "not_owned"

    clock.jump(timedelta(seconds=1))
    assert await is_void(gateway, issued["pass"]["value"])
    assert (await show(gateway, issued["pass"]["value"]))["outcome"] == "not_owned"


async def test_an_older_yes_does_not_hide_a_no(open_real: OpenReal, store: Sandbox, clock: FakeClock) -> None:
    """A pass from before a no does not make it a yes again, although nothing but the no is remembered."""
    first, second = await open_real(), await open_real()
    store.world.buy([3], user_id=seed.STRANGER_ID)
    issued = await ask_for(first, method="user", user_id=seed.STRANGER_ID)
    store.world.refund(max(store.world.purchases))
    clock.jump(timedelta(seconds=10))
    assert (await second.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"

    answer = await show(second, issued["pass"]["value"])

    assert answer["outcome"] == "not_owned"


async def test_a_grant_that_is_taken_back_is_over(open_real: OpenReal, clock: FakeClock) -> None:
    """For as long as a pass may last; then there is no such pass any more."""
    gateway = await open_real()
    word = await post(gateway, "/admin/overrides", word="grant", seconds=86_400, user_id=seed.STRANGER_ID)
    issued = await ask_for(gateway, method="user", user_id=seed.STRANGER_ID)
    clock.jump(timedelta(seconds=1))

    await gateway.http.delete(f"/admin/overrides/{word['id']}")

    clock.jump(timedelta(seconds=1))
    assert await is_void(gateway, issued["pass"]["value"])
    assert (await show(gateway, issued["pass"]["value"]))["outcome"] == "not_owned"
    clock.jump(timedelta(seconds=900))
    assert await listed(gateway) == {}


async def test_who_is_banned_no_more_gets_a_good_pass(open_real: OpenReal, clock: FakeClock) -> None:
    """Also from evidence that is older than the end of the ban."""
    gateway = await open_real()
    first = await ask_for(gateway, **USER)
    word = await banning(user_id=seed.OWNER_ID)(gateway)
    clock.jump(timedelta(seconds=1))
    assert await is_void(gateway, first["pass"]["value"])

    await gateway.http.delete(f"/admin/overrides/{word['id']}")

    clock.jump(timedelta(seconds=1))
    later = await ask_for(gateway, **USER)
    assert later["observed_at"] == first["observed_at"]
    assert not await is_void(gateway, later["pass"]["value"])


@pytest.mark.parametrize("subject", [{}, {"user_id": seed.OWNER_ID}], ids=["whole game", "user"])
async def test_by_jwt_a_pass_from_after_it_is_good(
    open_real: OpenReal, store: Sandbox, clock: FakeClock, subject: dict[str, Any]
) -> None:
    """The evidence is from after it; only whose the JWT is has been heard before."""
    gateway = await open_real()
    order = {"method": "jwt", "jwt": store.mint_jwt(seed.OWNER_ID).jwt}
    first = await ask_for(gateway, **order)
    clock.jump(timedelta(minutes=2))
    await forgetting(**subject)(gateway)
    clock.jump(timedelta(minutes=2))

    later = await ask_for(gateway, **order)

    assert later["observed_at"] == first["observed_at"]  # that of the JWT
    assert await is_void(gateway, first["pass"]["value"])
    assert not await is_void(gateway, later["pass"]["value"])


async def test_by_jwt_who_is_granted_again_gets_a_good_pass(
    open_real: OpenReal, store: Sandbox, clock: FakeClock
) -> None:
    """A ban comes between the JWT and the pass, and is lifted; then the first is good again, too."""
    gateway = await open_real(f"\n[games.x-moon]\nid = 3\ngrant_user_ids = [{seed.STRANGER_ID}]\n")
    order = {"method": "jwt", "jwt": store.mint_jwt(seed.STRANGER_ID).jwt}
    first = await ask_for(gateway, **order)
    clock.jump(timedelta(minutes=1))
    word = await banning(user_id=seed.STRANGER_ID)(gateway)
    await gateway.http.delete(f"/admin/overrides/{word['id']}")
    clock.jump(timedelta(minutes=1))

    later = await ask_for(gateway, **order)

    assert [await is_void(gateway, one["pass"]["value"]) for one in (first, later)] == [False, False]


async def test_a_grant_that_stands_keeps_passes_good(open_real: OpenReal, clock: FakeClock) -> None:
    """An override ends, and the same player is granted by the file."""
    gateway = await open_real(f"\n[games.x-moon]\nid = 3\ngrant_user_ids = [{seed.STRANGER_ID}]\n")
    word = await post(gateway, "/admin/overrides", word="grant", seconds=86_400, user_id=seed.STRANGER_ID)
    issued = await ask_for(gateway, method="user", user_id=seed.STRANGER_ID)
    clock.jump(timedelta(minutes=2))

    await gateway.http.delete(f"/admin/overrides/{word['id']}")

    clock.jump(timedelta(seconds=1))
    assert not await is_void(gateway, issued["pass"]["value"])


async def test_the_press_gets_a_good_pass_after_its_game_was_invalidated(
    open_real: OpenReal, store: Sandbox, clock: FakeClock
) -> None:
    """That a player is of the press has been heard before, and is not what was invalidated."""
    gateway = await open_real("\n[games.x-moon]\nid = 3\ngrant_press = true\n")
    order = {"method": "jwt", "jwt": store.mint_jwt(seed.PRESS_ID).jwt}
    first = await ask_for(gateway, **order)
    clock.jump(timedelta(minutes=2))
    await forgetting()(gateway)
    clock.jump(timedelta(seconds=1))

    later = await ask_for(gateway, **order)

    assert (later["reason"], later["observed_at"]) == ("press", first["observed_at"])
    assert await is_void(gateway, first["pass"]["value"])
    assert not await is_void(gateway, later["pass"]["value"])
    shown = [await show(gateway, later["pass"]["value"], **fields) for fields in ({}, {"max_age": 86_400})]
    assert [one["reason"] for one in shown] == ["press", "not_cached"]


@pytest.mark.parametrize(
    ("order", "subject"),
    [
        pytest.param(KEY, {"download_key": seed.OWNER_KEY}, id="key"),
        pytest.param(KEY, {"user_id": seed.OWNER_ID}, id="key, its owner"),
        pytest.param(EMAIL, {"email": seed.BUYER_EMAIL}, id="address"),
        pytest.param(EMAIL, {"email": seed.BUYER_EMAIL.upper()}, id="address, in capitals"),
        pytest.param(USER, {"user_id": seed.OWNER_ID}, id="user"),
    ],
)
async def test_what_is_invalidated_is_void_after_other_proofs_were_made_to_count(
    open_real: OpenReal, clock: FakeClock, order: dict[str, Any], subject: dict[str, Any]
) -> None:
    """The question has another name since; a match server knows the pass by the old one."""
    issued = await ask_for(await open_real(), **order)
    accepting = '\n[games.x-moon]\nid = 3\naccept = ["download_key", "purchase"]\n'
    gateway = await open_real(accepting)
    clock.jump(timedelta(minutes=2))
    assert not await is_void(gateway, issued["pass"]["value"])

    await forgetting(**subject)(gateway)

    clock.jump(timedelta(seconds=1))
    assert await is_void(gateway, issued["pass"]["value"])


async def test_no_pass_is_void_when_it_is_made(open_real: OpenReal, store: Sandbox, clock: FakeClock) -> None:
    """The observation of a key is older than a no about its owner: the answer holds, without a pass."""
    gateway = await open_real()
    await ask_for(gateway, **KEY)
    clock.jump(timedelta(minutes=2))
    await forgetting(user_id=seed.OWNER_ID)(gateway)
    clock.jump(timedelta(seconds=1))

    answer = await ask_for(gateway, **KEY)

    assert (answer["allowed"], answer["pass"]) == (True, None)
    later = await ask_for(gateway, **KEY, max_age=0)
    assert not await is_void(gateway, later["pass"]["value"])
    assert await gateway.metric("passes_minted_total", game="x-moon") == 2


async def test_a_renewed_pass_of_an_account_is_void_by_what_counts_now(open_real: OpenReal, clock: FakeClock) -> None:
    """After other proofs were made to count, what is known of the player has another name."""
    issued = await ask_for(await open_real(), method="user", user_id=seed.BUYER_ID)
    stricter = await open_real('\n[games.x-moon]\nid = 3\naccept = ["purchase"]\n')
    renewed = await ask_for(stricter, **{"method": "pass", "pass": issued["pass"]["value"]})
    clock.jump(timedelta(seconds=1))

    await forgetting(user_id=seed.BUYER_ID)(stricter)

    clock.jump(timedelta(seconds=1))
    assert await is_void(stricter, renewed["pass"]["value"])


async def test_bans_of_the_file_are_listed(open_real: OpenReal, clock: FakeClock) -> None:
    """After a restart with a ban, passes from before it are void for good."""
    issued = [await ask_for(await open_real(), **order) for order in (USER, EMAIL, KEY)]
    banned = f"""
[games.x-moon]
id = 3
ban_user_ids = [{seed.OWNER_ID}]
ban_emails = ["{seed.BUYER_EMAIL}"]
"""

    gateway = await open_real(banned)

    assert [await is_void(gateway, one["pass"]["value"]) for one in issued] == [True, True, True]
    assert set((await listed(gateway)).values()) == {FOR_GOOD}
    assert [(await show(gateway, one["pass"]["value"]))["reason"] for one in issued] == [
        "operator_ban",
        "refused_pass",
        "refused_pass",
    ]


async def test_a_grant_that_leaves_the_file_is_over(open_real: OpenReal, clock: FakeClock, tmp_path: Path) -> None:
    """The file is read again, and the pass is void."""
    granted = "\n[games.x-moon]\nid = 3\ngrant_user_ids = [2007, 2008]\n"
    gateway = await open_real(granted, reread=True)
    issued = await ask_for(gateway, method="user", user_id=2007)
    other = await ask_for(gateway, method="user", user_id=2008)
    file = tmp_path / "gateway.toml"
    file.write_text(file.read_text().replace("[2007, 2008]", "[2008]"))
    clock.jump(timedelta(seconds=1))

    gateway.gateway.reload()
    await gateway.log.line("configuration_reloaded")

    clock.jump(timedelta(seconds=1))
    assert await is_void(gateway, issued["pass"]["value"])
    assert not await is_void(gateway, other["pass"]["value"])
    assert (await show(gateway, issued["pass"]["value"]))["outcome"] == "not_owned"


async def test_the_list_need_not_be_fetched_twice(open_real: OpenReal, clock: FakeClock) -> None:
    """Its tag stays as long as it says the same, however late it is."""
    gateway = await open_real()
    first = await gateway.http.get("/passes/invalidated")
    clock.jump(timedelta(minutes=1))

    again = await gateway.http.get("/passes/invalidated", headers={"if-none-match": first.headers["etag"]})
    await forgetting(user_id=seed.OWNER_ID)(gateway)
    clock.jump(timedelta(seconds=1))
    after = await gateway.http.get("/passes/invalidated", headers={"if-none-match": first.headers["etag"]})

    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    assert (after.status_code, first.json()["before"]) == (200, {})
    assert after.json()["before"]
    assert (await gateway.http.get("/livez")).headers["cache-control"] == "no-store"


async def test_the_list_is_made_once_a_second(open_real: OpenReal, clock: FakeClock) -> None:
    """However often it is fetched, and however much happens meanwhile."""
    gateway = await open_real()
    first = await listed(gateway)
    await forgetting(user_id=seed.OWNER_ID)(gateway)
    again = await listed(gateway)
    clock.jump(timedelta(seconds=1))

    assert again == first == {}
    assert await listed(gateway) != {}


async def test_proof_that_counts_no_more_lets_nobody_in(open_real: OpenReal) -> None:
    """A pass is judged by the rules of now."""
    issued = [await ask_for(await open_real(), **order) for order in (USER, KEY)]
    stricter = await open_real('\n[games.x-moon]\nid = 3\naccept = ["purchase"]\n')

    answers = [await show(stricter, one["pass"]["value"]) for one in issued]

    assert [answer["reason"] for answer in answers] == ["no_download_key", "refused_pass"]


async def test_the_press_can_be_left_out_again(open_real: OpenReal, store: Sandbox) -> None:
    """A pass of the press ends with the setting that let it in."""
    lenient = await open_real("\n[games.x-moon]\nid = 3\ngrant_press = true\n")
    issued = await ask_for(lenient, method="jwt", jwt=store.mint_jwt(seed.PRESS_ID).jwt)

    assert (await show(await open_real(), issued["pass"]["value"]))["reason"] == "refused_pass"


async def test_a_pass_takes_the_place_of_nothing_that_is_known(open_real: OpenReal) -> None:
    """An answer of the store says more than a pass does: names, and when the game was bought."""
    gateway = await open_real()
    issued = await ask_for(gateway, **USER)

    shown = await show(gateway, issued["pass"]["value"])

    assert (shown["player"], shown["evidence"]) == (issued["player"], issued["evidence"])
