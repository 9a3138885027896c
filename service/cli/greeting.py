"""The text that `serve --sandbox` prints: questions to paste into a terminal, each with its outcome as configured."""

import shlex
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from service.api.paths import BATCH_PATH, PATHS
from service.ownership import GameId, Mailbox, Method, Outcome, PlayerId, ProofKind
from service.rights import RIGHTS_FOR, Right
from service.sandbox import seed
from service.settings import Settings
from service.settings.games import GameSettings

_Body: TypeAlias = dict[str, object]

_GAME: Final = GameId(seed.GAME_ID)
_UNIX: Final = "unix:"


class _Question(Struct, frozen=True):
    """The credential and the method to ask with; the proof that the store would show; and a person's words about it."""

    method: Method
    credential: str | int
    about: str
    proof: ProofKind | None
    player_id: PlayerId | None = None

    @property
    def body(self) -> _Body:
        """The question as it is sent."""
        return {"game": _GAME, "user_id" if self.method is Method.USER else self.method.value: self.credential}

    def outcome(self, game: GameSettings) -> Outcome:
        """Return its outcome under the operator's rules."""
        banned = self.method is Method.EMAIL and Mailbox(str(self.credential)) in game.ban_emails
        if banned or self.player_id in game.ban_user_ids:
            return Outcome.BANNED
        if self.player_id in game.grant_user_ids and self.method in {Method.USER, Method.JWT}:
            return Outcome.GRANTED
        return Outcome.OWNED if self.proof in game.accept else Outcome.NOT_OWNED


_OWNER: Final = PlayerId(seed.OWNER_ID)
_OWNERS_KEY: Final = _Question(
    Method.DOWNLOAD_KEY, seed.OWNER_KEY, "the key of amos for X-Moon", ProofKind.DOWNLOAD_KEY, _OWNER
)
_REVOKED_KEY: Final = _Question(Method.DOWNLOAD_KEY, seed.REVOKED_KEY, "this key was revoked", None)
_BUYERS_ADDRESS: Final = _Question(Method.EMAIL, seed.BUYER_EMAIL, "bought with this address", ProofKind.PURCHASE)
_BUNDLE_BUYER: Final = _Question(
    Method.USER,
    seed.BUNDLE_BUYER_ID,
    "came with a bundle",
    ProofKind.BUNDLE_PURCHASE,
    PlayerId(seed.BUNDLE_BUYER_ID),
)
_STRANGER: Final = _Question(Method.USER, seed.STRANGER_ID, "owns nothing", None, PlayerId(seed.STRANGER_ID))
_UNASKED: Final = _Question(
    Method.USER,
    seed.SHORT_KEY_OWNER_ID,
    "the store was asked and said nothing",
    ProofKind.DOWNLOAD_KEY,
    PlayerId(seed.SHORT_KEY_OWNER_ID),
)


def curl_lines(base_url: str, settings: Settings, *, jwt: str) -> str:
    """Return curl commands for the gateway at `base_url`, each below a comment that says what it yields.

    Questions that no caller is permitted are left out, with the reason. `base_url` may be `unix:` and a path; `jwt` is
    one of the owner, user 1994.
    """
    game = next((game for game in settings.games if game.id == _GAME), None)
    if settings.games and game is None:
        return (
            f"# Its players own game {_GAME}, which is not among the configured games. To ask about them, add:\n"
            f"# [games.x-moon]\n# id = {_GAME}"
        )
    return "\n".join(_lines(_Terminal(base_url, settings), game or GameSettings(slug="x-moon", id=_GAME), jwt))


def _lines(terminal: "_Terminal", game: GameSettings, jwt: str) -> Iterator[str]:
    by_jwt = _Question(Method.JWT, jwt, "amos by the JWT of the itch.io app", ProofKind.DOWNLOAD_KEY, _OWNER)
    yield from terminal.introduction()
    for question in (_OWNERS_KEY, _REVOKED_KEY, by_jwt, _BUYERS_ADDRESS, _BUNDLE_BUYER):
        yield terminal.ask(f"{question.outcome(game)}: {question.about}", question)
    yield terminal.ask_both(
        f"{_OWNERS_KEY.outcome(game)} and {_STRANGER.outcome(game)}, in one request", _OWNERS_KEY, _STRANGER
    )
    yield terminal.send(
        "let the store throttle everybody", "PUT", "/sandbox/faults", {"status": 429, "retry_after": "7"}
    )
    expected = _UNASKED.outcome(game)
    if expected in {Outcome.BANNED, Outcome.GRANTED}:
        yield terminal.ask(f"{expected}: the store need not be asked", _UNASKED)
    else:
        yield terminal.ask(f"unknown, 503: {_UNASKED.about}", _UNASKED)
    yield terminal.send("let the store be well again", "DELETE", "/sandbox/faults")


class _Terminal:
    """The terminal that the commands are pasted into: the gateway's address from there, and the caller's token."""

    def __init__(self, base_url: str, settings: Settings) -> None:
        self._settings = settings
        self._base_url = base_url
        self._curl = ["curl", "-sS"]
        if base_url.startswith(_UNIX):
            self._base_url = "http://localhost"
            self._curl += ["--unix-socket", base_url.removeprefix(_UNIX)]

    def introduction(self) -> Iterator[str]:
        """Say which step comes first, where callers have tokens."""
        if self._settings.callers:
            yield "# as a caller: put its token here, which `ownership-gateway new-caller` has printed"
            yield "CALLER_TOKEN=ogw_..."

    def ask(self, comment: str, question: _Question) -> str:
        """Return the command that asks one question."""
        return self._as_caller(comment, PATHS[question.method], question.body, RIGHTS_FOR[question.method])

    def ask_both(self, comment: str, one: _Question, other: _Question) -> str:
        """Return the command that asks two questions in a batch."""
        items = [{"id": name, "method": item.method.value} | item.body for name, item in (("a", one), ("b", other))]
        rights = (Right.VERIFY, *RIGHTS_FOR[one.method], *RIGHTS_FOR[other.method])
        return self._as_caller(comment, BATCH_PATH, {"items": items}, rights)

    def send(self, comment: str, method: str, path: str, body: _Body | None = None, *headers: str) -> str:
        """Return any command."""
        words = [*self._curl, "-X", method, self._base_url + path]
        if body is not None:
            words += ["-H", "Content-Type: application/json", "-d", msgspec.json.encode(body).decode()]
        return f"# {comment}\n{' '.join([shlex.join(words), *headers])}"

    def _as_caller(self, comment: str, path: str, body: _Body, rights: Sequence[Right]) -> str:
        callers = self._settings.callers
        if not callers:
            return self.send(comment, "POST", path, body)
        able = [
            caller.name
            for caller in callers
            if caller.rights.issuperset(rights) and _GAME in (self._settings.games_of(caller) or {_GAME})
        ]
        if not able:
            needed = " and ".join(dict.fromkeys(rights))
            return f"# {path} is left out: no caller has {needed} for game {_GAME}"
        if len(able) < len(callers):
            comment += f" (as {' or '.join(able)})"
        # Double quotes: the shell puts the token in.
        return self.send(comment, "POST", path, body, '-H "Authorization: Bearer $CALLER_TOKEN"')
