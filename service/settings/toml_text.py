"""TOML text to a document, with long lists of ids in a tenth of the time that `tomllib` takes for them.

A file may ban 100 000 users, and is read again while questions are answered.
"""

import re
import secrets
import tomllib
from typing import Any, Final

import msgspec

_LONG_LIST: Final = re.compile(r"^([ \t]*[A-Za-z0-9_-]+[ \t]*=[ \t]*)\[([0-9, \t\n]{1000,})\]", re.MULTILINE)
"""A setting whose value is a list of digits, commas and blanks only. Nothing else in TOML begins a line like that but
the text of a string with several lines, in which the list is then not found again."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the document, as `tomllib.loads` does. Raises what that raises."""
    text = text.replace("\r\n", "\n")
    lists: dict[str, list[int]] = {}
    short = _without_long_lists(text, lists)
    try:
        document = tomllib.loads(short) if lists else None
    except (ValueError, RecursionError):
        document = None  # the mistake, if it is one, is to be found where the operator sees it
    if document is None or not _put_back(document, lists):
        return tomllib.loads(text)
    return document


def _without_long_lists(text: str, lists: dict[str, list[int]]) -> str:
    pieces, at = [], 0
    for found in _LONG_LIST.finditer(text):  # unlike `sub` it lets other threads run in between
        pieces += [text[at : found.start()], _set_aside(found, lists)]
        at = found.end()
    return "".join([*pieces, text[at:]])


def _set_aside(found: re.Match[str], lists: dict[str, list[int]]) -> str:
    """Return the setting with a name in the place of its list; the same text where the list is none."""
    try:
        # JSON has the same form for whole numbers and lists of them, but no comma at the end.
        numbers = msgspec.json.decode(f"[{found[2].rstrip().removesuffix(',')}]", type=list[int])
    except msgspec.DecodeError:
        return found[0]
    name = secrets.token_hex(16)
    lists[name] = numbers
    return f'{found[1]}"{name}"'


def _put_back(document: dict[str, Any], lists: dict[str, list[int]]) -> bool:
    """Put the lists where their names are in the tables of games; return whether all were there."""
    games = document.get("games")
    tables = games.values() if isinstance(games, dict) else ()
    for table in tables:
        for key, value in table.items() if isinstance(table, dict) else ():
            if isinstance(value, str) and value in lists:
                table[key] = lists.pop(value)
    return not lists
