"""The state of the gateway, as support sees it."""

from datetime import datetime, timedelta

import httpx
import pytest

from service.sandbox import seed
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, befall, caller_lines

SUPPORT = "ogw_a-token-of-support-00000000000000000000000"
SERVER = "ogw_a-token-of-a-game-server-0000000000000000"
GAMES = X_MOON + "\n[games.sun-garden]\nid = 5\n"
TOML = (
    GAMES
    + caller_lines("support", SUPPORT, games='["x-moon"]', rights='["override", "support"]', rate="1")
    + caller_lines("game-server", SERVER)
)


async def state_of(gateway: Asker, token: str | None = None) -> httpx.Response:
    """Ask for the state."""
    return await gateway.http.get("/admin/state", headers={"authorization": f"Bearer {token}"} if token else {})


async def test_it_says_how_the_gateway_is_and_what_the_caller_may_do(open_with: Open) -> None:
    """The parts are those of health; rights are in one order, and of the games those of the caller are named."""
    gateway = await open_with(TOML)

    state = (await state_of(gateway, SUPPORT)).json()

    health = (await gateway.http.get("/readyz")).json()
    assert (state["status"], state["components"]) == (health["status"], health["components"])
    assert (state["causes"], state["sentences"], state["sandbox"]) == ({}, {}, True)
    assert state["caller"] == {"name": "support", "rights": ["override", "support"]}
    assert state["games"] == [{"id": 3, "slug": "x-moon"}]
    assert state["budget"] == {"paused_seconds": 0.0, "waiting": 0}


async def test_without_callers_all_may_be_done(gateway: Asker) -> None:
    """The local caller has every right, and every game."""
    state = (await state_of(gateway)).json()

    assert state["caller"]["name"] == "local"
    assert {"support", "override", "admin"} <= set(state["caller"]["rights"])
    assert state["games"] == [{"id": 3, "slug": "x-moon"}]


@pytest.mark.parametrize(("token", "status"), [(None, 401), ("ogw_another", 401), (SERVER, 403), (SUPPORT, 200)])
async def test_it_needs_the_right(open_with: Open, token: str | None, status: int) -> None:
    """A game server sees nothing of it, `admin` or not."""
    assert (await state_of(await open_with(TOML), token)).status_code == status


async def test_it_counts_against_the_callers_rate(open_with: Open) -> None:
    """A page that is open asks again and again."""
    gateway = await open_with(TOML)

    statuses = [(await state_of(gateway, SUPPORT)).status_code for _ in range(3)]

    assert statuses == [200, 200, 429]


async def test_it_says_why_something_is_lost(gateway: Asker) -> None:
    """The cause is a word for programs, and a sentence for people."""
    befall(gateway.sandbox, status=500)
    await gateway.key(seed.MEDIUM_KEY)

    state = (await state_of(gateway)).json()

    assert (state["components"]["source"], state["causes"]) == ("unavailable", {"source": "server_error"})
    assert (set(state["sentences"]), set(state["why"])) == ({"source"}, {"source"})
    assert state["why"]["source"].removesuffix(".").lower() in state["sentences"]["source"].lower()
    assert "itch.io" in state["sentences"]["source"]


async def test_it_says_when_the_store_was_asked_last(gateway: Asker, clock: FakeClock) -> None:
    """The store may be well again long before the next player comes: its state is as old as the last request."""
    befall(gateway.sandbox, status=500)
    await gateway.key(seed.MEDIUM_KEY)
    asked_at = clock.now().replace(microsecond=0)
    gateway.sandbox.faults.replace(())
    await clock.advance(timedelta(minutes=3))

    state = (await state_of(gateway)).json()

    assert state["components"]["source"] == "unavailable"
    assert datetime.fromisoformat(state["source_asked_at"]) == asked_at


async def test_a_pause_shows(gateway: Asker) -> None:
    """For as long as the store has said."""
    befall(gateway.sandbox, status=429, retry_after="7")
    await gateway.key(seed.MEDIUM_KEY)

    state = (await state_of(gateway)).json()

    assert state["budget"]["paused_seconds"] == 7


async def test_answers_of_the_last_minutes_are_counted(gateway: Asker, clock: FakeClock) -> None:
    """Those without a decision stand beside all; after five minutes they are gone."""
    before = (await state_of(gateway)).json()["answers"]
    befall(gateway.sandbox, status=500)
    await gateway.key(seed.MEDIUM_KEY)
    await gateway.jwt("")

    after = (await state_of(gateway)).json()["answers"]
    await clock.advance(timedelta(minutes=6))
    later = (await state_of(gateway)).json()["answers"]

    assert before == {"seconds": 0, "given": 0, "unknown": 0}
    assert (after["given"], after["unknown"]) == (2, 1)
    assert later == {"seconds": 300, "given": 0, "unknown": 0}


async def test_without_a_console_no_answers_are_counted(open_with: Open) -> None:
    """A console that is off costs nothing."""
    gateway = await open_with("console = false\n" + X_MOON)

    assert (await state_of(gateway)).json()["answers"] is None
