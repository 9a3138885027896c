"""The event loop of the process, with and without uvloop."""

import asyncio
import sys

import pytest
import uvloop

from service.event_loop import run


def _loop_of_a_run() -> asyncio.AbstractEventLoop:
    """Return the event loop in which a coroutine was run."""
    loops = []

    async def main() -> None:
        loops.append(asyncio.get_running_loop())

    run(main())
    (loop,) = loops
    return loop


def test_uvloop_where_it_is() -> None:
    assert isinstance(_loop_of_a_run(), uvloop.Loop)


def test_asyncio_where_uvloop_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop is asyncio's own if uvloop cannot be imported."""
    monkeypatch.setitem(sys.modules, "uvloop", None)

    assert isinstance(_loop_of_a_run(), asyncio.BaseEventLoop)
