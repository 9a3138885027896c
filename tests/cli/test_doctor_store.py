"""`doctor`, on the key, its scopes and games, canaries, and the clock."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis.asyncio import Redis

from service.api.paths import OVERRIDES_PATH
from service.cli.exits import Exit
from service.clock import SystemClock
from service.sandbox.seed import (
    BUYER_ID,
    FOREIGN_GAME_ID,
    OWNER_ID,
    SECOND_SELLER_KEY,
    SELLER_ID,
    SELLER_KEY,
    STRANGER_ID,
)
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import Game, SellerKeyState
from tests.cli.conftest import Upstream, WriteConfig
from tests.cli.terminals import run, run_in_background
from tests.clock import FakeClock
from tests.gateways import SECRET, LogLines, caller_lines, opened, pointing_at, settings_from
from tests.stores.raw_server import closed_port


async def examined(store: Upstream, *arguments: str) -> Result:
    """Let the doctor examine a gateway of this store."""
    return await run_in_background("doctor", "--json", *arguments, environ=store.variables)


def finding(result: Result, check: str) -> dict[str, Any]:
    """Return what the doctor found."""
    findings: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
    return next(one for one in findings if one["check"] == check)


def verdicts(result: Result) -> dict[str, str]:
    """Return how each check came out."""
    return {one["check"]: one["verdict"] for one in json.loads(result.stdout)["checks"]}


async def test_a_healthy_gateway_is_healthy(store: Upstream) -> None:
    """Exit code 0, and a verdict for each check."""
    store.sandbox.ahead = timedelta()

    result = await examined(store)

    assert result.exit_code == Exit.OK
    assert json.loads(result.stdout)["ok"] is True
    assert verdicts(result) == {
        "configuration": "ok",
        "seller key": "ok",
        "scopes": "ok",
        "games": "ok",
        "questions": "ok",
        "clock": "ok",
        "redis": "skipped",
        "passes": "skipped",
        "mail": "skipped",
    }


async def test_it_says_whose_key_it_is(store: Upstream) -> None:
    """The wrong account is a usual mistake."""
    assert "leafo (user 29789)" in finding(await examined(store), "seller key")["detail"]


async def test_a_refused_key_is_a_problem(store: Upstream) -> None:
    """With a refused key the other checks are skipped, except for the clock."""
    store.sandbox.ahead = timedelta()
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(revoked=True)

    result = await examined(store)

    assert result.exit_code == Exit.NO
    assert "https://itch.io/user/settings/api-keys" in finding(result, "seller key")["hint"]
    assert list(verdicts(result).values())[1:6] == ["problem", "skipped", "skipped", "skipped", "ok"]


async def test_an_unscoped_key_may_ask_everything(store: Upstream) -> None:
    """An empty list is how that may look."""
    store.befall(endpoint=StoreEndpoint.CREDENTIALS, body='{"scopes":{}}')

    assert finding(await examined(store), "scopes")["detail"] == "none listed: the key may ask everything"


@pytest.mark.parametrize(
    ("scopes", "lacking"),
    [
        (("profile", "game"), None),
        (("profile:me", "profile:games", "game:view:purchases"), None),
        (("profile", "game:view"), None),
        (("profile", "game:view:purchases:more"), "it seems to lack game:view:purchases"),
        (("profile", "gam"), "it seems to lack game:view:purchases"),
        (("profile:me", "game"), "it seems to lack profile:games"),
    ],
)
async def test_a_scope_gives_what_is_below_it(store: Upstream, scopes: tuple[str, ...], lacking: str | None) -> None:
    """A scope gives nothing above it and no other scope of its level."""
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(scopes=scopes)

    found = finding(await examined(store), "scopes")

    assert found["verdict"] == ("ok" if lacking is None else "warning")
    assert lacking is None or lacking in found["detail"]


async def test_a_key_that_may_not_ask_about_ownership_is_a_problem(store: Upstream) -> None:
    """The store itself is asked about ownership, because only it knows the meaning of scopes."""
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(scopes=("profile", "game:view:downloads"))

    result = await examined(store)

    assert result.exit_code == Exit.NO
    assert finding(result, "questions")["verdict"] == "problem"
    assert finding(result, "questions")["detail"] == "the seller's API key lacks a scope"


async def test_a_key_that_may_not_list_games_is_a_problem(store: Upstream) -> None:
    """The check of the configured game is skipped, because there is no game to ask about."""
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(scopes=("profile:me", "game"))

    result = await examined(store)

    assert (finding(result, "games")["verdict"], finding(result, "questions")["verdict"]) == ("problem", "skipped")


async def test_a_configured_game_of_somebody_else_is_a_problem(store: Upstream, write_config: WriteConfig) -> None:
    """The game is named as it is configured."""
    path = write_config(f"[games.x-moon]\nid = 3\n[games.far-shore]\nid = {FOREIGN_GAME_ID}\n")

    result = await examined(store, "--config", path)

    assert result.exit_code == Exit.NO
    assert finding(result, "games")["detail"] == "not among the key's games: games.far-shore (id 5)"
    assert "ownership-gateway games" in finding(result, "games")["hint"]


async def test_configured_games_that_are_the_keys_own_are_fine(store: Upstream, write_config: WriteConfig) -> None:
    """A question is asked about one of them."""
    result = await examined(store, "--config", write_config("[games.sun-garden]\nid = 4\n"))

    assert finding(result, "games")["detail"] == "every configured game is among the key's"
    assert finding(result, "questions")["detail"] == "the store answers questions about game 4"


async def test_a_key_without_games_is_a_problem(store: Upstream) -> None:
    """The key is probably a player's."""
    store.sandbox.world.games = {}

    result = await examined(store)

    assert finding(result, "games")["detail"] == "the key sees no game"
    assert finding(result, "questions")["verdict"] == "skipped"


