"""The age of answers: the tiers, the caller's limits, and the grace while the store is away."""

import asyncio
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from service.ownership import Method
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.api.conftest import Open
from tests.clock import FakeClock, passing_time
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    asked_store,
    befall,
    pointing_at,
    sandbox_alone,
    store_calls,
    until,
    until_learned,
)

HOUR = timedelta(hours=1)
ACCESS_TOKENS = f"[itch]\naccess_tokens = true\n{X_MOON}"


async def test_second_question_is_answered_from_memory(gateway: Asker) -> None:
    """The store is asked only once."""
    first = await gateway.key(seed.OWNER_KEY)
    second = await gateway.key(seed.OWNER_KEY)

    assert (first.json()["cache"], second.json()["cache"]) == ("none", "memory")
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 1


async def test_hundred_questions_at_once_cost_one_look_up(gateway: Asker, clock: FakeClock) -> None:
    """Equal questions at the same time share one look-up."""
    befall(gateway.sandbox, latency_ms=100)
    asking = [asyncio.create_task(gateway.key(seed.OWNER_KEY)) for _ in range(100)]
    await until(lambda: gateway.gateway.http.in_flight == 100)
    await clock.advance(timedelta(milliseconds=100))
    answers = await asyncio.gather(*asking)

    assert {answer.json()["outcome"] for answer in answers} == {"owned"}
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 1
    assert await gateway.metric("singleflight_joined_total", scope="process") == 99


async def test_other_gateway_answers_from_redis(empty_redis: Redis, open_with: Open, clock: FakeClock) -> None:
    """Gateways with the same secret share their observations."""
    async with sandbox_alone(clock) as (sandbox, base_url):
        toml = f'secret = "{SECRET}"\n' + pointing_at(base_url) + X_MOON
        one = await open_with(toml, sandbox=False, redis=empty_redis)
        await one.key(seed.OWNER_KEY)
        await until_stored(empty_redis)
        other = await open_with(toml, sandbox=False, redis=empty_redis)
        await until_learned(other.gateway)
        sandbox.journal.clear()

        response = await other.key(seed.OWNER_KEY)
        again = await other.key(seed.OWNER_KEY)

    assert (response.json()["outcome"], response.json()["cache"], again.json()["cache"]) == ("owned", "redis", "memory")
    assert response.headers["cache-status"].endswith("; detail=redis")
    assert store_calls(sandbox) == 0


async def test_gateway_with_another_secret_knows_nothing(empty_redis: Redis, open_with: Open, clock: FakeClock) -> None:
    """Names and seals are made from the secret."""
    async with sandbox_alone(clock) as (_, base_url):
        rest = pointing_at(base_url) + X_MOON
        one = await open_with(f'secret = "{SECRET}"\n{rest}', sandbox=False, redis=empty_redis)
        await one.key(seed.OWNER_KEY)
        await until_stored(empty_redis)
        other = await open_with(f'secret = "{SECRET[::-1]}"\n{rest}', sandbox=False, redis=empty_redis)

        async with passing_time(clock):  # once they have seen that their secrets differ, their budgets begin empty
            answer = await other.key(seed.OWNER_KEY)

        assert answer.json()["cache"] == "none"


async def until_stored(redis: Redis) -> None:
    """Return once Redis has an entry: answers do not wait for it."""
    tries = 0
    while not await redis.keys("og:v2:e:*"):
        tries += 1
        assert tries < 10_000, "nothing was stored"


async def test_max_age_of_zero_asks_the_store_now(gateway: Asker, clock: FakeClock) -> None:
    """With `max_age=0` no cached observation is fresh enough."""
    await gateway.key(seed.OWNER_KEY)
    clock.jump(timedelta(milliseconds=1))

    response = await gateway.key(seed.OWNER_KEY, max_age=0)

    assert response.json()["cache"] == "none"
    assert asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS) == 2


@pytest.mark.parametrize(("max_age", "cache"), [(9, "none"), (10, "memory"), (11, "memory")])
async def test_max_age_bounds_how_old_an_answer_may_be(
    gateway: Asker, clock: FakeClock, max_age: int, cache: str
) -> None:
    """Evidence that is ten seconds old serves a question with `max_age=10`, and not one with less."""
    await gateway.key(seed.OWNER_KEY)
    clock.jump(timedelta(seconds=10))

    assert (await gateway.key(seed.OWNER_KEY, max_age=max_age)).json()["cache"] == cache


async def test_max_age_and_only_if_cached_together_ask_nobody(gateway: Asker, clock: FakeClock) -> None:
    """An observation that is too old gives no answer, and the store is not asked either."""
    await gateway.key(seed.OWNER_KEY)
    clock.jump(timedelta(seconds=10))

    response = await gateway.key(seed.OWNER_KEY, max_age=9, only_if_cached=True)

    assert response.json()["reason"] == "not_cached"


async def test_only_if_cached_is_answered_from_what_is_known(gateway: Asker) -> None:
    """A known answer is given as ever."""
    await gateway.key(seed.OWNER_KEY)

    assert (await gateway.key(seed.OWNER_KEY, only_if_cached=True)).json()["cache"] == "memory"


async def test_store_is_asked_again_before_an_answer_runs_out(gateway: Asker, clock: FakeClock) -> None:
    """Late in its hour an observation is renewed in the background of the question that used it."""
    await gateway.key(seed.OWNER_KEY)
    clock.jump(timedelta(minutes=53))
    gateway.sandbox.journal.clear()

    response = await gateway.key(seed.OWNER_KEY)

    await until(lambda: store_calls(gateway.sandbox))
    assert (response.json()["cache"], response.json()["stale"]) == ("memory", False)


