"""One gateway that asks about its canaries, and what it shows of them."""

from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from service.api.paths import OVERRIDES_PATH
from service.sandbox import seed
from service.sandbox.state import Sandbox
from service.sandbox.store_endpoints import StoreEndpoint
from tests.canaries.watched import (
    FIVE_MINUTES,
    OWNER,
    SECOND,
    STRANGER,
    TEN_SECONDS,
    asked,
    canary_lines,
    pass_time,
    pass_until,
    shown,
    watching,
)
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, befall, store_calls, until

KEYS = "/games/3/download_keys"
BOTH = {(KEYS, str(seed.OWNER_ID)): 1, (KEYS, str(seed.STRANGER_ID)): 1}
NO_KEY = {"endpoint": StoreEndpoint.DOWNLOAD_KEYS, "body": '{"errors":["no download key found"]}'}


async def until_both_are_asked(sandbox: Sandbox, clock: FakeClock) -> None:
    """Return once the store has been asked about the owner and the stranger for the first time."""
    await pass_until(lambda: len(asked(sandbox)) == 2, clock)
    sandbox.journal.clear()


async def test_both_are_shown_as_expected(tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines) -> None:
    """Each is asked about once within five minutes, ten seconds apart, with the instant of its look-up."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log) as asker:
        at_first = await shown(asker)
        await pass_time(clock, FIVE_MINUTES)
        ok, checked_at = await shown(asker), await shown(asker, "canary_checked_at")

    assert at_first == {}
    assert asked(sandbox) == BOTH
    assert ok == {OWNER: 1, STRANGER: 1}
    assert checked_at[STRANGER] - checked_at[OWNER] == TEN_SECONDS.total_seconds()
    assert log.lines("canary_failed") == []


async def test_look_ups_keep_their_distance(tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines) -> None:
    """Of 40 canaries one is asked about in ten seconds, each as often as the others."""
    games = "".join(canary_lines(game=game) for game in range(100, 120))
    longest = 400 * SECOND
    async with watching(tmp_path, games, sandbox=sandbox, clock=clock, log=log):
        started_at = clock.now()
        await pass_time(clock, longest + TEN_SECONDS, step=SECOND)
        times = [seen.at for seen in sandbox.journal.report().last if seen.path.endswith("/download_keys")]

    assert all(later - one >= TEN_SECONDS for one, later in pairwise(times))
    assert times[0] - started_at <= TEN_SECONDS
    assert len(asked(sandbox)) == 40
    assert asked(sandbox).total() in {40, 41}


async def test_each_comes_back_after_five_minutes(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """Not before, and not much later."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log):
        await until_both_are_asked(sandbox, clock)
        await pass_time(clock, FIVE_MINUTES - 2 * TEN_SECONDS)
        early = asked(sandbox)
        await pass_time(clock, 3 * TEN_SECONDS)

    assert early == {}
    assert asked(sandbox) == BOTH


