"""Gateways as processes of their own, set up by environment variables alone."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

_PREFIX: Final = "OWNERSHIP_GATEWAY_"


def environment(settings: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with these settings, named without the prefix, and no others."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(_PREFIX)}
    return own | {_PREFIX + name: value for name, value in settings.items()}


@contextmanager
def gateway(settings: Mapping[str, str], *arguments: str) -> Iterator[None]:
    """Run a gateway until the block ends; it answers by the time that the block begins.

    Its command line is `serve --sandbox`, or other `arguments`.
    """
    command = [sys.executable, "-m", "service", *(arguments or ("serve", "--sandbox"))]
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as it:
        try:
            assert it.stdout is not None
            # The store may have accepted the key before the socket is open, which is a line too.
            assert any(b'"started"' in line for line in it.stdout)
            yield
        finally:
            it.kill()
