"""The rights and limits of callers."""

import asyncio
import hashlib
from datetime import timedelta

import jwt
import pytest

from service.api.callers import Caller, CallerDirectory
from service.errors import NotAuthenticated
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.calls import counted
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, asked_store, befall, caller_lines, store_calls, until

LOBBY = "ogw_lobby-token-of-a-test-0000000000000"
OTHER = "ogw_other-token-of-a-test-0000000000000"

TWO_GAMES = X_MOON + "\n[games.sun-garden]\nid = 4\n"


async def test_lines_name_the_caller(open_with: Open, log: LogLines) -> None:
    """Support can see the caller in every line."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY) + caller_lines("other", OTHER))

    await gateway.key(seed.OWNER_KEY, token=OTHER)

    assert (await log.line("verified"))["caller"] == "other"


async def test_caller_may_not_ask_about_another_game(open_with: Open) -> None:
    """403 for a game that exists and was not given to this caller."""
    gateway = await open_with(TWO_GAMES + caller_lines("lobby", LOBBY, games='["x-moon"]'))

    mine = await gateway.key(seed.OWNER_KEY, token=LOBBY)
    others = await gateway.key(seed.OTHER_GAME_KEY, game=4, token=LOBBY)

    assert (mine.status_code, others.status_code) == (200, 403)
    assert others.json()["detail"] == "it lacks this game"


async def test_game_that_is_not_configured_is_unknown_to_everybody(open_with: Open) -> None:
    """404, also for a caller that may ask about all games."""
    gateway = await open_with(TWO_GAMES + caller_lines("lobby", LOBBY))

    assert (await gateway.key(seed.OWNER_KEY, game=5, token=LOBBY)).status_code == 404


async def test_caller_over_its_rate_is_told_when_to_come_back(open_with: Open, clock: FakeClock) -> None:
    """429 past a burst of twice the rate, and an answer again once the time is over."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="0.5"))
    assert (await gateway.key(seed.OWNER_KEY, token=LOBBY)).status_code == 200

    response = await gateway.key(seed.OWNER_KEY, token=LOBBY)

    assert (response.status_code, response.json()["code"]) == (429, "too_many_questions")
    assert (response.headers["retry-after"], response.json()["retry_after_seconds"]) == ("2", 2)
    clock.jump(timedelta(seconds=2))
    assert (await gateway.key(seed.OWNER_KEY, token=LOBBY)).status_code == 200


async def test_rate_allows_bursts_of_twice_itself(open_with: Open) -> None:
    """`rate = 5`: ten at once, not eleven."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="5"))

    statuses = [(await gateway.key(seed.OWNER_KEY, token=LOBBY)).status_code for _ in range(11)]

    assert statuses == [200] * 10 + [429]


async def test_one_caller_spends_nothing_of_another(open_with: Open) -> None:
    """A caller over its rate does not keep others from asking."""
    gateway = await open_with(
        X_MOON + caller_lines("lobby", LOBBY, rate="0.5") + caller_lines("other", OTHER, rate="0.5")
    )
    statuses = [(await gateway.key(seed.OWNER_KEY, token=LOBBY)).status_code for _ in range(5)]
    assert statuses[-1] == 429

    assert (await gateway.key(seed.OWNER_KEY, token=OTHER)).status_code == 200


async def test_guessing_keys_costs_no_more_than_its_budget(open_with: Open) -> None:
    """Ten thousand well-formed keys from one caller: the store is asked about as many as may fail, no more."""
    gateway = await open_with(
        X_MOON + caller_lines("lobby", LOBBY, rate="100000", failed_keys_per_minute="20"), level="error"
    )
    statuses = []
    for start in range(0, 10_000, 100):
        items = [
            {"id": str(number), "method": "download_key", "game": 3, "download_key": f"guessed-key-{number:028}"}
            for number in range(start, start + 100)
        ]
        results = (await gateway.batch(*items, token=LOBBY)).json()["results"]
        statuses += [result["status"] for result in results]

    assert statuses == [200] * 20 + [429] * 9_980
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 20


async def test_caller_that_guesses_is_told_when_to_come_back(open_with: Open) -> None:
    """The code says which limit it was; twenty a minute are one in three seconds."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="20"))
    answers = [await gateway.key(f"guessed-key-{number:028}", token=LOBBY) for number in range(21)]

    assert (answers[-1].status_code, answers[-1].json()["code"]) == (429, "too_many_failed_keys")
    assert answers[-1].headers["retry-after"] == "3"