async def test_a_store_that_says_no_to_all_is_told_once(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """In the log and the gauge of the owner alone, until it says yes again; the gateway stays ready."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log) as asker:
        await until_both_are_asked(sandbox, clock)
        befall(sandbox, **NO_KEY)
        await pass_time(clock, 2 * FIVE_MINUTES)
        failing, ready = await shown(asker), await asker.http.get("/readyz")
        sandbox.faults.replace([])
        await pass_time(clock, FIVE_MINUTES)
        line = await log.line("canary_recovered")
        recovered = await shown(asker)

    assert failing == {OWNER: 0, STRANGER: 1}
    assert (ready.status_code, ready.json()["components"]["source"]) == (200, "ok")
    assert "canaries" not in ready.json()["components"]
    assert recovered == {OWNER: 1, STRANGER: 1}
    assert [(one["game"], one["expect"]) for one in log.lines("canary_failed")] == [OWNER]
    assert (line["game"], line["expect"]) == OWNER


async def test_a_store_that_says_yes_to_all_fails_the_stranger(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """As when the account has bought the game."""
    toml = canary_lines(seed.BUNDLE_BUYER_ID, seed.OWNER_ID)
    async with watching(tmp_path, toml, sandbox=sandbox, clock=clock, log=log) as asker:
        await until_both_are_asked(sandbox, clock)
        ok = await shown(asker)

    assert ok == {OWNER: 1, STRANGER: 0}


async def test_what_does_not_count_for_the_game_is_no_ownership(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """An account whose proof the game does not accept is a stranger there."""
    toml = canary_lines(seed.OWNER_ID, seed.BUYER_ID) + 'accept = ["download_key"]\n'
    async with watching(tmp_path, toml, sandbox=sandbox, clock=clock, log=log) as asker:
        await until_both_are_asked(sandbox, clock)

        assert await shown(asker) == {OWNER: 1, STRANGER: 1}


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 500},
        {"status": 429, "retry_after": "2"},
        {"latency_ms": 600_000},
        {"html_challenge": True},
        {"body": "[]"},
        {"truncated": True},
    ],
    ids=lambda fault: next(iter(fault)),
)
async def test_a_store_without_an_answer_is_no_verdict(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines, fault: dict[str, Any]
) -> None:
    """The last answer stays as it was; each is tried again in its turn, and not more often."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log) as asker:
        await until_both_are_asked(sandbox, clock)
        before = [await shown(asker, name) for name in ("canary_ok", "canary_checked_at")]
        befall(sandbox, **fault)
        await pass_time(clock, 2 * FIVE_MINUTES)
        tried = asked(sandbox)
        during = [await shown(asker, name) for name in ("canary_ok", "canary_checked_at")]
        sandbox.faults.replace([])
        await pass_time(clock, FIVE_MINUTES + 2 * TEN_SECONDS)
        after = await shown(asker, "canary_checked_at")

    assert during == before
    assert set(tried) == set(BOTH)
    assert max(tried.values()) <= 2
    assert all(after[which] > before[1][which] for which in (OWNER, STRANGER))
    assert log.lines("canary_failed") == []


async def test_a_store_that_never_answered_shows_nothing(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """Absent is neither good nor bad."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log) as asker:
        befall(sandbox, endpoint=StoreEndpoint.DOWNLOAD_KEYS, status=500)
        await pass_until(lambda: len(asked(sandbox)) == 2, clock)

        assert await shown(asker) == {}
        assert await shown(asker, "canary_checked_at") == {}


async def test_the_sellers_account_is_not_asked(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """It is said once, nothing is shown of it, and the other canary is asked as ever."""
    toml = canary_lines(owner=seed.SELLER_ID)
    async with watching(tmp_path, toml, sandbox=sandbox, clock=clock, log=log) as asker:
        await pass_time(clock, 2 * FIVE_MINUTES)
        ok = await shown(asker)
        line = await log.line("canary_not_asked")

    assert set(asked(sandbox)) == {(KEYS, str(seed.STRANGER_ID))}
    assert ok == {STRANGER: 1}
    assert (line["game"], line["expect"], line["why"]) == (
        *OWNER,
        "it is the seller's own account, who is always let in",
    )
    assert len(log.lines("canary_not_asked")) == 1


async def test_an_account_under_an_override_is_not_asked(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """Its gauge is gone, the log says so once, and after the end it is asked again."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log) as asker:
        await until_both_are_asked(sandbox, clock)
        body = {"game": 3, "user_id": seed.STRANGER_ID, "word": "grant", "seconds": 600}
        assert (await asker.http.post(OVERRIDES_PATH, json=body)).status_code == 200
        await pass_time(clock, FIVE_MINUTES)
        meanwhile = await shown(asker)
        line = await log.line("canary_not_asked")
        await pass_time(clock, 2 * FIVE_MINUTES)
        after = await shown(asker)

    assert (meanwhile, after) == ({OWNER: 1}, {OWNER: 1, STRANGER: 1})
    assert (line["game"], line["expect"]) == STRANGER
    assert line["why"] == "an override says for a while that it is let in, or kept out"
    assert len(log.lines("canary_not_asked")) == 1


async def test_with_only_the_sellers_account_there_is_nothing_to_do(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """No look-up, and no task that spins."""
    toml = f"[games.x-moon]\nid = 3\ncanary_owner_user_id = {seed.SELLER_ID}\n"
    async with watching(tmp_path, toml, sandbox=sandbox, clock=clock, log=log) as asker:
        await pass_time(clock, FIVE_MINUTES)

        assert await shown(asker) == {}
    assert asked(sandbox) == {}


async def test_nothing_is_asked_while_the_seller_is_unknown(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """A canary might be the seller's account. Once the store has said whose the key is, both are asked."""
    befall(sandbox, endpoint=StoreEndpoint.PROFILE, status=500)
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log):
        await pass_time(clock, FIVE_MINUTES)
        meanwhile = asked(sandbox)
        sandbox.faults.replace([])
        await until_both_are_asked(sandbox, clock)

    assert meanwhile == {}


async def test_players_and_canaries_share_no_memory(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """A player's answer is not read for a canary; that of a canary is no answer for a player."""
    async with watching(tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log) as asker:
        before = (await asker.user(seed.OWNER_ID)).json()
        befall(sandbox, **NO_KEY)
        await pass_until(lambda: asked(sandbox)[KEYS, str(seed.OWNER_ID)] == 2, clock)
        await pass_until(lambda: asked(sandbox)[KEYS, str(seed.STRANGER_ID)] == 1, clock)
        ok = await shown(asker)
        again = (await asker.user(seed.OWNER_ID)).json()
        remembered = store_calls(sandbox)
        stranger = (await asker.user(seed.STRANGER_ID)).json()

    assert ok[OWNER] == 0
    assert (before["reason"], again["reason"], again["cache"]) == ("download_key", "download_key", "memory")
    assert (stranger["reason"], stranger["cache"]) == ("no_download_key", "none")
    assert store_calls(sandbox) > remembered


async def test_players_come_first(tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines) -> None:
    """While the budget has no room for the background none is asked; then all are, in their turn, and none is lost."""
    async with watching(
        tmp_path, canary_lines(), sandbox=sandbox, clock=clock, log=log, itch="rate = 0.1\nburst = 4\n"
    ) as asker:
        for number in range(4):
            await asker.key(f"a-key-that-nobody-has-{number:020}")
        await pass_time(clock, timedelta(seconds=20))
        meanwhile = asked(sandbox)
        spent = await asker.metric("source_budget_tokens")
        await until_both_are_asked(sandbox, clock)

    assert meanwhile == {}
    assert spent < 3


async def test_without_canaries_nothing_is_asked_or_shown(
    tmp_path: Path, sandbox: Sandbox, clock: FakeClock, log: LogLines
) -> None:
    """Off until configured."""
    async with watching(tmp_path, X_MOON, sandbox=sandbox, clock=clock, log=log) as asker:
        await until(lambda: store_calls(sandbox))
        await pass_time(clock, FIVE_MINUTES)

        assert await shown(asker) == {}
    assert asked(sandbox) == {}
