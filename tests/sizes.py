"""The sizes of the tests that push hard: enough for every run, or as large as `OWNERSHIP_SOAK=1` asks for."""

import os
from typing import Final

SOAK: Final = os.environ.get("OWNERSHIP_SOAK") == "1"
"""Whether to take hours instead of seconds."""

STRANGERS: Final = 5_000_000 if SOAK else 6_000
"""Questions about players that were never asked about before."""

HOSTILE_REQUESTS: Final = 1_000_000 if SOAK else 1_000
"""Requests of a caller that tries to be remembered."""

SLOW_SOCKETS: Final = 1_000 if SOAK else 50
"""Connections that say next to nothing."""

STOPS: Final = 100 if SOAK else 3
"""The number of times that a gateway is stopped under load."""

INTERLEAVINGS: Final = 50_000 if SOAK else 60
"""Orders in which two replicas are asked, made to forget, cut off and restarted."""

DECISIONS: Final = 500 if SOAK else 10
"""Orders in which the world changes around two gateways that are asked about it."""

STEPS: Final = 40 if SOAK else 20
"""The number of steps in each of these orders."""

CUT_REQUESTS: Final = 20_000 if SOAK else 800
"""Requests of callers of whom a third hang up."""

OUTAGE_PLAYERS: Final = 1_000 if SOAK else 20
"""Players who have proven what they own when the store goes away, and as many who have not."""

REVOKED_PLAYERS: Final = 220 if SOAK else 60
"""Owners of a game when the store says no to all of them."""

SPOILT_ANSWERS: Final = 100_000 if SOAK else 1_500
"""Answers of the store in which something is wrong."""

FLOOD: Final = 1_000_000 if SOAK else 4_000
"""Requests about players that were never asked about before, one after the other, in a process of their own."""

HTTP_STREAMS: Final = 2_000_000 if SOAK else 2_000
"""Streams of good and spoilt HTTP, each read whole and in pieces."""

RELOADED_QUESTIONS: Final = 20_000 if SOAK else 2_000
"""Questions while the configuration file is replaced again and again."""

COMPANY_SECONDS: Final = 3600 if SOAK else 0
"""Seconds for which processes are in company after each trouble has befallen them once, two troubles at a time."""
