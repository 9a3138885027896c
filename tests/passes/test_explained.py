"""Refused passes are refusals like others: remembered, found by their support code, and explained."""

import json
from datetime import timedelta
from typing import Any, Final

import pytest

from service.api.paths import EXPLAIN_PATH, INVALIDATE_PATH
from service.cache.refusal_memory import ONE_REFUSAL
from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import Asker, LogLines
from tests.passes.conftest import OpenReal
from tests.passes.test_asking import ask_for, show
from tests.passes.test_forged import CORPUS
from tests.passes.test_void import EMAIL, KEY, USER

ENDED: Final = timedelta(seconds=900)


async def explained(gateway: Asker, **body: Any) -> dict[str, Any]:
    """Ask why, and return the answer."""
    answer = await gateway.http.post(EXPLAIN_PATH, json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("order", [USER, KEY, EMAIL], ids=["user", "key", "address"])
async def test_a_pass_that_has_ended_is_found_by_its_support_code(
    open_real: OpenReal, clock: FakeClock, log: LogLines, order: dict[str, Any]
) -> None:
    """With the method, and the account only where it is an account's; no answer and no line has anything secret."""
    gateway = await open_real()
    value = (await ask_for(gateway, **order))["pass"]["value"]
    clock.jump(ENDED)
    refused = await show(gateway, value)

    found = await explained(gateway, decision_id=refused["decision_id"])

    assert found["sentences"][:2] == [
        "Not let in: the pass has run out.",
        "The player should sign in again, as before there was a pass.",
    ]
    decision = found["decision"]
    assert (decision["method"], decision["reason"], decision["advice"]) == ("pass", "expired_pass", "sign_in_again")
    assert [one["decision_id"] for one in found["refusals"]] == [refused["decision_id"]]
    line = (await log.line("explained"), log.lines("verified")[-1])
    assert [one["subject"] for one in line] == [decision["subject"]] * 2
    assert len(decision["subject"]) == 16
    assert decision["account"] == (decision["subject"] if order is USER else None)
    for secret in (*value.split("."), seed.OWNER_KEY, seed.BUYER_EMAIL):
        assert secret not in json.dumps(found)
        assert secret.encode() not in log.written


async def test_a_refused_pass_is_among_the_refusals_of_the_account(open_real: OpenReal, clock: FakeClock) -> None:
    """Also one that another player showed; and it is forgotten with the account."""
    gateway = await open_real()
    value = (await ask_for(gateway, player_ref="lobby:7f3a", **USER))["pass"]["value"]
    stolen = await show(gateway, value, player_ref="lobby:0000")
    assert stolen["reason"] == "refused_pass"

    found = await explained(gateway, game=3, user_id=seed.OWNER_ID)
    clock.jump(timedelta(seconds=1))
    await gateway.http.post(INVALIDATE_PATH, json={"game": 3, "user_id": seed.OWNER_ID})
    after = await explained(gateway, game=3, user_id=seed.OWNER_ID)

    assert [(one["decision_id"], one["method"]) for one in found["refusals"]] == [(stolen["decision_id"], "pass")]
    assert after["refusals"] == []


async def test_what_is_remembered_of_the_account_is_shown(
    open_real: OpenReal, store: Sandbox, clock: FakeClock
) -> None:
    """For the pass of a player who has given the game back."""
    gateway = await open_real()
    store.world.buy([3], user_id=seed.STRANGER_ID)
    value = (await ask_for(gateway, method="user", user_id=seed.STRANGER_ID))["pass"]["value"]
    store.world.refund(max(store.world.purchases))
    clock.jump(timedelta(seconds=10))
    await gateway.user(seed.STRANGER_ID, max_age=0)
    clock.jump(ONE_REFUSAL)
    refused = await show(gateway, value)

    found = await explained(gateway, decision_id=refused["decision_id"])

    assert (found["decision"]["method"], found["decision"]["reason"]) == ("pass", "no_download_key")
    assert found["decision"]["player"]["id"] == seed.STRANGER_ID
    assert [(one["about"], one["says"]) for one in found["remembered"]] == [("ownership", "no")]


@pytest.mark.parametrize("text", ["no pass", CORPUS["good"]], ids=["no pass", "signed elsewhere"])
async def test_what_was_not_signed_here_is_not_remembered(open_real: OpenReal, text: str) -> None:
    """No player is named by it."""
    gateway = await open_real()
    refused = await show(gateway, text)

    answer = await gateway.http.post(EXPLAIN_PATH, json={"decision_id": refused["decision_id"]})

    assert (refused["outcome"], answer.status_code) == ("rejected", 404)


async def test_a_pass_in_place_of_a_jwt_is_none(open_real: OpenReal) -> None:
    """Pasted by those who support players: nothing of it goes to the store, and it is not repeated."""
    gateway = await open_real()
    value = (await ask_for(gateway, **USER))["pass"]["value"]

    found = await explained(gateway, game=3, jwt=value, ask=True)

    assert (found["decision"]["reason"], found["requests"]) == ("malformed_jwt", [])
    assert value not in json.dumps(found)
