"""The store budget of several replicas."""

import asyncio
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis, RedisCluster

from service.errors import NoAnswer, Overloaded, SourceRateLimited
from service.limits.cluster_budget import ClusterBudget
from service.limits.store_budget import LONGEST_PAUSE
from service.redis.script import AT_ONCE
from tests.cluster.budgets import KEY, ClusterBench, drain
from tests.cluster.promises import Variant, promised, variants
from tests.gateways import until
from tests.limits.buckets import BACKGROUND, FOREGROUND, seconds

THREE: Final = 3
SLOW: Final = 1 / 50
"""Requests a second: so slow that the milliseconds which Redis needs are next to nothing."""

ONE_KEY: Final = [KEY] * THREE
A_BUSY_MACHINE_MS: Final = 20_000
"""The longest delay between writing a value and the script that reads it."""

A_KEY_EACH: Final = [f"{KEY}:{number}" for number in range(THREE)]
"""As if every replica had the whole budget for itself."""


class MakeBench(Protocol):
    """Makes replicas on the session's Redis, three by default."""

    def __call__(
        self, *, rate: float = SLOW, burst: int = 6, timeout: float = 0, keys: Sequence[str] = ONE_KEY
    ) -> ClusterBench:
        """Return them."""


@pytest.fixture
def make_bench(patient_redis: Redis) -> MakeBench:
    """Make replicas with this budget together."""

    def make(*, rate: float = SLOW, burst: int = 6, timeout: float = 0, keys: Sequence[str] = ONE_KEY) -> ClusterBench:
        return ClusterBench(patient_redis, patient_redis, rate=rate, burst=burst, timeout=timeout, keys=keys)

    return make


async def acquire_now(budget: ClusterBudget) -> bool:
    """Say whether there was a token."""
    try:
        await budget.acquire(FOREGROUND)
    except Overloaded:
        return False
    return True


async def redis_seconds(client: Redis) -> float:
    """Return the time as Redis has it."""
    whole, microseconds = await client.time()
    return float(whole) + float(microseconds) / 1e6


@variants(ONE_KEY, a_budget_each=A_KEY_EACH)
async def test_replicas_together_take_what_one_may(
    variant: Variant[Sequence[str]], make_bench: MakeBench, patient_redis: Redis
) -> None:
    """Never more than the burst and what the rate gives in the time that has passed, and no less either."""
    rate, burst, passed = SLOW, 40, 125.0
    bench = make_bench(rate=rate, burst=burst, keys=variant.make)
    before = await redis_seconds(patient_redis)

    taken = sum(await asyncio.gather(*map(drain, bench.budgets)))
    for _ in range(20):
        await bench.pass_time(passed)
        taken += sum(await asyncio.gather(*map(drain, bench.budgets)))

    needed = await redis_seconds(patient_redis) - before + 0.001
    with promised(variant):
        assert burst + rate * 20 * passed <= taken <= burst + rate * (20 * passed + needed)


@variants(ONE_KEY, a_budget_each=A_KEY_EACH)
async def test_hundred_at_once_share_one_burst(variant: Variant[Sequence[str]], make_bench: MakeBench) -> None:
    """A hundred questions share one burst, on any replica and in any order."""
    bench = make_bench(keys=variant.make)

    granted = await asyncio.gather(*(acquire_now(bench.budgets[number % THREE]) for number in range(100)))

    with promised(variant):
        assert sum(granted) == 6


@variants(ONE_KEY, a_budget_each=A_KEY_EACH)
async def test_turns_follow_one_another_across_replicas(variant: Variant[Sequence[str]], make_bench: MakeBench) -> None:
    """There is one queue: a later caller at another replica gets a later turn."""
    bench = make_bench(timeout=1000, keys=variant.make)
    for number in range(6):
        await bench.budgets[number % THREE].acquire(FOREGROUND)
    turns: list[int] = []

    async def call(number: int) -> None:
        await bench.budgets[number % THREE].acquire(FOREGROUND)
        turns.append(number)

    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(call(number)))
        await until(lambda: bench.clock.sleepers + len(turns) == len(tasks))
    seen = []
    for _ in range(4):
        await bench.pass_time(51)
        seen.append(list(turns))
    await asyncio.gather(*tasks)

    with promised(variant):
        assert seen == [[0], [0, 1], [0, 1, 2], [0, 1, 2, 3]]


