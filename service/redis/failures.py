"""All that Redis can do wrong, as one tuple to catch."""

from typing import Final

from redis.exceptions import RedisClusterException, RedisError

REDIS_FAILURES: Final = (RedisError, RedisClusterException, OSError, TimeoutError)
"""All that redis-py raises when Redis fails it: its two trees, and what the socket says."""
