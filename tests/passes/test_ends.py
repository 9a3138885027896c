"""When passes end, and how they are renewed."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from service.sandbox import seed
from service.sandbox.faults import Fault
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import Asker, store_calls
from tests.passes.conftest import OpenReal
from tests.passes.test_asking import ask_for, checked, show

GRANTED = """
[games.x-moon]
id = 3
grant_user_ids = [2007]
grant_press = true
"""


async def renewed(gateway: Asker, answer: dict[str, Any], **order: Any) -> dict[str, Any]:
    """Renew the pass in an answer, and return the answer to that."""
    return await ask_for(gateway, method="pass", **{"pass": answer["pass"]["value"]}, **order)


@pytest.mark.parametrize("left", [timedelta(minutes=10), timedelta(seconds=11)])
async def test_a_pass_ends_with_its_decision(
    open_real: OpenReal, store: Sandbox, clock: FakeClock, left: timedelta
) -> None:
    """A pass by JWT is not good for longer than the JWT."""
    gateway = await open_real()
    minted = store.mint_jwt(seed.OWNER_ID, lifetime=left)

    answer = await ask_for(gateway, method="jwt", jwt=minted.jwt)

    claims = await checked(gateway, answer["pass"]["value"])
    assert claims["exp"] <= (clock.now() + left).timestamp()
    assert claims["exp"] <= claims["usable_until"]


async def test_there_is_none_for_a_few_seconds(open_real: OpenReal, store: Sandbox) -> None:
    """A pass that would be over at once is null; the answer is what it is."""
    gateway = await open_real()
    minted = store.mint_jwt(seed.OWNER_ID, lifetime=timedelta(seconds=9))

    answer = await ask_for(gateway, method="jwt", jwt=minted.jwt)

    assert (answer["allowed"], answer["pass"]) == (True, None)


async def test_no_pass_is_shown_past_its_end(open_real: OpenReal, clock: FakeClock) -> None:
    """To the gateway it has ended with its last second."""
    gateway = await open_real()
    issued = await ask_for(gateway, method="user", user_id=seed.OWNER_ID)

    clock.jump(timedelta(seconds=900))

    answer = await show(gateway, issued["pass"]["value"])
    assert (answer["outcome"], answer["reason"], answer["advice"]) == ("rejected", "expired_pass", "sign_in_again")


async def test_an_account_renews_as_long_as_it_owns(open_real: OpenReal, store: Sandbox, clock: FakeClock) -> None:
    """It costs the store a look-up an hour."""
    gateway = await open_real()
    answer = await ask_for(gateway, method="user", user_id=seed.OWNER_ID)

    for _ in range(12):
        clock.jump(timedelta(minutes=14))
        answer = await renewed(gateway, answer)
        assert answer["outcome"] == "owned"

    assert (await checked(gateway, answer["pass"]["value"]))["sub"] == f"itch:{seed.OWNER_ID}"
    assert 2 <= store_calls(store) <= 8


async def test_owners_get_passes_in_an_outage(open_real: OpenReal, store: Sandbox, clock: FakeClock) -> None:
    """From stale evidence, up to its grace."""
    gateway = await open_real(seconds=86_400)
    await ask_for(gateway, method="user", user_id=seed.OWNER_ID)
    store.faults.replace([Fault(status=500)])
    clock.jump(timedelta(hours=23))

    answer = await ask_for(gateway, method="user", user_id=seed.OWNER_ID)

    claims = await checked(gateway, answer["pass"]["value"])
    assert answer["stale"]
    assert claims["exp"] == claims["usable_until"] == int((clock.now() + timedelta(hours=1)).timestamp())


async def test_without_an_answer_there_is_no_pass(open_real: OpenReal, store: Sandbox) -> None:
    """`unknown` is the problem that it always is."""
    gateway = await open_real()
    store.faults.replace([Fault(status=500)])

    answer = await gateway.http.post("/passes", json={"game": 3, "method": "user", "user_id": seed.OWNER_ID})

    assert (answer.status_code, "pass" in answer.json()) == (503, False)


async def test_a_key_is_shown_again_when_its_evidence_is_old(open_real: OpenReal, clock: FakeClock) -> None:
    """Its pass is renewed until then, and ends then at the latest."""
    gateway = await open_real()
    answer = await ask_for(gateway, method="download_key", download_key=seed.OWNER_KEY)
    first = await checked(gateway, answer["pass"]["value"])
    fresh_until = first["fresh_until"]

    while answer["pass"] is not None:
        claims = await checked(gateway, answer["pass"]["value"])
        assert claims["exp"] <= fresh_until
        assert (claims["sub"], claims["handles"]) == (first["sub"], first["handles"])
        clock.jump(timedelta(minutes=5))
        answer = await renewed(gateway, answer)

    assert answer["reason"] in {"download_key", "expired_pass"}
    assert clock.now().timestamp() > fresh_until - 10


async def test_a_pass_tells_how_old_it_is(open_real: OpenReal, clock: FakeClock) -> None:
    """A caller that accepts nothing so old gets no answer about a key, and the store's about an account."""
    gateway = await open_real()
    of_key = await ask_for(gateway, method="download_key", download_key=seed.OWNER_KEY)
    of_user = await ask_for(gateway, method="user", user_id=seed.OWNER_ID)
    clock.jump(timedelta(seconds=60))

    key = await show(gateway, of_key["pass"]["value"], max_age=59)
    user = await show(gateway, of_user["pass"]["value"], max_age=59)

    assert (await show(gateway, of_key["pass"]["value"], max_age=61))["outcome"] == "owned"
    assert (key["reason"], user["outcome"]) == ("not_cached", "owned")
    assert datetime.fromisoformat(user["observed_at"]) > datetime.fromisoformat(of_user["observed_at"])


