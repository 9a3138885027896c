"""The shapes of credentials: texts that could be one, and texts that could not."""

import base64
import json
import re
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from service.credentials import AROUND_A_PASTE, read_download_key, read_email, read_jwt
from service.ownership import AppJwt, DownloadKey, Malformed, Method, Reason

KEY = "dBDGsR2tPqvKbUvFFZ3n"
SIGNED = "eyJpZCI6MywiZXhwaXJlcyI6MTQzMDAwMH0=.1ZEr3kJc+Yx2bO5Qm0w9/A=="
ESCAPED = SIGNED.replace("=", "%3D").replace("/", "%2F").replace("+", "%2B")
FORTY_KB = 40 * 1024


def part(value: object) -> str:
    """Return a part of a JWT."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def raw_part(value: bytes) -> str:
    """Return a part of a JWT that holds these bytes."""
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


HEADER = part({"alg": "HS256", "typ": "JWT"})
CLAIMS = part({"sub": "1994", "exp": 1800000000})
SIGNATURE = "c2lnbmF0dXJl"
JWT = f"{HEADER}.{CLAIMS}.{SIGNATURE}"

any_text = st.text(st.characters())
"""Unlike plain `text()`, with lone surrogates."""


def what_became_of(read: DownloadKey | AppJwt | Malformed) -> str:
    """Return the text that was accepted, or the reason why not."""
    return str(read.reason) if isinstance(read, Malformed) else read.reveal()


# Download keys


@pytest.mark.parametrize(
    "text",
    ["a" * 8, "0123456789abcdefgh", KEY, "Z" * 40, "_-" * 32],
    ids=["shortest", "18", "20", "40", "longest"],
)
def test_a_key_is_taken_as_it_is(text: str) -> None:
    """All lengths that were seen, and room on both sides."""
    assert what_became_of(read_download_key(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        f"https://amos.itch.io/x-moon/download/{KEY}",
        f"http://amos.itch.io/x-moon/download/{KEY}",
        f"amos.itch.io/x-moon/download/{KEY}",
        f"https://amos.itch.io/x-moon/download/{KEY}/",
        f"https://amos.itch.io/x-moon/download/{KEY}?source=mail",
        f"https://amos.itch.io/x-moon/download/{KEY}#files",
        f"https://amos.itch.io/x-moon/download/{KEY}/?a=b#c",
        f"HTTPS://Amos.ITCH.IO/x-moon/download/{KEY}",
        f"https://a.b.itch.io/x-moon/download/{KEY}",
    ],
)
def test_a_key_may_come_in_its_download_url(text: str) -> None:
    """Players paste what the mail holds."""
    assert what_became_of(read_download_key(text)) == KEY


@pytest.mark.parametrize(
    "text",
    [
        ESCAPED,
        ESCAPED.lower(),
        SIGNED.replace("/", "_"),
        f"https://amos.itch.io/x-moon/download/{ESCAPED}",
        f"https://amos.itch.io/x-moon/download/{SIGNED.replace('/', '_')}?after=payment",
    ],
)
def test_a_temporary_link_is_named(text: str) -> None:
    """Free pages hand them out; two base64 parts and a dot stand where a key would."""
    assert what_became_of(read_download_key(text)) == "temporary_download_link"


@pytest.mark.parametrize(
    "text",
    [
        f"https://itch.io/bundle/download/{KEY}",
        f"itch.io/bundle/download/{KEY}/",
        "https://itch.io/bundle/download/anything-at-all",
        f"https://ITCH.io/bundle/download/{KEY}?game_id=3",
    ],
)
def test_a_bundle_link_is_named(text: str) -> None:
    """The link holds another kind of key."""
    assert what_became_of(read_download_key(text)) == "bundle_link"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a" * 7,
        "a" * 65,
        "a" * FORTY_KB,
        "/" * FORTY_KB,
        "." * FORTY_KB,
        "%41" * 20_000,
        f"{KEY[:9]} {KEY[9:]}",
        f"{KEY}\0",
        f"\0{KEY}",
        f"{KEY}\r\nX-Injected: 1",
        f"{KEY}%00",
        f"{KEY}%0d%0a",
        f"{KEY}&user_id=1",
        f"{KEY}?user_id=1",
        f"{KEY}/../../profile",
        "../../profile",
        "3/../../profile",
        KEY.replace("s", "\u0455"),  # CYRILLIC SMALL LETTER DZE
        KEY.replace("F", "\uff26"),  # FULLWIDTH LATIN CAPITAL LETTER F
        KEY.replace("3", "\u0663"),  # ARABIC-INDIC DIGIT THREE
        KEY.replace("s", "\u017f"),  # LATIN SMALL LETTER LONG S, which ignoring case turns into s
        KEY.replace("K", "\u212a"),  # KELVIN SIGN, likewise
        f"{KEY[:9]}\u200b{KEY[9:]}",
        f"{KEY[:4]}.{KEY[4:]}",
        f"{KEY}\ud800",
        f"({KEY})",
        f"{KEY}!",
        f"{KEY},{KEY}",
        "itch.io",
        "amos.name",
        "https://itch.io",
        "https://itch.io/",
        "https://amos.itch.io/x-moon",
        f"https://amos.itch.io/download/{KEY}",
        f"https://amos.itch.io/x-moon/download/{KEY}/{KEY}",
        f"https://amos.itch.io/x-moon/upload/{KEY}",
        "https://amos.itch.io/x-moon/download/",
        f"https://amos.itch.io/x-moon/download/{KEY}%00",
        f"https://amos.itch.io/x-moon/download/ {KEY}",
        f"https://itch.io/x-moon/download/{KEY}",
        f"https://bundle.itch.io/bundle/{KEY}",
        f"https://evil.example/x-moon/download/{KEY}",
        f"https://notitch.io/x-moon/download/{KEY}",
        f"https://amos.itch.io.evil.example/x-moon/download/{KEY}",
        f"https://amos.itch.io@evil.example/x-moon/download/{KEY}",
        f"https://user:password@amos.itch.io/x-moon/download/{KEY}",
        f"https://amos.itch.io:443/x-moon/download/{KEY}",
        f"https://\u0430mos.\u0456tch.io/x-moon/download/{KEY}",
        f"https://amos.\u0131tch.io/x-moon/download/{KEY}",
        f"ftp://amos.itch.io/x-moon/download/{KEY}",
        f"javascript://amos.itch.io/x-moon/download/{KEY}",
        f"https://amos.itch.io/x-moon/download/{KEY}?{'a' * 2048}",
        f"https://{'a.' * 1000}itch.io/{'b/' * 1000}",
        JWT,
    ],
)
def test_everything_else_is_a_malformed_key(text: str) -> None:
    """A text is not repaired: a key that needs that is not the key that was sold."""
    read = read_download_key(text)

    assert read == Malformed(Method.DOWNLOAD_KEY, Reason.MALFORMED_DOWNLOAD_KEY)


_piece = st.one_of(
    any_text,
    st.sampled_from(
        [
            "https://",
            "itch.io",
            "amos.itch.io",
            "/",
            "/bundle/download/",
            "/x/download/",
            KEY,
            SIGNED,
            "?",
            "#",
            "%2e",
            ".",
        ]
    ),
)


@given(st.one_of(any_text, st.lists(_piece, max_size=8).map("".join)))
@example(f"https://amos.itch.io/x-moon/download/{KEY}")
def test_no_text_makes_reading_a_key_fail(text: str) -> None:
    """An accepted key is made of a key's characters and stands in the text as it is."""
    read = read_download_key(text)

    if isinstance(read, DownloadKey):
        assert re.fullmatch(r"[A-Za-z0-9_-]{8,64}", read.reveal())
        assert read.reveal() in text
    else:
        assert read.method is Method.DOWNLOAD_KEY


