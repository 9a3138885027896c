"""The shape of an answer: fields, kinds and lengths, and no value that names a person or a game."""

import re
import string
from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from service.cli.recording.words import shown_name, shown_text
from service.itch.dialect import read_date

Shape: TypeAlias = "bool | str | dict[str, Shape | int | list[Shape]]"

_DEEPEST: Final = 8
_MOST_FIELDS: Final = 100
_MOST_SHAPES: Final = 8

_OF_WORDS: Final = frozenset(
    {"errors", "scopes", "scope", "status", "purchase_type", "type", "classification", "alg", "typ"}
)
"""The fields whose texts are words of the store's own: the code decides by them. They are shown as far as they are
made of our words."""

_OF_DATES: Final = re.compile(r"(?:[a-z_]+_)?(?:at|date|until|expires)")
_AFTER_THE_DAY: Final = 10

_CLASSES: Final = (
    ("letters", frozenset(string.ascii_letters)),
    ("digits", frozenset(string.digits)),
    ("_ or -", frozenset("_-")),
    ("spaces", frozenset(string.whitespace)),
    ("signs", frozenset(string.punctuation) - frozenset("_-")),
)


def shape_of(value: object, *, field: str = "", depth: int = 0) -> Shape:
    """Return the shape of a JSON value; `field` is the name that it stands under."""
    match value:
        case list() | dict() if depth >= _DEEPEST:
            return f"deeper than {_DEEPEST}"
        case list():
            return {"list of": len(value), "shapes": _shapes_of(value, field, depth)}
        case dict():
            return _shape_of_object(value, depth)
        case str():
            return _shape_of_text(value, field)
        case _:
            return _shape_of_number(value)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _shape_of_number(value: object) -> bool | str:
    match value:
        case bool():
            return value
        case int():
            return f"{'negative ' if value < 0 else ''}integer of {counted(len(str(abs(value))), 'digit')}"
        case _:
            return "null" if value is None else "number"


def _shape_of_object(value: dict[str, object], depth: int) -> Shape:
    shape: dict[str, Shape | int | list[Shape]] = {}
    for name, inner in list(value.items())[:_MOST_FIELDS]:
        shown = shown_name(name)
        # Two names of the same length that may not be shown look alike.
        same = sum(1 for other in shape if other.partition(" (")[0] == shown)
        shape[f"{shown} ({same + 1})" if same else shown] = shape_of(inner, field=name, depth=depth + 1)
    if len(value) > _MOST_FIELDS:
        shape["and more"] = len(value) - _MOST_FIELDS
    return shape


def _shapes_of(values: Sequence[object], field: str, depth: int) -> list[Shape]:
    """Return the different shapes in a list: rows are alike, and hundreds of them tell no more than one."""
    shapes: dict[bytes, Shape] = {}
    for value in values:
        shape = shape_of(value, field=field, depth=depth + 1)
        shapes.setdefault(msgspec.json.encode(shape), shape)
        if len(shapes) == _MOST_SHAPES:
            break
    return list(shapes.values())


def _shape_of_text(text: str, field: str) -> str:
    if field in _OF_WORDS:
        return shown_text(text)
    if _OF_DATES.fullmatch(field) and read_date(text) is not None:
        # The day and the form: the time of day would find a purchase in a list of them.
        return "date " + text[:_AFTER_THE_DAY] + re.sub("[0-9]", "_", text[_AFTER_THE_DAY:])
    if not text:
        return "empty text"
    classes = [name for name, members in _CLASSES if not members.isdisjoint(text)]
    if not frozenset(text) <= frozenset().union(*(members for _, members in _CLASSES)):
        classes.append("others")
    return f"text of {counted(len(text), 'character')}: {', '.join(classes)}"
