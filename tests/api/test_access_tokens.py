"""OAuth access tokens of itch.io: of the game's own application alone, for one game, and nothing where they are off."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.ownership import Method
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, asked_store, befall, caller_lines, store_calls

ON = "[itch]\naccess_tokens = true\n" + X_MOON
TWO_GAMES = ON + "[games.sun-garden]\nid = 4\n"
TOKEN = "ogw_browser-browser-browser-browser-browser-bro"
FOREIGN = 777


@pytest.fixture
async def gateway(open_with: Open) -> Asker:
    """A gateway that takes access tokens, for two games."""
    return await open_with(TWO_GAMES)


def mint(gateway: Asker, user_id: int, *, application_of: int | None = None, scopes: str | None = None) -> str:
    """Return an access token that the user has given to the seller's application, or to another."""
    given = ("game:view:ownership", "profile:me") if scopes is None else tuple(scopes.split())
    return gateway.sandbox.world.mint_access_token(user_id, application_of=application_of, scopes=given)


async def ask(gateway: Asker, presented: str, **fields: Any) -> httpx.Response:
    """Ask about an access token."""
    return await gateway.ask(Method.ACCESS_TOKEN, presented, **fields)


def said(answer: httpx.Response) -> tuple[str, str]:
    """Return the outcome and the reason."""
    body = answer.json()
    return body["outcome"], body["reason"]


async def test_an_owner(gateway: Asker, log: LogLines) -> None:
    """Asked about by the token, then by the account with the seller's key; within ten minutes by neither."""
    token = mint(gateway, seed.OWNER_ID)
    first = await ask(gateway, token)
    cold = store_calls(gateway.sandbox)
    again = await ask(gateway, token)

    body = first.json()
    assert (body["allowed"], body["reason"], body["method"]) == (True, "download_key", "access_token")
    assert body["player"] == {"id": 1994, "username": "amos", "display_name": "Amos"}
    assert (cold, store_calls(gateway.sandbox), again.json()["cache"]) == (3, 3, "memory")
    line = await log.line("verified")
    assert (line["method"], line["account"]) == ("access_token", (await log.line("verified"))["account"])
    assert token.encode() not in log.written
    assert await gateway.metric("source_requests_total", endpoint="ownership", result="ok") == 1
    assert await gateway.metric("decisions_total", method="access_token") == 2


async def test_strangers_buyers_and_the_seller(gateway: Asker) -> None:
    """Each as by JWT: the look-up by account decides, the seller's own account is let in."""
    answers = {
        user: said(await ask(gateway, mint(gateway, user)))
        for user in (seed.STRANGER_ID, seed.BUYER_ID, seed.BUNDLE_BUYER_ID, seed.SELLER_ID)
    }

    assert answers == {
        seed.STRANGER_ID: ("not_owned", "no_download_key"),
        seed.BUYER_ID: ("owned", "purchase"),
        seed.BUNDLE_BUYER_ID: ("owned", "bundle_purchase"),
        seed.SELLER_ID: ("granted", "seller_account"),
    }


@pytest.mark.parametrize("scopes", ["profile:me", "game:view:ownership", "profile:me profile:owned", ""])
async def test_a_token_without_the_scopes(gateway: Asker, scopes: str) -> None:
    """It is refused: both are needed, for bans are about accounts."""
    assert said(await ask(gateway, mint(gateway, seed.OWNER_ID, scopes=scopes))) == ("rejected", "refused_access_token")


async def test_a_personal_key_in_its_place(gateway: Asker, log: LogLines) -> None:
    """It has no application, be it the seller's own: it is refused, is no alarm about that key, and is not logged."""
    answer = await ask(gateway, seed.SELLER_KEY)
    known = await gateway.user(seed.OWNER_ID)

    assert said(answer) == ("rejected", "refused_access_token")
    assert asked_store(gateway.sandbox, StoreEndpoint.PROFILE) == 0
    assert said(known) == ("owned", "download_key")
    assert (await gateway.http.get("/readyz")).json()["components"]["credential"] == "ok"
    assert seed.SELLER_KEY.encode() not in log.written


