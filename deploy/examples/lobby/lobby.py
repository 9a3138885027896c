"""A lobby that lets players in who know only an address: it has a code mailed. Python 3.11 or later."""  # noqa: INP001 - a file to copy

import http.server
import json
import os
import re
import secrets
import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus

from ownership import Verdict, ask, post, seconds_in, shown_to

GAME = os.environ.get("GAME", "3")
PORT = int(os.environ.get("PORT", "7000"))

PATIENCE_SECONDS = 10
LARGEST_BODY = 2048
MOST_REMEMBERED = 10_000
# The gateway never sees where players come from, so the lobby bounds this itself.
MAILS_OF_A_HOST = 5
WINDOW_SECONDS = 10 * 60
PROOF_SECONDS = 30 * 60

WHY_NOT = {
    "wrong_code": "That is another code.",
    "no_tries_left": "Too many tries: have another code mailed.",
    "expired_challenge": "This code is too old: have another one mailed.",
    "malformed_challenge": "Begin again: have a code mailed.",
}


class Remembered:
    """Values by their keys, each for a while; the oldest goes where there are too many."""

    def __init__(self, seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._now = now
        self._values: dict[str, tuple[float, str]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        """Return the value, None if there is none any more."""
        with self._lock:
            ends, value = self._values.get(key, (0.0, ""))
            return value if ends > self._now() else None

    def set(self, key: str, value: str) -> None:
        """Remember a value; one that is remembered keeps its end."""
        with self._lock:
            ends, _ = self._values.get(key, (0.0, ""))
            if ends <= self._now():
                self._values.pop(key, None)
                ends = self._now() + self._seconds
            if len(self._values) >= MOST_REMEMBERED and key not in self._values:
                del self._values[next(iter(self._values))]
            self._values[key] = (ends, value)


MAILS = Remembered(WINDOW_SECONDS)
PROOFS = Remembered(PROOF_SECONDS)


class Lobby(http.server.BaseHTTPRequestHandler):
    """Answers one connection. Nothing that a player sends is logged: addresses and codes are in it."""

    timeout = PATIENCE_SECONDS

    def do_POST(self) -> None:
        """Have a code mailed, or take one."""
        body = self.read_body()
        if body is None:
            self.say(HTTPStatus.BAD_REQUEST, "That is no request.")
        elif self.path == "/code" and isinstance(email := body.get("email"), str):
            self.mail_code(email)
        elif self.path == "/enter" and all(isinstance(body.get(name), str) for name in ("challenge", "code")):
            self.enter(str(body["challenge"]), str(body["code"]))
        else:
            self.say(HTTPStatus.NOT_FOUND, "There is nothing here.")

    def mail_code(self, email: str) -> None:
        """Have a code mailed, and answer the same for every address."""
        host = self.client_address[0]
        mails = int(MAILS.get(host) or 0)
        if mails >= MAILS_OF_A_HOST:
            self.later(WINDOW_SECONDS)
            return
        MAILS.set(host, str(mails + 1))
        answered = post("/email-challenges", {"game": game(), "email": email, "player_ref": f"lobby:{host}"})
        status, answer = answered or (HTTPStatus.SERVICE_UNAVAILABLE, {})
        if status == HTTPStatus.ACCEPTED:
            self.say(HTTPStatus.OK, "A code is on its way to you.", challenge=str(answer.get("challenge")))
        elif status == HTTPStatus.BAD_REQUEST:
            self.say(HTTPStatus.BAD_REQUEST, "That is no e-mail address.")
        else:
            self.unusual(status, answer)

    def enter(self, challenge: str, code: str) -> None:
        """Let the owner in who has typed the code of the mail."""
        proof = PROOFS.get(f"{challenge} {code}")
        if proof is None:
            answered = post("/email-challenges/confirm", {"challenge": challenge, "code": code})
            status, answer = answered or (HTTPStatus.SERVICE_UNAVAILABLE, {})
            if status != HTTPStatus.OK:
                self.unusual(status, answer)
                return
            if answer.get("confirmed") is not True:
                self.say(HTTPStatus.FORBIDDEN, WHY_NOT.get(str(answer.get("reason")), "Begin again."))
                return
            proof = str(answer.get("proof"))
            PROOFS.set(f"{challenge} {code}", proof)  # an outage costs the player none of the five tries
        self.decide(ask("/verify/email", {"game": game(), "proof": proof}))

    def decide(self, verdict: Verdict) -> None:
        """Say what became of it; only a plain yes gives a seat."""
        if verdict.what == "in":
            self.say(HTTPStatus.OK, "Welcome.", seat=secrets.token_urlsafe(32))
        elif verdict.what in ("out", "other credential"):
            self.say(HTTPStatus.FORBIDDEN, shown_to(verdict))
        else:
            if verdict.what == "misconfigured":
                complain(verdict.reason)
            self.later(verdict.wait, shown_to(verdict))

    def unusual(self, status: int, answer: Mapping[str, object]) -> None:
        """Answer where the gateway has neither taken nor refused what the player wants."""
        if status not in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
            complain(str(answer.get("code", status)))
        self.later(seconds_in(answer))

    def later(self, seconds: float, shown: str = "") -> None:
        """Have the player wait."""
        wait = {"Retry-After": str(max(1, round(seconds)))}
        self.say(HTTPStatus.SERVICE_UNAVAILABLE, shown or "Try again in a while.", headers=wait)

    def read_body(self) -> Mapping[str, object] | None:
        """Return the JSON object that was sent, None if there is none."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,4}", length) or int(length) > LARGEST_BODY:
            return None
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        return body if isinstance(body, dict) else None

    def say(self, status: HTTPStatus, shown: str, *, headers: Mapping[str, str] | None = None, **fields: str) -> None:
        """Answer in JSON, and end the connection."""
        body = json.dumps({"shown": shown, **fields}).encode()
        self.send_response(status)
        own = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Cache-Control": "no-store"}
        for name, value in {**own, **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def game() -> str | int:
    """Return the game's slug or number: a player does not say which game an address is for."""
    return int(GAME) if GAME.isdecimal() else GAME


def complain(reason: str) -> None:
    """Tell the operator that the gateway refuses to be asked."""
    print(f"the gateway refuses to be asked: {reason}", file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Serve players."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Lobby) as server:
        print(f"listening at http://127.0.0.1:{PORT}", flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main()
