"""A reset of a gateway with its sandbox: nothing of one test is left for the next."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import httpx
import pytest
from redis.asyncio import Redis

from service.http.application import Answering, Listener
from service.http.connection import HttpRefusal, Request
from service.http.reply import Reply
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.wiring.own_sandbox import ControlEndpoints
from tests.clock import FakeClock
from tests.gateways import SECRET, X_MOON, Asker, LogLines, caller_lines, opened, settings_from, states_of, until

LOBBY: Final = "ogw_lobby"
OPERATOR: Final = "ogw_operator"
RIGHTS: Final = '["verify", "assert:user", "assert:email", "admin", "override"]'
TOML: Final = (
    f'secret = "{SECRET}"\n'
    + X_MOON
    + caller_lines("lobby", LOBBY, failed_keys_per_minute="1", rate="10")
    + caller_lines("operator", OPERATOR, rate="1000", failed_keys_per_minute="1000", rights=RIGHTS)
)
OWNERS: Final = range(5001, 5031)

Mess: TypeAlias = Callable[[Asker], Awaitable[None]]


@pytest.fixture
def log() -> LogLines:
    """The gateway's log."""
    return LogLines()


@pytest.fixture(params=["memory", "redis"])
async def gateway(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock, log: LogLines, empty_redis: Redis
) -> AsyncIterator[Asker]:
    """A gateway with callers, by itself and with Redis."""
    redis = empty_redis if request.param == "redis" else None
    async with opened(settings_from(tmp_path, TOML), clock=clock, log=log, redis=redis) as open_gateway:
        yield open_gateway


async def tell(gateway: Asker, method: str, path: str, body: object = None) -> Any:
    """Send a control request through the gateway, and return the JSON of its answer."""
    answer = await gateway.http.request(method, f"/sandbox{path}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sandbox"] == "ownership-gateway"
    return answer.json()


async def admin(gateway: Asker, path: str, **body: object) -> None:
    """Send a word of an operator about game 3."""
    headers = {"authorization": f"Bearer {OPERATOR}"}
    answer = await gateway.http.post(f"/admin/{path}", json={"game": 3, **body}, headers=headers)
    assert answer.status_code == 200, answer.text


async def remember_players(gateway: Asker) -> None:
    """Have an owner and a stranger remembered, who change places in the store then."""
    await gateway.user(seed.OWNER_ID, token=LOBBY)
    await gateway.user(seed.STRANGER_ID, token=LOBBY)


async def fail(gateway: Asker) -> None:
    """Have the store fail about an owner, which is remembered for a moment."""
    await tell(gateway, "PUT", "/faults", {"status": 502})
    await gateway.user(seed.OWNER_ID, token=LOBBY)


async def throttle(gateway: Asker) -> None:
    """Have the store pause all players."""
    await tell(gateway, "PUT", "/faults", {"status": 429, "retry_after": "60"})
    await gateway.user(seed.OWNER_ID, token=LOBBY)


async def throttle_a_player(gateway: Asker) -> None:
    """Have the store pause one JWT."""
    jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt
    await tell(gateway, "PUT", "/faults", {"status": 429, "retry_after": "60"})
    await gateway.jwt(jwt, token=LOBBY)


async def revoke_seller_key(gateway: Asker) -> None:
    """Have the store refuse the seller's key."""
    await tell(gateway, "PUT", "/seller-key", {"revoked": True})
    await gateway.user(seed.OWNER_ID, token=LOBBY)


async def use_up_rate(gateway: Asker) -> None:
    """Ask more than the caller's rate allows."""
    while (await gateway.user(seed.OWNER_ID, token=LOBBY)).status_code == 200:
        continue


async def use_up_tries(gateway: Asker) -> None:
    """Guess more keys than the caller may."""
    await gateway.key(seed.REVOKED_KEY, token=LOBBY)
    assert (await gateway.key(seed.OTHER_GAME_KEY, token=LOBBY)).status_code == 429


async def invalidate(gateway: Asker) -> None:
    """Forget the game from an hour ahead on."""
    await tell(gateway, "POST", "/clock", {"advance_seconds": 3600})
    await admin(gateway, "invalidate")


async def hold_noes(gateway: Asker) -> None:
    """Have the revocation guard hold noes back, by the operator's word."""
    await admin(gateway, "revocations", believe=False, seconds=3600)


async def take_many_games_away(gateway: Asker) -> None:
    """Have the revocation guard hold noes back, by its own count."""
    for user_id in OWNERS:
        gateway.sandbox.world.mint_key(3, user_id=user_id)
        await gateway.user(user_id, token=OPERATOR)
    await tell(gateway, "PUT", "/faults", {"deny": True})
    gateway.clock.jump(timedelta(milliseconds=1))
    for user_id in OWNERS:
        await gateway.user(user_id, token=OPERATOR, max_age=0)
    assert states_of(gateway.gateway)["revocations"] == "held"