async def test_refund_shows_once_the_answer_has_run_out(gateway: Asker, clock: FakeClock) -> None:
    """A yes does not outlive its hour while the store answers."""
    gateway.sandbox.world.buy([3], user_id=seed.STRANGER_ID)
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "owned"
    purchase = max(gateway.sandbox.world.purchases)
    gateway.sandbox.world.refund(purchase)
    clock.jump(timedelta(hours=2))

    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"


async def test_purchase_shows_once_the_no_has_run_out(gateway: Asker, clock: FakeClock) -> None:
    """A no is repeated for 45 seconds, and then asked again."""
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"
    gateway.sandbox.world.buy([3], user_id=seed.STRANGER_ID)
    clock.jump(timedelta(seconds=44))
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"
    clock.jump(timedelta(seconds=1))

    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "owned"


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.PASS])
async def test_proven_owner_keeps_playing_through_an_outage(open_with: Open, clock: FakeClock, method: Method) -> None:
    """A proof is used until its grace ends, and its answer says that it is stale."""
    gateway = await open_with(ACCESS_TOKENS)
    credential = await proof_of(gateway, method)
    clock.jump(timedelta(hours=23))
    befall(gateway.sandbox, status=500)

    response = await gateway.ask(method, credential)

    body = response.json()
    assert (response.status_code, body["outcome"], body["stale"]) == (200, "owned", True)
    assert body["usable_until"] == "2026-11-21T14:03:11Z"
    assert response.headers["age"] == str(23 * 3600)
    assert "ttl=-" in response.headers["cache-status"]


@pytest.mark.parametrize("method", [method for method in Method if method is not Method.PASS])
async def test_grace_ends(open_with: Open, clock: FakeClock, method: Method) -> None:
    """A day after the store last said yes there is no answer any more, neither yes nor no."""
    gateway = await open_with(ACCESS_TOKENS)
    credential = await proof_of(gateway, method)
    clock.jump(timedelta(hours=24))
    befall(gateway.sandbox, status=500)

    response = await gateway.ask(method, credential)

    assert (response.status_code, response.json()["outcome"]) == (503, "unknown")


async def proof_of(gateway: Asker, method: Method) -> str | int:
    """Ask by a method with the answer yes, and return the credential."""
    credentials: dict[Method, str | int] = {
        Method.DOWNLOAD_KEY: seed.OWNER_KEY,
        Method.JWT: gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt,
        Method.EMAIL: seed.BUYER_EMAIL,
        Method.USER: seed.OWNER_ID,
        Method.ACCESS_TOKEN: gateway.sandbox.world.mint_access_token(seed.OWNER_ID, application_of=None),
    }
    credential = credentials[method]
    response = await gateway.ask(method, credential)
    assert response.json()["outcome"] == "owned"
    return credential


async def test_stale_answers_are_counted(gateway: Asker, clock: FakeClock) -> None:
    """The number of players who live on grace is a metric."""
    await gateway.key(seed.OWNER_KEY)
    assert await gateway.metric("stale_served_total", game="x-moon") == 0
    clock.jump(timedelta(hours=2))
    befall(gateway.sandbox, status=500)

    await gateway.key(seed.OWNER_KEY)

    assert await gateway.metric("stale_served_total", game="x-moon") == 1


async def test_a_no_is_not_stretched_by_an_outage(gateway: Asker, clock: FakeClock) -> None:
    """Only a proof has grace: a player without one may have bought the game meanwhile."""
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"
    clock.jump(timedelta(seconds=46))
    befall(gateway.sandbox, status=500)

    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "unknown"


async def test_a_no_ends_grace(gateway: Asker, clock: FakeClock) -> None:
    """Once the store has said no, an older yes does not come back when the store gives no answer."""
    gateway.sandbox.world.buy([3], user_id=seed.STRANGER_ID)
    await gateway.user(seed.STRANGER_ID)
    gateway.sandbox.world.refund(max(gateway.sandbox.world.purchases))
    clock.jump(timedelta(hours=2))
    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "not_owned"
    clock.jump(timedelta(minutes=1))
    befall(gateway.sandbox, status=500)

    assert (await gateway.user(seed.STRANGER_ID)).json()["outcome"] == "unknown"


async def test_max_age_beats_grace(gateway: Asker, clock: FakeClock) -> None:
    """A caller that accepts nothing old gets nothing old, outage or not."""
    await gateway.key(seed.OWNER_KEY)
    clock.jump(timedelta(hours=2))
    befall(gateway.sandbox, status=500)

    assert (await gateway.key(seed.OWNER_KEY, max_age=3600)).status_code == 503


async def test_jwt_lets_nobody_in_past_its_end(gateway: Asker, clock: FakeClock) -> None:
    """An expired JWT is no good, with any cached observation and any failure of the store."""
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID, lifetime=HOUR).jwt
    assert (await gateway.jwt(jwt)).json()["outcome"] == "owned"
    clock.jump(HOUR)
    befall(gateway.sandbox, status=500)

    assert (await gateway.jwt(jwt)).json()["allowed"] is False


async def test_lifetimes_are_those_of_the_game(open_with: Open, clock: FakeClock) -> None:
    """The game's own lifetimes show in its answers."""
    gateway = await open_with(X_MOON + "owned_fresh_seconds = 60\ngrace_seconds = 120\nnot_owned_seconds = 2\n")

    owned = (await gateway.key(seed.OWNER_KEY)).json()
    refused = (await gateway.key(seed.REVOKED_KEY)).json()

    assert (owned["usable_until"], refused["usable_until"]) == ("2026-11-20T14:05:11Z", "2026-11-20T14:03:13Z")