@pytest.mark.parametrize("first", ["own", "foreign"])
async def test_a_token_of_another_application(gateway: Asker, first: str) -> None:
    """One that another site has collected opens nothing, with anything remembered of its owner."""
    own = mint(gateway, seed.OWNER_ID)
    foreign = mint(gateway, seed.OWNER_ID, application_of=FOREIGN)
    tokens = [own, foreign] if first == "own" else [foreign, own]
    answers = {token: said(await ask(gateway, token)) for token in tokens}

    assert answers == {own: ("owned", "download_key"), foreign: ("rejected", "refused_access_token")}


async def test_one_token_and_two_games(gateway: Asker) -> None:
    """It is asked about for each game: an identity for one is none for the other."""
    token = mint(gateway, seed.OWNER_ID)
    await ask(gateway, token)
    asked = asked_store(gateway.sandbox, StoreEndpoint.OWNERSHIP)
    other = await ask(gateway, token, game=4)

    assert (asked, asked_store(gateway.sandbox, StoreEndpoint.OWNERSHIP)) == (1, 2)
    assert said(other) == ("not_owned", "no_download_key")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "short",
        "x" * 257,
        "a token with spaces",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "é" * 20,
        "a\n" * 9,
    ],
)
async def test_what_can_be_no_access_token(gateway: Asker, text: str) -> None:
    """It is rejected by its shape, and the store hears nothing of it."""
    assert said(await ask(gateway, text)) == ("rejected", "malformed_access_token")
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize("words", ["invalid key", "authentication required", "invalid game"])
async def test_words_by_which_itch_io_refuses(gateway: Asker, words: str) -> None:
    """They are about the token, and no alarm about the seller's key; said for a minute without asking again."""
    befall(gateway.sandbox, endpoint=StoreEndpoint.OWNERSHIP, body=f'{{"errors": ["{words}"]}}', status=403)
    answers = [said(await ask(gateway, mint(gateway, seed.OWNER_ID))) for _ in range(2)]
    token = mint(gateway, seed.BUYER_ID)
    await ask(gateway, token)
    asked = store_calls(gateway.sandbox)
    await ask(gateway, token)

    assert answers == [("rejected", "refused_access_token")] * 2
    assert (store_calls(gateway.sandbox), (await gateway.http.get("/readyz")).json()["components"]["credential"]) == (
        asked,
        "ok",
    )


@pytest.mark.parametrize(
    "body",
    [
        '{"errors": ["this application is of another developer"]}',
        '{"owns": 1}',
        '{"owns": "true"}',
        '{"owns": null}',
        '{"owns": true, "download_keys": []}',
        "{}",
        "[true]",
        "true",
    ],
)
async def test_all_else_is_no_answer(gateway: Asker, body: str) -> None:
    """It is never taken for a yes or a no, and what is known by other ways counts on."""
    befall(gateway.sandbox, endpoint=StoreEndpoint.OWNERSHIP, body=body, content_type="application/json")
    answer = await ask(gateway, mint(gateway, seed.OWNER_ID))

    assert (answer.status_code, said(answer)) == (503, ("unknown", "source_protocol"))
    assert said(await gateway.user(seed.OWNER_ID)) == ("owned", "download_key")


@pytest.mark.parametrize(
    ("owns", "user", "status"),
    [("true", seed.STRANGER_ID, 503), ("false", seed.OWNER_ID, 200), ("false", seed.STRANGER_ID, 200)],
)
async def test_itch_io_says_two_things(gateway: Asker, owns: str, user: int, status: int) -> None:
    """A yes to the player against a no to the seller is no answer, and no grant; the seller's yes counts by itself."""
    befall(
        gateway.sandbox, endpoint=StoreEndpoint.OWNERSHIP, body=f'{{"owns": {owns}}}', content_type="application/json"
    )
    answer = await ask(gateway, mint(gateway, user))

    assert answer.status_code == status
    if status == 503:
        assert said(answer) == ("unknown", "source_protocol")
        assert await gateway.metric("decisions_total", method="access_token", reason="source_protocol") == 1
    else:
        assert answer.json()["allowed"] is (user == seed.OWNER_ID)