async def ban_by_an_override(gateway: Asker) -> None:
    """Have an operator ban a player for an hour."""
    await admin(gateway, "overrides", user_id=seed.STRANGER_ID, word="ban", seconds=3600)


async def let_time_pass(gateway: Asker) -> None:
    """Move the clock by a day."""
    await remember_players(gateway)
    await tell(gateway, "POST", "/clock", {"advance_seconds": 86_400})


MESSES: Final = [
    remember_players,
    fail,
    throttle,
    throttle_a_player,
    revoke_seller_key,
    use_up_rate,
    use_up_tries,
    invalidate,
    hold_noes,
    take_many_games_away,
    ban_by_an_override,
    let_time_pass,
]


@pytest.mark.parametrize("mess", MESSES, ids=lambda mess: mess.__name__)
async def test_nothing_is_left_after_a_reset(gateway: Asker, mess: Mess) -> None:
    """All answers, and the state of the gateway, are those of one that has just started."""
    before = states_of(gateway.gateway)
    await mess(gateway)

    await tell(gateway, "POST", "/reset")

    learned_later = {"redis": "", "secrets": ""}  # by an answer of Redis, which may be late
    assert states_of(gateway.gateway) | learned_later == before | learned_later
    assert (await tell(gateway, "GET", "/clock"))["ahead_seconds"] == 0
    assert (await tell(gateway, "GET", "/requests"))["total"] == 0
    await tell(gateway, "POST", "/keys/revoke", {"key": seed.OWNER_KEY})
    await tell(gateway, "POST", "/keys", {"game_id": 3, "user_id": seed.STRANGER_ID})
    answers = [await gateway.user(user, token=LOBBY) for user in (seed.OWNER_ID, seed.STRANGER_ID)]
    assert [(answer.json()["outcome"], answer.json()["cache"]) for answer in answers] == [
        ("not_owned", "none"),
        ("owned", "none"),
    ]
    assert (await gateway.key(seed.REVOKED_KEY, token=LOBBY)).json()["outcome"] == "not_owned"
    jwt = gateway.sandbox.mint_jwt(seed.BUYER_ID).jwt
    assert (await gateway.jwt(jwt, token=OPERATOR)).json()["outcome"] == "owned"


async def test_nothing_of_an_old_world_is_found_in_redis(
    tmp_path: Path, clock: FakeClock, log: LogLines, empty_redis: Redis
) -> None:
    """After a reset the gateway neither reads nor changes a name of before: all of them are new."""
    async with opened(settings_from(tmp_path, TOML), clock=clock, log=log, redis=empty_redis) as gateway:
        await remember_players(gateway)
        await until_written(empty_redis, 2)
        before = set(await empty_redis.keys("og:v*:e:*"))

        await tell(gateway, "POST", "/reset")
        await remember_players(gateway)
        await until_written(empty_redis, 4)

        assert before < set(await empty_redis.keys("og:v*:e:*"))


async def until_written(redis: Redis, count: int) -> None:
    """Return once Redis has so many observations."""
    async with asyncio.timeout(30):
        while len(await redis.keys("og:v*:e:*")) < count:
            await redis.wait(1, 10)  # for a replica that does not exist: the server itself holds us back


@pytest.mark.parametrize(
    ("caused", "mended"),
    [
        (fail, ("DELETE", "/faults", None)),
        (throttle, ("DELETE", "/faults", None)),
        (throttle_a_player, ("DELETE", "/faults", None)),
        (throttle, ("PUT", "/faults", [{"endpoint": "games", "status": 500}])),
        (revoke_seller_key, ("PUT", "/seller-key", {})),
    ],
    ids=["outage", "throttled", "player throttled", "other fault", "seller key"],
)
async def test_what_is_mended_is_well_at_once(gateway: Asker, caused: Mess, mended: tuple[str, str, object]) -> None:
    """The very next question is answered by the store, and not by what the gateway had remembered of the fault."""
    await caused(gateway)
    assert (await gateway.user(seed.STRANGER_ID, token=LOBBY)).status_code == 503

    await tell(gateway, *mended)

    assert (await gateway.user(seed.OWNER_ID, token=LOBBY)).json()["outcome"] == "owned"
    assert (await gateway.jwt(gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt, token=LOBBY)).json()["outcome"] == "owned"


async def test_mending_forgets_no_player(gateway: Asker) -> None:
    """Players who were remembered before a fault are remembered after it."""
    await gateway.user(seed.OWNER_ID, token=LOBBY)
    await fail(gateway)

    await tell(gateway, "DELETE", "/faults")

    assert (await gateway.user(seed.OWNER_ID, token=LOBBY)).json()["cache"] == "memory"


