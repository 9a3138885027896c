"""Signals for commands that run until they get one."""

import os
import signal
import threading
import time
from typing import Any, Final

import httpx
from click.testing import Result

from tests.cli.terminals import run

_TIMEOUT_SECONDS: Final = 20.0


def run_until_signal(url: str, number: signal.Signals, *arguments: str, **how: Any) -> Result:
    """Run a command in this process, and send it the signal once something answers at `url`.

    By then the command handles signals, so that none reaches pytest.
    """
    answered: list[int] = []

    def stop() -> None:
        give_up_at = time.monotonic() + _TIMEOUT_SECONDS
        with httpx.Client(trust_env=False) as client:
            while not answered and time.monotonic() < give_up_at:
                try:
                    answered.append(client.get(url).status_code)
                except httpx.TransportError:
                    time.sleep(0.01)
        if answered:
            os.kill(os.getpid(), number)

    stopping = threading.Thread(target=stop)
    stopping.start()
    try:
        return run(*arguments, real_streams=True, **how)
    finally:
        answered.append(0)
        stopping.join()
