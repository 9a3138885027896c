"""The composition root: what it builds from the settings, and that it closes what it opened."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from service.app import open_gateway, open_upstream
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import SellerKeyState
from service.settings import Settings
from service.wiring.upstream import user_agent
from tests.clock import FakeClock
from tests.gateways import (
    SECRET,
    X_MOON,
    LogLines,
    asked_store,
    befall,
    client_of,
    logging_into,
    opened,
    pointing_at,
    read_metric,
    sandbox_alone,
    settings_from,
    states_of,
    until,
    until_learned,
)


@pytest.fixture
def log() -> LogLines:
    """The gateway's log."""
    return LogLines()


async def test_gateway_opens_without_a_store(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A store that is away does not keep the gateway from starting."""

    def nobody(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    settings = settings_from(tmp_path, pointing_at("http://127.0.0.1:9") + X_MOON, sandbox=False)
    async with opened(settings, clock=clock, log=log, transport=httpx.MockTransport(nobody)) as gateway:
        ready = await gateway.http.get("/readyz")

    assert ready.status_code == 200


async def test_store_is_asked_whose_the_key_is_until_it_says(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A store that was away at the start is asked again every half minute."""
    async with sandbox_alone(clock) as (sandbox, base_url):
        befall(sandbox, status=500, times=1)
        settings = settings_from(tmp_path, pointing_at(base_url) + X_MOON, sandbox=False)
        async with opened(settings, clock=clock, log=log) as gateway:
            await log.line("source_lost")
            await clock.advance(timedelta(seconds=30))
            await until_learned(gateway.gateway)

        assert asked_store(sandbox, StoreEndpoint.PROFILE) == 2


async def test_without_configured_games_their_labels_are_learned(
    tmp_path: Path, clock: FakeClock, log: LogLines
) -> None:
    """A game that the key can see is counted under its id, any other as `other`."""
    async with opened(settings_from(tmp_path, ""), clock=clock, log=log) as gateway:
        await gateway.key(seed.OWNER_KEY, game=987_654)
        assert await gateway.metric("decisions_total", game="other") == 1

        async with asyncio.timeout(60):
            while not await gateway.metric("decisions_total", game="3"):
                await gateway.key(seed.OWNER_KEY)
        assert await gateway.metric("decisions_total", game="987654") == 0


async def test_changed_key_file_is_taken_up(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """The seller's key is rotated without a restart, and the account behind it is learned anew."""
    file = tmp_path / "key"
    file.write_text(seed.SELLER_KEY)
    async with sandbox_alone(clock) as (sandbox, base_url):
        toml = f'[itch]\napi_key_file = "{file}"\nbase_url = "{base_url}"\n' + X_MOON
        async with opened(settings_from(tmp_path, toml, sandbox=False), clock=clock, log=log) as gateway:
            await until_learned(gateway.gateway)
            file.write_text(seed.SECOND_SELLER_KEY)
            sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)
            sandbox.journal.clear()
            clock.jump(timedelta(seconds=2))

            response = await gateway.user(seed.STRANGER_ID)

            assert response.json()["outcome"] == "not_owned"
            assert asked_store(sandbox, StoreEndpoint.PROFILE) == 1
            await log.line("credential_reloaded")


async def test_older_dialect_is_spoken_with_its_own_sandbox(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """Both of itch.io's APIs have a sandbox."""
    settings = settings_from(tmp_path, '[itch]\ndialect = "server-side"\n' + X_MOON)
    async with opened(settings, clock=clock, log=log) as gateway:
        answers = [
            await gateway.key(seed.OWNER_KEY),
            await gateway.jwt(gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt),
            await gateway.email(seed.BUYER_EMAIL),
            await gateway.user(seed.STRANGER_ID),
        ]
        paths = [seen.path for seen in gateway.sandbox.journal.report().last]

    assert [answer.json()["reason"] for answer in answers] == [
        "download_key",
        "download_key",
        "purchase",
        "no_download_key",
    ]
    assert all(path.startswith("/api/1/") for path in paths)


async def test_replicas_share_the_store_budget(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """Each takes its part, and never less than one request."""
    toml = "replicas = 4\n[itch]\nrate = 8\nburst = 12\n" + X_MOON
    async with opened(settings_from(tmp_path, toml, frugal=True), clock=clock, log=log) as gateway:
        clock.jump(timedelta(minutes=1))

        assert await gateway.metric("source_budget_tokens") == 3


async def test_redis_of_the_settings_is_used_and_closed(
    tmp_path: Path, clock: FakeClock, log: LogLines, empty_redis: Redis, redis_url: str
) -> None:
    """The gateway's own client leaves no connection behind."""
    toml = f'secret = "{SECRET}"\n{X_MOON}\n[redis]\nurl = "{redis_url}"\n'
    before = await clients_of(empty_redis)
    async with opened(settings_from(tmp_path, toml), clock=clock, log=log) as gateway:
        await gateway.key(seed.OWNER_KEY)
        assert await clients_of(empty_redis) > before

    # Tries are counted, not timed: redis-py can lose the cancellation by which a time-out ends a loop like this one.
    clients = [await clients_of(empty_redis) for _ in range(200)]
    assert clients[-1] == before
    assert len(await empty_redis.keys("og:v2:e:*")) == 1


async def clients_of(redis: Redis) -> set[str]:
    """Return the numbers of the connections to a Redis."""
    return {client["id"] for client in await redis.client_list()}


async def test_redis_that_was_handed_in_stays_open(
    tmp_path: Path, clock: FakeClock, log: LogLines, empty_redis: Redis
) -> None:
    """The test that made the client closes it."""
    settings = settings_from(tmp_path, f'secret = "{SECRET}"\n{X_MOON}')
    async with opened(settings, clock=clock, log=log, redis=empty_redis) as gateway:
        await gateway.key(seed.OWNER_KEY)

    assert len(await empty_redis.keys("og:v2:e:*")) == 1


async def test_closing_leaves_no_task_behind(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A look-up may be under way."""
    before = asyncio.all_tasks()
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        befall(gateway.sandbox, latency_ms=60_000)
        asking = asyncio.create_task(gateway.key(seed.OWNER_KEY))
        await until(lambda: asked_store(gateway.sandbox, StoreEndpoint.DOWNLOAD_KEYS))
        asking.cancel()
        await asyncio.wait([asking])

    assert asyncio.all_tasks() == before


async def test_bug_at_start_is_told_and_does_no_harm(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A bug in background work is logged, and does not make the close fail."""

    def broken(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("canary-7f3a91")

    settings = settings_from(tmp_path, pointing_at("http://127.0.0.1:9") + X_MOON, sandbox=False)
    async with opened(settings, clock=clock, log=log, transport=httpx.MockTransport(broken)) as gateway:
        line = await log.line("bug")
        alive = await gateway.http.get("/livez")
        counted = await gateway.metric("bugs_total", where="background")

    assert (line["where"], alive.status_code, counted) == ("start-up", 200, 1)


async def test_bug_in_a_callback_of_the_event_loop_is_told_and_counted(
    tmp_path: Path, clock: FakeClock, log: LogLines
) -> None:
    """An exception in a callback is a bug like any other; the system's complaints about descriptors are none."""
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        loop.call_exception_handler({"message": "no descriptors", "exception": OSError(24, "Too many open files")})
        loop.call_exception_handler({"message": "a word about a session that was left open"})
        assert await gateway.metric("bugs_total") == 0

        loop.call_soon(lambda: 1 // 0)
        line = await log.line("bug")

        assert await gateway.metric("bugs_total", where="background") == 1
    assert (line["where"], loop.get_exception_handler()) == ("event loop", before)


async def test_settings_without_a_source_open_nothing(clock: FakeClock, log: LogLines) -> None:
    """A gateway cannot open with settings that were not loaded properly."""
    with logging_into(log, clock=clock) as logs, pytest.raises(AssertionError, match="without a source"):
        async with open_gateway(Settings(), log=logs, clock=clock):
            pass


@pytest.mark.parametrize("sandbox", ["its own", "elsewhere"])
async def test_way_to_the_store_can_be_opened_alone(
    tmp_path: Path, clock: FakeClock, log: LogLines, sandbox: str
) -> None:
    """Commands ask the store once, and serve nothing."""
    async with sandbox_alone(clock) as (_, base_url):
        settings = settings_from(
            tmp_path, "" if sandbox == "its own" else pointing_at(base_url), sandbox=sandbox == "its own"
        )
        with logging_into(log, clock=clock) as logs:
            async with open_upstream(settings, log=logs) as store:
                identity = await store.source.identify_seller()

    assert identity.player.id == seed.SELLER_ID


async def test_store_learns_whom_to_ask_about_the_traffic(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """An honest User-Agent with a page, as itch.io's staff would wish."""
    agents = []

    def note(request: httpx.Request) -> httpx.Response:
        agents.append(request.headers["user-agent"])
        return httpx.Response(500)

    toml = pointing_at("http://127.0.0.1:9") + 'contact_url = "https://studio.example/gateway"\n' + X_MOON
    settings = settings_from(tmp_path, toml, sandbox=False)
    with logging_into(log, clock=clock) as logs:
        async with open_gateway(settings, log=logs, clock=clock, transport=httpx.MockTransport(note)):
            await until(lambda: agents)

    assert agents[0] == user_agent(settings)
    assert agents[0].endswith(" (+https://studio.example/gateway)")


async def test_two_gateways_have_metrics_of_their_own(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """No metric is counted for the process as a whole."""
    settings = settings_from(tmp_path, X_MOON)
    with logging_into(log, clock=clock) as logs:
        async with (
            open_gateway(settings, log=logs, clock=clock) as one,
            open_gateway(settings, log=logs, clock=clock) as other,
            client_of(one) as http,
        ):
            await http.post("/verify/jwt", json={"game": 3, "jwt": ""})

            counts = [read_metric(gateway.metrics.render()[0].decode(), "decisions_total") for gateway in (one, other)]
    assert counts == [1, 0]


async def test_state_of_redis_is_disabled_without_one(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A gateway that is to have no Redis is not degraded."""
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log) as gateway:
        assert states_of(gateway.gateway)["redis"] == "disabled"


async def test_key_of_another_account_makes_another_seller(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """After a rotation the former seller is a player like any other."""
    accounts = {"Bearer first-seller-key": 101, "Bearer second-seller-key": 102}

    def store(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/profile":
            return unread({"user": {"id": accounts[request.headers["authorization"]]}})
        if request.url.path.endswith("/purchases"):
            return unread({"purchases": {}})
        return unread({"errors": ["no download key found"]})

    file = tmp_path / "key"
    file.write_text("first-seller-key")
    toml = f'[itch]\napi_key_file = "{file}"\nbase_url = "http://127.0.0.1:9"\n' + X_MOON
    settings = settings_from(tmp_path, toml, sandbox=False)
    async with opened(settings, clock=clock, log=log, transport=httpx.MockTransport(store)) as gateway:
        await until_learned(gateway.gateway)
        before = (await gateway.user(101)).json()["reason"]
        file.write_text("second-seller-key")
        clock.jump(timedelta(seconds=2))
        await gateway.user(2001)  # the first question after the change is what notices it
        after = [(await gateway.user(player)).json()["reason"] for player in (101, 102)]

    assert before == "seller_account"
    assert after == ["no_download_key", "seller_account"]


def unread(body: object) -> httpx.Response:
    """Return an answer of the store as it comes from a network, its body not read yet."""
    return httpx.Response(200, stream=httpx.ByteStream(json.dumps(body).encode()))