async def test_many_games_are_not_all_named(store: Upstream) -> None:
    """Eight are enough to recognise the account."""
    world = store.sandbox.world
    for number in range(100, 110):
        released_at = datetime(2026, 1, 1, tzinfo=UTC)
        world.games[number] = Game(number, f"game-{number}", "", world.seller.id, "", released_at, min_price_cents=0)

    detail = finding(await examined(store), "games")["detail"]

    assert detail.endswith("game-105 (id 105), …")


async def test_a_game_that_the_key_may_not_ask_about_is_a_problem(store: Upstream) -> None:
    """Seeing a game is not being its owner."""
    store.befall(endpoint=StoreEndpoint.DOWNLOAD_KEYS, body='{"errors":["invalid game"]}')

    found = finding(await examined(store), "questions")

    assert (found["verdict"], found["detail"]) == ("problem", "the seller's API key cannot see this game")


@pytest.mark.parametrize(
    ("fault", "why", "hint"),
    [
        ({"status": 429, "retry_after": "7"}, "throttled", "run it again in a minute"),
        ({"body": "[]"}, "protocol", "does not speak that dialect; check itch.base_url and itch.dialect"),
        ({"redirect": "https://itch.io/"}, "redirect", "leads elsewhere: check itch.base_url"),
        ({"status": 500}, "server_error", "itch.io itself fails"),
        ({"html_challenge": True}, "web_page", "a page for people stands at"),
        ({"status": 401, "body": "{}"}, "auth", "make a key at https://itch.io/user/settings/api-keys"),
        ({"status": 403, "body": "{}"}, "forbidden", "make a key at https://itch.io/user/settings/api-keys"),
    ],
)
async def test_a_store_without_an_answer_is_a_problem(
    store: Upstream, fault: dict[str, Any], why: str, hint: str
) -> None:
    """Each cause with a hint of its own."""
    store.befall(**fault)

    result = await examined(store)

    assert result.exit_code == Exit.NO
    assert finding(result, "seller key")["why"] == why
    assert hint in finding(result, "seller key")["hint"]


def test_a_store_that_is_not_there_is_a_problem() -> None:
    """The hint says where it was looked for, and the line ends with the cause."""
    base_url = closed_port()
    environ = {"OWNERSHIP_GATEWAY_ITCH__BASE_URL": base_url, "OWNERSHIP_GATEWAY_ITCH__API_KEY": SELLER_KEY}

    lines = run("doctor", environ=environ).stdout.splitlines()

    (line,) = (number for number, line in enumerate(lines) if "seller key" in line)
    assert lines[line] == "problem  seller key: no answer from the store (refused)"
    assert base_url in lines[line + 1]


