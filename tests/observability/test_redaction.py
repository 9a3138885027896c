"""Text that looks like a secret is not logged."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import UnknownGame
from service.observability.redaction import cleaned, redact
from service.ownership import DownloadKey, Method

CANARY = "CanaryCanary0123456789"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxOTk0In0.c2lnbmF0dXJlc2lnbmF0dXJl"

ANY_TEXT = st.text(st.characters(categories=["L", "N", "P", "S", "Z", "C"]))
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_TEXT | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT | st.integers(), inner) | st.tuples(inner),
)


class Loud:
    """An object that raises in its repr."""

    def __repr__(self) -> str:
        raise RuntimeError(CANARY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"sent ogw_{CANARY} to", "sent [redacted] to"),
        (f"Authorization: Bearer {CANARY}", "Authorization: Bearer [redacted]"),
        (f"authorization: BEARER {CANARY}", "authorization: BEARER [redacted]"),
        (f"the jwt {JWT}.", "the jwt [redacted]."),
        (f"cut short: {JWT.rpartition('.')[0]}", "cut short: [redacted]"),
        (f"three {'a' * 20}.{'b' * 20}.{'c' * 43}", "three [redacted]"),
        (f"https://a.itch.io/x/download/{CANARY}", "https://a.itch.io/x/download/[redacted]"),
        (f"https%3A%2F%2Fa.itch.io%2Fx%2Fdownload%2F{CANARY}", "https%3A%2F%2Fa.itch.io%2Fx%2Fdownload%2F[redacted]"),
        ("key AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_Ab!", "key [redacted]!"),
        ("player a.b+c@mail.example wrote", "player [redacted] wrote"),
        ("GET /u/a.b%40mail.example", "GET /u/[redacted]"),
        (f"redis://:{CANARY}@cache:6379/0 is away", "redis://[redacted]@cache:6379/0 is away"),
        (f"rediss://og:{CANARY}/p@ss@cache", "rediss://[redacted]@cache"),
        (f"GET https://api.itch.io/games/3/download_keys?download_key={CANARY}&x=1 200",
         "GET https://api.itch.io/games/3/download_keys?[redacted] 200"),
        (f"GET https://itch.io/api/1/{CANARY}/me", "GET https://itch.io/api/1/[redacted]/me"),
        (f"api_key={CANARY}, retrying", "api_key=[redacted], retrying"),
        (f"{{'download_key': '{CANARY}'}}", "{'download_key': [redacted]}"),
        (f'{{"password":"{CANARY}"}}', '{"password":[redacted]}'),
    ],
)  # fmt: skip
def test_secrets_are_replaced(text: str, expected: str) -> None:
    """Each form in which others have been seen to print a secret."""
    assert redact(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "source_paused",
        "service.observability.redaction:88 in redact",
        "https://itch.io/api/1/key/me",
        "GET /games/3/download_keys",
        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "01KAB3X9Q7T4Z2M5N8P6R1S0VW",
        "the_longest_name_of_a_function_is_forty_c",
        "key: value",
    ],
)
def test_what_is_no_secret_is_left_alone(text: str) -> None:
    """Names, routes and identifiers stay readable."""
    assert redact(text) == text


@settings(deadline=None)
@given(ANYTHING)
def test_anything_becomes_json(value: object) -> None:
    """Any value becomes JSON that can be encoded and decoded again."""
    msgspec.json.decode(msgspec.json.encode(cleaned(value)))


@settings(deadline=None)
@given(ANY_TEXT, ANY_TEXT)
def test_a_token_is_redacted_wherever_it_stands(before: str, after: str) -> None:
    """No text around a caller token hides it."""
    assert CANARY not in str(cleaned(f"{before} ogw_{CANARY} {after}"))


def test_secrets_show_their_repr() -> None:
    """The type of a secret is shown, its text is not."""
    assert cleaned({"credential": DownloadKey(CANARY)}) == {"credential": "DownloadKey(***)"}


def test_exceptions_show_their_type() -> None:
    """A field whose value is an exception shows its type, not its message."""
    assert cleaned([UnknownGame("x"), ValueError(CANARY)]) == ["UnknownGame", "ValueError"]


def test_secrets_in_names_of_fields_are_redacted() -> None:
    """A field's name is text like any other."""
    assert cleaned({f"ogw_{CANARY}": 1}) == {"[redacted]": 1}


def test_a_repr_that_fails_does_not_fail_the_line() -> None:
    """Objects of others are shown as well as they let themselves be."""
    assert cleaned(Loud()) == "<Loud>"


def test_values_have_plain_forms() -> None:
    """Enums by value, durations in seconds, instants as text, bytes by their number."""
    instant = datetime(2026, 11, 20, tzinfo=UTC)

    assert cleaned([Method.JWT, timedelta(seconds=2), instant, b"abc", 2**70]) == [
        "jwt",
        2.0,
        "2026-11-20T00:00:00+00:00",
        "<3 bytes>",
        hex(2**70),
    ]


def test_long_text_is_cut() -> None:
    """A page of HTML does not become a line."""
    assert cleaned("a " * 5_000) == "a " * 1_000 + "..."


def test_large_containers_are_cut() -> None:
    """A long list is cut after its first items."""
    assert cleaned(list(range(1_000))) == list(range(50))


def test_deep_containers_are_cut() -> None:
    """A structure that contains itself is cut at some depth."""
    endless: list[object] = []
    endless.append(endless)

    assert cleaned(endless) == [[[[["<list of 1>"]]]]]
