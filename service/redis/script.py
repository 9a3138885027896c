"""Lua files as commands: what must happen in Redis in one step."""

import hashlib
from importlib.resources import files

from redis.exceptions import NoScriptError

from service.redis.connect import RedisClient
from service.redis.failures import closed_under_way


class Script:
    """A Lua file of a package that Redis runs as one step; several are read as one, in this order."""

    def __init__(self, package: str, *file_names: str) -> None:
        folder = files(package)
        self._text = "\n".join(folder.joinpath(name).read_text("utf-8") for name in file_names)
        # Redis names scripts by SHA-1; nothing is protected by it.
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: RedisClient, key: str, *arguments: bytes | str | int) -> object:
        """Run it on one key, and send its text only where Redis does not know it yet.

        EVAL leaves the script behind, so that a restarted Redis costs one more round trip, once, and the gateway's
        Redis user needs no right to SCRIPT LOAD.
        """
        with closed_under_way():
            try:
                return await client.evalsha(self._sha, 1, key, *arguments)
            except NoScriptError:
                return await client.eval(self._text, 1, key, *arguments)
