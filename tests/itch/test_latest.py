"""The newest version of a channel, as both dialects of the store tell it to everyone."""

import httpx
import pytest

from service.errors import GameNotAccessible, NoAnswer, SourceProtocolError, SourceRateLimited, SourceUnavailable
from service.itch.dialect import Dialect
from service.ownership import GameId
from service.sandbox.state import Sandbox
from service.sandbox.world_content import Channel
from service.verification.interfaces import Lane, Priority
from tests.clock import FakeClock
from tests.itch.rig import Script, StoreWire, build

GAME = GameId(3)
BACKGROUND = Lane("", GAME, Priority.BACKGROUND)
ERRORS = {"errors": ["invalid game"]}


@pytest.mark.parametrize(
    ("dialect", "path"), [(Dialect.CURRENT, "/wharf/latest"), (Dialect.SERVER_SIDE, "/api/1/x/wharf/latest")]
)
async def test_the_store_tells_everyone(sandbox: Sandbox, clock: FakeClock, dialect: Dialect, path: str) -> None:
    """The request has no credential and no cookie; nothing in the answer for a channel without a version is none."""
    sandbox.world.push_build(Channel(3, "windows", "1.2.3"))
    wire = StoreWire(sandbox)
    rig = build(clock=clock, dialect=dialect, transport=wire.transport)

    versions = [await rig.source.latest(GAME, channel, lane=BACKGROUND) for channel in ("windows", "none")]

    assert versions == ["1.2.3", None]
    for request in wire.requests:
        assert request.url.path == path
        assert {"authorization", "cookie"}.isdisjoint(request.headers)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(200, json=ERRORS), GameNotAccessible),
        (httpx.Response(500, json={"errors": ["There was a server error"]}), SourceUnavailable),
        (httpx.Response(400, json={"errors": ["invalid download key"]}), SourceProtocolError),
        (httpx.Response(200, json={"errors": ["api key does not permit `wharf`"]}), SourceProtocolError),
        (httpx.Response(403, json={"errors": ["invalid key"]}), SourceProtocolError),
        (httpx.Response(200, json={"latest": ["1.0"]}), SourceProtocolError),
        (httpx.Response(429), SourceRateLimited),
    ],
)
async def test_all_else_is_no_version(clock: FakeClock, answer: httpx.Response, error: type[NoAnswer]) -> None:
    """It is an alarm about the seller's key in no case, and the store is not lost for others."""
    rig = build(clock=clock, transport=Script(answer).transport)

    with pytest.raises(error) as raised:
        await rig.source.latest(GAME, "windows", lane=BACKGROUND)

    assert type(raised.value) is error or isinstance(raised.value, SourceProtocolError)
    assert (rig.observer.causes, rig.observer.pauses) == ([], [])


@pytest.mark.parametrize("version", ["v" * 128, "1.0 (Frühling)"])
async def test_a_version_is_any_short_text(clock: FakeClock, version: str) -> None:
    """Of 128 printable characters at most."""
    rig = build(clock=clock, transport=Script(httpx.Response(200, json={"latest": version})).transport)

    assert await rig.source.latest(GAME, "windows", lane=BACKGROUND) == version
