"""The classification of the store's HTTP answers."""

import traceback
from datetime import timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.errors import (
    GameNotAccessible,
    GatewayCredentialRefused,
    NoAnswer,
    SourceProtocolError,
    SourceRateLimited,
    SourceUnavailable,
)
from service.itch.classification import JsonObject, No, UnknownWordsError, classify
from service.itch.dialect import Bearer
from service.stores.answer import StoreAnswer
from tests.clock import START

STATUSES: Final = (200, 400, 401, 403, 404, 422)
"""With which itch.io has been seen to send its errors, or might."""

_SCOPE: Final = "api key does not permit `game:view:purchases`"

SAID_TO_SELLER: Final[dict[str, No | type[NoAnswer]]] = {
    "invalid download key": No.NO_SUCH_KEY,
    "no download key found": No.NO_SUCH_KEY,
    "invalid key": GatewayCredentialRefused,
    "authentication required": GatewayCredentialRefused,
    _SCOPE: GatewayCredentialRefused,
    "api key does not permit `profile`": GatewayCredentialRefused,
    "invalid game_id": GameNotAccessible,
    "invalid game": GameNotAccessible,
    "game_id must be an integer": GameNotAccessible,
    "There was a server error": SourceUnavailable,
}
SAID_TO_PLAYER: Final[dict[str, No | type[NoAnswer]]] = {
    "invalid base64": No.CREDENTIAL_REFUSED,
    "header not HS256": No.CREDENTIAL_REFUSED,
    "header not JWT": No.CREDENTIAL_REFUSED,
    "missing data": No.CREDENTIAL_REFUSED,
    "invalid signature": No.CREDENTIAL_REFUSED,
    "invalid key": No.CREDENTIAL_REFUSED,
    _SCOPE: No.CREDENTIAL_REFUSED,
    "authentication required": SourceProtocolError,
    "There was a server error": SourceUnavailable,
}
NEAR_MISSES: Final[tuple[object, ...]] = (
    ["Invalid download key"],
    ["INVALID DOWNLOAD KEY"],
    ["invalid download key "],
    [" invalid download key"],
    ["invalid download key."],
    ["invalid download key\n"],
    ["invalid  download key"],
    ["invalid download key\u0000"],
    ["invalid download kеy"],  # noqa: RUF001 - the Cyrillic letter is the point
    ["invalid download key", "x"],
    ["invalid download key", "invalid download key"],
    ["x", "no download key found"],
    [["invalid download key"]],
    [{"0": "invalid download key"}],
    ["invalid download keyinvalid download key"],
    ["No download key found"],
    [""],
    [None],
    [1],
    "invalid download key",
    "invalid key",
    {"0": "invalid download key"},
    {"download_key": "invalid download key"},
    "",
    0,
    1,
    False,
    True,
)


def answered(content: object, status: int = 200, **more: Any) -> StoreAnswer:
    """Return an answer with this JSON."""
    return StoreAnswer(status, "application/json", msgspec.json.encode(content), **more)


def page(status: int, body: bytes = b"<!DOCTYPE html><title>Just a moment...</title>", **more: Any) -> StoreAnswer:
    """Return a web page."""
    return StoreAnswer(status, "text/html; charset=utf-8", body, **more)


def outcome(answer: StoreAnswer, bearer: Bearer) -> JsonObject | No | type[NoAnswer]:
    """Return the body, the refusal, or the type of the exception."""
    try:
        return classify(answer, bearer=bearer, now=START)
    except NoAnswer as error:
        return type(error)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("words", "meaning"), SAID_TO_SELLER.items())
def test_what_the_store_says_about_the_sellers_question(words: str, meaning: No | type[NoAnswer], status: int) -> None:
    """Each known string has one meaning, with any status."""
    assert outcome(answered({"errors": [words]}, status), Bearer.SELLER) is meaning


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("words", "meaning"), SAID_TO_PLAYER.items())
def test_what_the_store_says_about_a_players_jwt(words: str, meaning: No | type[NoAnswer], status: int) -> None:
    """The same string may be an alarm about the seller's key, and a plain refusal of a player's."""
    assert outcome(answered({"errors": [words]}, status), Bearer.PLAYER) is meaning


@pytest.mark.parametrize("words", ["invalid api endpoint", "invalid api version: 2", "expected a key"])
@pytest.mark.parametrize("bearer", Bearer)
def test_other_words_are_no_answer(words: str, bearer: Bearer) -> None:
    """A string that is not on the list is neither a yes nor a no."""
    assert outcome(answered({"errors": [words]}, 404), bearer) is UnknownWordsError


@pytest.mark.parametrize("words", sorted(SAID_TO_PLAYER.keys() - SAID_TO_SELLER.keys()))
def test_words_about_a_jwt_mean_nothing_where_none_was_sent(words: str) -> None:
    """A string about JWTs refuses a JWT only if the request carried one."""
    assert outcome(answered({"errors": [words]}), Bearer.SELLER) is UnknownWordsError