@variants(ONE_KEY, a_budget_each=A_KEY_EACH)
async def test_the_background_of_one_leaves_half_to_the_callers_of_all(
    variant: Variant[Sequence[str]], make_bench: MakeBench
) -> None:
    """Two replicas refresh what they know, and the third still has half a burst for its callers."""
    bench = make_bench(keys=variant.make)

    refreshed = 0
    for budget in bench.budgets[:2]:
        for _ in range(6):
            try:
                await budget.acquire(BACKGROUND)
            except Overloaded:
                continue
            refreshed += 1

    with promised(variant):
        assert (refreshed, await drain(bench.budgets[2])) == (3, 3)


@variants(ONE_KEY, a_budget_each=A_KEY_EACH)
@pytest.mark.parametrize("retry_after", [seconds(20), None])
async def test_one_refusal_pauses_all(
    variant: Variant[Sequence[str]], make_bench: MakeBench, retry_after: timedelta | None
) -> None:
    """The other replicas learn of the pause at their next request, and report it once."""
    bench = make_bench(keys=variant.make)
    bench.budget.refused(retry_after)
    await bench.settle()

    answers = [await asyncio.gather(budget.acquire(FOREGROUND), return_exceptions=True) for budget in bench.budgets]

    with promised(variant):
        assert all(isinstance(answer, SourceRateLimited) for [answer] in answers)
        assert all(timedelta() < budget.pause_left() <= (retry_after or seconds(1)) for budget in bench.budgets)
        assert [len(reported.pauses) for reported in bench.all_reported] == [1, 1, 1]


@variants(ONE_KEY, a_budget_each=A_KEY_EACH)
async def test_refusals_on_all_replicas_are_one(variant: Variant[Sequence[str]], make_bench: MakeBench) -> None:
    """Requests that were under way together halve the rate once, and only the first refusal sets the pause."""
    bench = make_bench(keys=variant.make)
    for budget in bench.budgets:
        budget.refused(seconds(20))
        budget.refused(None)
    await bench.settle()
    for reported in bench.all_reported:
        assert reported.pauses == [seconds(20)]

    with promised(variant):
        assert (await bench.known("share"), await bench.known("refusals")) == (0.5, 1)


async def test_the_longest_pause_of_any_is_everybodys(make_bench: MakeBench) -> None:
    """A replica that is refused for the first time counts the refusals of the others too."""
    bench = make_bench()
    one, other, _ = bench.budgets
    for _ in range(2):
        one.refused(None)
        await bench.settle()
        await bench.pass_time(one.pause_left().total_seconds())

    other.refused(None)
    await bench.settle()

    assert seconds(3.9) < other.pause_left() <= seconds(4)


async def test_answers_on_any_replica_give_the_rate_back_to_all(make_bench: MakeBench) -> None:
    """Each answer gives back a twentieth; once the rate is whole, Redis hears of no more answers."""
    bench = make_bench()
    bench.budget.refused(timedelta())
    await bench.settle()
    for budget in bench.budgets:
        await budget.acquire(FOREGROUND)
        budget.answered()
    await bench.settle()
    recovering = await bench.known("share")
    for _ in range(3):
        for budget in bench.budgets:
            budget.answered()
        await bench.settle()

    assert recovering == pytest.approx(0.65)
    assert await bench.known("share") == pytest.approx(1)
    assert await bench.known("refusals") == 0


