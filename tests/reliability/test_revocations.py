"""A store that says no to all takes the game from few, and for seconds; refunds still count."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
from redis.asyncio import Redis

from tests.gateways import caller_lines, states_of
from tests.reliability.town import FEW, FIRST, MINUTE, SECOND, TOKEN, Town, founded, hold, is_held
from tests.sizes import REVOKED_PLAYERS

MANY: Final = REVOKED_PLAYERS
MOST_OUT: Final = 19
PEER: Final = "ogw_a-game-server-of-the-town-0000000000000000"


@pytest.fixture(params=["three replicas", "alone"])
def clients(request: pytest.FixtureRequest, empty_redis: Redis) -> list[Redis | None]:
    """Three replicas that share a Redis, or one without."""
    return [empty_redis] * 3 if request.param == "three replicas" else [None]


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    """One gateway without Redis, and a caller without rights beside the operator."""
    peer = caller_lines("peer", PEER, rights='["verify", "assert:user"]')
    async with founded(tmp_path, [None], more=peer) as town:
        yield town


@pytest.mark.parametrize("guarded", [True, False])
async def test_at_most_nineteen_owners_are_turned_away_and_only_for_two_seconds(
    tmp_path: Path, clients: list[Redis | None], *, guarded: bool
) -> None:
    """After ten minutes of yeses the store says no to all. Without the guard, all are out."""
    async with founded(tmp_path, clients, guard=guarded) as town:
        owners = town.settle(MANY)
        assert await town.play(owners) == {"owned": 5 * MANY}

        town.shop.denies = True
        told = await town.lose(owners)

        if not guarded:
            assert told == {"not_owned": MANY}
            return
        assert told == {"not_owned": MOST_OUT, "owned": MANY - MOST_OUT}
        await town.pass_time(2 * SECOND)
        assert town.held() == [True] * len(clients)
        assert await town.ask_all(owners) == {"owned": MANY}
        assert await town.ask_all(owners, moved=1) == {"owned": MANY}


async def test_a_word_about_one_player_comes_before_noes_that_are_held(
    tmp_path: Path, clients: list[Redis | None]
) -> None:
    """A banned owner is out though noes are held, a granted stranger in; without the word each is as all others are."""
    moderator = caller_lines("moderator", PEER, rights='["override"]')
    async with founded(tmp_path, clients, more=moderator) as town:
        people = await hold(town)
        await town.pass_time(2 * SECOND)
        stranger = people[-1] + 1
        said = [
            await override(town, user_id=people[0], word="ban"),
            await override(town, user_id=people[1], word="grant"),
            await override(town, user_id=stranger, word="grant"),
        ]
        await town.pass_time(2 * SECOND)
        asked = town.shop.asked
        told = [await outcomes(town, user) for user in (people[0], people[1], stranger)]
        asked = town.shop.asked - asked
        others = await town.ask_all(people[2:])
        held = town.held()
        headers = {"authorization": f"Bearer {PEER}"}
        for override_id in said:
            await town.gateways[-1].http.delete(f"/admin/overrides/{override_id}", headers=headers)
        await town.pass_time(2 * SECOND)
        after = [await town.ask_all(people), await town.ask_all([stranger])]

    each = len(clients)
    assert told == [["banned"] * each, ["granted"] * each, ["granted"] * each]
    assert (asked, others, held) == (0, {"owned": FEW - 2}, [True] * each)
    assert after == [{"owned": FEW}, {"not_owned": 1}]


async def override(town: Town, **body: object) -> str:
    """Say something about a player at the first gateway, for an hour, and return its id."""
    whole = {"game": 3, "seconds": 3600, **body}
    headers = {"authorization": f"Bearer {PEER}"}
    response = await town.gateways[0].http.post("/admin/overrides", json=whole, headers=headers)
    assert response.status_code == 200, response.text
    override_id: str = response.json()["id"]
    return override_id


async def outcomes(town: Town, user: int) -> list[str]:
    """Ask every gateway about one user."""
    return [(await town.ask(user, gateway=number))["outcome"] for number in range(len(town.gateways))]


async def test_replicas_count_together(tmp_path: Path, empty_redis: Redis) -> None:
    """With seven noes on each of three replicas, the last is held back."""
    async with founded(tmp_path, [empty_redis] * 3) as town:
        owners = town.settle(21)
        await town.play(owners, rounds=1)

        town.shop.denies = True

        assert await town.lose(owners) == {"not_owned": 19, "owned": 2}


async def test_proof_is_shown_as_what_it_is(town: Town) -> None:
    """Callers see that the answer is old, and that the store contradicts it."""
    people = await hold(town)

    answer = await town.ask(people[0])

    assert (answer["outcome"], answer["reason"], answer["stale"]) == ("owned", "download_key", True)
    assert answer["caveats"] == ["revocations_held"]
    assert await town.gateways[0].metric("revocations_held", game="x-moon") == 1
    assert (await town.log.line("revocations_held"))["by"] == "guard"


async def test_new_players_are_told_the_noes_of_the_store(town: Town) -> None:
    """The gateway knows of no proof of theirs."""
    await hold(town)

    assert (await town.ask(FIRST - 1))["outcome"] == "not_owned"


async def test_owner_whose_proof_is_too_old_for_the_caller_gets_no_answer(town: Town) -> None:
    """Neither the proof nor the no will do, and the store is not asked twice for that."""
    people = await hold(town)

    answer = await town.ask(people[0], max_age=1)

    assert (answer["outcome"], answer["reason"]) == ("unknown", "source_protocol")
    asked = town.shop.asked
    assert (await town.ask(people[0], max_age=30))["reason"] == "source_protocol"
    assert town.shop.asked == asked


async def test_owners_play_on_until_their_grace_ends(town: Town) -> None:
    """Also while the store is away, and asked no more than every 45 s; after an hour without a yes they are out."""
    people = await hold(town, game=4)
    for turn in range(11):
        await town.pass_time(5 * MINUTE, step=MINUTE)
        town.shop.away = turn in (3, 4)
        assert await town.ask_each(people, game=4) == {"owned": len(people)}
    assert town.held() == [True]

    await town.pass_time(8 * MINUTE, step=MINUTE)

    assert "owned" not in await town.ask_all(people, game=4)


async def test_believed_noes_count_at_once(town: Town) -> None:
    """The operator says that the refunds are true."""
    people = await hold(town)

    told = (await town.tell({"game": "x-moon", "believe": True})).json()

    assert (told["game_id"], told["believe"]) == (3, True)
    assert await town.ask_all(people) == {"not_owned": len(people)}
    assert town.held() == [False]
    assert (await town.log.line("revocations_believed"))["by"] == "operator"
    assert await town.gateways[0].metric("revocations_held", game="x-moon") == 0


async def test_noes_that_are_not_believed_are_held_for_that_time(town: Town) -> None:
    """Those of the last ten minutes too, and although they are few. Each word takes the place of the one before."""
    people = town.settle(5)
    await town.play(people, rounds=1)
    town.shop.denies = True
    assert await town.lose(people) == {"not_owned": 5}

    await town.tell({"game": 3, "believe": True})
    await town.tell({"game": 3, "believe": False, "seconds": 60})
    assert await town.ask_all(people) == {"owned": 5}
    assert (await town.log.line("revocations_held"))["by"] == "operator"

    await town.pass_time(60 * SECOND)
    await town.lose(people)
    assert await town.ask_all(people) == {"not_owned": 5}


async def test_word_that_noes_are_not_believed_takes_nothing_from_what_is_held(town: Town) -> None:
    """Also of those whose first no is long ago; said again, it goes on. After it the guard has its own count."""
    people = await hold(town)
    for _ in range(5):
        await town.pass_time(5 * MINUTE, step=MINUTE)
        assert await town.ask_each(people) == {"owned": len(people)}

    for _ in range(2):
        await town.tell({"game": 3, "believe": False, "seconds": 900})
        for _ in range(3):
            assert await town.ask_each(people) == {"owned": len(people)}
            await town.pass_time(4 * MINUTE, step=MINUTE)
    await town.pass_time(4 * MINUTE, step=MINUTE)

    assert await town.ask_each(people) == {"owned": len(people)}
    assert town.held() == [True]


@pytest.mark.parametrize("clients", ["three replicas"], indirect=True)
async def test_word_of_the_operator_reaches_all_replicas(tmp_path: Path, clients: list[Redis | None]) -> None:
    """Within two seconds."""
    async with founded(tmp_path, clients) as town:
        people = await hold(town)

        await town.tell({"game": "x-moon", "believe": True})
        await town.pass_time(2 * SECOND)

        assert await town.ask_all(people, moved=1) == {"not_owned": len(people)}


async def test_forgotten_owner_is_out(town: Town) -> None:
    """The operator's invalidation beats the guard."""
    people = await hold(town)
    headers = {"authorization": f"Bearer {TOKEN}"}

    await town.gateways[0].http.post("/admin/invalidate", json={"game": 3, "user_id": people[0]}, headers=headers)
    await town.clock.advance(SECOND)

    assert await town.ask_all(people[:2]) == {"not_owned": 1, "owned": 1}


