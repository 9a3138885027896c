"""Lua files as commands: what must happen in Redis in one step."""

import hashlib
from importlib.resources import files
from typing import Final

from redis.exceptions import NoScriptError

from service.cache.connect import RedisClient


class Script:
    """A Lua file of this package that Redis runs as one step."""

    def __init__(self, file_name: str) -> None:
        self._text = files(__package__).joinpath(file_name).read_text("utf-8")
        # Redis names scripts by SHA-1; nothing is protected by it.
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: RedisClient, key: str, *arguments: bytes | int) -> object:
        """Run it on one key, and send its text only where Redis does not know it yet.

        EVAL leaves the script behind, so that a restarted Redis costs one more round trip, once, and the gateway's
        Redis user needs no right to SCRIPT LOAD.
        """
        try:
            return await client.evalsha(self._sha, 1, key, *arguments)
        except NoScriptError:
            return await client.eval(self._text, 1, key, *arguments)


PUT_NEWEST: Final = Script("put_newest.lua")
"""Stores an entry unless a newer one is there."""

DELETE_SAME: Final = Script("delete_same.lua")
"""Deletes an entry that still holds exactly these bytes."""
