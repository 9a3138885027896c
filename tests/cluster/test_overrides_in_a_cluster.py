"""Whole gateways that share a Redis: an operator's word about a player at one of them holds for all."""

from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.api.paths import OVERRIDES_PATH
from service.ownership import Method
from service.redis.circuit_breaker import FAILURES_TO_OPEN
from service.redis.connect import connect
from service.sandbox import seed
from service.secret import RedisUrl
from tests.cache.conftest import close
from tests.clock import FakeClock
from tests.cluster.promises import Variant, promised, variants
from tests.cluster.test_forgotten_everywhere import OTHER_SECRET, Gateways, gateways
from tests.gateways import SECRET, Asker
from tests.redis_server import RedisServer

FIVE: Final = (SECRET,) * 5
STRANGERS: Final = (SECRET, *(OTHER_SECRET[number:] for number in range(4)))
"""Broken: gateways that cannot read what the others write."""


async def override(gateway: Asker, **body: object) -> dict[str, Any]:
    """Say something there, a ban for a week unless it is said otherwise."""
    whole = {"game": 3, "word": "ban", "seconds": 7 * 86_400, **body}
    response = await gateway.http.post(OVERRIDES_PATH, json=whole)
    assert response.status_code == 200
    answer: dict[str, Any] = response.json()
    return answer


async def listed(gateway: Asker) -> list[dict[str, Any]]:
    """Return what holds there."""
    found: list[dict[str, Any]] = (await gateway.http.get(OVERRIDES_PATH, params={"game": 3})).json()
    return found


async def take_back(gateway: Asker, override_id: str) -> None:
    """Take one back there."""
    assert (await gateway.http.delete(f"{OVERRIDES_PATH}/{override_id}")).status_code == 204


@variants(FIVE, strangers=STRANGERS)
async def test_a_ban_on_one_holds_on_all(
    variant: Variant[tuple[str, ...]], tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """Within two seconds, with its note, and until it is taken back at any of them."""
    async with gateways(tmp_path, clock, empty_redis, *variant.make) as five:
        assert await five.outcomes(Method.USER, seed.OWNER_ID) == ["owned"] * 5

        said = await override(five.members[0], user_id=seed.OWNER_ID, note="ticket 77")
        await five.pass_time()
        banned = await five.outcomes(Method.USER, seed.OWNER_ID)
        lists = [await listed(member) for member in five.members]

        with promised(variant):
            assert said["replicas"] == "all"
            assert banned == ["banned"] * 5
            assert [[(one["id"], one["by"], one["note"]) for one in found] for found in lists] == [
                [(said["id"], "local", "ticket 77")]
            ] * 5
            await take_back(five.members[3], said["id"])
            await five.pass_time()
            assert await five.outcomes(Method.USER, seed.OWNER_ID) == ["owned"] * 5
            assert await empty_redis.keys("og:v2:o:*") == []


async def opened_with_own(stack: AsyncExitStack, directory: Path, clock: FakeClock, redis: RedisServer) -> Gateways:
    """Open five gateways in front of a Redis that may break."""
    client = connect(RedisUrl(redis.url))
    stack.push_async_callback(close, client)
    return await stack.enter_async_context(gateways(directory, clock, client, *FIVE))


async def test_redis_killed_and_emptied_in_between(tmp_path: Path, clock: FakeClock, own_redis: RedisServer) -> None:
    """A word from before stays everywhere; one from meanwhile holds there, and everywhere once Redis is back."""
    async with AsyncExitStack() as stack:
        five = await opened_with_own(stack, tmp_path, clock, own_redis)
        before = await override(five.members[0], user_id=seed.OWNER_ID)
        taken_back = await override(five.members[1], user_id=seed.STRANGER_ID, word="grant")
        await five.pass_time()
        own_redis.kill()
        five.redis = None

        meanwhile = await override(five.members[2], download_key=seed.OWNER_KEY, note="ticket 78")
        await take_back(five.members[1], taken_back["id"])
        answering = await five.outcomes(Method.DOWNLOAD_KEY, seed.SHORT_KEY)
        banned = await five.outcomes(Method.USER, seed.OWNER_ID)
        here = [len(await listed(member)) for member in five.members]
        own_redis.start()
        five.redis = await stack.enter_async_context(Redis.from_url(own_redis.url))
        await five.pass_time(timedelta(seconds=4))
        after = [{one["id"]: one["note"] for one in await listed(member)} for member in five.members]

    assert (before["replicas"], meanwhile["replicas"]) == ("all", "this one")
    assert (answering, banned) == (["owned"] * 5, ["banned"] * 5)
    assert here == [2, 1, 3, 2, 2]
    assert [set(found) for found in after] == [{before["id"], meanwhile["id"]}] * 5
    assert [found[meanwhile["id"]] for found in after] == [None, None, "ticket 78", None, None]


@pytest.mark.parametrize("planted", [b"", b"nonsense", b"\xff" * 60, b"\xff" * 100_000, None])
async def test_a_note_that_is_none_is_not_shown(
    tmp_path: Path, clock: FakeClock, empty_redis: Redis, planted: bytes | None
) -> None:
    """Another program has put something in its place, or taken it away."""
    async with gateways(tmp_path, clock, empty_redis, SECRET, SECRET) as two:
        await override(two.members[0], user_id=seed.OWNER_ID, note="ticket 77")
        await two.pass_time()
        (key,) = await empty_redis.keys("og:v2:o:*")
        await empty_redis.delete(key)
        if planted is None:
            await empty_redis.rpush(key, "a value of another type")
        else:
            await empty_redis.set(key, planted)

        (shown,) = [await listed(two.members[1]) for _ in range(FAILURES_TO_OPEN)][-1]
        await override(two.members[0], user_id=seed.OWNER_ID, note="ticket 79")
        await two.pass_time()
        (again,) = await listed(two.members[1])

    assert (shown["by"], shown["note"], shown["word"]) == (None, None, "ban")
    assert (again["by"], again["note"]) == ("local", "ticket 79")


async def test_a_note_belongs_to_the_override_that_it_was_made_with(
    tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """The note of the one before, put back by another program, is not shown beside the one after."""
    async with gateways(tmp_path, clock, empty_redis, SECRET, SECRET) as two:
        await override(two.members[0], user_id=seed.OWNER_ID, note="the first")
        (key,) = await empty_redis.keys("og:v2:o:*")
        copy = await empty_redis.get(key) or b""
        await two.pass_time()
        await override(two.members[0], user_id=seed.OWNER_ID, note="the second")
        await two.pass_time()
        assert [one["note"] for one in await listed(two.members[1])] == ["the second"]

        await empty_redis.set(key, copy)

        assert [one["note"] for one in await listed(two.members[1])] == [None]


async def test_a_note_in_redis_is_sealed_and_ends_with_the_override(
    tmp_path: Path, clock: FakeClock, empty_redis: Redis
) -> None:
    """Redis sees neither who set it nor why."""
    async with gateways(tmp_path, clock, empty_redis, SECRET) as one:
        await override(one.members[0], user_id=seed.OWNER_ID, note="a private matter", seconds=3600)
        (key,) = await empty_redis.keys("og:v2:o:*")
        value, lifetime = await empty_redis.get(key) or b"", await empty_redis.pttl(key)

    assert b"private" not in value
    assert b"local" not in value
    assert 3_000_000 < lifetime <= 3_600_000