async def test_normal_answers_cost_redis_nothing(make_bench: MakeBench, patient_redis: Redis) -> None:
    """An answer is written to Redis only after a refusal."""
    bench = make_bench()
    await bench.budget.acquire(FOREGROUND)
    before = (await patient_redis.info("stats"))["total_commands_processed"]

    for _ in range(100):
        bench.budget.answered()
    await bench.settle()

    assert (await patient_redis.info("stats"))["total_commands_processed"] == before + 1


async def test_who_is_paused_does_not_ask_redis_either(make_bench: MakeBench, patient_redis: Redis) -> None:
    """A pause that is known costs no command, and no token."""
    bench = make_bench()
    bench.budget.refused(seconds(20))
    await bench.settle()
    before = (await patient_redis.info("stats"))["total_commands_processed"]

    for _ in range(10):
        with pytest.raises(SourceRateLimited):
            await bench.budget.acquire(FOREGROUND)

    assert (await patient_redis.info("stats"))["total_commands_processed"] == before + 1


async def test_a_flood_of_refusals_is_told_in_few_words(make_bench: MakeBench, patient_redis: Redis) -> None:
    """At most a hundred notes wait for Redis; the pause needs one."""
    bench = make_bench()
    await bench.budget.acquire(FOREGROUND)
    before = (await patient_redis.info("commandstats"))["cmdstat_evalsha"]["calls"]

    for _ in range(1000):
        bench.budget.refused(seconds(20))
    await bench.settle()

    assert (await patient_redis.info("commandstats"))["cmdstat_evalsha"]["calls"] == before + 100
    assert await bench.known("share") == 0.5


async def test_more_at_once_than_there_are_connections_is_no_outage(
    make_bench: MakeBench, patient_redis: Redis
) -> None:
    """A burst of questions takes few of the connections, and all turns come from Redis."""
    bench = make_bench(burst=300)

    async with asyncio.TaskGroup() as asking:
        for number in range(300):
            asking.create_task(bench.budgets[number % THREE].acquire(FOREGROUND))

    assert await bench.known("tokens") == pytest.approx(0, abs=0.5)
    assert (await patient_redis.info("clients"))["connected_clients"] <= 1 + THREE * AT_ONCE


async def test_it_outlives_what_the_cache_keeps(make_bench: MakeBench, patient_redis: Redis) -> None:
    """A full Redis evicts first those keys that expire first: the budget must not be among them."""
    await make_bench().budget.acquire(FOREGROUND)

    assert await patient_redis.ttl(KEY) > timedelta(hours=72).total_seconds()


async def test_tokens_are_what_the_cluster_has_left(make_bench: MakeBench) -> None:
    """As of the last turn, and what the rate has given since."""
    bench = make_bench()
    await drain(bench.budgets[1], most=4)
    await bench.budget.acquire(FOREGROUND)
    after = bench.budget.tokens()

    bench.clock.jump(seconds(100))

    assert after == pytest.approx(1, abs=0.02)
    assert bench.budget.tokens() == pytest.approx(3, abs=0.02)


