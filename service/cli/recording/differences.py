"""The differences between an answer and what the code expects of it."""

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, TypeAlias

import msgspec

from service.cli.recording.shape import shape_of
from service.cli.recording.words import shown_media_type, shown_name
from service.itch.dialect import read_date
from service.stores.answer import StoreAnswer

Values: TypeAlias = Mapping[str, object]


class Kind(Enum):
    """The kind of a value, as a record says it."""

    TEXT = "text"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    OBJECT = "object"
    LIST = "list"
    EMPTY_LIST = "empty list"
    """itch.io writes `{}` for it (itchio/itch.io #1301)."""
    NUMBER = "number"
    NULL = "null"


class Expected(msgspec.Struct, frozen=True):
    """The expected value of a field: its kinds, whether it is always there, and the fields in it or in its rows."""

    kinds: tuple[Kind, ...]
    needed: bool = False
    fields: Mapping[str, "Expected"] | None = None


class Api(msgspec.Struct, frozen=True):
    """The expected answers of one API: fields by the last part of a path, and the form of dates."""

    fields: Mapping[str, Mapping[str, Expected]]
    date_sample: str
    errors_have_status_200: bool


_ERRORS: Final = {
    "errors": Expected((Kind.LIST,), needed=True),
    "details": Expected((Kind.OBJECT, Kind.LIST, Kind.TEXT, Kind.EMPTY_LIST)),
}
_NOT_FOUND: Final = 404


def errors_in(answer: StoreAnswer) -> object:
    """Return the errors of an answer, None where it has none."""
    body = json_in(answer)
    errors = body.get("errors") if isinstance(body, dict) else None
    return None if errors in (None, [], {}) else errors


def json_in(answer: StoreAnswer) -> object:
    """Return the JSON in an answer, None where it is none."""
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def differences(answer: StoreAnswer, endpoint: str, api: Api) -> Iterator[str]:
    """Yield each difference in one line, without a value of the answer."""
    body = json_in(answer)
    if not isinstance(body, dict):
        yield "the body is no JSON object"
        return
    if not answer.content_type.lower().startswith("application/json"):
        yield f"the body is called {shown_media_type(answer.content_type)}, not application/json"
    if errors_in(answer) is not None:
        yield from _status_of_error(answer.status, api)
        yield from _compare(body, _ERRORS, api, "")
        return
    yield from _compare(body, api.fields[endpoint], api, "")


def _status_of_error(status: int, api: Api) -> Iterator[str]:
    if status == _NOT_FOUND:
        return
    is_ok = status == 200  # noqa: PLR2004 - it is its own name
    if is_ok is not api.errors_have_status_200:
        yield f"an error comes with status {status}, expected of this API: {'200' if not is_ok else '400 to 499'}"


def _compare(values: Values, expected: Mapping[str, Expected], api: Api, at: str) -> Iterator[str]:
    for name, field in expected.items():
        if name in values:
            yield from _compare_one(values[name], field, api, f"{at}{name}")
        elif field.needed:
            yield f"`{at}{name}` is missing"
    for name in values:
        if name not in expected:
            shape = shape_of(values[name], field=name)
            kind = shape if isinstance(shape, str) else _kind_of(values[name]).value
            yield f"`{at}{shown_name(name)}` is new: {kind}"


def _compare_one(value: object, expected: Expected, api: Api, at: str) -> Iterator[str]:
    kind = _kind_of(value)
    if kind is Kind.EMPTY_LIST and Kind.LIST in expected.kinds:
        return
    if kind is Kind.TEXT and Kind.DATE in expected.kinds:
        yield from _compare_date(str(value), api, at)
    elif kind not in expected.kinds:
        wanted = " or ".join(one.value for one in expected.kinds)
        yield f"`{at}` is {kind.value}, expected: {wanted}"
    elif isinstance(value, list):
        yield from _compare_rows(value, expected, api, at)
    elif isinstance(value, dict) and expected.fields is not None:
        yield from _compare(value, expected.fields, api, f"{at}.")


def _compare_rows(rows: Sequence[object], expected: Expected, api: Api, at: str) -> Iterator[str]:
    if not rows:
        yield f"`{at}` is an empty list written as [], expected: {{}}"
    if expected.fields is None:
        return
    said = {
        line
        for row in rows
        for line in (
            _compare(row, expected.fields, api, f"{at}[].")
            if isinstance(row, dict)
            else [f"`{at}[]` is {_kind_of(row).value}, expected: object"]
        )
    }
    yield from sorted(said)


def _compare_date(text: str, api: Api, at: str) -> Iterator[str]:
    if read_date(text) is None:
        yield f"`{at}` is text, expected: date"
    elif _form(text) != _form(api.date_sample):
        yield f"`{at}` is a date in another form than {api.date_sample}"


def _form(text: str) -> str:
    return "".join("0" if one.isdigit() else one for one in text)


def _kind_of(value: object) -> Kind:
    return Kind.EMPTY_LIST if value == {} else _KIND_OF[type(value)]


_KIND_OF: Final[Mapping[type, Kind]] = {
    type(None): Kind.NULL,
    bool: Kind.BOOLEAN,
    int: Kind.INTEGER,
    float: Kind.NUMBER,
    str: Kind.TEXT,
    list: Kind.LIST,
    dict: Kind.OBJECT,
}