# As they are pasted

PASTES = [
    "{} ",
    " {}",
    "{}\n",
    "\r\n\t{}\r\n",
    "{}.",
    '"{}"',
    "'{}'",
    "`{}`",
    "```\n{}\n```",
    "<{}>",
    "\u201c{}\u201d.",
    "\xab\xa0{}\xa0\xbb",
    "\ufeff{}",
    "{}\u200b",
    "\u2066{}\u2069",
    ' "<{}>." ',
]


@pytest.mark.parametrize("paste", PASTES)
def test_marks_around_a_paste_are_no_part_of_it(paste: str) -> None:
    """Chats, mails and shells leave quotes, brackets, stops and marks that cannot be seen."""
    url = f"https://amos.itch.io/x-moon/download/{KEY}"

    assert what_became_of(read_download_key(paste.format(KEY))) == KEY
    assert what_became_of(read_download_key(paste.format(url))) == KEY
    assert what_became_of(read_jwt(paste.format(JWT))) == JWT


def test_refusals_are_named_past_the_marks_around_them() -> None:
    """A personal API key in quotes is still one, and so is each link that holds no key."""
    assert what_became_of(read_jwt(f'"{KEY}"')) == "api_key_not_accepted"
    assert what_became_of(read_download_key(f"<https://itch.io/bundle/download/{KEY}>")) == "bundle_link"
    assert what_became_of(read_download_key(f"`{ESCAPED}`")) == "temporary_download_link"