async def test_an_old_admission_is_corrected_by_redis(make_bench: MakeBench) -> None:
    """Tokens that other replicas have spent show when the turn is taken, and the caller gets `Retry-After`."""
    bench = make_bench()
    await drain(bench.budgets[1])

    bench.budget.admit(FOREGROUND, within=timedelta())
    with pytest.raises(Overloaded) as raised:
        await bench.budget.acquire(FOREGROUND)
    with pytest.raises(Overloaded):
        bench.budget.admit(FOREGROUND, within=timedelta())

    assert raised.value.retry_after is not None
    assert raised.value.retry_after.total_seconds() == pytest.approx(50, abs=2)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("counted_at", "{later}"),
        ("paused_until", "{later}"),
        ("paused_until", "{beyond}"),
        ("counted_at", "-1"),
        ("counted_at", "nan"),
        ("tokens", "nan"),
        ("tokens", "inf"),
        ("tokens", "-inf"),
        ("tokens", "-1e300"),
        ("tokens", "1e300"),
        ("tokens", "many"),
        ("share", "0"),
        ("share", "-1"),
        ("share", "nan"),
        ("share", "1e9"),
        ("paused_until", "nan"),
        ("paused_until", "inf"),
        ("refusals", "nan"),
        ("refusals", "1e300"),
        ("refusals", "-1e300"),
    ],
)
async def test_what_cannot_be_true_is_not_believed(
    make_bench: MakeBench, patient_redis: Redis, field: str, value: str
) -> None:
    """Nonsense, or a clock that has jumped back by hours: the budget holds, and goes on."""
    bench = make_bench(rate=1, burst=6, timeout=3)
    await bench.budget.acquire(FOREGROUND)
    now = int(time.time() * 1000)
    beyond = now + LONGEST_PAUSE // timedelta(milliseconds=1) + A_BUSY_MACHINE_MS
    await patient_redis.hset(KEY, field, value.format(later=now + 7_200_000, beyond=beyond))
    began = time.monotonic()

    taken = await drain_without_waiting(bench)
    left = await bench.known("tokens")
    slack = time.monotonic() - began + 0.1
    await bench.pass_time(60)
    after = await drain_without_waiting(bench)
    bench.budget.refused(None)
    await bench.settle()

    assert taken <= 6 + slack
    assert -3 - slack <= left <= 1
    assert 6 <= after <= 6 + time.monotonic() - began
    assert bench.budget.pause_left() == seconds(1)


async def drain_without_waiting(bench: ClusterBench) -> int:
    """Take every token that is there now, and leave no queue."""
    for taken in range(1000):
        task = asyncio.create_task(bench.budget.acquire(FOREGROUND))
        await until(lambda task=task: task.done() or bench.clock.sleepers)  # type: ignore[misc]
        if not task.done() or task.exception() is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return taken
    raise AssertionError("there is no end to it")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["tokens", "counted_at", "share", "paused_until", "refusals"]),
        st.one_of(st.text(max_size=12), st.floats().map(str), st.integers().map(str)),
        min_size=1,
    )
)
async def test_no_nonsense_in_redis_breaks_the_budget(
    make_bench: MakeBench, patient_redis: Redis, nonsense: dict[str, str]
) -> None:
    """No more than a burst is given out for it, and nothing is raised but that the store must wait."""
    await patient_redis.delete(KEY)
    bench = make_bench()
    fields = {name: value.encode("utf-8", "surrogatepass") for name, value in nonsense.items()}
    await patient_redis.hset(KEY, mapping=fields)  # type: ignore[arg-type]  # bytes are values too

    taken = await drain(bench.budget)
    bench.budget.refused(None)
    bench.budget.answered()
    await bench.settle()

    assert taken <= 6
    assert timedelta() < bench.budget.pause_left() <= seconds(60)


async def test_a_budget_that_redis_has_lost_gives_no_second_burst(make_bench: MakeBench, patient_redis: Redis) -> None:
    """A replica that knows of it goes on from what it knows, after a `FLUSHALL` as after an eviction."""
    bench = make_bench()
    taken = await drain(bench.budget)
    await patient_redis.flushall()

    again = [await drain(bench.budget), await drain(bench.budgets[1])]

    assert (taken, again) == (6, [0, 0])


@pytest.mark.parametrize("type_", ["string", "list", "set"])
async def test_something_else_in_its_place_is_put_away(make_bench: MakeBench, patient_redis: Redis, type_: str) -> None:
    """A value of another type would keep all replicas from sharing their budget for ever."""
    match type_:
        case "string":
            await patient_redis.set(KEY, "x")
        case "list":
            await patient_redis.rpush(KEY, "x")
        case _:
            await patient_redis.sadd(KEY, "x")
    bench = make_bench()

    taken = sum([await drain(budget) for budget in bench.budgets])

    assert taken == 6