@pytest.mark.parametrize(
    ("ahead", "verdict", "words"),
    [
        (timedelta(seconds=20), "ok", "within"),
        (timedelta(seconds=-20), "ok", "within"),
        (timedelta(hours=1), "warning", "s behind the store"),
        (timedelta(hours=-1), "warning", "s ahead of the store"),
    ],
)
async def test_a_clock_that_is_wrong_is_a_warning(store: Upstream, ahead: timedelta, verdict: str, words: str) -> None:
    """Beyond half a minute; nothing fails over it."""
    store.sandbox.ahead = ahead

    result = await examined(store)

    assert result.exit_code == Exit.OK
    assert finding(result, "clock")["verdict"] == verdict
    assert words in finding(result, "clock")["detail"]


async def test_a_store_that_tells_no_time_is_not_compared(store: Upstream) -> None:
    """That is no problem of the gateway's."""
    assert finding(await examined(store), "clock")["verdict"] == "skipped"


def test_the_sandbox_is_never_taken_for_the_store() -> None:
    """The finding is a warning, with a hint what to do about it."""
    result = run("doctor", "--sandbox")

    assert result.exit_code == Exit.OK
    assert result.stdout.startswith(
        "warning  configuration: no games, no callers; the sandbox answers, nothing is real\n"
    )
    assert result.stdout.splitlines()[1].startswith("         -> set OWNERSHIP_GATEWAY_ITCH__API_KEY")


def test_every_mistake_of_the_configuration_is_a_finding() -> None:
    """No other check runs."""
    result = run("doctor", environ={"OWNERSHIP_GATEWAY_PORT": "x"})

    assert result.exit_code == Exit.NO
    assert [line.partition(":")[0] for line in result.stdout.splitlines()] == [
        "problem  configuration",
        "problem  configuration",
        "skipped  everything else",
    ]


async def test_it_logs_nothing_beside_its_findings(store: Upstream, capfd: pytest.CaptureFixture[str]) -> None:
    """The log would say everything twice."""
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(revoked=True)

    result = await run_in_background("doctor", environ=store.variables, real_streams=True)

    assert result.stderr == ""
    assert capfd.readouterr().err == ""


async def test_names_cannot_act_on_the_terminal(store: Upstream) -> None:
    """A store's names are printed without control characters."""
    store.befall(endpoint=StoreEndpoint.PROFILE, body='{"user":{"id":1,"username":"\\u001b[2J"}}')

    result = await run_in_background("doctor", environ=store.variables, color=True)

    assert "\x1b[2J" not in result.stdout


def test_verdicts_are_coloured_on_a_terminal() -> None:
    """A problem is red."""
    assert "\x1b[31m\x1b[1mproblem" in run("doctor", color=True).stdout


async def test_the_next_key_is_examined_too(store: Upstream) -> None:
    """Before the old one is revoked, and with it the players' only way in."""
    variables = store.variables | {"OWNERSHIP_GATEWAY_ITCH__NEXT_API_KEY": SECOND_SELLER_KEY}

    result = await run_in_background("doctor", "--json", environ=variables)

    assert finding(result, "next seller key")["verdict"] == "ok"
    assert "leafo (user 29789)" in finding(result, "next seller key")["detail"]


async def test_a_next_key_that_is_refused_is_a_problem(store: Upstream) -> None:
    """The one in use may be as healthy as it likes."""
    variables = store.variables | {"OWNERSHIP_GATEWAY_ITCH__NEXT_API_KEY": "a-key-that-is-none"}

    result = await run_in_background("doctor", "--json", environ=variables)

    assert result.exit_code == Exit.NO
    assert (finding(result, "seller key")["verdict"], finding(result, "next seller key")["verdict"]) == (
        "ok",
        "problem",
    )


CANARIES = """
[games.x-moon]
id = 3
canary_owner_user_id = {owner}
canary_stranger_user_id = {stranger}
"""


async def test_canaries_that_are_as_expected_are_fine(store: Upstream, write_config: WriteConfig) -> None:
    """Each has a finding of its own; without canaries there is none."""
    path = write_config(CANARIES.format(owner=BUYER_ID, stranger=STRANGER_ID))

    result = await examined(store, "--config", path)

    assert result.exit_code == Exit.OK
    assert [finding(result, f"canary x-moon {expect}")["detail"] for expect in ("owner", "stranger")] == [
        "the store says that user 2001 owns x-moon, as expected",
        "the store says that user 2007 does not own x-moon, as expected",
    ]
    assert not [check for check in verdicts(await examined(store)) if check.startswith("canary")]