async def test_bans(open_with: Open, clock: FakeClock) -> None:
    """They are about the account, by the configuration and by an override."""
    gateway = await open_with(ON + f"ban_user_ids = [{seed.OWNER_ID}]\n")
    await gateway.http.post(
        "/admin/overrides", json={"game": 3, "user_id": seed.BUYER_ID, "word": "ban", "seconds": 600}
    )

    for user in (seed.OWNER_ID, seed.BUYER_ID):
        assert said(await ask(gateway, mint(gateway, user))) == ("banned", "operator_ban")


async def test_the_store_is_away_for_a_day(gateway: Asker, clock: FakeClock) -> None:
    """A known owner plays on for the game's grace, and no longer; no one new is let in, and no refusal is made up."""
    token, new = mint(gateway, seed.OWNER_ID), mint(gateway, seed.BUYER_ID)
    await ask(gateway, token)
    befall(gateway.sandbox, status=500)
    clock.jump(timedelta(hours=23))
    known, unknown = await ask(gateway, token), await ask(gateway, new)
    clock.jump(timedelta(hours=2))
    later = await ask(gateway, token)

    assert (said(known), known.json()["stale"]) == (("owned", "download_key"), True)
    assert said(unknown) == ("unknown", "source_unavailable")
    assert said(later) == ("unknown", "source_unavailable")


async def test_the_application_cannot_be_asked_about_for_a_day(gateway: Asker, clock: FakeClock) -> None:
    """The identity ends by itself, though the player's proof is as new as can be."""
    token = mint(gateway, seed.OWNER_ID)
    await ask(gateway, token)
    befall(gateway.sandbox, endpoint=StoreEndpoint.OWNERSHIP, status=500)
    clock.jump(timedelta(hours=23))
    within = await ask(gateway, token)
    clock.jump(timedelta(hours=2))
    proof = await gateway.user(seed.OWNER_ID)
    beyond = await ask(gateway, token)

    assert (said(within), said(proof)) == (("owned", "download_key"), ("owned", "download_key"))
    assert said(beyond) == ("unknown", "source_unavailable")


async def test_a_token_that_is_taken_back(gateway: Asker, clock: FakeClock) -> None:
    """It opens nothing once the gateway asks again, after ten minutes."""
    token = mint(gateway, seed.OWNER_ID)
    await ask(gateway, token)
    gateway.sandbox.world.revoke_access_token(token)
    clock.jump(timedelta(minutes=10))

    assert said(await ask(gateway, token)) == ("rejected", "refused_access_token")


async def test_guesses_are_counted(open_with: Open) -> None:
    """A caller's tries end, as for JWTs; good tokens of others go on."""
    toml = ON + caller_lines("browser", TOKEN, failed_keys_per_minute="3", rights='["verify"]')
    gateway = await open_with(toml)
    known = mint(gateway, seed.OWNER_ID)
    await ask(gateway, known, token=TOKEN)
    answers = [await ask(gateway, f"guess-number-{number:08}", token=TOKEN) for number in range(5)]

    assert [one.status_code for one in answers] == [200, 200, 200, 429, 429]
    assert (await ask(gateway, known, token=TOKEN)).json()["allowed"]


