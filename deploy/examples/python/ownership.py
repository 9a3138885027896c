"""Ask the ownership gateway whether a player may enter. Python 3.11 or later, nothing to install."""  # noqa: INP001 - a file to copy

import http.client
import json
import os
import random
import sys
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

GATEWAY = os.environ.get("GATEWAY", "127.0.0.1:8080")
TOKEN = os.environ.get("CALLER_TOKEN", "")
PATIENCE_SECONDS = 5
LONGEST_ANSWER_BYTES = 65536
NO_ANSWER_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0
NO_ANSWER = ("later", "no_usable_answer", NO_ANSWER_WAIT_SECONDS)


def ask(path: str, question: Mapping[str, object]) -> tuple[str, str, float]:
    """Return what to do ("in", "out", "other credential", "later", "misconfigured"), why, and the seconds to wait."""
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = f"Bearer {TOKEN}"
    connection = http.client.HTTPConnection(GATEWAY, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", path, json.dumps(question), headers)
        response = connection.getresponse()
        status, answer = response.status, json.loads(response.read(LONGEST_ANSWER_BYTES))
    except (OSError, http.client.HTTPException, ValueError):
        return NO_ANSWER  # refused, reset, timed out, or not JSON
    finally:
        connection.close()
    if not isinstance(answer, dict):
        return NO_ANSWER

    if status == HTTPStatus.OK:
        return verdict_of(answer)
    code = str(answer.get("code", f"status_{status}"))
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "later", code, seconds_in(answer)
    return "misconfigured", code, LONGEST_WAIT_SECONDS


def verdict_of(answer: Mapping[str, object]) -> tuple[str, str, float]:
    """Return what a 200 means; whatever is not exactly as documented is no answer."""
    allowed, outcome, reason = answer.get("allowed"), answer.get("outcome"), str(answer.get("reason"))
    if allowed is True and outcome in ("owned", "granted"):
        return "in", reason, 0
    if allowed is False and outcome in ("not_owned", "banned"):
        return "out", reason, 0
    if allowed is False and outcome == "rejected":
        return "other credential", reason, 0
    return NO_ANSWER


def seconds_in(answer: Mapping[str, object]) -> float:
    """Return how long the gateway wants to be left alone, which is at least a second."""
    seconds = answer.get("retry_after_seconds")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return NO_ANSWER_WAIT_SECONDS
    return min(max(seconds, 1.0), LONGEST_WAIT_SECONDS)


def may_enter(
    path: str,
    question: Mapping[str, object],
    *,
    keep_waiting: Callable[[str, float], object],
    patience_seconds: float = 120,
) -> tuple[str, str]:
    """Keep the player waiting for an answer; when the patience is over it is "later", and nothing is granted."""
    give_up_at = time.monotonic() + patience_seconds
    while True:
        what, reason, wait = ask(path, question)
        # A quarter more, at random, so that players who wait together do not come back together.
        wait *= random.uniform(1, 1.25)  # noqa: S311
        if what != "later" or time.monotonic() + wait > give_up_at:
            return what, reason
        keep_waiting(reason, wait)
        time.sleep(wait)


def main(path: str, question: str, patience_seconds: str = "120") -> None:
    """Ask from a terminal: `ownership.py /verify/download-key '{"game": 3, "download_key": "…"}' [SECONDS]`."""
    what, reason = may_enter(
        path,
        json.loads(question),
        keep_waiting=lambda reason, _: print(f"waiting {reason}", flush=True),  # noqa: T201
        patience_seconds=float(patience_seconds),
    )
    print(f"{what}\t{reason}")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