async def test_a_grant_has_no_end_of_its_own(open_real: OpenReal, clock: FakeClock) -> None:
    """The operator's word gives a pass of the usual length, without times of the store's."""
    gateway = await open_real(GRANTED)

    answer = await ask_for(gateway, method="user", user_id=2007)

    claims = await checked(gateway, answer["pass"]["value"])
    assert claims["exp"] - claims["iat"] == 900
    assert claims.keys().isdisjoint({"observed_at", "fresh_until", "usable_until", "evidence"})
    assert (await show(gateway, answer["pass"]["value"]))["outcome"] == "granted"


async def test_the_press_is_known_by_its_jwt(open_real: OpenReal, store: Sandbox, clock: FakeClock) -> None:
    """Its pass is good until it ends, and names the account."""
    gateway = await open_real(GRANTED)
    issued = await ask_for(gateway, method="jwt", jwt=store.mint_jwt(seed.PRESS_ID).jwt)
    clock.jump(timedelta(minutes=1))

    answer = await show(gateway, issued["pass"]["value"])

    assert (answer["reason"], answer["player"]["id"]) == ("press", seed.PRESS_ID)


async def test_an_address_gives_away_no_account(open_real: OpenReal) -> None:
    """Its pass has no handle in common with that of its account."""
    gateway = await open_real()
    by_address = await ask_for(gateway, method="email", email=seed.UNCLAIMED_KEY_EMAIL)
    by_user = await ask_for(gateway, method="user", user_id=seed.OWNER_ID)

    address = await checked(gateway, by_address["pass"]["value"])
    user = await checked(gateway, by_user["pass"]["value"])

    assert address["sub"].startswith("email:")
    assert set(address["handles"]) & set(user["handles"]) == {address["handles"][0]}
    assert (await show(gateway, by_address["pass"]["value"]))["player"] is None


async def test_an_override_without_evidence_is_not_renewed(open_real: OpenReal) -> None:
    """A pass that an address got by the operator's word ends: the address has to be shown again."""
    gateway = await open_real()
    word = {"game": 3, "email": seed.STRANGER_EMAIL, "word": "grant", "seconds": 3600}
    assert (await gateway.http.post("/admin/overrides", json=word)).status_code == 200
    issued = await ask_for(gateway, method="email", email=seed.STRANGER_EMAIL)

    answer = await renewed(gateway, issued)

    assert (answer["outcome"], answer["pass"]) == ("granted", None)