async def test_guessing_many_keys_at_once_costs_no_more(open_with: Open) -> None:
    """A try is spent before its answer is known, so that none slips through while others wait."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="1000", failed_keys_per_minute="5"))

    await asyncio.gather(*(gateway.key(f"guessed-key-{number:028}", token=LOBBY) for number in range(100)))

    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 5


async def test_guessing_with_a_deadline_too_short_costs_no_more(open_with: Open, clock: FakeClock) -> None:
    """A look-up holds its try until the store has answered, and its no spends it, although its caller has left."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="2"))
    befall(gateway.sandbox, latency_ms=1_000)
    statuses = [await impatient(gateway, f"guessed-key-{number:028}") for number in range(4)]
    await until(lambda: asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 2)  # the last may be on its way
    last = asyncio.create_task(gateway.key(f"guessed-key-{5:028}", token=LOBBY))
    await until(lambda: gateway.gateway.http.in_flight)
    while not last.done():
        await clock.advance(timedelta(milliseconds=100))

    assert statuses == [503] * 4
    assert (await last).status_code == 429
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 2


async def impatient(gateway: Asker, key: str, **more: int) -> int:
    """Ask with a deadline of 50 ms, and let it pass; return the status."""
    before = store_calls(gateway.sandbox)
    asking = asyncio.create_task(gateway.key(key, token=LOBBY, deadline_ms=50, **more))
    sleepers = gateway.clock.sleepers
    await until(lambda: asking.done() or store_calls(gateway.sandbox) > before or gateway.clock.sleepers > sleepers)
    await gateway.clock.advance(timedelta(milliseconds=50))
    return (await asking).status_code


async def test_known_good_key_passes_while_the_budget_is_spent(open_with: Open) -> None:
    """Players who own the game do not pay for another client's guessing."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.OWNER_KEY, token=LOBBY)
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)
    assert (await gateway.key("another-guess-of-a-key", token=LOBBY)).status_code == 429

    response = await gateway.key(seed.OWNER_KEY, token=LOBBY)

    assert (response.status_code, response.json()["outcome"]) == (200, "owned")


async def test_known_bad_key_is_answered_while_the_budget_is_spent(open_with: Open) -> None:
    """Repeating a no costs the store nothing, so it costs the caller nothing either."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)

    assert (await gateway.key(seed.REVOKED_KEY, token=LOBBY)).json()["outcome"] == "not_owned"


async def test_caller_that_asked_for_cached_answers_only_gets_that(open_with: Open) -> None:
    """With the budget spent, `only_if_cached` is still answered as ever."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)

    response = await gateway.key("another-guess-of-a-key", token=LOBBY, only_if_cached=True)

    assert (response.status_code, response.json()["reason"]) == (503, "not_cached")


@pytest.mark.parametrize("key", [seed.OWNER_KEY, "no key at all"])
async def test_only_keys_that_do_not_exist_spend_the_budget(open_with: Open, key: str) -> None:
    """Good keys and typing mistakes may be asked about as often as the rate allows."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))

    statuses = [(await gateway.key(key, max_age=0, token=LOBBY)).status_code for _ in range(5)]

    assert statuses == [200] * 5


async def test_jwts_that_nobody_signed_cost_no_more_than_the_budget(open_with: Open) -> None:
    """Each costs the store a question, so they are counted as failed keys are."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="1000", failed_keys_per_minute="3"))

    answers = [await gateway.jwt(junk_jwt(number), token=LOBBY) for number in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 3
    assert (answers[-1].json()["code"], answers[-1].headers["retry-after"]) == ("too_many_failed_keys", "20")
    assert asked_store(gateway.sandbox, StoreEndpoint.PROFILE) == 3


async def test_jwts_that_are_over_cost_no_more_than_the_budget(open_with: Open) -> None:
    """An expired JWT counts as well: made-up JWTs could name any expiry."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    over = [gateway.sandbox.mint_jwt(seed.OWNER_ID, lifetime=timedelta(seconds=-1 - n)).jwt for n in range(2)]

    statuses = [(await gateway.jwt(jwt, token=LOBBY)).status_code for jwt in over]

    assert statuses == [200, 429]


