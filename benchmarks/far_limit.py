"""The far limit: what would be left of a question's cost if nginx answered it by itself, in Lua, from Redis.

It is measured where it can be had, and nothing depends on it.
"""

from collections.abc import Callable

from benchmarks.laboratory import Laboratory
from benchmarks.load import Questions
from benchmarks.modes import MANY_PLAYERS, PLAYERS, Mode
from benchmarks.nginx import NoNginxError, nginx_with_lua


def open_far_limit(laboratory: Laboratory, tell: Callable[[str], None]) -> list[Mode]:
    """Start one nginx that remembers what it was asked about, and one that asks Redis each time.

    Where there is no nginx with Lua, say so in one line and start nothing.
    """
    try:
        nginx = nginx_with_lua()
    except NoNginxError as missing:
        tell(f"left out: the far limit: {missing}")
        return []
    laboratory.warm_for_far_limit(range(MANY_PLAYERS))
    return [
        Mode(
            "nginx-memory",
            "nginx + Lua, memory hit",
            laboratory.far_limit(nginx, first_tier=True),
            lambda: Questions("cycle", PLAYERS),
            {("owned", "memory"): 1.0},
        ),
        Mode(
            "nginx-redis",
            "nginx + Lua, Redis hit",
            laboratory.far_limit(nginx, first_tier=False),
            lambda: Questions("cycle", MANY_PLAYERS),
            {("owned", "redis"): 1.0},
        ),
    ]
