"""`GET /games/{game}/channels/{channel}`: the newest version, for those who may ask, and nothing where it is off."""

import sys
from datetime import timedelta
from typing import Any

import httpx
import pytest

from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import Channel
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, asked_store, befall, caller_lines

CHANNELS = X_MOON + 'channels = ["windows", "linux"]\n'
WINDOWS = "/games/x-moon/channels/windows"
TOKEN = "ogw_launcher-launcher-launcher-launcher-launch"


async def opened_with_versions(open_with: Open, toml: str = CHANNELS, **more: Any) -> Asker:
    """Return a gateway whose store knows a version of one channel, and none of the other."""
    gateway = await open_with(toml, **more)
    gateway.sandbox.world.push_build(Channel(3, "windows", "1.2.3"))
    gateway.sandbox.world.push_build(Channel(3, "linux"))
    return gateway


@pytest.fixture
async def gateway(open_with: Open) -> Asker:
    """A gateway with two channels."""
    return await opened_with_versions(open_with)


def asked(gateway: Asker) -> int:
    """Return how often the store was asked for versions."""
    return asked_store(gateway.sandbox, StoreEndpoint.LATEST)


async def test_the_newest_version(gateway: Asker, clock: FakeClock) -> None:
    """Asked for once, then remembered, by the slug and by the number of the game."""
    first = await gateway.http.get(WINDOWS)
    again = await gateway.http.get("/games/3/channels/windows")

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == {
        "game_id": 3,
        "channel": "windows",
        "latest": "1.2.3",
        "observed_at": clock.now().replace(microsecond=0).isoformat().replace("+00:00", "Z"),
        "fresh_until": (clock.now().replace(microsecond=0) + timedelta(seconds=60)).isoformat().replace("+00:00", "Z"),
        "stale": False,
        "cache": "none",
    }
    assert again.json() == first.json() | {"cache": "memory"}
    assert asked(gateway) == 1


async def test_a_channel_without_a_version(gateway: Asker) -> None:
    """It has builds that were pushed without one, or none: null, and no error."""
    assert (await gateway.http.get("/games/3/channels/linux")).json()["latest"] is None


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/games/3/channels/mac", 404, "unknown_channel"),
        ("/games/3/channels/%2e%2e", 404, "unknown_route"),
        ("/games/3/channels/windows%0d%0aX: y", 404, "unknown_channel"),
        ("/games/3/channels/" + "w" * 5000, 404, "unknown_channel"),
        ("/games/3/channels/windows%3Fa=b", 404, "unknown_channel"),
        ("/games/3/channels/", 404, "unknown_route"),
        ("/games/3/channels/windows%2Flinux", 404, "unknown_route"),
        ("/games/4/channels/windows", 404, "unknown_game"),
        ("/games/x%00/channels/windows", 404, "unknown_game"),
        ("/games/%C2%B2/channels/windows", 404, "unknown_game"),
        ("/games/%D9%A3/channels/windows", 404, "unknown_game"),
        ("/games/" + "9" * 5000 + "/channels/windows", 404, "unknown_game"),
        (WINDOWS + "?max_age=-1", 400, "out_of_range"),
        (WINDOWS + "?max_age=86401", 400, "out_of_range"),
        (WINDOWS + "?max_age=%D9%A3", 400, "out_of_range"),
        (WINDOWS + "?max_age=", 400, "out_of_range"),
    ],
)
async def test_bad_questions(gateway: Asker, path: str, status: int, code: str) -> None:
    """They get one line and cost the store nothing, and no metric gets a series by them."""
    before = (await gateway.http.get("/metrics")).text.count("\n")
    answer = await gateway.http.get(path)
    after = (await gateway.http.get("/metrics")).text.count("\n")

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (asked(gateway), after) == (0, before)


async def test_the_store_is_asked_without_a_credential(gateway: Asker) -> None:
    """A version needs no key: everyone is told."""
    await gateway.http.get(WINDOWS)

    [seen] = [one for one in gateway.sandbox.journal.report().last if "wharf" in one.path]
    assert (seen.authorization, seen.query) == (False, (("game_id", "3"), ("channel_name", "windows")))


async def test_max_age(gateway: Asker, clock: FakeClock) -> None:
    """A caller may want a newer one than the minute allows."""
    await gateway.http.get(WINDOWS)
    gateway.sandbox.world.push_build(Channel(3, "windows", "1.2.4"))
    clock.jump(timedelta(seconds=10))

    assert (await gateway.http.get(WINDOWS, params={"max_age": 10})).json()["latest"] == "1.2.3"
    assert (await gateway.http.get(WINDOWS, params={"max_age": 9})).json()["latest"] == "1.2.4"