async def test_keys_and_jwts_share_one_budget(open_with: Open) -> None:
    """Changing the method is no way around it."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.jwt(junk_jwt(1), token=LOBBY)

    assert (await gateway.key("another-guess-of-a-key", token=LOBBY)).status_code == 429


async def test_jwts_of_players_spend_no_budget(open_with: Open, clock: FakeClock) -> None:
    """Neither when they own the game, nor when they do not."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    players = [gateway.sandbox.mint_jwt(user).jwt for user in (seed.OWNER_ID, seed.STRANGER_ID)]

    statuses = []
    for player in players * 3:
        statuses.append((await gateway.jwt(player, max_age=0, token=LOBBY)).status_code)
        clock.jump(timedelta(milliseconds=1))

    assert statuses == [200] * 6
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 6


async def test_known_good_jwt_passes_while_the_budget_is_spent(open_with: Open, clock: FakeClock) -> None:
    """The player's identity or ownership may have to be looked up again."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    player = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt
    await gateway.jwt(player, token=LOBBY)
    clock.jump(timedelta(hours=2))
    await gateway.jwt(junk_jwt(1), token=LOBBY)
    assert (await gateway.jwt(junk_jwt(2), token=LOBBY)).status_code == 429

    response = await gateway.jwt(player, token=LOBBY)

    assert (response.status_code, response.json()["outcome"], response.json()["cache"]) == (200, "owned", "none")


async def test_proven_owner_keeps_playing_through_an_outage_while_the_budget_is_spent(
    open_with: Open, clock: FakeClock
) -> None:
    """Guessing takes no player's grace away."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.OWNER_KEY, token=LOBBY)
    clock.jump(timedelta(hours=20))
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)
    befall(gateway.sandbox, status=500)

    response = await gateway.key(seed.OWNER_KEY, token=LOBBY)

    assert (response.status_code, response.json()["outcome"], response.json()["stale"]) == (200, "owned", True)


async def test_key_that_was_good_longer_ago_than_grace_is_a_guess_again(open_with: Open, clock: FakeClock) -> None:
    """After the end of its grace a key is no longer known to be good."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.OWNER_KEY, token=LOBBY)
    clock.jump(timedelta(hours=25))
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)

    assert (await gateway.key(seed.OWNER_KEY, token=LOBBY)).status_code == 429


async def test_key_that_was_good_and_is_revoked_is_a_guess_again(open_with: Open, clock: FakeClock) -> None:
    """The store's first no to a key that was good is no guess; a key counts as good only as long as its last answer."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.OWNER_KEY, token=LOBBY)
    befall(gateway.sandbox, body='{"errors": ["invalid download key"]}')
    clock.jump(timedelta(milliseconds=1))

    statuses = []
    for _ in range(3):
        statuses.append((await gateway.key(seed.OWNER_KEY, max_age=0, token=LOBBY)).status_code)
        clock.jump(timedelta(milliseconds=1))

    assert statuses == [200, 200, 429]


async def test_good_credential_whose_time_is_up_spends_no_budget(open_with: Open, clock: FakeClock) -> None:
    """The credential is known to be good; the store was only too slow."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    await gateway.key(seed.OWNER_KEY, token=LOBBY)
    clock.jump(timedelta(seconds=1))
    befall(gateway.sandbox, latency_ms=1_000)

    assert await impatient(gateway, seed.OWNER_KEY, max_age=0) == 503
    gateway.sandbox.faults.replace(())
    assert (await gateway.key("another-guess-of-a-key", token=LOBBY)).status_code == 200


def junk_jwt(number: int) -> str:
    """Return a JWT of a well-formed kind that the store did not sign."""
    return jwt.encode({"sub": str(number)}, "somebody else's key, 32 bytes or more", algorithm="HS256")


async def test_outage_spends_no_budget(open_with: Open) -> None:
    """A store that says nothing has not said that a key does not exist."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1"))
    befall(gateway.sandbox, status=500)
    statuses = [(await gateway.key(f"unlucky-key-{n:020}", token=LOBBY)).status_code for n in range(5)]
    assert statuses == [503] * 5
    gateway.sandbox.faults.replace(())

    assert (await gateway.key(seed.OWNER_KEY, token=LOBBY)).status_code == 200


async def test_caller_that_may_not_ask_is_told_so_while_the_store_is_away(open_with: Open) -> None:
    """The caller gets 429 even for a key about which the store has just given no answer: coming back would be vain."""
    gateway = await open_with(
        X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1") + caller_lines("other", OTHER)
    )
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)
    befall(gateway.sandbox, status=500)
    answers = [await gateway.key("an-unlucky-key-of-both", token=token) for token in (OTHER, LOBBY)]

    assert [answer.status_code for answer in answers] == [503, 429]