@pytest.mark.parametrize("words", ["invalid download key", "no download key found", "invalid game"])
def test_words_about_keys_mean_nothing_to_a_player(words: str) -> None:
    """A JWT's request is about no key and no game, so strings about them are no answer to it."""
    assert outcome(answered({"errors": [words]}), Bearer.PLAYER) is UnknownWordsError


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("bearer", Bearer)
@pytest.mark.parametrize("errors", NEAR_MISSES)
def test_near_misses_are_no_answer(errors: object, bearer: Bearer, status: int) -> None:
    """A string counts only as a whole, and only alone in its list."""
    with pytest.raises(NoAnswer):
        classify(answered({"errors": errors}, status), bearer=bearer, now=START)


@pytest.mark.parametrize(
    "words", ["api key does not permit ``", "api key does not permit `X` ", "api key does not permit `a` `b`"]
)
def test_a_near_miss_of_the_missing_scope_is_unknown(words: str) -> None:
    """The variable part is a scope and nothing else."""
    assert outcome(answered({"errors": [words]}), Bearer.PLAYER) is UnknownWordsError


@pytest.mark.parametrize("status", [400, 401, 403])
def test_unknown_words_never_refuse_a_player(status: int) -> None:
    """Only the strings on the list refuse a player: a firewall that speaks JSON must turn no players away."""
    assert outcome(answered({"errors": ["Forbidden"]}, status), Bearer.PLAYER) is UnknownWordsError


def test_a_sibling_of_the_errors_changes_nothing() -> None:
    """A field `details` may stand next to them."""
    content = {"errors": ["invalid download key"], "details": {"download_key": ["x"]}}

    assert outcome(answered(content, 400), Bearer.SELLER) is No.NO_SUCH_KEY


def test_errors_outweigh_what_stands_beside_them() -> None:
    """An answer with both an error and a key is an error."""
    content = {"errors": ["invalid key"], "download_key": {"key": "k", "game_id": 3}}

    assert outcome(answered(content), Bearer.SELLER) is GatewayCredentialRefused


@pytest.mark.parametrize("none", [{"errors": {}}, {"errors": []}, {"errors": None}, {}])
def test_empty_errors_are_none(none: dict[str, object]) -> None:
    """`errors: {}` is how itch.io writes an empty list."""
    content = {**none, "purchases": {}}

    assert outcome(answered(content), Bearer.SELLER) == content


@pytest.mark.parametrize("bearer", Bearer)
@pytest.mark.parametrize("status", [201, 204, 206, 301, 302, 400, 401, 403, 404, 429, 500, 503])
def test_a_body_counts_only_with_status_200(bearer: Bearer, status: int) -> None:
    """A good body with another status is no answer."""
    content = {"download_key": {"id": 1, "key": "k", "game_id": 3}}

    with pytest.raises(NoAnswer):
        classify(answered(content, status), bearer=bearer, now=START)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("bearer", Bearer)
def test_a_redirect_is_a_protocol_error(status: int, bearer: Bearer) -> None:
    """A redirect to any address, with any page, is a protocol error."""
    assert outcome(page(status), bearer) is SourceProtocolError


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500, 502, 520])
@pytest.mark.parametrize("bearer", Bearer)
def test_a_web_page_means_that_the_store_is_unavailable(status: int, bearer: Bearer) -> None:
    """A challenge page says nothing about the seller's key, even with status 403."""
    assert outcome(page(status), bearer) is SourceUnavailable


def test_a_web_page_is_known_by_its_first_character_too() -> None:
    """A body that begins like HTML is a web page, even if its content type is JSON."""
    answer = StoreAnswer(403, "application/json", b"\r\n <html><body>no</body></html>")

    assert outcome(answer, Bearer.SELLER) is SourceUnavailable


@pytest.mark.parametrize("bearer", Bearer)
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"errors":["slow down"]}', b"<html><h1>429</h1></html>"])
def test_both_statuses_of_throttling_are_throttling(body: bytes, status: int, bearer: Bearer) -> None:
    """A proxy in front of the API throttles with a web page."""
    content_type = "text/html" if body.startswith(b"<") else "application/json"

    assert outcome(StoreAnswer(status, content_type, body), bearer) is SourceRateLimited


@pytest.mark.parametrize(
    ("retry_after", "date", "expected"),
    [
        ("7", None, timedelta(seconds=7)),
        ("Fri, 20 Nov 2026 14:03:21 GMT", None, timedelta(seconds=9, microseconds=876544)),
        ("Fri, 20 Nov 2026 14:03:21 GMT", "Fri, 20 Nov 2026 14:03:01 GMT", timedelta(seconds=20)),
        ("Fri, 20 Nov 2026 14:03:21 GMT", "soon", timedelta(seconds=9, microseconds=876544)),
        ("soon", None, None),
        (None, None, None),
    ],
)
def test_throttling_says_when_to_come_back(
    retry_after: str | None, date: str | None, expected: timedelta | None
) -> None:
    """In seconds, or as a date by the store's own clock, which ours may disagree with."""
    with pytest.raises(SourceRateLimited) as raised:
        classify(page(429, retry_after=retry_after, date=date), bearer=Bearer.SELLER, now=START)

    assert raised.value.retry_after == expected