async def test_owners_whom_the_operator_has_forgotten_are_not_counted(town: Town) -> None:
    """The refunds that support has made itself."""
    people = town.settle(FEW)
    await town.play(people, rounds=1)
    town.shop.owners[3].clear()
    headers = {"authorization": f"Bearer {TOKEN}"}
    for user in people:
        await town.gateways[0].http.post("/admin/invalidate", json={"game": 3, "user_id": user}, headers=headers)
    await town.clock.advance(SECOND)

    assert await town.ask_all(people) == {"not_owned": FEW}
    assert town.held() == [False]


async def test_other_games_are_not_held(town: Town) -> None:
    """The guard is one game's."""
    people = await hold(town)
    town.shop.denies = False
    town.settle(len(people), game=4)
    await town.ask_all(people, game=4)
    town.shop.owners[4] -= set(people[:3])

    await town.pass_time(2 * MINUTE, step=20 * SECOND)

    assert await town.lose(people[:3], game=4) == {"not_owned": 3}
    assert await town.ask_all(people, game=4) == {"owned": len(people) - 3, "not_owned": 3}


async def test_guard_ends_ten_minutes_after_the_store_is_right_again(town: Town) -> None:
    """Meanwhile all owners play on, then noes count again."""
    people = await hold(town)
    town.shop.denies = False
    town.shop.owners[3].remove(people[0])

    for _ in range(4):
        assert await town.ask_each(people) == {"owned": len(people)}
        await town.pass_time(MINUTE, step=20 * SECOND)
    await town.pass_time(8 * MINUTE, step=20 * SECOND)

    assert town.held() == [False]
    assert await town.ask_all(people) == {"owned": len(people) - 1, "not_owned": 1}


