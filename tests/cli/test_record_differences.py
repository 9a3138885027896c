"""The differences between an answer and what is expected of it."""

import json
from collections.abc import Iterator, Mapping

import pytest

from service.cli.recording.differences import Expected, differences
from service.cli.recording.itch_api import ITCH_API
from service.cli.recording.words import shown_name
from service.itch.dialect import Dialect
from service.stores.answer import StoreAnswer

USER = '{"user":{"id":1994%s}}'
PURCHASE = {"id": 1, "game_id": 3, "purchase_type": "game", "status": "complete"}


def purchases(*rows: object) -> str:
    """Return an answer with these rows."""
    return json.dumps({"purchases": list(rows)})


def told(
    endpoint: str, body: str, *, status: int = 200, kind: str = "application/json", dialect: Dialect = Dialect.CURRENT
) -> list[str]:
    """Return the differences of an answer."""
    return list(differences(StoreAnswer(status, kind, body.encode()), endpoint, ITCH_API[dialect]))


@pytest.mark.parametrize(
    ("endpoint", "body", "lines"),
    [
        ("profile", USER % "", []),
        ("me", USER % ',"username":"amos"', []),
        ("profile", '{"user":{}}', ["`user` is empty list, expected: object"]),
        ("profile", "{}", ["`user` is missing"]),
        ("profile", '{"user":{"id":"1994"}}', ["`user.id` is text, expected: integer"]),
        ("profile", '{"user":{"id":1994.5}}', ["`user.id` is number, expected: integer"]),
        ("profile", USER % ',"username":null', ["`user.username` is null, expected: text"]),
        ("profile", USER % ',"tags":["amos"]', ["`user.tags` is new: list"]),
        ("profile", USER % ',"amos":1994', ["`user.<4 characters>` is new: integer of 4 digits"]),
        ("profile", "[]", ["the body is no JSON object"]),
        ("profile", "<html>", ["the body is no JSON object"]),
        ("purchases", '{"purchases":{}}', []),
        ("purchases", purchases(), ["`purchases` is an empty list written as [], expected: {}"]),
        ("purchases", purchases(PURCHASE, PURCHASE | {"game_id": [3, 4]}), []),
        (
            "purchases",
            purchases(PURCHASE | {"owner": 1}, PURCHASE | {"owner": 2}),
            ["`purchases[].owner` is new: integer of 1 digit"],
        ),
        ("purchases", purchases("amos"), ["`purchases[]` is text, expected: object"]),
        (
            "purchases",
            purchases({"game_id": {"amos": 1}}),
            [
                "`purchases[].game_id` is object, expected: integer or list",
                "`purchases[].purchase_type` is missing",
                "`purchases[].status` is missing",
            ],
        ),
        (
            "purchases",
            purchases(PURCHASE | {"created_at": "amos"}),
            ["`purchases[].created_at` is text, expected: date"],
        ),
        (
            "purchases",
            purchases(PURCHASE | {"created_at": "2014-02-28 00:25:09"}),
            ["`purchases[].created_at` is a date in another form than 2014-02-28T00:25:09.000000000Z"],
        ),
        ("ownership", '{"owns":"true"}', ["`owns` is text, expected: boolean"]),
        ("latest", "{}", []),
    ],
)
def test_answers(endpoint: str, body: str, lines: list[str]) -> None:
    """Each difference is one line, without a value of the answer."""
    assert told(endpoint, body) == lines


@pytest.mark.parametrize(
    ("status", "dialect", "lines"),
    [
        (400, Dialect.CURRENT, []),
        (404, Dialect.CURRENT, []),
        (200, Dialect.CURRENT, ["an error comes with status 200, expected of this API: 400 to 499"]),
        (200, Dialect.SERVER_SIDE, []),
        (404, Dialect.SERVER_SIDE, []),
        (400, Dialect.SERVER_SIDE, ["an error comes with status 400, expected of this API: 200"]),
    ],
)
def test_errors(status: int, dialect: Dialect, lines: list[str]) -> None:
    """The status of each error string is not documented."""
    assert told("profile", '{"errors":["invalid key"]}', status=status, dialect=dialect) == lines


def test_errors_of_another_form() -> None:
    """Neither their own form nor what stands beside them."""
    assert told("profile", '{"errors":"invalid key","details":{"a":1},"user":1}', status=400) == [
        "`errors` is text, expected: list",
        "`user` is new: integer of 1 digit",
    ]


def test_another_name_for_json() -> None:
    """It is read all the same."""
    assert told("latest", "{}", kind="text/plain") == ["the body is called text/plain, not application/json"]


def expected_names(fields: Mapping[str, Expected]) -> Iterator[str]:
    """Yield the names of all fields that are expected, at any depth."""
    for name, field in fields.items():
        yield name
        yield from expected_names(field.fields or {})


def test_every_expected_field_can_be_shown() -> None:
    """A record of an answer without differences has all names in it."""
    names = {name for api in ITCH_API.values() for fields in api.fields.values() for name in expected_names(fields)}

    assert len(names) > 40
    assert {name for name in names if shown_name(name) != name} == set()
