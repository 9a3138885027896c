"""From a player's text to a credential: by its shape alone, before any request.

Nothing here says whether a credential is true; only that it could be one. Text is taken as people paste it:
`AROUND_A_PASTE` is no part of it, and an address loses white space. Inside, nothing is repaired or normalised: download
keys are case-sensitive, and a key that needs repair is not the key that was sold.
"""

import re
from typing import Final
from urllib.parse import unquote

import idna

from service.errors import BadQuestion
from service.ownership import (
    LARGEST_ID,
    AccessToken,
    AppJwt,
    AssertedUser,
    DownloadKey,
    Malformed,
    Method,
    PlayerId,
    Reason,
    VerifiedEmail,
)
from service.signed_token import unverified_object

AROUND_A_PASTE: Final = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
    "\xad\u180e\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2061\u2062\u2063\u2064\u2066\u2067"
    "\u2068\u2069\ufeff"
    "\"'`<>.\xab\xbb\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u2039\u203a"
)
"""Marks around a pasted key, URL, JWT or id, none of which can begin or end with one of them.

White space; marks that take no space; then quotes, back-ticks, `<` and `>`, and the full stop of a sentence.
"""

_KEY: Final = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)
"""Keys of 18, 20 and 40 letters, digits, `_` and `-` have been seen; the bounds leave room on both sides."""

_LONGEST_URL: Final = 2048
_URL: Final = re.compile(
    r"(?:https?://)?(?P<host>[a-z0-9-]+(?:\.[a-z0-9-]+)*)/(?P<path>[^?#\s]*)(?:[?#][^\s]*)?", re.ASCII | re.IGNORECASE
)
_SIGNED: Final = re.compile(r"[A-Za-z0-9_+/=-]{8,}\.[A-Za-z0-9_+/=-]{8,}", re.ASCII)
"""The temporary links of free pages carry two base64 parts joined by a dot where a key would be; `itch.io` is none."""

_LONGEST_JWT: Final = 8 * 1024
_LARGEST_JWT_PART: Final = 4 * 1024
_JWT_PART: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_ACCESS_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{16,256}", re.ASCII)
_API_KEY: Final = re.compile(r"[A-Za-z0-9_-]{8,}", re.ASCII)

PASS_TYPE: Final = "ownership-pass+jwt"  # noqa: S105 - a type, no secret
"""The `typ` of passes (RFC 8725 3.11): no other token that is signed by RSA can be taken for one."""

_LONGEST_PASS: Final = 2048
"""Characters. One with all claims has some 1200, with the largest key some 1550."""
_PASS: Final = re.compile(r"(?:[A-Za-z0-9_-]+\.){2}[A-Za-z0-9_-]+", re.ASCII)

_LONGEST_EMAIL: Final = 254
"""RFC 5321 4.5.3.1.3 allows a path of 256 octets, two of which are the angle brackets."""
_LONGEST_LOCAL_PART: Final = 64
_LOCAL_PART: Final = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*", re.ASCII)
"""RFC 5322 3.2.3, dot-atom: the quoted form is legal, unused, and a well-known way to confuse parsers."""
_ENCODED_WORD: Final = re.compile(r"=\?.*\?=")
"""RFC 2047 2: what writes and reads mails may decode it, into line breaks and further addresses, too."""


def unwrapped(text: str) -> str:
    """Return a pasted key, URL, JWT or id without what people copy around it."""
    return text.strip(AROUND_A_PASTE)


def read_download_key(text: str) -> DownloadKey | Malformed:
    """Accept a key, or the download URL that it is part of; name the links that look like one and are not."""
    # Nearly all are clean, and pay for nothing else.
    if _KEY.fullmatch(text) or _KEY.fullmatch(text := unwrapped(text)):
        return DownloadKey(text)
    if len(text) > _LONGEST_URL:
        return _no_key(Reason.MALFORMED_DOWNLOAD_KEY)
    if "/" not in text and _SIGNED.fullmatch(unquote(text)):
        return _no_key(Reason.TEMPORARY_DOWNLOAD_LINK)
    url = _URL.fullmatch(text)
    if url is None:
        return _no_key(Reason.MALFORMED_DOWNLOAD_KEY)
    host = url["host"].lower()
    if host != "itch.io" and not host.endswith(".itch.io"):
        return _no_key(Reason.MALFORMED_DOWNLOAD_KEY)
    return _read_path(host, url["path"].removesuffix("/").split("/"))


