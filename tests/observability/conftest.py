"""A clock that stands still, and logging that is put back as it was."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import structlog

from service.observability.logs import Logging, configure_logging


class LaggingClock:
    """Time passes only for those who sleep; each sleep takes as much longer as `lags` say."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self._elapsed = 0.0

    def now(self) -> datetime:
        """Return a moment with more digits than a log line shows."""
        return datetime(2026, 11, 20, 14, 3, 11, 5999, tzinfo=UTC) + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        """Return how long was slept."""
        return self._elapsed

    def pass_time(self, duration: timedelta) -> None:
        """Let time pass."""
        self._elapsed += duration.total_seconds()

    async def sleep(self, duration: timedelta) -> None:
        """Be cancelled when the script is at its end."""
        if not self.lags:
            raise asyncio.CancelledError
        self._elapsed += duration.total_seconds() + self.lags.pop(0)

    def timeout(self, duration: timedelta) -> AbstractAsyncContextManager[object]:  # noqa: ARG002 - as Clock has it
        """Never run out: nothing here takes time."""
        return nullcontext()

    io_timeout = timeout


class Memory:
    """A stream that first fails by a script, then remembers its data."""

    def __init__(self) -> None:
        self.written = b""
        self.terminal = False
        self.failures: list[OSError] = []

    def write(self, data: memoryview) -> int:
        """Keep the data."""
        if self.failures:
            raise self.failures.pop()
        self.written += data
        return len(data)

    def fileno(self) -> int:
        """Fail: there is no descriptor."""
        raise AssertionError("nobody needs to wait for memory")

    def isatty(self) -> bool:
        """Whether the test plays a terminal."""
        return self.terminal

    @property
    def text(self) -> str:
        """Everything written."""
        return self.written.decode()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Everything written, as lines of JSON."""
        return [json.loads(line) for line in self.written.splitlines()]


@pytest.fixture
def clock() -> LaggingClock:
    """The time of all tests here."""
    return LaggingClock()


@pytest.fixture
def stream() -> Memory:
    """The stream that the lines of a test are written to."""
    return Memory()


Start = Callable[..., Logging]


@pytest.fixture
def start_logging(clock: LaggingClock, stream: Memory) -> Iterator[Start]:
    """Start logging into `stream`; what it changed for the whole process is put back."""
    names = ["", "aiohttp", "httpcore", "httpx", "redis"]
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers = list(logging.getLogger().handlers)
    started: list[Logging] = []

    def start(level: str = "info", log_format: str = "json", *, sandbox: bool = False) -> Logging:
        log = configure_logging(level, log_format, sandbox=sandbox, stream=stream, clock=clock)
        started.append(log)
        return log

    yield start
    for log in started:
        log.close()
    structlog.reset_defaults()
    logging.getLogger().handlers = handlers
    for logger, level in before:
        logger.setLevel(level)


@pytest.fixture
def log(start_logging: Start) -> Logging:
    """A log in JSON, from `info` upwards."""
    return start_logging()
