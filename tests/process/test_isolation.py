"""One caller's excess costs no other caller anything, and no input makes the gateway's memory or metrics grow."""

import asyncio
import gc
import random
import re
import string
import sys
import time
import zlib
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest

from service.clock import SystemClock
from service.sandbox import seed
from tests import sizes
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, opened, read_metric, settings_from

NOISY: Final = "ogw_token-of-a-noisy-caller"
QUIET: Final = "ogw_token-of-a-quiet-caller"
RATE: Final = 5
FIVE: Final = str(RATE)


async def statuses(gateway: Asker, clock: FakeClock, *, noisy: str, quiet: str) -> tuple[list[int], list[int]]:
    """Ask for ten seconds, one caller at its rate, the other at 20 times that; return the statuses that each got."""
    told: tuple[list[int], list[int]] = ([], [])
    for _ in range(10 * RATE):
        asking = [gateway.key(seed.OWNER_KEY, token=noisy) for _ in range(20)]
        loud = await asyncio.gather(*asking)
        told[0].extend(answer.status_code for answer in loud)
        told[1].append((await gateway.key(seed.OWNER_KEY, token=quiet)).status_code)
        clock.jump(timedelta(seconds=1 / RATE))
    return told


async def test_noisy_caller_is_its_own_problem(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """At 20 times its rate it gets what its rate allows; the other notices nothing."""
    toml = X_MOON + caller_lines("noisy", NOISY, rate=FIVE) + caller_lines("quiet", QUIET, rate=FIVE)
    async with opened(settings_from(tmp_path, toml), clock=clock, log=log) as gateway:
        loud, soft = await statuses(gateway, clock, noisy=NOISY, quiet=QUIET)

    assert set(soft) == {200}
    assert set(loud) == {200, 429}
    assert loud.count(200) <= 10 * RATE + 2 * RATE


async def test_one_token_for_both_would_not_do(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A control: the test above can fail."""
    toml = X_MOON + caller_lines("both", NOISY, rate=FIVE)
    async with opened(settings_from(tmp_path, toml), clock=clock, log=log) as gateway:
        _, soft = await statuses(gateway, clock, noisy=NOISY, quiet=NOISY)

    assert 429 in soft


def series(metrics: str) -> set[str]:
    """Return the series without their values."""
    return {line.rpartition(" ")[0] for line in metrics.splitlines() if line and not line.startswith("#")}


def hostile(chance: random.Random, base_url: httpx.URL) -> httpx.Request:
    """Return a request that tries to be remembered: no two are alike."""
    word = "".join(chance.choices(string.ascii_lowercase, k=12))
    body: dict[str, object] = {"game": chance.choice([3, 4, chance.randrange(1, 2**53), word])}
    body[chance.choice(["download_key", "jwt", "email", "user_id", word])] = chance.choice([word * 2, 7, f"{word}@a.b"])
    return httpx.Request(
        chance.choice(["GET", "PUT", "DELETE", "OPTIONS", word.upper(), *["POST"] * 10]),
        str(base_url)
        + chance.choice(["/verify/download-key", "/verify/jwt", "/verify/email", f"/{word}", f"/metrics/{word}"]),
        headers={
            "x-request-id": word,
            "user-agent": word,
            "authorization": chance.choice([f"Bearer {QUIET}", f"Bearer {word}", word]),
            f"x-{word}": word,
            "x-forwarded-for": word,
        },
        json=body,
    )


async def test_hostile_requests_add_no_series(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """Any path, method, game or caller leaves the series of the metrics as they are."""
    chance = random.Random(7)
    toml = X_MOON + caller_lines("quiet", QUIET, rate="100000", failed_keys_per_minute="100000")
    async with opened(settings_from(tmp_path, toml), clock=clock, log=log, level="error") as gateway:
        before = series((await gateway.http.get("/metrics")).text)
        seen = {
            (await gateway.http.send(hostile(chance, gateway.http.base_url))).status_code
            for _ in range(sizes.HOSTILE_REQUESTS)
        }
        metrics = (await gateway.http.get("/metrics")).text

    after = series(metrics)
    assert before <= after
    assert {re.search(r'game="([^"]*)"', line)[1] for line in after - before} == {"x-moon"}  # type: ignore[index]
    assert read_metric(metrics, "refused_total") > sizes.HOSTILE_REQUESTS / 4
    assert {200, 400, 401, 404, 405} <= seen


def test_label_from_a_request_would_be_noticed() -> None:
    """A control: the test above can fail."""
    registry = CollectorRegistry()
    requests = Counter("requests", "by path", ["path"], registry=registry)
    before = series(generate_latest(registry).decode())
    requests.labels("/a").inc()

    assert series(generate_latest(registry).decode()) != before


_STRANGERS: Final = [
    *[("download_key", "download_key", "a-key-that-nobody-has-{}")] * 7,
    ("jwt", "jwt", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIx{}In0.c2lnbmF0dXJl"),
    ("user", "user_id", ""),
    ("email", "email", "player-{}@example.com"),
]


class Strangers:
    """Asks about ever new players, for whom the store has a no, or no usable answer."""

    def __init__(self, gateway: Asker) -> None:
        self._gateway = gateway
        self._asked = 0

    async def ask(self, count: int) -> None:
        """Ask about so many, in batches."""
        for _ in range(count // 100):
            items = []
            for number in range(self._asked, self._asked + 100):
                method, name, credential = _STRANGERS[number % len(_STRANGERS)]
                item: dict[str, object] = {"id": str(number), "method": method, "game": 3}
                item |= {name: credential.format(number), "only_if_cached": number % 5 < 3}  # the store takes long
                items.append(item | {"user_id": number + 1} if method == "user" else item)
            response = await self._gateway.batch(*items)
            assert response.status_code == 200
            self._asked += 100


def says_no(request: httpx.Request) -> httpx.Response:
    """Answer as a store that has no players, and fails now and then."""
    if request.url.path.endswith("/purchases"):
        return _say(200, b'{"purchases": {}}')
    if zlib.crc32(str(request.url).encode()) % 1000 == 0:
        return _say(500, b'{"errors": ["There was a server error"]}')
    if "download_key=" in str(request.url):
        return _say(400, b'{"errors": ["invalid download key"]}')
    return _say(400, b'{"errors": ["no download key found"]}')


def _say(status: int, body: bytes) -> httpx.Response:
    return httpx.Response(status, headers={"content-type": "application/json"}, stream=httpx.ByteStream(body))


async def growth(settings_toml: str, directory: Path, clock: FakeClock) -> tuple[float, int, int]:
    """Return how many blocks of memory each further stranger costs, and how many more descriptors and tasks there are.

    The first half of them fills what is bounded, but for the refusals that are remembered, of which there are too few
    strangers to find the bound.
    """
    log = LogLines()
    upstream = 'remember_refusals = false\n[itch]\napi_key = "a-seller-key-of-a-test"\n'
    settings = settings_from(directory, upstream + settings_toml, sandbox=False)
    # By the machine's clock: the fake one remembers every wait.
    transport = httpx.MockTransport(says_no)
    async with opened(
        settings, clock=clock, real_clock=SystemClock(), log=log, level="error", transport=transport
    ) as gateway:
        strangers = Strangers(gateway)
        half = sizes.STRANGERS // 2
        await strangers.ask(half)
        before = footprint()
        await strangers.ask(half)
        blocks, descriptors, tasks = (after - was for after, was in zip(footprint(), before, strict=True))
        return blocks / half, descriptors, tasks


def footprint() -> tuple[int, int, int]:
    """Return the blocks of memory, the file descriptors and the tasks of this process."""
    gc.collect()
    return sys.getallocatedblocks(), len(list(Path("/proc/self/fd").iterdir())), len(asyncio.all_tasks())


async def test_strangers_leave_nothing_behind(tmp_path: Path, clock: FakeClock) -> None:
    """Any number of strangers leaves memory, descriptors and tasks as before."""
    blocks, descriptors, tasks = await growth("[cache]\nmax_entries = 500\n" + X_MOON, tmp_path, clock)

    assert blocks < 0.2
    assert (descriptors, tasks) == (0, 0)


async def test_cache_without_a_bound_would_be_noticed(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A control: the test above can fail."""
    monkeypatch.setattr(sizes, "STRANGERS", 2000)
    blocks, _, _ = await growth("[cache]\nmax_entries = 10000000\n" + X_MOON, tmp_path, clock)

    assert blocks > 0.5


async def test_stall_of_the_event_loop_is_told_and_shown(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A stall is one line in the log, and in the gauge until the next scrape."""
    async with opened(settings_from(tmp_path, X_MOON), clock=clock, log=log, real_clock=SystemClock()) as gateway:
        await asyncio.sleep(0.05)
        time.sleep(0.8)  # noqa: ASYNC251 - this is the stall
        line = await log.line("event_loop_stalled")
        await asyncio.sleep(0.6)  # it is measured twice meanwhile, and all is well
        shown = await gateway.metric("event_loop_lag_seconds")

    assert line["level"] == "warning"
    assert line["seconds"] > 0.25
    assert shown == pytest.approx(line["seconds"], abs=0.01)
