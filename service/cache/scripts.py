"""The scripts of the cache, each of which Redis runs as one step."""

from typing import Final

from service.redis.script import Script

PUT_NEWEST: Final = Script("service.cache", "put_newest.lua")
"""Stores an entry unless a newer one is there."""

DELETE_SAME: Final = Script("service.cache", "delete_same.lua")
"""Deletes an entry of which still exactly these bytes are read."""