async def test_canaries_that_are_not_as_expected_are_problems(store: Upstream, write_config: WriteConfig) -> None:
    """Either the account or the store is wrong, and the hint says where to look."""
    path = write_config(CANARIES.format(owner=STRANGER_ID, stranger=OWNER_ID))

    result = await examined(store, "--config", path)

    found = [finding(result, f"canary x-moon {expect}") for expect in ("owner", "stranger")]
    assert result.exit_code == Exit.NO
    assert [one["verdict"] for one in found] == ["problem", "problem"]
    assert found[0]["detail"] == "the store says that user 2007 does not own x-moon"
    assert found[1]["detail"] == "the store says that user 1994 owns x-moon"
    assert "set games.x-moon.canary_stranger_user_id to another account" in found[1]["hint"]


async def test_a_proof_that_the_game_does_not_accept_makes_no_owner(store: Upstream, write_config: WriteConfig) -> None:
    """The rules are those of the game."""
    path = write_config(CANARIES.format(owner=OWNER_ID, stranger=BUYER_ID) + 'accept = ["download_key"]\n')

    assert (await examined(store, "--config", path)).exit_code == Exit.OK


async def test_the_sellers_account_is_no_canary(store: Upstream, write_config: WriteConfig) -> None:
    """The gateway does not ask about it, and neither does the doctor."""
    path = write_config(CANARIES.format(owner=SELLER_ID, stranger=STRANGER_ID))

    found = finding(await examined(store, "--config", path), "canary x-moon owner")

    assert found["verdict"] == "warning"
    assert found["detail"] == "user 29789 is not asked about: it is the seller's own account, who is always let in"
    assert found["hint"] == "set games.x-moon.canary_owner_user_id to another account"


async def test_an_account_under_an_override_is_no_canary(
    store: Upstream, write_config: WriteConfig, tmp_path: Path, empty_redis: Redis, redis_url: str
) -> None:
    """The doctor knows of it from Redis, and says what the gateway does."""
    secret = f'secret = "{SECRET}"\n'
    redis = f'[redis]\nurl = "{redis_url}"\n' + CANARIES.format(owner=OWNER_ID, stranger=STRANGER_ID)
    settings = settings_from(tmp_path, secret + pointing_at(store.base_url) + redis, sandbox=False)
    async with opened(settings, clock=FakeClock(), log=LogLines(), real_clock=SystemClock()) as gateway:
        body = {"game": 3, "user_id": STRANGER_ID, "word": "ban", "seconds": 600}
        assert (await gateway.http.post(OVERRIDES_PATH, json=body)).json()["replicas"] == "all"

    result = await examined(store, "--config", write_config(secret + redis))

    found = finding(result, "canary x-moon stranger")
    assert (found["verdict"], found["hint"]) == (
        "warning",
        "take the override back, or set games.x-moon.canary_stranger_user_id to another account",
    )
    assert "user 2007 is not asked about: an override says" in found["detail"]
    assert verdicts(result)["canary x-moon owner"] == "ok"


async def test_a_canary_without_an_answer_is_a_problem(store: Upstream, write_config: WriteConfig) -> None:
    """It is the store's, and no verdict on the account."""
    path = write_config(CANARIES.format(owner=OWNER_ID, stranger=STRANGER_ID))
    store.befall(endpoint=StoreEndpoint.DOWNLOAD_KEYS, status=500)

    found = finding(await examined(store, "--config", path), "canary x-moon owner")

    assert found["verdict"] == "problem"
    assert found["why"] == "server_error"


async def test_with_a_refused_key_canaries_are_skipped(store: Upstream, write_config: WriteConfig) -> None:
    """Each is still named."""
    path = write_config(CANARIES.format(owner=OWNER_ID, stranger=STRANGER_ID))
    store.sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState(revoked=True)

    result = await examined(store, "--config", path)

    assert [verdicts(result)[f"canary x-moon {expect}"] for expect in ("owner", "stranger")] == ["skipped"] * 2


async def test_what_is_configured_is_counted(store: Upstream, write_config: WriteConfig) -> None:
    """In words: one is no plural."""
    path = write_config("[games.x-moon]\nid = 3\n[games.sun-garden]\nid = 4\n" + caller_lines("lobby", "ogw_token"))

    result = await examined(store, "--config", path)

    assert finding(result, "configuration")["detail"] == "2 games, 1 caller"
