"""A clock that is wrong is said once, and once that it is right again."""

from collections.abc import Callable
from datetime import timedelta
from typing import Final

import pytest

from service.observability.events import Events
from service.observability.metrics import Metrics
from tests.clock import FakeClock
from tests.gateways import LogLines, logging_into, read_metric

CLOCKS: Final = {"cluster": timedelta(seconds=5), "source": timedelta(seconds=60)}
MOMENT: Final = timedelta(milliseconds=1)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", CLOCKS)
async def test_a_change_is_one_line_and_a_gauge(name: str, sign: int) -> None:
    """Every offset is in the gauge; a line is written where it crosses what is tolerated."""
    metrics, lines, most = Metrics(games=[], version="1", sandbox=False), LogLines(), CLOCKS[name]
    with logging_into(lines, clock=FakeClock(), sandbox=False) as log:
        events = Events(metrics=metrics, log=log, clock=FakeClock())
        said: Callable[[timedelta], None] = events.cluster_clock if name == "cluster" else events.store_clock
        for offset in (timedelta(), most, most + MOMENT, 3 * most, most, timedelta()):
            said(sign * offset)
        said(sign * 2 * most)
        await lines.line(f"{name}_clock_agrees")

    assert [line["seconds"] * sign for line in lines.lines(f"{name}_clock_differs")] == pytest.approx(
        [most.total_seconds(), 2 * most.total_seconds()], abs=0.01
    )
    assert len(lines.lines(f"{name}_clock_agrees")) == 1
    text = metrics.render()[0].decode()
    assert read_metric(text, f"{name}_clock_offset_seconds") == sign * 2 * most.total_seconds()