@pytest.mark.parametrize("status", [500, 502, 504, 520, 599])
@pytest.mark.parametrize("body", [b"", b"{}", b"oops", b'{"errors":["x"]}'])
def test_a_broken_store_is_unavailable(status: int, body: bytes) -> None:
    """Every other 5xx means that the store is unavailable."""
    assert outcome(StoreAnswer(status, "application/json", body), Bearer.SELLER) is SourceUnavailable


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("body", [b"", b"{}", b'{"errors":["who are you"]}'])
def test_an_unexplained_refusal_is_about_our_key(status: int, body: bytes) -> None:
    """A 401 or 403 without a known string costs no player anything, and makes an operator look at the key."""
    assert outcome(StoreAnswer(status, "application/json", body), Bearer.SELLER) is GatewayCredentialRefused


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"invalid download key"',
        b'["invalid download key"]',
        b"1",
        b'{"errors":["invalid download key"]',
        b'{"errors":["invalid download key"]} x',
        b'\xef\xbb\xbf{"errors":["invalid download key"]}',
        '{"errors":["invalid download key"]}'.encode("utf-16"),
        '{"errors":["invalid download key"]}'.encode("utf-16-le"),
        b'{"errors":["invalid download key"],"x":NaN}',
        b'{"errors":["invalid download key"],"x":Infinity}',
        b'{"errors":["invalid download key"],"x":1e400}',
        b'{"errors":["invalid download key"],"x":"\xff"}',
        b'{"errors":["invalid download key"],"x":"\\ud800"}',
        b"{'errors':['invalid download key']}",
        b'{"errors":["invalid download key"],"x":' + b"9" * 5000 + b"}",
        b'{"errors":["invalid download key"],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=range(19),
)
@pytest.mark.parametrize("bearer", Bearer)
def test_what_is_no_json_object_is_a_protocol_error(body: bytes, bearer: Bearer) -> None:
    """Cut off, of another encoding, not quite JSON, or nested without end."""
    assert outcome(StoreAnswer(200, "application/json", body), bearer) is SourceProtocolError


def test_of_two_equal_names_the_last_one_counts() -> None:
    """One parser reads each answer, so that no two can disagree about it."""
    answer = StoreAnswer(200, "application/json", b'{"errors":["invalid key"],"errors":["invalid download key"]}')

    assert outcome(answer, Bearer.SELLER) is No.NO_SUCH_KEY


def test_each_refusal_is_an_exception_of_its_own() -> None:
    """Each refusal raises a new exception: one that is raised again and again would keep a growing traceback alive."""
    raised = []
    for _ in range(3):
        with pytest.raises(GatewayCredentialRefused) as caught:
            classify(answered({"errors": ["invalid key"]}), bearer=Bearer.SELLER, now=START)
        raised.append(caught.value)

    assert len({id(error) for error in raised}) == 3
    assert len({len(traceback.extract_tb(error.__traceback__)) for error in raised}) == 1


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
_words = st.sampled_from(sorted({*SAID_TO_SELLER, *SAID_TO_PLAYER})) | st.text(max_size=30)
_body_like = st.fixed_dictionaries(
    {}, optional={"errors": st.lists(_words, max_size=2) | _json, "download_key": _json, "details": _json}
)
_status = st.sampled_from([200, 204, 301, 302, 400, 401, 403, 404, 422, 429, 500, 502, 503]) | st.integers(100, 599)
_content_type = st.sampled_from(["", "application/json", "text/html", "text/plain"])
_header = st.none() | st.text(max_size=30) | st.integers().map(str)


@given(
    st.builds(StoreAnswer, _status, _content_type, st.binary(max_size=200), _header, _header), st.sampled_from(Bearer)
)
@example(StoreAnswer(200, "", b"[" * 200_000), Bearer.SELLER)
def test_any_bytes_are_classified(answer: StoreAnswer, bearer: Bearer) -> None:
    """Any answer raises `NoAnswer` at most, and only a JSON object with status 200 yields a body."""
    said = outcome(answer, bearer)

    if isinstance(said, dict):
        assert answer.status == 200
        assert said == msgspec.json.decode(answer.body)


@given(_json | _body_like, _status, st.sampled_from(Bearer), _header, _header)
def test_any_json_is_classified(
    content: object, status: int, bearer: Bearer, retry_after: str | None, date: str | None
) -> None:
    """A body means status 200 and no errors; a no means exactly one known string."""
    said = outcome(answered(content, status, retry_after=retry_after, date=date), bearer)

    if isinstance(said, dict):
        assert status == 200
        assert isinstance(content, dict)
        assert content.get("errors") in (None, [], {})
    elif isinstance(said, No):
        assert isinstance(content, dict)
        (words,) = content["errors"]
        known = SAID_TO_SELLER if bearer is Bearer.SELLER else SAID_TO_PLAYER
        assert said is known.get(words, No.CREDENTIAL_REFUSED if "`" in words else None)
