"""Asking for passes, and showing them to the gateway again."""

from datetime import timedelta
from typing import Any

import jwt

from service.sandbox import seed
from service.sandbox.state import Sandbox
from tests.clock import FakeClock
from tests.gateways import Asker, LogLines, store_calls
from tests.passes.conftest import ISSUER, OpenReal


async def ask_for(gateway: Asker, **order: Any) -> dict[str, Any]:
    """Ask for a pass, and return the answer."""
    answer = await gateway.http.post("/passes", json={"game": 3, **order})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def checked(gateway: Asker, value: str, audience: str = "game:3") -> dict[str, Any]:
    """Return the claims of a pass, as a match server would read them."""
    keys = jwt.PyJWKSet.from_dict((await gateway.http.get("/.well-known/jwks.json")).json())
    header = jwt.get_unverified_header(value)
    assert header.keys() == {"alg", "typ", "kid"}
    assert (header["alg"], header["typ"]) == ("RS256", "ownership-pass+jwt")
    claims: dict[str, Any] = jwt.decode(
        value,
        keys[header["kid"]],
        algorithms=["RS256"],
        audience=audience,
        options={"verify_exp": False, "verify_iat": False},
    )
    return claims


async def show(gateway: Asker, value: str, **fields: Any) -> dict[str, Any]:
    """Show a pass, and return the answer."""
    answer = await gateway.http.post("/verify/pass", json={"game": 3, "pass": value, **fields})
    body: dict[str, Any] = answer.json()
    return body


async def test_a_pass_says_what_the_answer_says(open_real: OpenReal, clock: FakeClock, log: LogLines) -> None:
    """Every claim is the answer's own, and it ends after a quarter of an hour."""
    gateway = await open_real()

    answer = await ask_for(gateway, method="user", user_id=seed.OWNER_ID, audience="server-42", player_ref="lobby:7f3a")

    claims = await checked(gateway, answer["pass"]["value"], "game:3/server-42")
    now = clock.now()
    assert claims == {
        "iss": ISSUER,
        "aud": "game:3/server-42",
        "sub": f"itch:{seed.OWNER_ID}",
        "iat": int(now.timestamp()),
        "exp": int(now.timestamp()) + 900,
        "jti": answer["decision_id"],
        "game": 3,
        "outcome": "owned",
        "reason": "download_key",
        "method": "user",
        "observed_at": now.timestamp(),
        "fresh_until": claims["fresh_until"],
        "usable_until": int((now + timedelta(days=1)).timestamp()),
        "evidence": {"kind": "download_key", "id": answer["evidence"]["id"]},
        "player_ref": "lobby:7f3a",
        "handles": claims["handles"],
    }
    assert len(set(claims["handles"])) == 3
    assert len(answer["pass"]["value"]) <= 2048
    assert answer["pass"]["value"].startswith("eyJhbGciOiJSUzI1Ni")  # by which the console tells it from a JWT
    assert answer["pass"]["expires_at"] == "2026-11-20T14:18:11Z"
    assert (await log.line("verified"))["pass_until"].startswith("2026-11-20T14:18:11")
    assert await gateway.metric("passes_minted_total", game="x-moon") == 1


async def test_who_is_not_let_in_gets_none(open_real: OpenReal) -> None:
    gateway = await open_real()
    answer = await ask_for(gateway, method="user", user_id=seed.STRANGER_ID)
    assert (answer["allowed"], answer["pass"]) == (False, None)


async def test_an_account_that_comes_back_costs_the_store_nothing(
    open_real: OpenReal, store: Sandbox, clock: FakeClock
) -> None:
    """Another gateway, which remembers nothing, believes the evidence in the pass as long as it would its own."""
    first, second = await open_real(), await open_real()
    issued = await ask_for(first, method="user", user_id=seed.OWNER_ID)
    store.journal.clear()

    answer = await show(second, issued["pass"]["value"])

    assert (answer["outcome"], answer["method"], answer["player"]["id"]) == ("owned", "pass", seed.OWNER_ID)
    assert answer["observed_at"] == issued["observed_at"]
    assert store_calls(store) == 0


async def test_a_key_is_not_its_owner(open_real: OpenReal, store: Sandbox) -> None:
    """A pass for a key names no account, in no answer, and lets the holder in without the store."""
    gateway = await open_real()
    issued = await ask_for(gateway, method="download_key", download_key=seed.OWNER_KEY)
    store.journal.clear()

    answer = await show(gateway, issued["pass"]["value"])

    claims = await checked(gateway, issued["pass"]["value"])
    assert claims["sub"] == f"key:{claims['handles'][1]}"
    assert len(claims["handles"]) == 5
    assert (answer["outcome"], answer["player"], answer["evidence"]["kind"]) == ("owned", None, "download_key")
    assert store_calls(store) == 0
