"""Any number of strangers may ask: a gateway takes no more memory than at first."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from service.redis.connect import MAX_CONNECTIONS
from tests.redis_server import RedisServer
from tests.sizes import FLOOD

ROOT: Final = Path(__file__).parents[2]
MEBIBYTE: Final = 1024 * 1024
ALLOWED: Final = 5 * MEBIBYTE
"""The growth allowed between half-way and the end: a heap grows in steps of about that size."""

SHORT: Final = 3_000
"""Requests of which 8 kB each are kept: the second half of them takes 12 MB."""

UNDER_WAY: Final = 2 * MAX_CONNECTIONS
"""Tasks and descriptors that may be there at any moment: writes to Redis, and its connections."""


def flood(count: int, redis: RedisServer, *arguments: str) -> list[dict[str, Any]]:
    """Ask so many questions of a gateway in a process of its own; return the samples that it takes."""
    command = [sys.executable, "-m", "tests.reliability.flood", str(count), redis.url, *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    samples = [json.loads(line) for line in ended.stdout.splitlines()]
    sys.stdout.write(ended.stdout)  # the figures, shown by pytest -s
    return samples


def growth(samples: list[dict[str, Any]], what: str) -> int:
    """Return how much more there is in the end than half-way."""
    half = samples[len(samples) // 2 - 1 :]
    return int(half[-1][what] - half[0][what])


@pytest.fixture
def small_redis() -> Any:
    """A Redis that throws away what it has no room for."""
    server = RedisServer(arguments=["--maxmemory", "32mb", "--maxmemory-policy", "allkeys-lru"])
    server.start()
    yield server
    server.stop()


def test_strangers_cost_nothing_that_lasts(small_redis: RedisServer) -> None:
    """Memory, descriptors and tasks stay flat, for answers, refusals, unknown players and malformed questions alike."""
    samples = flood(FLOOD, small_redis)

    assert growth(samples, "resident") < ALLOWED
    assert growth(samples, "descriptors") < UNDER_WAY
    assert growth(samples, "tasks") < UNDER_WAY
    assert {"200", "400", "503"} == set(samples[-1]["statuses"])
    assert sum(samples[-1]["statuses"].values()) >= FLOOD * 0.9


def test_gateway_that_remembers_everybody_is_noticed(small_redis: RedisServer) -> None:
    """A control: the test above can fail."""
    assert growth(flood(SHORT, small_redis, "keep"), "resident") > ALLOWED