@pytest.mark.parametrize("text", ["", " ", '""', "<>", "...", "\u200b"])
def test_marks_alone_are_nothing(text: str) -> None:
    """A paste of nothing is no credential of either kind."""
    assert what_became_of(read_download_key(text)) == "malformed_download_key"
    assert what_became_of(read_jwt(text)) == "malformed_jwt"


def test_all_white_space_counts_as_around_a_paste() -> None:
    """Unicode has 29 kinds of white space; all are taken off."""
    assert {char for char in map(chr, range(0x110000)) if char.isspace()} <= set(AROUND_A_PASTE)


def test_marks_around_a_paste_cannot_be_part_of_a_key() -> None:
    """Otherwise a good key would be cut."""
    assert not re.search(r"[A-Za-z0-9_-]", AROUND_A_PASTE)
    assert len(set(AROUND_A_PASTE)) == len(AROUND_A_PASTE)


# JWTs


def test_a_jwt_is_taken_as_it_is() -> None:
    """No byte is changed: the store signed them."""
    assert what_became_of(read_jwt(JWT)) == JWT


def test_claims_nobody_knows_do_not_matter() -> None:
    """itch.io documents none of them."""
    text = f"{HEADER}.{part({'itch': [1, None, {'a': 1.5}]})}.{SIGNATURE}"

    assert what_became_of(read_jwt(text)) == text


@pytest.mark.parametrize("text", ["a" * 8, KEY, "Z" * 40, "a" * FORTY_KB])
def test_a_personal_api_key_is_named(text: str) -> None:
    """A personal API key has no dots, is all-powerful over its owner's account, and goes no further."""
    assert read_jwt(text) == Malformed(Method.JWT, Reason.API_KEY_NOT_ACCEPTED)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        ".",
        "..",
        "...",
        f"{HEADER}.{CLAIMS}",
        f"{JWT}.{SIGNATURE}",
        f"{HEADER}.{CLAIMS}.",
        f".{CLAIMS}.{SIGNATURE}",
        f"{HEADER}..{SIGNATURE}",
        f"{JWT}=",
        f"{HEADER}. {CLAIMS}.{SIGNATURE}",
        f"{JWT}\0",
        f"{JWT}\r\nX-Injected: 1",
        f"Bearer {JWT}",
        JWT.replace("c", "\u0441"),
        f"{HEADER}.{CLAIMS}.a+b/c",
        f"{HEADER}.{CLAIMS}.{SIGNATURE}\ud800",
        f"a.{CLAIMS}.{SIGNATURE}",
        f"{HEADER}.a.{SIGNATURE}",
        f"{raw_part(b'not json')}.{CLAIMS}.{SIGNATURE}",
        f"{HEADER}.{part({})}.{SIGNATURE}",
        f"{HEADER}.{part([1])}.{SIGNATURE}",
        f"{HEADER}.{part('sub')}.{SIGNATURE}",
        f"{HEADER}.{part(None)}.{SIGNATURE}",
        f"{HEADER}.{part({'a': 'b' * 4096})}.{SIGNATURE}",
        f"{HEADER}.{CLAIMS}.{'a' * 8192}",
        f"{HEADER}.{'a' * FORTY_KB}.{SIGNATURE}",
        "a." * FORTY_KB,
        "." * FORTY_KB,
    ],
)
def test_what_has_not_the_shape_of_a_jwt_is_malformed(text: str) -> None:
    assert read_jwt(text) == Malformed(Method.JWT, Reason.MALFORMED_JWT)


