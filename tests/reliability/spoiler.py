"""Makes answers in which something is wrong from true ones: bytes, JSON trees, headers, encodings."""

import gzip
import json
import random
from copy import deepcopy
from typing import Any, Final

from tests.reliability.strict_reader import LARGEST, Sent

JSON_TYPE: Final[tuple[tuple[str, str], ...]] = (("content-type", "application/json"),)
VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    3,
    4,
    2**53,
    2**64,
    10**30,
    1.5,
    1e308,
    "",
    "3",
    "03",
    "complete",
    "bundle",
    "sub_product",
    "\u0000",
    "\ud800",
    "\u00e9" * 50,
    [],
    {},
    [3],
    [[3]],
    {"id": 3},
    ["invalid download key"],
    ["no download key found"],
    "invalid download key",
    [None],
    ["There was a server error"],
)
RAW: Final = (
    b"",
    b" ",
    b"null",
    b"[]",
    b"{}",
    b'""',
    b"{",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\x00}\x00",
    b'{"download_key": NaN}',
    b'{"errors": Infinity}',
    b'{"download_key": 1e400}',
    b'{"id": ' + b"9" * 5000 + b"}",
    b"<html>Just a moment...</html>",
    b"\x00" * 1000,
    b"\x1f\x8b\x08\x00",
    gzip.compress(b"0" * 20_000_000),
    b'{"errors": ["invalid download key"]} trailing',
    b'{"errors": ["invalid download key"], "errors": []}',
    b'{"errors": ["Invalid download key"]}',
    b'{"errors": ["invalid download key "]}',
    b'{"error": "invalid download key"}',
    b'{"errors": ["invalid key"]}',
    b'{"errors": [["invalid download key"]]}',
    b"a" * (LARGEST + 1),
)
STATUSES: Final = (200,) * 12 + (
    100,
    201,
    204,
    206,
    301,
    302,
    304,
    400,
    401,
    403,
    404,
    418,
    429,
    500,
    502,
    503,
    520,
    599,
)
HEADERS: Final = (
    ("content-encoding", "gzip"),
    ("content-encoding", "br"),
    ("content-type", "text/html"),
    ("content-type", ""),
    ("content-type", "application/json; charset=utf-16"),
    ("retry-after", "-1"),
    ("retry-after", "9" * 400),
    ("retry-after", "nonsense"),
    ("retry-after", "Fri, 31 Dec 9999 23:59:59 GMT"),
    ("date", "Mon, 01 Jan 0001 00:00:00 GMT"),
    ("date", "yesterday"),
    ("location", "https://elsewhere.example/"),
    ("x-sandbox", "1"),
    ("set-cookie", "a=b"),
)
_NAMES: Final = ("errors", "purchases", "download_key", "owner", "status", "id")
_PIECES: Final = (b"\xef\xbb\xbf", b"\x00", b"\xed\xa0\x80", b"}", b'"', b",", b"/**/", b"1", b"NaN")


class Spoiler:
    """Makes answers from true ones, no two alike, the same in every run."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def spoil(self, truth: dict[str, Any]) -> Sent:
        """Return an answer in which something is wrong, or nothing."""
        chance = self._chance
        status, headers = chance.choice(STATUSES), JSON_TYPE
        if chance.random() < 0.2:
            headers = (*headers, chance.choice(HEADERS))
        kind = chance.random()
        if kind < 0.1:
            return Sent(status, headers, chance.choice(RAW))
        tree = deepcopy(truth)
        if chance.random() < 0.15:
            self._confuse(tree)
        for _ in range(chance.choice([0, 1, 1, 1, 2, 3])):
            self._change(tree)
        body = json.dumps(tree, ensure_ascii=chance.random() < 0.7).encode("utf-8", "surrogatepass")
        if kind < 0.5:
            body = self._damage(body)
        return Sent(status, headers, body)

    def _confuse(self, tree: dict[str, Any]) -> None:
        """Let it be about another key, another player or another game."""
        key = tree.get("download_key", {})
        for row in [key, *tree.get("purchases", [])]:
            if "game_id" in row and self._chance.random() < 0.4:
                row["game_id"] += 1
        if "key" in key and self._chance.random() < 0.5:
            key["key"] = key["key"].swapcase()
        if "owner" in key and self._chance.random() < 0.5:
            key["owner"]["id"] += 1

    def _change(self, tree: Any) -> None:
        """Change one thing somewhere in the tree."""
        chance, place = self._chance, tree
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                return
            key = chance.choice(keys)
            if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.75:
                place = place[key]
                continue
            break
        match chance.randrange(4):
            case 0:
                del place[key]
            case 1 if isinstance(place, dict):
                place[chance.choice([*_NAMES, str(key).upper()])] = place[key]
            case 2:
                place[key] = deepcopy(tree)
            case _:
                place[key] = deepcopy(chance.choice(VALUES))

    def _damage(self, body: bytes) -> bytes:
        """Change some bytes."""
        chance, changed = self._chance, bytearray(body)
        for _ in range(chance.choice([1, 1, 2, 8])):
            at = chance.randrange(len(changed) + 1)
            match chance.randrange(5):
                case 0:
                    del changed[at:]
                case 1:
                    del changed[at : at + chance.randrange(1, 9)]
                case 2:
                    changed[at:at] = chance.choice(_PIECES)
                case 3:
                    changed[at : at + 1] = bytes([chance.randrange(256)])
                case _:
                    return chance.choice(
                        [
                            bytes(changed).decode("utf-8", "replace").encode("utf-16"),
                            gzip.compress(bytes(changed)),
                            bytes(changed) * 2,
                        ]
                    )
        return bytes(changed)
