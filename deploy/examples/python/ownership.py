"""Ask the ownership gateway whether a player may enter. Python 3.11 or later, nothing to install."""  # noqa: INP001 - a file to copy

import http.client
import json
import os
import random
import re
import ssl
import sys
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

GATEWAY = os.environ.get("GATEWAY", "http://127.0.0.1:8080")
TOKEN = os.environ.get("CALLER_TOKEN", "")
PATIENCE_SECONDS = 5
LONGEST_ANSWER_BYTES = 65536
NO_ANSWER_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 60.0

# Put them into the words and languages of your game; a code that is not here has no sentence.
ADVICE = {
    "open_game_once": "If you bought a bundle: open the game's page on itch.io once, while you are logged in. "
    "Then try again in a minute.",
    "use_itch_login": "Start the game from the itch.io app, or paste your download key: your purchase is not found by "
    "this address.",
    "copy_key_again": "Copy the download link once more, from the e-mail of your purchase or from your library on "
    "itch.io.",
    "open_game_from_bundle": "This is the link of a bundle: open the game from it, and paste the link that you find "
    "there.",
    "restart_from_app": "Start the game again from the itch.io app.",
    "open_redeem_link_again": "Open the link once more by which itch.io redeems your purchase.",
    "sign_in_again": "Sign in once more: start the game from the itch.io app, or paste your download key.",
    "revoke_api_key": "This is your personal API key, which gives away your account: revoke it in your settings on "
    "itch.io, and show it to no game.",
    "verify_address": "Verify your e-mail address first.",
    "try_again": "Your purchase cannot be checked at the moment. Try again in a minute.",
}


class Verdict(NamedTuple):
    """What to do with the player ("in", "out", "other credential", "later", "misconfigured"), and why.

    `wait` is in seconds. `advice` says what the player can do, and `support_code` finds the story; both may be empty.
    """

    what: str
    reason: str
    wait: float = 0
    advice: str = ""
    support_code: str = ""


NO_ANSWER = Verdict("later", "no_usable_answer", NO_ANSWER_WAIT_SECONDS)


def connect_to(url: str) -> Callable[[], http.client.HTTPConnection]:
    """Return what makes connections to the gateway; ends the program if the URL is none of a gateway.

    SSL_CERT_FILE names the certificates to trust, where those of the system are not the ones.
    """
    if re.fullmatch(r"https?://([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?/?", url, re.ASCII):
        parts = urlsplit(url)
        try:
            host, port = str(parts.hostname), parts.port
        except ValueError:
            port = 0
        if port != 0 and parts.scheme == "http":
            return lambda: http.client.HTTPConnection(host, port, timeout=PATIENCE_SECONDS)
        if port != 0:
            trusted = ssl.create_default_context()
            return lambda: http.client.HTTPSConnection(host, port, timeout=PATIENCE_SECONDS, context=trusted)
    sys.exit("error: GATEWAY is no URL such as http://127.0.0.1:8080 or https://gateway.example")


new_connection = connect_to(GATEWAY)


def post(path: str, body: Mapping[str, object]) -> tuple[int, Mapping[str, object]] | None:
    """Return the status and the JSON object that the gateway answers with, None if there is no such answer."""
    headers = {"Content-Type": "application/json"}
    if TOKEN:
        headers["Authorization"] = f"Bearer {TOKEN}"
    connection = new_connection()
    try:
        connection.request("POST", path, json.dumps(body), headers)
        response = connection.getresponse()
        status, answer = response.status, json.loads(response.read(LONGEST_ANSWER_BYTES))
    except (OSError, http.client.HTTPException, ValueError):
        return None  # refused, reset, timed out, or not JSON
    finally:
        connection.close()
    return (status, answer) if isinstance(answer, dict) else None


def ask(path: str, question: Mapping[str, object]) -> Verdict:
    """Return what the gateway's answer means, or that there is none."""
    answered = post(path, question)
    if answered is None:
        return NO_ANSWER
    status, answer = answered
    if status == HTTPStatus.OK:
        return verdict_of(answer)
    code = str(answer.get("code", f"status_{status}"))
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Verdict("later", code, seconds_in(answer), *for_people(answer))
    return Verdict("misconfigured", code, LONGEST_WAIT_SECONDS)


def verdict_of(answer: Mapping[str, object]) -> Verdict:
    """Return what a 200 means; all that is not exactly as documented is no answer."""
    allowed, outcome, reason = answer.get("allowed"), answer.get("outcome"), str(answer.get("reason"))
    if allowed is True and outcome in ("owned", "granted"):
        return Verdict("in", reason)
    if allowed is False and outcome in ("not_owned", "banned"):
        return Verdict("out", reason, 0, *for_people(answer))
    if allowed is False and outcome == "rejected":
        return Verdict("other credential", reason, 0, *for_people(answer))
    return NO_ANSWER


def for_people(answer: Mapping[str, object]) -> tuple[str, str]:
    """Return advice and support code, each empty if it is not there."""
    advice, code = answer.get("advice"), answer.get("decision_id")
    return advice if isinstance(advice, str) else "", code if isinstance(code, str) else ""


def shown_to(verdict: Verdict) -> str:
    """Return what the player is shown who is not let in; empty if there is nothing to say."""
    code = f"Support code: {verdict.support_code}" if verdict.support_code else ""
    return " ".join(filter(None, [ADVICE.get(verdict.advice), code]))


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
    keep_waiting: Callable[[Verdict], object],
    patience_seconds: float = 120,
) -> Verdict:
    """Keep the player waiting for an answer; when the patience is over it is "later", and nothing is granted."""
    give_up_at = time.monotonic() + patience_seconds
    while True:
        verdict = ask(path, question)
        # A quarter more, at random, so that players who wait together do not come back together.
        wait = verdict.wait * random.uniform(1, 1.25)  # noqa: S311
        if verdict.what != "later" or time.monotonic() + wait > give_up_at:
            return verdict
        keep_waiting(verdict)
        time.sleep(wait)


def main(path: str, question: str, patience_seconds: str = "120") -> None:
    """Ask from a terminal: `ownership.py /verify/download-key '{"game": 3, "download_key": "…"}' [SECONDS]`."""
    verdict = may_enter(
        path,
        json.loads(question),
        keep_waiting=lambda verdict: print(f"waiting\t{verdict.reason}\t{shown_to(verdict)}", flush=True),  # noqa: T201
        patience_seconds=float(patience_seconds),
    )
    print(f"{verdict.what}\t{verdict.reason}\t{shown_to(verdict)}")  # noqa: T201


if __name__ == "__main__":
    main(*sys.argv[1:])
