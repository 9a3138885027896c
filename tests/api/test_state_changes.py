"""Changes of the gateway's state: one line for each, never a flood, and a metric that shows the state."""

import math
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.causes import Cause
from service.observability.events import Events
from service.observability.metrics import Metrics
from service.sandbox import seed
from service.sandbox.world_content import SellerKeyState
from tests.api.conftest import Open
from tests.clock import FakeClock
from tests.gateways import (
    SECRET,
    X_MOON,
    Asker,
    LogLines,
    befall,
    logging_into,
    read_metric,
    states_of,
    until,
)
from tests.redis_server import free_port

KEYS = [f"some-key-of-a-player-{number}" for number in range(5)]


@pytest.fixture
def events(clock: FakeClock, log: LogLines) -> Iterator[Events]:
    """Events that nothing has happened to yet, on a log that stays open for the whole test."""
    with logging_into(log, clock=clock) as logs:
        yield Events(metrics=Metrics(games=[], version="0", sandbox=True), log=logs, clock=clock)


async def test_store_is_lost_and_found_once_each(gateway: Asker, clock: FakeClock, log: LogLines) -> None:
    """Five failures in a row are one change, and so is recovery."""
    befall(gateway.sandbox, status=500)
    for key in KEYS:
        await gateway.key(key)
    gateway.sandbox.faults.replace(())
    clock.jump(timedelta(minutes=2))
    for key in KEYS:
        await gateway.key(key)

    await log.line("source_found")
    assert [line["level"] for line in log.lines("source_lost") + log.lines("source_found")] == ["warning", "info"]
    assert states_of(gateway.gateway)["source"] == "ok"


async def test_throttling_is_told_once_and_its_end_too(gateway: Asker, clock: FakeClock, log: LogLines) -> None:
    """A pause and its end are one line each, however many questions come meanwhile."""
    befall(gateway.sandbox, status=429, retry_after="7")
    for key in KEYS:
        await gateway.key(key)
    gateway.sandbox.faults.replace(())
    clock.jump(timedelta(seconds=8))
    for key in KEYS:
        await gateway.key(key)

    await log.line("source_resumed")
    assert [line["seconds"] for line in log.lines("source_paused")] == [7.0]
    assert len(log.lines("source_resumed")) == 1


async def test_refused_seller_key_is_an_error_once(gateway: Asker, clock: FakeClock, log: LogLines) -> None:
    """A refused key needs an operator, so it is an error; and once is enough."""
    gateway.sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)
    for key in KEYS:
        await gateway.key(key)
        clock.jump(timedelta(seconds=6))
    gateway.sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState()
    await gateway.key("one-more-key-of-a-player")

    await until(lambda: len(log.lines("credential_accepted")) == 2)
    assert [line["level"] for line in log.lines("credential_refused")] == ["error"]
    assert await gateway.metric("source_credential_ok") == 1


async def test_redis_is_found(empty_redis: Redis, open_with: Open, log: LogLines) -> None:
    """The first answer of Redis is a change, from not knowing."""
    gateway = await open_with(f'secret = "{SECRET}"\n{X_MOON}', redis=empty_redis)
    assert states_of(gateway.gateway)["redis"] == "unknown"

    await gateway.key(seed.OWNER_KEY)

    assert (await log.line("redis_found"))["level"] == "info"
    assert states_of(gateway.gateway)["redis"] == "ok"
    assert await gateway.metric("redis_up") == 1


async def test_a_file_for_tls_that_cannot_be_used_is_an_error(open_with: Open, log: LogLines, tmp_path: Path) -> None:
    """A gateway says which, once, and answers all the same."""
    authority = tmp_path / "ca.pem"
    authority.write_text("no certificate", encoding="utf-8")
    url = f"rediss://127.0.0.1:{free_port()}?ssl_ca_certs={authority}"
    gateway = await open_with(f'secret = "{SECRET}"\n[redis]\nurl = "{url}"\n' + X_MOON)

    answer = await gateway.key(seed.OWNER_KEY)

    line = await log.line("tls_file_unusable")
    assert answer.json()["outcome"] == "owned"
    assert (line["level"], line["why"].split()[0]) == ("error", "ssl_ca_certs")
    assert len(log.lines("tls_file_unusable")) == 1


def test_redis_lost_is_a_warning(events: Events, log: LogLines) -> None:
    """Answers stay right without Redis, so it is a warning."""
    events.redis(None)
    events.redis(Cause.REFUSED)

    assert events.redis_state == "unavailable"


async def test_nothing_is_known_before_anything_was_asked(events: Events) -> None:
    """A state is `unknown` until there is a request, which is neither good nor bad."""
    assert (events.source_state, events.credential_state, events.redis_state) == ("unknown", "unknown", "unknown")


async def test_first_answer_of_the_store_is_no_news(events: Events, log: LogLines) -> None:
    """A store that was never lost is not found."""
    events.reachable(None)
    events.reachable(Cause.TIMEOUT)

    await log.line("source_lost")
    assert log.lines("source_found") == []


async def test_changed_seller_key_is_told(events: Events, log: LogLines) -> None:
    """An operator who rotates a key sees that the new one is in use."""
    events.key_reloaded("itch.api_key")

    line = await log.line("credential_reloaded")
    assert (line["level"], line["setting"]) == ("info", "itch.api_key")


async def test_unreadable_seller_key_is_told(events: Events, log: LogLines) -> None:
    """The old key stays in use, and an operator must act before it is revoked."""
    events.key_unreadable("itch.api_key", "PermissionError")

    line = await log.line("credential_unreadable")
    assert (line["level"], line["setting"], line["why"]) == ("error", "itch.api_key", "PermissionError")


async def test_key_that_takes_over_is_told(events: Events, log: LogLines) -> None:
    """The next key works, so it is a warning; an operator should know that the other one is dead."""
    events.key_switched("itch.next_api_key")

    line = await log.line("credential_switched")
    assert (line["level"], line["setting"]) == ("warning", "itch.next_api_key")


async def test_stall_is_told(events: Events, log: LogLines) -> None:
    """A stall of the event loop delays every caller."""
    events.stalled(0.71234)

    assert (await log.line("event_loop_stalled"))["seconds"] == 0.712


async def test_bug_in_a_look_up_is_told_without_its_words(events: Events, log: LogLines) -> None:
    """The line has the place of the bug and not its message, which may hold a secret."""
    events.crashed(RuntimeError("canary-7f3a91"))

    line = await log.line("bug")
    assert (line["where"], line["exception"][0]["type"]) == ("look-up", "RuntimeError")
    assert b"canary" not in log.written


def test_credential_metric_says_nothing_before_the_store_has() -> None:
    """NaN, which no alert takes for 0."""
    text = Metrics(games=[], version="0", sandbox=False).render()[0].decode()

    assert math.isnan(read_metric(text, "source_credential_ok"))
