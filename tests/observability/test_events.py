"""Changes of the gateway's state: each is said once."""

from collections.abc import Iterator

import pytest

from service.causes import Cause
from service.observability.events import Events
from service.observability.metrics import Metrics
from tests.clock import START, FakeClock
from tests.gateways import LogLines, logging_into, until


@pytest.fixture
def log() -> LogLines:
    """The log of the test."""
    return LogLines()


@pytest.fixture
def metrics() -> Metrics:
    """The metrics of the test."""
    return Metrics(games=[], version="1", sandbox=False)


@pytest.fixture
def events(log: LogLines, metrics: Metrics) -> Iterator[Events]:
    """The events of a gateway to which nothing has happened."""
    with logging_into(log, clock=FakeClock()) as logging:
        yield Events(metrics=metrics, log=logging, clock=FakeClock())


async def said(log: LogLines, last: str) -> list[str]:
    """Return the events that were logged about secrets or the way to the store, once the last one is there."""
    await log.line(last)
    words = ("secrets_differ", "secrets_agree", "source_lost", "source_found", "source_not_asked")
    lines = [(line["timestamp"], line["event"]) for word in words for line in log.lines(word)]
    return sorted(event for _, event in lines)


async def test_differing_secrets_are_said_once_and_their_end(events: Events, log: LogLines) -> None:
    """Secrets that are the same from the beginning are not worth a line."""
    states = [events.secrets_state]
    for differing in ([], [], ["secret"], ["secret"], []):
        events.secrets(differing)
        states.append(events.secrets_state)

    assert await said(log, "secrets_agree") == ["secrets_agree", "secrets_differ"]
    assert states == ["unknown", "ok", "ok", "differ", "differ", "ok"]


async def test_another_difference_is_said_too(events: Events, log: LogLines) -> None:
    """Each set of settings has a line of its own."""
    events.secrets(["itch.api_key"])
    events.secrets(["secret", "itch.api_key"])
    events.secrets([])
    await log.line("secrets_agree")

    assert [line["settings"] for line in log.lines("secrets_differ")] == [["itch.api_key"], ["itch.api_key", "secret"]]


async def test_trouble_of_our_own_is_said_once_and_loses_no_store(events: Events, log: LogLines) -> None:
    """It is said again only after a request got through to the store."""
    events.reachable(None)
    for _ in range(3):
        events.in_the_way("no descriptor")
    state = events.source_state
    events.reachable(None)
    events.in_the_way("stood still")
    events.reachable(Cause.TIMEOUT)

    assert await said(log, "source_lost") == ["source_lost", "source_not_asked", "source_not_asked"]
    assert state == "ok"
    assert [line["why"] for line in log.lines("source_not_asked")] == ["no descriptor", "stood still"]


async def test_a_canary_that_fails_is_said_once_and_its_recovery(events: Events, log: LogLines) -> None:
    """One that was fine from the beginning is not worth a line; each has lines of its own."""
    for ok in (True, True, False, False, True, False):
        events.canary("x-moon", "owner", ok=ok, checked_at=START)
    events.canary("x-moon", "stranger", ok=True, checked_at=START)
    events.canary("sun-garden", "owner", ok=False, checked_at=START)
    await until(lambda: len(log.lines("canary_failed")) == 3)

    assert [(line["game"], line["expect"]) for line in log.lines("canary_failed")] == [
        ("x-moon", "owner"),
        ("x-moon", "owner"),
        ("sun-garden", "owner"),
    ]
    assert [(line["game"], line["expect"]) for line in log.lines("canary_recovered")] == [("x-moon", "owner")]


async def test_a_canary_that_is_not_asked_is_said_once_until_it_is(events: Events, log: LogLines) -> None:
    """Afterwards it may fail without having been fine."""
    for _ in range(3):
        events.canary_not_asked("x-moon", "owner", "why")
    events.canary("x-moon", "owner", ok=False, checked_at=START)
    for _ in range(2):
        events.canary_not_asked("x-moon", "owner", "why again")
    events.canary("x-moon", "owner", ok=True, checked_at=START)
    events.canary("x-moon", "owner", ok=False, checked_at=START)
    await until(lambda: len(log.lines("canary_failed")) == 2)

    assert [line["why"] for line in log.lines("canary_not_asked")] == ["why", "why again"]
    assert log.lines("canary_recovered") == []


async def test_each_cause_is_said_once_until_redis_is_found(events: Events, log: LogLines) -> None:
    """Causes may change to and fro, and the log is no place to watch that."""
    for cause in (Cause.REFUSED, Cause.TLS_EXPIRED, Cause.REFUSED, Cause.TLS_EXPIRED, Cause.AUTH):
        events.redis(cause)
    meanwhile = events.causes
    events.redis(None)
    events.redis(Cause.REFUSED)
    await until(lambda: len(log.lines("redis_lost")) == 4)

    assert [line["why"] for line in log.lines("redis_lost")] == ["refused", "tls_expired", "auth", "refused"]
    assert len(log.lines("redis_found")) == 1
    assert (meanwhile, events.causes) == ({"redis": Cause.AUTH}, {"redis": Cause.REFUSED})


async def test_each_component_has_a_cause_of_its_own(events: Events, log: LogLines) -> None:
    """And none while it works, or was not asked."""
    states = [events.causes]
    events.reachable(Cause.SERVER_ERROR)
    events.credential(Cause.FORBIDDEN)
    states.append(events.causes)
    events.reachable(None)
    events.credential(None)
    states.append(events.causes)
    await log.line("credential_accepted")

    assert states == [{}, {"source": "server_error", "credential": "forbidden"}, {}]
    assert [log.lines(event)[0]["why"] for event in ("source_lost", "credential_refused")] == [
        "server_error",
        "forbidden",
    ]


def test_the_metric_of_a_cause_is_there_while_it_is_one(metrics: Metrics, events: Events) -> None:
    """A cause that is over leaves no series behind."""
    shown = []
    for cause in (None, Cause.REFUSED, Cause.AUTH, None):
        events.redis(cause)
        shown.append([line for line in metrics.render()[0].decode().splitlines() if "_trouble{" in line])

    series = 'ownership_gateway_trouble{cause="%s",component="redis"} 1.0'
    assert shown == [[], [series % "refused"], [series % "auth"], []]
