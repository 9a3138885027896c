"""The only words that a record may hold: what a store says is shown as far as it is made of these.

A list of what may be shown fails safe: a new kind of name, key or address is not on it.
"""

import re
from typing import Final

_LISTED: Final = """
a access account accounts active admin alg already amount an analytics and android any api app application
applications apps archived are as at aud authentication author authorization avatar bad balance banned base64 be
because been before below bool boolean build builds bundle bundles but buyer by bytes can cannot category cents
channel channels charset claim claimed claims classification client code collection comic common complete completed
content count country cover create created creator credential credentials currency daily data date day default
deleted demo denied description details developer digits disabled display does domain donation download downloadable
downloads due duplicate earnings edition email embed empty enabled end endpoint error errors exceeded exists exp
expected expired expires failed false file filename files first following for forbidden form format formatted found
free from game gamer games gateway gift given granted group has have header hidden hs256 html iat id identifier ids
image in info input int integer internal invalid ip is iss issue issuer it itch item items javascript json jti jwt
key keys kid kind known language last latest launch left length level limit linux list long many market max maximum
me message metadata method min minimum missing mod mode must my name nbf nil no nonce none not null number numbers
oauth object of offset old on only open options or order osx other out owned owner owners ownership owns p page
pages param parameter parameters payment pending per permission permissions permit physical plain platform platforms
play please position press price pricing private profile profiles public published purchase purchased purchases rate
rating read reason received recently redeem redirect refresh refunded refused request requests required resource
response restricted result results retry revoked reward rewards role sale sales scope scopes second seconds secret
seller server session setting settings share short should sig signature size slug soft source state status still
string stripe sub subject suspended tags tax team temporary text that the there this time timestamp title to token
tokens too total traits true try tv typ type types unauthorized unavailable unknown unsupported until update updated
upload uploads uri url used user userid username users utf utf8 value values verified version versions via view
views visible was web wharf windows with work wrong xml year you your zone
"""

WORDS: Final = frozenset(_LISTED.split())
"""None of them is a name."""

_PARTS: Final = re.compile(r"[_:]")
_AROUND: Final = "`'\"()[].,;!?"
"""Marks that may stand around a word and stay. Inside a word none may: with `@`, `.`, `-` and `/` words make addresses
and names."""

_LONGEST_NAME: Final = 64
_LONGEST_TEXT: Final = 400
_MEDIA_TYPE: Final = re.compile(
    r"(?P<type>[a-z]+)/(?P<subtype>[a-z]+)(?:; ?charset=(?P<charset>[a-z0-9-]+))?", re.ASCII
)


def shown_name(name: str) -> str:
    """Return the name of a field, or its length where a part of it is none of our words."""
    if len(name) <= _LONGEST_NAME and all(part in WORDS for part in _PARTS.split(name)):
        return name
    return hidden(name)


def shown_text(text: str) -> str:
    """Return an error string: word for word where it is one of ours, or parts of a scope are; else their lengths."""
    chunks = [_shown_chunk(chunk) for chunk in text[:_LONGEST_TEXT].split()]
    return " ".join(chunks) + (f" … {len(text)} characters" if len(text) > _LONGEST_TEXT else "")


def shown_media_type(text: str) -> str:
    """Return the type of a body, or its length where it is not made of our words."""
    match = _MEDIA_TYPE.fullmatch(text.lower())
    if match is None or not all(part is None or part.replace("-", "") in WORDS for part in match.groups()):
        return hidden(text)
    return text.lower()


def hidden(text: str) -> str:
    """Return what stands in the place of a text that is not shown."""
    return f"<{len(text)} characters>"


def _shown_chunk(chunk: str) -> str:
    word = chunk.strip(_AROUND).rstrip(":")
    if word and not all(part.lower() in WORDS for part in _PARTS.split(word)):
        return hidden(chunk)
    return chunk
