"""Addresses and user ids: what a caller asserts must be well-formed, or it is the caller's mistake."""

import traceback

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.credentials import read_email, read_user_id
from service.errors import BadQuestion
from service.ownership import AssertedUser, PlayerId

CANARY = "canary_7f3a9c"
FORTY_KB = 40 * 1024

any_text = st.text(st.characters())
"""Unlike plain `text()`, with lone surrogates."""


# E-mail addresses


def email(text: str) -> str:
    """Return what the address was read as."""
    return read_email(text, pointer="/email").reveal()


@pytest.mark.parametrize(
    "text",
    [
        "amos@example.com",
        "lin+games@example.com",
        "first.last@mail.example.com",
        "o'brien@example.com",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        "Amos.Case@example.com",
        "1@example.com",
        f"{'a' * 64}@example.com",
    ],
)
def test_a_plain_address_is_taken_as_it_is(text: str) -> None:
    """An address may have characters that some programs refuse."""
    assert email(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("amos@EXAMPLE.Com", "amos@example.com"),
        ("amos@b\u00fccher.example", "amos@xn--bcher-kva.example"),
        ("amos@B\u00dcCHER.example", "amos@xn--bcher-kva.example"),
        ("amos@xn--bcher-kva.example", "amos@xn--bcher-kva.example"),
        ("amos@example\u3002com", "amos@example.com"),
        ("amos@\uff45xample.com", "amos@example.com"),
    ],
)
def test_a_domain_is_put_into_its_ascii_form(text: str, expected: str) -> None:
    """One mailbox is one question."""
    assert email(text) == expected


BAD_EMAILS = [
    "<amos@example.com>",
    '"amos@example.com"',
    "",
    "@",
    "amos",
    "amos@",
    "@example.com",
    "amos@example",
    "amos@com.",
    "amos@example.com.",
    "amos@.example.com",
    "amos@example..com",
    "amos@@example.com",
    "amos@evil.example@example.com",
    "amos@example.com@",
    "amos@evil\uff20example.com",
    '"amos"@example.com',
    '"amos@evil.example"@example.com',
    "amos(comment)@example.com",
    "Amos <amos@example.com>",
    "amos@example.com,lin@example.com",
    "amos@example.com lin@example.com",
    "amos@example.com\r\nBcc: lin@example.com",
    "amos\0@example.com",
    "amos@exa\0mple.com",
    "amos@exa mple.com",
    ".amos@example.com",
    "amos.@example.com",
    "a..mos@example.com",
    "\u0430mos@example.com",
    "am\u00f6s@example.com",
    "amos\u200b@example.com",
    "\ufeffamos@example.com",
    "amos@exam\u200dple.com",
    "amos@\u202eexample.com",
    "amos@\ud800.com",
    "\ud800@example.com",
    "amos@-example.com",
    "amos@example-.com",
    "amos@exam_ple.com",
    "amos@xn--a.com",
    "amos@[127.0.0.1]",
    "amos@example.com/../x",
    "amos@example.com?user_id=1",
    "amos@example.com&user_id=1",
    "amos@example.com%00",
    "=?utf-8?q?amos=0d=0a?=x@example.com",
    "amos=?utf-8?q?=2cb=40example.org=2c?=@example.com",
    f"{'a' * 65}@example.com",
    f"amos@{'a' * 64}.com",
    f"amos@{'a.' * 124}com",
    "amos@" + "\u00fc." * 40 + "com",
    "amos@example" + "\u00ad" * 254 + ".com",  # SOFT HYPHEN, of which nothing is left in the ASCII form
    "a" * FORTY_KB,
    f"{'a' * FORTY_KB}@example.com",
    f"amos@{'a.' * FORTY_KB}com",
    "@" * FORTY_KB,
]


@pytest.mark.parametrize("paste", [" {}", "{} ", "{}\r\n", "\xa0{}\u2003"])
def test_white_space_around_an_address_is_no_part_of_it(paste: str) -> None:
    """Other marks may be part of an address, and stay."""
    assert read_email(paste.format("amos@example.com"), pointer="").reveal() == "amos@example.com"
    assert read_email("'amos'@example.com", pointer="").reveal() == "'amos'@example.com"


@pytest.mark.parametrize("text", BAD_EMAILS)
def test_everything_else_is_the_callers_mistake(text: str) -> None:
    """A caller that says it verified an address has one; the error names place and kind, never the address."""
    with pytest.raises(BadQuestion) as refusal:
        read_email(text, pointer="/items/3/email")

    assert (refusal.value.pointer, refusal.value.code) == ("/items/3/email", "malformed_email")


def test_the_mistake_does_not_carry_the_address() -> None:
    """The exception has no cause that carries it either: that would end up in a log."""
    with pytest.raises(BadQuestion) as refusal:
        read_email(f"amos@{CANARY}.com", pointer="/email")

    assert CANARY not in "".join(traceback.format_exception(refusal.value))


def test_the_longest_address_is_254_characters() -> None:
    """In its ASCII form, which is longer than what was typed where the domain is not ASCII."""
    domain = ".".join(["a" * 61] * 3)
    longest = f"{'l' * (254 - len(domain) - 5)}@{domain}.com"

    assert (len(longest), email(longest)) == (254, longest)
    with pytest.raises(BadQuestion):
        email(f"l{longest}")


_domain = st.one_of(
    any_text,
    st.lists(st.text(st.characters(), max_size=8), max_size=4).map(".".join),
    st.sampled_from(["example.com", "b\u00fccher.example", "xn--bcher-kva.example"]),
)


@given(st.one_of(any_text, st.tuples(st.one_of(any_text, st.just("amos")), _domain).map("@".join)))
@example("amos@example.com.")
@example("amos@a\uff20b.com")
def test_no_text_makes_reading_an_address_fail(text: str) -> None:
    """Every text is the caller's mistake, or one plain address in ASCII, which reads as itself."""
    try:
        read = email(text)
    except BadQuestion:
        return

    assert read.count("@") == 1
    assert read.isascii()
    assert read.isprintable()
    assert " " not in read
    assert len(read) <= 254
    assert email(read) == read


# User ids


@pytest.mark.parametrize("number", [1, 1994, 2**53 - 1])
def test_a_user_id_is_a_number_that_json_can_carry(number: int) -> None:
    """Up to the largest that every program reads alike."""
    assert read_user_id(number, pointer="/user_id") == AssertedUser(PlayerId(number))


@pytest.mark.parametrize("number", [0, -1, -(2**63), 2**53, 2**63, 2**70])
def test_other_numbers_are_the_callers_mistake(number: int) -> None:
    """The error names place and kind."""
    with pytest.raises(BadQuestion) as refusal:
        read_user_id(number, pointer="/user_id")

    assert (refusal.value.pointer, refusal.value.code) == ("/user_id", "out_of_range")