def read_jwt(text: str) -> AppJwt | Malformed:
    """Accept three base64url parts of which the first names HS256 and the second holds claims.

    A value without dots is a personal API key, all-powerful over its owner's account: it goes no further.
    """
    text = unwrapped(text)
    if _API_KEY.fullmatch(text):
        return Malformed(Method.JWT, Reason.API_KEY_NOT_ACCEPTED)
    if len(text) > _LONGEST_JWT:
        return _no_jwt()
    parts = text.split(".")
    if len(parts) != 3 or not all(_JWT_PART.fullmatch(part) for part in parts):  # noqa: PLR2004 - RFC 7515 3.1
        return _no_jwt()
    header, claims = _json_object(parts[0]), _json_object(parts[1])
    # The store signs with HS256 and nothing else; another algorithm, `none` above all, is not even worth asking about.
    if header is None or header.get("alg") != "HS256" or not claims:
        return _no_jwt()
    return AppJwt(text)


def read_access_token(text: str) -> AccessToken | Malformed:
    """Accept what can be an OAuth access token of itch.io: 16 to 256 letters, digits, `_` and `-`.

    The API key of a person looks the same: it is sent to itch.io alone, which refuses it where no application has it.
    """
    text = unwrapped(text)
    if not _ACCESS_TOKEN.fullmatch(text):
        return Malformed(Method.ACCESS_TOKEN, Reason.MALFORMED_ACCESS_TOKEN)
    return AccessToken(text)


def is_pass(text: str) -> bool:
    """Whether a token says of itself that it is a pass; no JWT of the itch.io app does."""
    header = _json_object(text[:_LONGEST_JWT].partition(".")[0])
    return header is not None and header.get("typ") == PASS_TYPE


def can_be_pass(text: str) -> bool:
    """Whether a text has the form of a pass, as far as that is told without its keys."""
    return len(text) <= _LONGEST_PASS and _PASS.fullmatch(text) is not None


def read_email(text: str, *, pointer: str) -> VerifiedEmail:
    """Accept one plain address; the domain is put into its ASCII lower-case form (RFC 5891), the rest kept.

    White space around it is no part of it; all other marks may be.

    Raises `BadQuestion`: the caller verified the address, so a malformed one is the caller's mistake.
    """
    text = text.strip()
    local, at, domain = text.rpartition("@")
    if not at or len(text) > _LONGEST_EMAIL or len(local) > _LONGEST_LOCAL_PART or not _LOCAL_PART.fullmatch(local):
        raise _bad_email(pointer)
    if _ENCODED_WORD.search(local) is not None:
        raise _bad_email(pointer)
    try:
        ascii_domain = idna.encode(domain, uts46=True).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise _bad_email(pointer) from None  # its text would carry the address
    # Both `a@b` and, with the root's dot, `a@b.` and `a@b.c.` are names that no mail is addressed to.
    if "." not in ascii_domain or ascii_domain.endswith(".") or len(local) + 1 + len(ascii_domain) > _LONGEST_EMAIL:
        raise _bad_email(pointer)
    return VerifiedEmail(f"{local}@{ascii_domain}")


def read_user_id(number: int, *, pointer: str) -> AssertedUser:
    """Accept an itch.io user id. Raises `BadQuestion`: ids are asserted by the caller, not by the player."""
    if not 1 <= number <= LARGEST_ID:
        raise BadQuestion(pointer, "out_of_range", f"an itch.io user id is a number from 1 to {LARGEST_ID}")
    return AssertedUser(PlayerId(number))


def _read_path(host: str, path: list[str]) -> DownloadKey | Malformed:
    match path:
        case ["bundle", "download", _] if host == "itch.io":
            return _no_key(Reason.BUNDLE_LINK)
        case [_, "download", last] if host != "itch.io":
            if _KEY.fullmatch(last):
                return DownloadKey(last)
            if _SIGNED.fullmatch(unquote(last)):
                return _no_key(Reason.TEMPORARY_DOWNLOAD_LINK)
    return _no_key(Reason.MALFORMED_DOWNLOAD_KEY)


def _json_object(part: str) -> dict[str, object] | None:
    return unverified_object(part, largest=_LARGEST_JWT_PART)


def _no_key(reason: Reason) -> Malformed:
    return Malformed(Method.DOWNLOAD_KEY, reason)


def _no_jwt() -> Malformed:
    return Malformed(Method.JWT, Reason.MALFORMED_JWT)


def _bad_email(pointer: str) -> BadQuestion:
    return BadQuestion(pointer, "malformed_email", "expected one address such as player@example.com")
