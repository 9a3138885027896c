"""A gateway closes when it is asked to, even if a library loses the cancellation of a task."""

import asyncio
from contextlib import AsyncExitStack

from service.wiring.background import run_in_background

TIMEOUT_SECONDS = 10.0


def crashed(error: BaseException) -> None:
    """Fail."""
    raise AssertionError from error


async def test_work_beside_that_loses_a_cancellation_is_cancelled_again() -> None:
    """Python 3.11 loses a cancellation that comes when a command has just been sent to Redis."""
    lost: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append("the first")
        await asyncio.Event().wait()

    async with asyncio.timeout(TIMEOUT_SECONDS), AsyncExitStack() as stack:
        await run_in_background(stack, work(), crashed=crashed)
        await asyncio.sleep(0)

    assert lost == ["the first"]


async def test_work_beside_that_has_ended_is_not_waited_for() -> None:
    """Work that ended by itself needs no cancellation."""
    async with AsyncExitStack() as stack:
        await run_in_background(stack, asyncio.sleep(0), crashed=crashed)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