async def test_one_caller_guessing_does_not_stop_another(open_with: Open) -> None:
    """The budget for failed keys is each caller's own."""
    gateway = await open_with(
        X_MOON + caller_lines("lobby", LOBBY, failed_keys_per_minute="1") + caller_lines("other", OTHER)
    )
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)
    assert (await gateway.key("another-guess-of-a-key", token=LOBBY)).status_code == 429

    assert (await gateway.key("another-guess-of-a-key", token=OTHER)).status_code == 200


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (401, "not_authenticated"),
        (403, "not_permitted"),
        (404, "unknown_game"),
        (400, "bad_question"),
        (429, "rate"),
        (429, "failed_keys"),
    ],
)
async def test_refusals_are_counted_and_logged(open_with: Open, log: LogLines, status: int, cause: str) -> None:
    """Each cause has its count, and a line without a word of what was sent."""
    gateway = await open_with(
        TWO_GAMES + caller_lines("lobby", LOBBY, games='["x-moon"]', rate="1", failed_keys_per_minute="1")
    )

    response = await provoke(gateway, cause)

    line = await log.line("refused")
    assert response == status
    assert (line["cause"], line["caller"]) == (cause, None if status == 401 else "lobby")
    assert await gateway.metric("refused_total", cause=cause) == 1


async def provoke(gateway: Asker, cause: str) -> int:
    """Be refused for this cause; return the status."""
    match cause:
        case "not_authenticated":
            response = await gateway.key(seed.OWNER_KEY)
        case "not_permitted":
            response = await gateway.key(seed.OWNER_KEY, game=4, token=LOBBY)
        case "unknown_game":
            response = await gateway.key(seed.OWNER_KEY, game=5, token=LOBBY)
        case "bad_question":
            response = await gateway.key(seed.OWNER_KEY, surprise=1, token=LOBBY)
        case "rate":
            await gateway.key(seed.OWNER_KEY, token=LOBBY)
            await gateway.key(seed.OWNER_KEY, token=LOBBY)
            response = await gateway.key(seed.OWNER_KEY, token=LOBBY)
        case _:
            await gateway.key(seed.REVOKED_KEY, token=LOBBY)
            response = await gateway.key("another-guess-of-a-key", token=LOBBY)
    return response.status_code


async def test_forwarded_headers_change_nothing(open_with: Open) -> None:
    """Headers that any client can send do not change the caller whose limits apply."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY, rate="0.5"))
    statuses = []
    for header in ("x-forwarded-for", "x_forwarded_for", "forwarded", "x-real-ip"):
        response = await gateway.http.post(
            "/verify/jwt",
            json={"game": 3, "jwt": ""},
            headers={"authorization": f"Bearer {LOBBY}", header: "192.0.2.7"},
        )
        statuses.append(response.status_code)

    assert statuses == [200, 429, 429, 429]


async def test_user_agent_of_a_probe_opens_nothing(open_with: Open) -> None:
    """Health checks are routes of their own; no header makes one of anything else."""
    gateway = await open_with(X_MOON + caller_lines("lobby", LOBBY))

    response = await gateway.http.post(
        "/verify/jwt", json={"game": 3, "jwt": ""}, headers={"user-agent": "kube-probe/1.31"}
    )

    assert response.status_code == 401


def test_a_caller_may_be_without_limits() -> None:
    """It is found as any other."""
    caller = Caller("lobby", frozenset())
    directory = CallerDirectory([(hashlib.sha256(LOBBY.encode()).digest(), caller)])

    assert directory.identify(f"Bearer {LOBBY}".encode()) is caller
    assert directory.limits() == {}


def calls_to_refuse_a_stranger(callers: int) -> int:
    """Return how many functions are called, those in C too, until a token that belongs to no caller is refused."""
    directory = CallerDirectory(
        (hashlib.sha256(b"ogw_%d" % number).digest(), Caller(f"caller-{number}", frozenset()))
        for number in range(callers)
    )
    with counted() as calls, pytest.raises(NotAuthenticated):
        directory.identify(b"Bearer ogw_of-a-stranger")
    return calls()


def test_stranger_costs_the_same_with_any_number_of_callers() -> None:
    """A flood of wrong tokens must not keep known callers waiting the longer the more of them there are."""
    assert calls_to_refuse_a_stranger(20_000) == calls_to_refuse_a_stranger(1)