async def test_a_thousand_guesses_in_batches(open_with: Open) -> None:
    """itch.io is asked about as many as the caller has tries in a minute, and about none of them twice."""
    toml = ON + caller_lines("browser", TOKEN, rate="100000", failed_keys_per_minute="20", rights='["verify"]')
    gateway = await open_with(toml)
    statuses = list[int]()
    for first in range(0, 500, 50):
        guesses = [f"guess-number-{number:08}" for number in range(first, first + 50)] * 2
        items = [
            {"id": str(number), "method": "access_token", "game": 3, "access_token": guess}
            for number, guess in enumerate(guesses)
        ]
        answer = await gateway.batch(*items, token=TOKEN)
        statuses += [one["status"] for one in answer.json()["results"]]

    assert asked_store(gateway.sandbox, StoreEndpoint.OWNERSHIP) == 20
    assert asked_store(gateway.sandbox, StoreEndpoint.PROFILE) == 0
    assert set(statuses) == {200, 429}
    assert (len(statuses), statuses.count(200)) == (1000, 40)


async def test_in_a_batch(gateway: Asker) -> None:
    """An item like any other."""
    token = mint(gateway, seed.OWNER_ID)
    answer = await gateway.batch({"id": "a", "method": "access_token", "game": 3, "access_token": token})

    assert answer.json()["results"][0]["decision"]["allowed"] is True


async def test_a_pass_for_it(gateway: Asker) -> None:
    """A browser game gets one by its token, and renews it without."""
    token = mint(gateway, seed.OWNER_ID)
    order = {"method": "access_token", "game": 3, "access_token": token}
    answer = (await gateway.http.post("/passes", json=order)).json()
    shown = await gateway.ask(Method.PASS, answer["pass"]["value"])

    assert (answer["allowed"], shown.json()["allowed"]) == (True, True)


async def test_why(gateway: Asker) -> None:
    """Support is told by the token what is known, without asking."""
    token = mint(gateway, seed.STRANGER_ID)
    await ask(gateway, token)
    asked = store_calls(gateway.sandbox)
    told = (await gateway.http.post("/admin/explain", json={"game": 3, "access_token": token})).json()

    assert (told["decision"]["reason"], store_calls(gateway.sandbox)) == ("no_download_key", asked)
    assert token not in str(told)


async def test_at_a_proxy(open_with: Open) -> None:
    """A policy may take access tokens beside JWTs: the one with dots is the JWT."""
    policy = '[forward_auth.site]\ngame = "x-moon"\ncredentials = ["jwt", "access_token"]\n'
    gateway = await open_with(ON + policy + '[forward_auth.app]\ngame = "x-moon"\ncredentials = ["jwt"]\n')
    token = mint(gateway, seed.OWNER_ID)

    async def pass_on(path: str, bearer: str) -> tuple[int, str | None]:
        answer = await gateway.http.get(f"/forward-auth/{path}", headers={"authorization": f"Bearer {bearer}"})
        return answer.status_code, answer.headers.get("x-ownership-player")

    assert await pass_on("site", token) == (200, "1994")
    assert await pass_on("site", gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt) == (200, "1994")
    assert await pass_on("site", mint(gateway, seed.OWNER_ID, application_of=FOREIGN)) == (401, None)
    assert await pass_on("app", token) == (401, None)


async def test_off(open_with: Open) -> None:
    """There is no endpoint, no item and no series; the token goes nowhere."""
    gateway = await open_with(X_MOON)
    token = mint(gateway, seed.OWNER_ID)
    alone = await ask(gateway, token)
    [item] = (await gateway.batch({"id": "a", "method": "access_token", "game": 3, "access_token": token})).json()[
        "results"
    ]
    metrics = (await gateway.http.get("/metrics")).text

    explained = await gateway.http.post("/admin/explain", json={"game": 3, "access_token": token, "ask": True})
    assert (explained.status_code, explained.json()["code"]) == (404, "not_enabled")
    assert (alone.status_code, alone.json()["code"]) == (404, "not_enabled")
    assert "itch.access_tokens" in alone.json()["detail"]
    assert (item["status"], item["problem"]["code"]) == (404, "not_enabled")
    assert ("access_token" in metrics, 'endpoint="ownership"' in metrics) == (False, False)
    assert store_calls(gateway.sandbox) == 0
