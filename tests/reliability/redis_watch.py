"""The commands that a gateway sends to Redis, watched where they pass."""

import re
from typing import Final

READ: Final = re.compile(rb"\$8\r\nGETRANGE\r\n\$\d+\r\nog:v\d+:e:")
"""A question's read of an observation."""

EXCHANGE: Final = re.compile(rb"og:v\d+:t:[0-9a-f]{32}\r")
"""The name of the table that replicas share, which each asks for every half second."""


class RedisWatch:
    """The number of reads that questions wait for, and of exchanges between replicas."""

    def __init__(self) -> None:
        self.reads = 0
        self.exchanges = 0
        self._most_reads: int | None = None

    def sent(self, data: bytes) -> None:
        """Note the commands in some bytes."""
        self.reads += len(READ.findall(data))
        self.exchanges += len(EXCHANGE.findall(data))

    def expect_no_reads(self) -> None:
        """From now on no question may wait for Redis."""
        self._most_reads = self.reads

    def check(self) -> None:
        """Raise `AssertionError` if one has waited nevertheless."""
        assert self._most_reads in (None, self.reads), "a question waits for a Redis that is far away"