async def test_owner_keeps_playing_in_an_outage_and_is_out_after_a_day(gateway: Asker) -> None:
    """The clock of the sandbox is that of the gateway: a day passes in no time."""
    await gateway.user(seed.OWNER_ID, token=LOBBY)
    await tell(gateway, "PUT", "/faults", {"status": 502})

    await tell(gateway, "POST", "/clock", {"advance_seconds": 80_000})
    during = await gateway.user(seed.OWNER_ID, token=LOBBY)
    await tell(gateway, "POST", "/clock", {"advance_seconds": 6_401})
    after = await gateway.user(seed.OWNER_ID, token=LOBBY)

    assert (during.json()["outcome"], during.json()["stale"]) == ("owned", True)
    assert (after.status_code, after.json()["outcome"]) == (503, "unknown")


async def test_question_under_way_gets_no_answer(gateway: Asker) -> None:
    """A question that waits for the store when the gateway begins again loses its connection; the next is answered."""
    await tell(gateway, "PUT", "/faults", {"latency_ms": 600_000})
    before = gateway.sandbox.journal.report().total
    under_way = asyncio.create_task(gateway.user(seed.OWNER_ID, token=LOBBY))
    await until(lambda: gateway.sandbox.journal.report().total > before)

    await tell(gateway, "POST", "/reset")

    with pytest.raises(httpx.TransportError, match="disconnected"):
        await under_way
    assert (await gateway.user(seed.OWNER_ID, token=LOBBY)).json()["outcome"] == "owned"


class Behind:
    """Implements `Application`: answers every request with the same reply."""

    reply = Reply(200, b"{}")

    def answer(self, request: Request, listener: Listener) -> Answering:  # noqa: ARG002 - the same for all
        return self.reply

    shed = answer

    def refuse(self, refusal: HttpRefusal) -> Reply:  # noqa: ARG002 - as above
        return self.reply

    def crashed(self, bug: BaseException) -> Reply:  # noqa: ARG002 - as above
        return self.reply


async def test_questions_wait_for_a_reset(clock: FakeClock) -> None:
    """A question that comes while the gateway begins again is answered when it has; a full gateway sheds none then."""
    question = Request(method=b"POST", target=b"/verify/user", headers={}, body=b"")
    endpoints = ControlEndpoints(Sandbox(clock=clock), console=False)
    endpoints.open(Behind())
    endpoints.close()

    answering = [take(question, Listener.EVERYTHING) for take in (endpoints.answer, endpoints.shed)]
    waits = [one for one in answering if isinstance(one, asyncio.Task)]
    done, _ = await asyncio.wait(waits, timeout=0)
    endpoints.open(Behind())

    assert (len(waits), done) == (2, set())
    assert await asyncio.gather(*waits) == [Behind.reply, Behind.reply]
    assert not endpoints.tasks


async def test_resets_at_once(gateway: Asker) -> None:
    """Of several resets each is done after the other."""
    number = gateway.sandbox.world_number

    answers = await asyncio.gather(*(tell(gateway, "POST", "/reset") for _ in range(3)))

    assert answers == [{"done": True}] * 3
    assert gateway.sandbox.world_number == number + 3
    assert (await gateway.user(seed.OWNER_ID, token=LOBBY)).json()["outcome"] == "owned"


async def test_reset_goes_on_without_its_caller(gateway: Asker, clock: FakeClock) -> None:
    """A caller that hangs up leaves no half-open gateway behind."""
    number = gateway.sandbox.world_number
    resetting = asyncio.create_task(gateway.http.post("/sandbox/reset"))
    await until(lambda: gateway.sandbox.world_number > number)
    resetting.cancel()

    assert (await gateway.user(seed.OWNER_ID, token=LOBBY)).json()["outcome"] == "owned"
    assert (gateway.sandbox.world_number, clock.now()) == (number + 1, gateway.sandbox.now())


async def test_control_endpoints_are_never_shed(tmp_path: Path, clock: FakeClock) -> None:
    """A gateway that is full of questions to a slow store can still be helped, and then answers them."""
    settings = settings_from(tmp_path, "max_requests = 1\n" + X_MOON)
    async with opened(settings, clock=clock, log=LogLines()) as gateway:
        await tell(gateway, "PUT", "/faults", {"latency_ms": 600_000})
        waiting = asyncio.create_task(gateway.user(seed.OWNER_ID))
        await until(lambda: gateway.gateway.http.in_flight)
        shed = await gateway.user(seed.BUYER_ID)

        await tell(gateway, "DELETE", "/faults")

        assert (shed.status_code, shed.json()["reason"]) == (503, "overloaded")
        assert (await waiting).json()["outcome"] == "owned"
        assert (await gateway.http.get("/sandbox/nowhere")).status_code == 404


async def test_a_page_of_another_site_resets_nothing(gateway: Asker) -> None:
    """The gateway says so as the sandbox alone does; without a browser it is as ever."""
    number = gateway.sandbox.world_number

    refused = await gateway.http.post("/sandbox/reset", headers={"sec-fetch-site": "cross-site"})

    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_page")
    assert gateway.sandbox.world_number == number
    await tell(gateway, "POST", "/reset")
    assert gateway.sandbox.world_number == number + 1
