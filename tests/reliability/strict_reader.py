"""A strict reader of the store's answers that shares no code with the gateway's."""

import json
from typing import Any, Final

from msgspec import Struct

GAME: Final = 3
LARGEST: Final = 256 * 1024
"""An answer that is longer is none."""


class Sent(Struct, frozen=True):
    """An answer as it was sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Question(Struct, frozen=True):
    """A question about a player who has not been asked about before."""

    method: str
    number: int

    @property
    def credential(self) -> str | int:
        """The credential that the player presents."""
        if self.method == "user":
            return self.number
        return f"a-key-{self.number:012}" if self.method == "download_key" else f"player-{self.number}@example.com"

    def key(self) -> dict[str, Any]:
        """Return an answer that proves ownership by a key."""
        text = self.credential if self.method == "download_key" else "some-other-key"
        owner = {"id": self.number, "username": "amos", "display_name": "Amos"}
        key = {"id": 124, "key": text, "game_id": GAME, "created_at": "2014-02-28 00:25:09", "owner": owner}
        return {"download_key": key}

    def purchases(self) -> dict[str, Any]:
        """Return an answer that proves ownership by purchases."""
        row = {"id": 7, "game_id": GAME, "status": "complete", "purchase_type": "game", "donation": False}
        return {"purchases": [{**row, "purchase_type": "sub_product"}, {**row, "created_at": "2014-02-28 00:25:09"}]}


def proves(question: Question, sent: Sent) -> bool:
    """Whether the answer says yes, read as strictly as can be."""
    body = _object(sent)
    if body is None or body.get("errors") not in (None, [], {}) or sent.status != 200:
        return False
    key, rows = body.get("download_key"), body.get("purchases")
    if isinstance(key, dict) and _is_key(question, key):
        return True
    return question.method != "download_key" and isinstance(rows, list) and any(_is_purchase(row) for row in rows)


def denies(sent: Sent) -> bool:
    """Whether the answer says no, or that there is nothing, in one of the ways that count."""
    body = _object(sent)
    if body is None:
        return False
    if body.get("errors") in (["invalid download key"], ["no download key found"]):
        return True
    if body.get("errors") not in (None, [], {}) or sent.status != 200:
        return False
    rows = body.get("purchases")
    return rows in ([], {}) or (isinstance(rows, list) and all(_proves_nothing(row) for row in rows))


def _object(sent: Sent) -> dict[str, Any] | None:
    encodings = [value.lower() for name, value in sent.headers if name == "content-encoding"]
    if len(sent.body) > LARGEST or encodings not in ([], ["identity"]):
        return None
    try:
        body = json.loads(sent.body.decode("utf-8"), parse_constant=_refuse)
        json.dumps(body, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _refuse(word: str) -> None:
    raise ValueError(word)


def _is_key(question: Question, key: dict[str, Any]) -> bool:
    owner = key.get("owner")
    if not _is(key.get("game_id"), GAME) or not isinstance(key.get("key"), str):
        return False
    if question.method == "download_key":
        return bool(key["key"] == question.credential)
    return question.method == "email" or (isinstance(owner, dict) and _is(owner.get("id"), question.number))


def _is_purchase(row: Any) -> bool:
    if (
        not isinstance(row, dict)
        or row.get("status", "complete") != "complete"
        or row.get("donation", False) is not False
    ):
        return False
    games = row.get("game_id")
    if row.get("purchase_type", "game") == "game":
        return _is(games, GAME)
    return row["purchase_type"] == "bundle" and (
        _is(games, GAME) or (isinstance(games, list) and any(_is(one, GAME) for one in games))
    )


def _proves_nothing(row: Any) -> bool:
    if not isinstance(row, dict) or not isinstance(row.get("status", "complete"), str):
        return False
    # A web purchase counts only where the operator says so.
    return (
        row.get("status", "complete") != "complete"
        or row.get("purchase_type") == "sub_product"
        or row.get("donation") is True
    )


def _is(value: Any, number: int) -> bool:
    return (type(value) is int and value == number) or (
        type(value) is str and value.isascii() and value.isdigit() and int(value) == number
    )
