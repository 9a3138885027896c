"""Games that limit how many players use one download key: asked over HTTP, alone, in batches and for passes."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from redis.asyncio import Redis

from service.api.paths import OVERRIDES_PATH
from service.sandbox import seed
from tests.api.conftest import Open
from tests.api.test_reload import Following
from tests.clock import FakeClock
from tests.fault_proxy import FaultProxy, Mode
from tests.gateways import SECRET, X_MOON, Asker, LogLines, pointing_at, sandbox_alone, store_calls, until
from tests.redis_server import RedisServer

OBSERVED: Final = f"{X_MOON}key_players = 2\n"
REJECTED: Final = f'{OBSERVED}key_players_action = "reject"\n'
OURS: Final = ("service.api.key_sharing", "service.cache.counted_players", "service.observability.key_uses")


@pytest.fixture
async def follow(tmp_path: Path, clock: FakeClock, log: LogLines) -> AsyncIterator[Following]:
    """Open gateways with a file."""
    async with AsyncExitStack() as stack:
        yield Following(stack, tmp_path, clock, log)


async def shown(gateway: Asker, *refs: str | None, key: str = seed.OWNER_KEY, **fields: Any) -> list[dict[str, Any]]:
    """Return the answers when these players show a key, one after the other."""
    answers = [await gateway.key(key, **fields, **({} if ref is None else {"player_ref": ref})) for ref in refs]
    assert {answer.status_code for answer in answers} <= {200, 503}
    return [answer.json() for answer in answers]


def reasons(answers: list[dict[str, Any]]) -> list[str]:
    """Return their reasons."""
    return [answer["reason"] for answer in answers]


async def test_too_many_are_observed(open_with: Open) -> None:
    """They are let in all the same, with a caveat, and the others without it."""
    gateway = await open_with(OBSERVED)

    answers = await shown(gateway, "a", "b", "c", "a", None)

    assert [answer["outcome"] for answer in answers] == ["owned"] * 5
    over = ["sandbox", "shared_download_key"]
    assert [answer["caveats"] for answer in answers] == [["sandbox"], ["sandbox"], over, ["sandbox"], ["sandbox"]]
    assert answers[2]["evidence"] is not None


async def test_too_many_are_rejected(open_with: Open) -> None:
    """The one too many learns nothing about the owner; those who were counted stay in, and no store is asked for it."""
    gateway = await open_with(REJECTED)
    await shown(gateway, "a")
    gateway.sandbox.journal.clear()

    answers = await shown(gateway, "b", "c", "a", "b", "c")

    assert reasons(answers) == [
        "download_key",
        "shared_download_key",
        "download_key",
        "download_key",
        "shared_download_key",
    ]
    over = answers[1]
    assert (over["outcome"], over["allowed"], over["advice"]) == ("rejected", False, "restart_from_app")
    assert [over[name] for name in ("player", "evidence", "observed_at", "usable_until")] == [None] * 4
    assert over["caveats"] == ["sandbox"]
    assert store_calls(gateway.sandbox) == 0


async def test_each_answer_is_counted_and_logged(open_with: Open) -> None:
    gateway = await open_with(REJECTED)
    await shown(gateway, "a", "a", "b", "c")
    await gateway.jwt("a.b.c")

    counts = {
        result: await gateway.metric("key_players_total", game="x-moon", result=result)
        for result in ("known", "new", "over", "unknown")
    }
    assert counts == {"known": 1, "new": 2, "over": 1, "unknown": 0}
    assert await gateway.metric("answers_total", reason="shared_download_key", outcome="rejected") == 1
    assert await gateway.metric("decisions_total", reason="shared_download_key", game="x-moon") == 1
    await until(lambda: len(gateway.log.lines("verified")) == 5)
    assert [line.get("key_players") for line in gateway.log.lines("verified")] == ["new", "known", "new", "over", None]


async def test_only_what_the_store_has_proven_counts(open_with: Open) -> None:
    """Neither a wrong key, nor a text that is none, nor the key of a banned owner, nor an answer that is not there."""
    gateway = await open_with(REJECTED)
    for reason, key in (("invalid_download_key", "wrong-" * 4), ("malformed_download_key", "?")):
        assert reasons(await shown(gateway, "a", "b", "c", key=key)) == [reason] * 3
    assert reasons(await shown(gateway, "x", "y", "z", only_if_cached=True)) == ["not_cached"] * 3

    assert reasons(await shown(gateway, "a", "b", "c")) == ["download_key"] * 2 + ["shared_download_key"]

    banning = await open_with(f"{REJECTED}ban_user_ids = [{seed.OWNER_ID}]\n")
    assert reasons(await shown(banning, "a", "b", "c")) == ["operator_ban"] * 3
    assert await banning.metric("key_players_total") == 0


@pytest.mark.parametrize("ref", ["", "a b", "a" * 65, "a\n", "ä", 7])
async def test_a_name_out_of_shape_is_refused(gateway: Asker, ref: object) -> None:
    """In games that count nothing, too, so that it shows before anything depends on it."""
    answer = await gateway.key(seed.OWNER_KEY, player_ref=ref)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (400, "/player_ref")


async def test_who_is_missing_is_told(open_with: Open) -> None:
    """A question without its player, where too many are rejected: alone, for a pass, and as one of many."""
    gateway = await open_with(REJECTED)
    order = {"method": "download_key", "game": 3, "download_key": seed.OWNER_KEY}

    alone = await gateway.key(seed.OWNER_KEY)
    for_a_pass = await gateway.http.post("/passes", json=order)
    many = await gateway.batch({"id": "a", **order}, {"id": "b", **order, "player_ref": "b"})

    first, second = many.json()["results"]
    problems = [alone.json(), for_a_pass.json(), first["problem"]]
    assert [problem["status"] for problem in problems] == [400] * 3
    assert [(problem["errors"][0]["pointer"], problem["errors"][0]["code"]) for problem in problems] == [
        ("/player_ref", "missing_field"),
        ("/player_ref", "missing_field"),
        ("/items/0/player_ref", "missing_field"),
    ]
    assert second["decision"]["outcome"] == "owned"
    assert (await gateway.user(seed.OWNER_ID)).json()["outcome"] == "owned"


async def test_one_too_many_gets_no_pass(open_with: Open) -> None:
    """A pass is an answer, too: it counts its player, and there is none for one whom the game rejects."""
    gateway = await open_with(REJECTED)
    order = {"method": "download_key", "game": 3, "download_key": seed.OWNER_KEY}

    answers = [
        (await gateway.http.post("/passes", json={**order, "player_ref": ref})).json() for ref in ("a", "b", "c", "a")
    ]

    assert [answer["pass"] is not None for answer in answers] == [True, True, False, True]
    assert reasons(answers)[2] == "shared_download_key"
    shown_again = {"game": 3, "pass": answers[0]["pass"]["value"], "player_ref": "a"}
    assert (await gateway.http.post("/verify/pass", json=shown_again)).json()["outcome"] == "owned"


async def explained(gateway: Asker, **body: object) -> list[str]:
    """Return the sentences."""
    sentences: list[str] = (await gateway.http.post("/admin/explain", json=body)).json()["sentences"]
    return sentences


async def test_support_reads_why(open_with: Open) -> None:
    """A rejected player is found by the decision, with a sentence for it."""
    gateway = await open_with(REJECTED)
    over = (await shown(gateway, "a", "b", "c"))[2]

    sentences = await explained(gateway, decision_id=over["decision_id"])

    assert sentences[0] == "Not let in: as many other players as are allowed have shown this download key."
    assert "The player should start the game again from the itch.io app." in sentences


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (REJECTED, "The game lets in the first 2 players who show a download key, and no others."),
        (
            REJECTED.replace("key_players = 2", "key_players = 1"),
            "The game lets in the first player who shows a download key, and no other.",
        ),
        (OBSERVED, None),
        (X_MOON, None),
    ],
)
async def test_support_does_not_read_that_a_key_is_good_for_all(open_with: Open, toml: str, said: str | None) -> None:
    """Of a key support learns that it lets in, which is only true of those who were first; an account has no limit."""
    gateway = await open_with(toml)
    await shown(gateway, "a")
    await gateway.user(seed.OWNER_ID)

    of_key = await explained(gateway, game=3, download_key=seed.OWNER_KEY)
    of_account = await explained(gateway, game=3, user_id=seed.OWNER_ID)

    assert [one[:7] for one in (of_key[0], of_account[0])] == ["Let in:"] * 2
    assert [one for one in of_key + of_account if "The game lets in" in one] == ([] if said is None else [said])


async def test_many_players_in_one_batch(open_with: Open) -> None:
    """Items are answered as if they had come alone."""
    gateway = await open_with(REJECTED)
    item = {"method": "download_key", "game": 3, "download_key": seed.OWNER_KEY}

    answer = await gateway.batch(*({**item, "id": str(at), "player_ref": f"player-{at}"} for at in range(20)))

    decisions = [result["decision"] for result in answer.json()["results"]]
    assert sorted(reasons(decisions)) == ["download_key"] * 2 + ["shared_download_key"] * 18
    allowed = [at for at, decision in enumerate(decisions) if decision["allowed"]]
    assert reasons(await shown(gateway, *(f"player-{at}" for at in allowed))) == ["download_key"] * 2


async def test_the_word_of_an_operator_comes_first(open_with: Open) -> None:
    """A key of a banned owner lets none in, those who are counted neither; a grant is for the owner alone."""
    gateway = await open_with(REJECTED)
    await shown(gateway, "a", "b")

    async def say(word: str) -> None:
        said = {"game": 3, "user_id": seed.OWNER_ID, "word": word, "seconds": 3600}
        assert (await gateway.http.post(OVERRIDES_PATH, json=said)).status_code == 200

    await say("ban")
    assert reasons(await shown(gateway, "a", "c")) == ["operator_ban"] * 2
    await say("grant")
    assert reasons(await shown(gateway, "a", "c")) == ["download_key", "shared_download_key"]
    assert (await gateway.user(seed.OWNER_ID)).json()["reason"] == "operator_grant"


async def test_a_pass_is_for_the_player_who_was_counted(follow: Following) -> None:
    """Also one from before the game rejected players holds to its end, for its player and no other."""
    following = await follow(OBSERVED)
    gateway = following.asker
    order = {"method": "download_key", "game": 3, "download_key": seed.OWNER_KEY}
    passes = {
        ref: (await gateway.http.post("/passes", json={**order, "player_ref": ref})).json() for ref in ("a", "b", "c")
    }
    assert passes["c"]["caveats"] == ["sandbox", "shared_download_key"]
    await following.reload(REJECTED)

    async def show(ref: str, of: str) -> str:
        body = {"game": 3, "pass": passes[of]["pass"]["value"], "player_ref": ref}
        reason: str = (await gateway.http.post("/verify/pass", json=body)).json()["reason"]
        return reason

    assert [await show("c", "c"), await show("c", "a"), await show("d", "a")] == [
        "download_key",
        "refused_pass",
        "refused_pass",
    ]
    assert reasons(await shown(gateway, "c")) == ["shared_download_key"]


# Forgetting


async def test_an_invalidated_key_has_no_players(open_with: Open) -> None:
    """Another invalidation leaves them, and says nothing about them."""
    gateway = await open_with(REJECTED)
    await shown(gateway, "a", "b")

    async def invalidate(**subject: object) -> dict[str, Any]:
        answer: dict[str, Any] = (await gateway.http.post("/admin/invalidate", json={"game": 3, **subject})).json()
        return answer

    assert "key_players_forgotten" not in await invalidate(user_id=seed.OWNER_ID)
    assert "key_players_forgotten" not in await invalidate()
    assert reasons(await shown(gateway, "c")) == ["shared_download_key"]

    assert (await invalidate(download_key=seed.OWNER_KEY))["key_players_forgotten"] is True

    assert reasons(await shown(gateway, "c", "a", "b")) == ["download_key", "download_key", "shared_download_key"]


async def test_a_key_whose_players_are_not_counted(gateway: Asker) -> None:
    """Its invalidation speaks of no players."""
    answer = await gateway.http.post("/admin/invalidate", json={"game": 3, "download_key": seed.OWNER_KEY})
    assert answer.json().keys() == {"game_id", "subject", "before"}


async def test_a_reset_of_the_sandbox_forgets_them(open_with: Open) -> None:
    """As it forgets all else."""
    gateway = await open_with(REJECTED)
    await shown(gateway, "a", "b")

    await gateway.http.post("/sandbox/reset")

    assert reasons(await shown(gateway, "c", "d", "a")) == ["download_key", "download_key", "shared_download_key"]
    assert (await gateway.http.get("/metrics")).text.count("# TYPE ownership_gateway_key_players_total") == 1


# Several replicas, and Redis


@pytest.fixture
async def together(clock: FakeClock) -> AsyncIterator[str]:
    """The configuration of replicas in front of one store."""
    async with sandbox_alone(clock) as (_, base_url):
        yield f'secret = "{SECRET}"\n{pointing_at(base_url)}{REJECTED}'


async def test_three_replicas_let_in_exactly_as_many(empty_redis: Redis, together: str, open_with: Open) -> None:
    """After one player, of a hundred who show the key at once one; these two at every replica from then on."""
    replicas = [await open_with(together, redis=empty_redis, sandbox=False) for _ in range(3)]
    refs = [f"player-{number}" for number in range(100)]
    for replica in replicas:
        await shown(replica, "first")

    answers = await asyncio.gather(*(shown(replicas[at % 3], ref) for at, ref in enumerate(refs)))

    allowed = [ref for ref, (answer,) in zip(refs, answers, strict=True) if answer["allowed"]]
    assert len(allowed) == 1
    for replica in replicas:
        assert reasons(await shown(replica, "first", *allowed, "one-more")) == ["download_key"] * 2 + [
            "shared_download_key"
        ]


async def test_what_redis_does_not_keep_denies_no_player(empty_redis: Redis, together: str, open_with: Open) -> None:
    """Without memory for one more it loses none whom it has; those whom it cannot add are let in, and counted."""
    gateway, other = [await open_with(together, redis=empty_redis, sandbox=False) for _ in range(2)]
    await shown(gateway, "a")
    await empty_redis.config_set("maxmemory", 1)
    try:
        assert reasons(await shown(gateway, "b", "c", "d")) == ["download_key"] * 3
    finally:
        await empty_redis.config_set("maxmemory", 0)

    assert await gateway.metric("key_players_total", game="x-moon", result="unknown") == 3
    assert reasons(await shown(other, "x", "a", "b")) == ["download_key"] * 2 + ["shared_download_key"]


async def test_who_may_not_be_forgotten_is_told(own_redis: RedisServer, together: str, open_with: Open) -> None:
    """An invalidation that Redis does not hear of holds all the same, and says that it may still know the players."""
    toml = f'{together}[redis]\nurl = "{own_redis.url}"\n'
    gateway = await open_with(toml, sandbox=False)
    await shown(gateway, "a")
    own_redis.kill()

    answer = await gateway.http.post("/admin/invalidate", json={"game": 3, "download_key": seed.OWNER_KEY})

    assert (answer.status_code, answer.json()["key_players_forgotten"]) == (200, False)


async def test_no_caller_waits_past_its_deadline(
    own_redis: RedisServer, together: str, open_with: Open, clock: FakeClock
) -> None:
    """While Redis keeps silent; the player is let in, not counted."""
    asked = asyncio.Event()

    def sent(data: bytes) -> None:
        if b"og:v2:p:" in data and b"EVAL" in data:
            asked.set()

    async with FaultProxy(own_redis.port, sent=sent) as proxy:
        gateway = await open_with(f'{together}[redis]\nurl = "redis://127.0.0.1:{proxy.port}"\n', sandbox=False)
        await shown(gateway, "a", "b")
        before = await gateway.metric("key_players_total", game="x-moon", result="unknown")
        asked.clear()
        proxy.be(Mode.SWALLOW)

        answer = asyncio.create_task(gateway.key(seed.OWNER_KEY, player_ref="c", deadline_ms=200))
        await asked.wait()
        await clock.advance(timedelta(milliseconds=199))
        assert not answer.done()
        await clock.advance(timedelta(milliseconds=1))

        assert await gateway.metric("key_players_total", game="x-moon", result="unknown") == before + 1
        assert (await answer).json()["outcome"] == "owned"
        proxy.be(Mode.REFUSE)


# Off


async def test_nothing_of_it_is_there(
    empty_redis: Redis, open_with: Open, monkeypatch: pytest.MonkeyPatch, clock: FakeClock
) -> None:
    """No import, no series, nothing in Redis; the name of a player changes nothing."""
    for name in OURS:
        monkeypatch.delitem(sys.modules, name, raising=False)
    gateway = await open_with(f'secret = "{SECRET}"\n{X_MOON}', redis=empty_redis)

    answers = await shown(gateway, "a", "b", "c", None)

    assert reasons(answers) == ["download_key"] * 4
    await clock.advance(timedelta(seconds=1))
    assert [key for key in await empty_redis.keys() if b":p:" in key] == []
    metrics = (await gateway.http.get("/metrics")).text
    assert [line for line in metrics.splitlines() if "key_players" in line or "shared_download_key" in line] == []
    assert [name for name in OURS if name in sys.modules] == []
    await until(lambda: len(gateway.log.lines("verified")) == 4)
    assert [line for line in gateway.log.lines("verified") if "key_players" in line] == []


async def test_a_game_may_begin_and_end_to_count(follow: Following) -> None:
    """With the next question after the file was read again; who was counted before is still counted."""
    following = await follow(REJECTED)
    await shown(following.asker, "a", "b")

    await following.reload(X_MOON)
    assert reasons(await shown(following.asker, "c", None)) == ["download_key"] * 2
    await following.reload(REJECTED)
    assert reasons(await shown(following.asker, "c", "a")) == ["shared_download_key", "download_key"]