@pytest.mark.parametrize(("refunded", "out"), [(5, 5), (19, 19), (20, 19), (100, 19)])
async def test_refunds_count_up_to_nineteen(town: Town, refunded: int, out: int) -> None:
    """A wave of 20 in ten minutes is held for the operator to look at; who is not refunded notices nothing."""
    people = town.settle(refunded + 10)
    await town.play(people, rounds=1)
    town.shop.owners[3] -= set(people[:refunded])

    assert await town.lose(people[:refunded]) == {"not_owned": out} | (
        {"owned": refunded - out} if refunded > out else {}
    )
    assert await town.ask_all(people[refunded:]) == {"owned": 10}
    assert town.held() == [refunded > MOST_OUT]


async def test_refunds_of_a_day_are_never_held(town: Town) -> None:
    """Nineteen in ten minutes, and nineteen after that."""
    people = town.settle(57)
    for first in range(0, 57, 19):
        await town.play(people, rounds=1)
        some = people[first : first + 19]
        town.shop.owners[3] -= set(some)
        assert await town.lose(some) == {"not_owned": 19}
        await town.pass_time(10 * MINUTE, step=MINUTE)

    assert town.held() == [False]


async def test_attacker_who_refunds_25_accounts_takes_nothing_from_others(town: Town) -> None:
    """They keep what they gave back for a day at most, and the operator is told."""
    people = town.settle(25 + FEW)
    await town.play(people, rounds=1)
    refunded, others = people[:25], people[25:]
    town.shop.owners[3] -= set(refunded)

    await town.lose(refunded)

    assert await town.ask_all(others) == {"owned": FEW}
    await town.tell({"game": 3, "believe": True})
    assert await town.ask_all(refunded) == {"not_owned": 25}
    assert await town.ask_all(others) == {"owned": FEW}