async def test_a_private_page(gateway: Asker) -> None:
    """The public is told that there is no such game: an answer that is none, and no word about the seller's key."""
    game = gateway.sandbox.world.add_game("secret", private=True)
    gateway.sandbox.world.games[3] = game
    answer = await gateway.http.get(WINDOWS)

    assert (answer.status_code, answer.json()["code"]) == (503, "game_not_accessible")
    assert answer.json()["title"] == "itch.io shows no such game to the public"
    assert int(answer.headers["retry-after"]) >= 1
    assert await gateway.metric("source_requests_total", endpoint="latest", result="not_accessible") == 1


@pytest.mark.parametrize(
    "body", ['{"latest": 1}', '{"latest": null}', '{"latest": "a\\nb"}', f'{{"latest": "{"v" * 129}"}}', "[]", "1.2.3"]
)
async def test_what_is_no_version(gateway: Asker, body: str) -> None:
    """It is never given to a caller, and never remembered."""
    befall(gateway.sandbox, body=body, content_type="application/json", times=1)
    answer = await gateway.http.get(WINDOWS)
    gateway.clock.jump(timedelta(seconds=1))

    assert (answer.status_code, answer.json()["code"]) == (503, "source_protocol")
    assert (await gateway.http.get(WINDOWS)).json()["latest"] == "1.2.3"


async def test_trouble_with_versions_is_none_with_players(gateway: Asker) -> None:
    """The endpoint fails and throttles: the store is neither lost nor paused for questions about players."""
    for fault in ({"status": 500}, {"status": 429, "retry_after": "60"}):
        befall(gateway.sandbox, endpoint=StoreEndpoint.LATEST, **fault)
        assert (await gateway.http.get(WINDOWS)).status_code == 503
        gateway.clock.jump(timedelta(seconds=6))
    requests = asked(gateway)
    away = await gateway.http.get(WINDOWS)

    assert (await gateway.http.get("/readyz")).json()["components"]["source"] in {"ok", "unknown"}
    assert (await gateway.user(12_345)).status_code == 200
    assert (away.json()["code"], asked(gateway)) == ("source_rate_limited", requests)


async def test_the_store_is_away_for_an_hour(gateway: Asker, clock: FakeClock) -> None:
    """Answered all the time, as stale."""
    await gateway.http.get(WINDOWS)
    befall(gateway.sandbox, status=500)
    for _ in range(60):
        clock.jump(timedelta(minutes=1))
        answer = (await gateway.http.get(WINDOWS)).json()
        assert (answer["latest"], answer["stale"], answer["cache"]) == ("1.2.3", True, "memory")


async def test_who_may_ask(open_with: Open) -> None:
    """A caller with the right, about its games; others are turned away before anything is looked at."""
    toml = CHANNELS + caller_lines("launcher", TOKEN, games='["x-moon"]', rights='["verify"]')
    toml += caller_lines("watcher", TOKEN[::-1].replace("_", "-"), games='["x-moon"]', rights='["admin"]')
    toml += "[games.sun-garden]\nid = 4\nchannels = ['windows']\n"
    gateway = await opened_with_versions(open_with, toml)

    async def ask(path: str, token: str | None) -> httpx.Response:
        return await gateway.http.get(path, headers={} if token is None else {"authorization": f"Bearer {token}"})

    statuses = [
        (await ask(WINDOWS, TOKEN)).status_code,
        (await ask(WINDOWS, None)).status_code,
        (await ask(WINDOWS, TOKEN[::-1].replace("_", "-"))).status_code,
        (await ask("/games/sun-garden/channels/windows", TOKEN)).status_code,
    ]
    assert statuses == [200, 401, 403, 403]


async def test_off(open_with: Open) -> None:
    """Without channels there is no endpoint, no series and no import."""
    gone = [name for name in sys.modules if name.startswith(("service.channels", "service.api.channels"))]
    kept = {name: sys.modules.pop(name) for name in gone}
    try:
        gateway = await open_with()
        answer = await gateway.http.get(WINDOWS)
        imported = [name for name in sys.modules if name.startswith(("service.channels", "service.api.channels"))]
    finally:
        sys.modules.update(kept)

    assert (answer.status_code, answer.json()["code"]) == (404, "not_enabled")
    assert "games.<slug>.channels" in answer.json()["detail"]
    assert 'endpoint="latest"' not in (await gateway.http.get("/metrics")).text
    assert imported == []