@pytest.mark.parametrize(
    "claims",
    [
        b"not json",
        b"\xff\xfe",
        b'{"a": "\xff"}',
        b"{} {}",
        b'\xef\xbb\xbf{"a": 1}',
        b'{"exp": NaN}',
        b'{"exp": 1e999}',
        b"[" * 4000,
        b'{"a":' * 800,
        b'{"a":' * 800 + b"1" + b"}" * 800,
    ],
)
def test_claims_that_cannot_be_read_are_malformed(claims: bytes) -> None:
    """Neither deep nesting nor odd bytes make reading fail."""
    assert read_jwt(f"{HEADER}.{raw_part(claims)}.{SIGNATURE}") == Malformed(Method.JWT, Reason.MALFORMED_JWT)


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "nOnE"},
        {"alg": ""},
        {"alg": None},
        {"alg": ["HS256"]},
        {"alg": "hs256"},
        {"alg": "HS512"},
        {"alg": "RS256"},
        {"alg": "ES256"},
        {"alg": "EdDSA"},
        {"typ": "JWT"},
        {"ALG": "HS256"},
        {},
        [],
        "HS256",
    ],
)
def test_only_the_stores_algorithm_is_worth_asking_about(header: object) -> None:
    """Above all not `none`."""
    assert read_jwt(f"{part(header)}.{CLAIMS}.{SIGNATURE}") == Malformed(Method.JWT, Reason.MALFORMED_JWT)


def test_a_jwt_of_fifty_megabytes_is_turned_away_unread() -> None:
    """Decoding one would stop all other callers for seconds."""
    assert read_jwt(f"{HEADER}.{'A' * 50_000_000}.{SIGNATURE}") == Malformed(Method.JWT, Reason.MALFORMED_JWT)


def test_the_longest_jwt_is_eight_kibibytes() -> None:
    """To the byte."""
    longest = JWT + "a" * (8192 - len(JWT))

    assert (what_became_of(read_jwt(longest)), what_became_of(read_jwt(longest + "a"))) == (longest, "malformed_jwt")


def test_the_largest_claims_are_four_kibibytes() -> None:
    """To the byte."""

    def with_claims_of(size: int) -> str:
        claims = b'{"a":"' + b"b" * (size - 8) + b'"}'
        return f"{HEADER}.{raw_part(claims)}.{SIGNATURE}"

    fitting = with_claims_of(4096)

    assert what_became_of(read_jwt(fitting)) == fitting
    assert what_became_of(read_jwt(with_claims_of(4097))) == "malformed_jwt"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)
_any_part = st.one_of(
    st.binary(max_size=100).map(raw_part), _json.map(part), st.just(HEADER), st.just(CLAIMS), st.text(max_size=20)
)


@given(st.one_of(any_text, st.lists(_any_part, max_size=5).map(".".join), _any_part.map(lambda p: f"{HEADER}.{p}.{p}")))
def test_no_text_makes_reading_a_jwt_fail(text: str) -> None:
    """An accepted JWT is the text itself, without marks around it: three parts of base64url, at most 8 KiB."""
    read = read_jwt(text)

    if isinstance(read, AppJwt):
        assert read.reveal() == text.strip(AROUND_A_PASTE)
        assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", read.reveal(), re.ASCII)
    else:
        assert read.method is Method.JWT


# All of them


@pytest.mark.parametrize(
    ("read", "text"),
    [(read_download_key, KEY), (read_jwt, JWT), (lambda text: read_email(text, pointer=""), "amos@example.com")],
)
def test_what_was_read_is_a_secret(read: Callable[[str], object], text: str) -> None:
    """A credential cannot be printed from here on."""
    assert text not in repr(read(text))
