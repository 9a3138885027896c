"""A browser game's server: players log in with itch.io, and owners get a session. Python 3.11 or later."""  # noqa: INP001 - a file to copy

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
from pathlib import Path

from ownership import Verdict, ask, shown_to

GAME = os.environ.get("GAME", "3")
CLIENT_ID = os.environ.get("CLIENT_ID", "")
PORT = int(os.environ.get("PORT", "7000"))
# The address that players see: what another page sends is refused.
ORIGIN = os.environ.get("ORIGIN", f"http://127.0.0.1:{PORT}")

PATIENCE_SECONDS = 10
LARGEST_BODY = 1024
SESSION_SECONDS = 15 * 60
MOST_SESSIONS = 10_000

TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Sessions:
    """Players who are in, each by a text of its own, for a quarter of an hour: then the gateway is asked again."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._ends: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self) -> str:
        """Return a new session; the oldest one ends where there are too many."""
        session = secrets.token_urlsafe(32)
        with self._lock:
            if len(self._ends) >= MOST_SESSIONS:
                del self._ends[next(iter(self._ends))]
            self._ends[session] = self._now() + SESSION_SECONDS
        return session

    def holds(self, session: str) -> bool:
        """Return whether there is such a session, and forget it where it is over."""
        with self._lock:
            if self._ends.get(session, 0) > self._now():
                return True
            self._ends.pop(session, None)
            return False


class Door(http.server.BaseHTTPRequestHandler):
    """Answers one connection. Nothing that a player sends is logged: the token is in it."""

    timeout = PATIENCE_SECONDS
    sessions = Sessions()

    def do_GET(self) -> None:
        """Show the page, or what only owners get."""
        if self.path == "/treasure":
            scheme, _, session = self.headers.get("Authorization", "").partition(" ")
            if scheme == "Bearer" and self.sessions.holds(session):
                self.say(HTTPStatus.OK, {"treasure": "the second world"})
            else:
                self.say(HTTPStatus.UNAUTHORIZED, {"shown": "Log in once more."})
        elif self.path in PAGES:
            self.send(HTTPStatus.OK, PAGES[self.path], TYPES[Path(self.path).suffix or ".html"])
        else:
            self.say(HTTPStatus.NOT_FOUND, {"shown": "There is nothing here."})

    def do_POST(self) -> None:
        """Take an access token, and begin a session for an owner."""
        if self.path != "/session":
            self.say(HTTPStatus.NOT_FOUND, {"shown": "There is nothing here."})
        elif self.headers.get("Origin") != ORIGIN:
            self.say(HTTPStatus.FORBIDDEN, {"shown": "Log in at this game's own page."})
        elif (token := self.read_token()) is None:
            self.say(HTTPStatus.BAD_REQUEST, {"shown": "That is no login."})
        else:
            # The game's number or slug is ours: a player does not say which game a token is for.
            game: str | int = int(GAME) if GAME.isdecimal() else GAME
            self.decide(ask("/verify/access-token", {"game": game, "access_token": token}))

    def decide(self, verdict: Verdict) -> None:
        """Say what became of it; only a plain yes begins a session."""
        if verdict.what == "in":
            self.say(HTTPStatus.OK, {"session": self.sessions.begin(), "seconds": SESSION_SECONDS})
        elif verdict.what in ("out", "other credential"):
            self.say(HTTPStatus.FORBIDDEN, {"shown": shown_to(verdict)})
        else:
            if verdict.what == "misconfigured":
                print(f"the gateway refuses to be asked: {verdict.reason}", file=sys.stderr, flush=True)  # noqa: T201
            wait = str(max(1, round(verdict.wait)))
            self.say(HTTPStatus.SERVICE_UNAVAILABLE, {"shown": shown_to(verdict)}, {"Retry-After": wait})

    def read_token(self) -> str | None:
        """Return the access token in the body, None if there is none."""
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch(r"[0-9]{1,4}", length) or int(length) > LARGEST_BODY:
            return None
        try:
            body = json.loads(self.rfile.read(int(length)))
        except ValueError:
            return None
        token = body.get("access_token") if isinstance(body, dict) else None
        return token if isinstance(token, str) else None

    def say(self, status: HTTPStatus, body: Mapping[str, object], more: Mapping[str, str] | None = None) -> None:
        """Answer in JSON."""
        self.send(status, json.dumps(body).encode(), "application/json", more)

    def send(self, status: HTTPStatus, body: bytes, kind: str, more: Mapping[str, str] | None = None) -> None:
        """Answer, and end the connection."""
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **HEADERS, **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def read_pages() -> dict[str, bytes]:
    """Return the pages by their paths, with the application's id in the first."""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", CLIENT_ID):
        sys.exit("error: CLIENT_ID is the id of your OAuth application: https://itch.io/user/settings/oauth-apps")
    here = Path(__file__).parent
    page = (here / "index.html").read_bytes().replace(b"CLIENT_ID", CLIENT_ID.encode())
    return {"/": page, "/login.js": (here / "login.js").read_bytes()}


PAGES: Mapping[str, bytes] = {}


def main() -> None:
    """Serve players."""
    global PAGES  # noqa: PLW0603 - read once
    PAGES = read_pages()
    with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Door) as server:
        print(f"listening at {ORIGIN}", flush=True)  # noqa: T201
        server.serve_forever()


if __name__ == "__main__":
    main()