_steps = st.lists(
    st.tuples(
        st.integers(0, THREE - 1),
        st.one_of(
            st.tuples(st.just("wait"), st.floats(0, 3)),
            st.tuples(st.just("foreground"), st.integers(1, 8)),
            st.tuples(st.just("background"), st.integers(1, 4)),
            st.tuples(st.just("refused"), st.none() | st.floats(-1, 90)),
            st.tuples(st.just("answered"), st.integers(1, 4)),
        ),
    ),
    max_size=15,
)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.floats(0.5, 8), st.integers(1, 15), st.floats(0, 5)), _steps)
async def test_whatever_happens_the_budget_is_kept(
    make_bench: MakeBench,
    patient_redis: Redis,
    limits: tuple[float, int, float],
    steps: list[tuple[int, tuple[str, float | None]]],
) -> None:
    """No window holds more requests of all replicas than burst and rate allow, and none is sent in a pause."""
    rate, burst, timeout = limits
    await patient_redis.delete(KEY)
    bench = make_bench(rate=rate, burst=burst, timeout=timeout)
    began = time.monotonic()
    sent: list[float] = []
    told_to_wait: list[timedelta | None] = []

    async def call(budget: ClusterBudget, act: str) -> None:
        asked_at = bench.clock.monotonic()
        try:
            await budget.acquire(FOREGROUND if act == "foreground" else BACKGROUND)
        except NoAnswer as error:
            told_to_wait.append(error.retry_after)
            return
        assert budget.pause_left() == timedelta()
        assert bench.clock.monotonic() - asked_at <= (timeout if act == "foreground" else 0) + 0.001
        sent.append(bench.clock.monotonic())

    tasks: list[asyncio.Task[None]] = []
    for replica, (act, value) in steps:
        budget = bench.budgets[replica]
        match act:
            case "wait":
                await bench.pass_time(value or 0)
            case "foreground" | "background":
                for _ in range(int(value or 0)):
                    tasks.append(asyncio.create_task(call(budget, act)))
                    before = bench.clock.sleepers
                    await until(lambda before=before: tasks[-1].done() or bench.clock.sleepers > before)  # type: ignore[misc]
            case "refused":
                budget.refused(None if value is None else seconds(value))
                await bench.settle()
            case _:
                budget.answered()
                await bench.settle()
    await bench.pass_time(timeout + 1)
    await asyncio.gather(*tasks)

    assert all(wait is not None and wait > timedelta() for wait in told_to_wait)
    # Redis's own clock has gone on too, while the test did its work.
    slack = 1e-3 + rate * (time.monotonic() - began + 0.002 * len(steps))
    for first, start in enumerate(sent):
        for last in range(first, len(sent)):
            assert last - first + 1 <= burst + rate * (sent[last] - start) + slack


async def test_closing_lets_a_refusal_reach_the_others(make_bench: MakeBench) -> None:
    """A replica that closes at the moment of a refusal still reports it to the others."""
    bench = make_bench()
    bench.budget.refused(seconds(20))

    await bench.budget.close()

    with pytest.raises(SourceRateLimited):
        await bench.budgets[1].acquire(FOREGROUND)


async def test_closing_has_nothing_to_do_for_who_has_noted_nothing(make_bench: MakeBench) -> None:
    """A replica without notes closes at once."""
    await make_bench().budget.close()


async def test_in_redis_cluster(one_node_cluster: RedisCluster, operator_of: Callable[[RedisCluster], Redis]) -> None:
    """The script names its key, so that it is found in a Redis Cluster."""
    bench = ClusterBench(one_node_cluster, operator_of(one_node_cluster), rate=SLOW, burst=6, timeout=0, replicas=THREE)

    taken = sum([await drain(budget) for budget in bench.budgets])
    bench.budget.refused(seconds(20))
    await bench.settle()

    assert taken == 6
    assert await bench.known("share") == 0.5