async def test_store_that_says_yes_and_no_in_turn_turns_away_few(town: Town) -> None:
    """Every second answer of an hour is wrong."""
    people = town.settle(MANY)
    await town.play(people, rounds=1)
    town.shop.flips = True
    out = 0
    for _ in range(30):
        out = max(out, (await town.ask_each(people))["not_owned"])
        await town.pass_time(2 * MINUTE, step=20 * SECOND)

    assert out <= MOST_OUT


async def test_store_is_asked_no_more_for_the_guard(tmp_path: Path, empty_redis: Redis) -> None:
    """Than by gateways without one, to which the same questions come while it says no to all."""
    asked = {}
    for guarded in (True, False):
        await empty_redis.flushall()
        place = tmp_path / str(guarded)
        place.mkdir()
        async with founded(place, [empty_redis] * 2, guard=guarded) as town:
            people = town.settle(FEW)
            await town.play(people, rounds=1)
            town.shop.denies, before = True, town.shop.asked
            for _ in range(10):
                await town.ask_all(people)
                await town.pass_time(25 * SECOND, step=5 * SECOND)
            asked[guarded] = town.shop.asked - before

    # Not to the last one: look-ups behind the callers are put off now and then, and so fall into other rounds.
    assert asked[True] <= 1.1 * asked[False]


async def test_restarted_replica_finds_what_is_held(tmp_path: Path, empty_redis: Redis) -> None:
    """A replica that comes new has the proof beside the no, and the word of the guard, from Redis."""
    async with founded(tmp_path, [empty_redis]) as town:
        people = await hold(town)
        await town.pass_time(SECOND)
        later = tmp_path / "later"
        later.mkdir()
        async with founded(later, [empty_redis], clock=town.clock, shop=town.shop) as new:
            assert new.held() == [True]
            assert await new.ask_all(people) == {"owned": len(people)}
            assert is_held(await new.ask(people[0]))


async def test_without_the_right_or_the_game_nothing_is_believed(town: Town) -> None:
    """Game servers may not say so, and a mistake is told as for other requests."""
    assert (await town.tell({"game": 3, "believe": True}, token=PEER)).status_code == 403
    assert (await town.tell({"game": 5, "believe": True})).status_code == 404
    assert (await town.tell({"game": 3, "believe": "yes"})).status_code == 400
    assert (await town.tell({"game": 3, "believe": True, "seconds": 86_401})).status_code == 400


async def test_where_there_is_no_guard_nothing_can_be_held(tmp_path: Path) -> None:
    """The answer says why."""
    async with founded(tmp_path, [None], guard=False) as town:
        refused = await town.tell({"game": 3, "believe": False})

        assert states_of(town.gateways[0].gateway)["revocations"] == "disabled"

        assert (refused.status_code, refused.json()["code"]) == (400, "no_revocation_guard")
