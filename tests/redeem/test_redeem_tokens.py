"""Redeem tokens: what itch.io has signed lately counts, and nothing else does."""

import json
from datetime import timedelta
from typing import Final

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from service.redeem.redeem_reason import RedeemReason
from service.redeem.redeem_tokens import Redeemed, read_redeem_token
from service.secret import RedeemSecret
from tests.clock import START
from tests.redeem.forging import CLAIMS, HEADER, NEXT_SECRET, NOW, SECRET, b64, signed, token

REFUSED: Final = RedeemReason.REFUSED_REDEEM_JWT
MALFORMED: Final = RedeemReason.MALFORMED_REDEEM_JWT
EXPIRED: Final = RedeemReason.EXPIRED_REDEEM_JWT
DAY: Final = 86_400


def read(text: str, *secrets: str, after: timedelta = timedelta()) -> Redeemed | RedeemReason:
    """Return what a token says, `after` that time."""
    return read_redeem_token(text, [RedeemSecret(one) for one in secrets or (SECRET,)], now=START + after)


def test_a_token_says_what_was_bought() -> None:
    """All that itch.io has documented, by the library that others sign with."""
    claims = CLAIMS | {"external_id": "map-pack", "metadata": {"account": "7f3a", "n": [1, {"a": None}]}}
    text = jwt.encode(claims, NEXT_SECRET, algorithm="HS256")

    assert read(text, NEXT_SECRET) == Redeemed(**claims)


@pytest.mark.parametrize(
    "text",
    [
        token(),
        f' "{token()}"\n',
        token(header={"alg": "HS256"}),
        token(header={"typ": "jwt", "alg": "HS256", "kid": "1"}),
        token(external_id=None, metadata=None),
        token(metadata={}),
        token(metadata={"a": "b" * 1016}),
        token(iat=NOW + 0.5, exp=NOW + 600.25),
        token(iat=NOW + 30, exp=NOW + 3630),
        token(iat=NOW - 640, exp=NOW - 29),
        token(nbf=NOW),
        token(purchase_id=2**53 - 1, something_new="x"),
    ],
)
def test_good_tokens(text: str) -> None:
    """They count, as far as the two clocks may differ."""
    assert isinstance(read(text), Redeemed)


def test_both_secrets_count_while_one_takes_the_place_of_the_other() -> None:
    """And neither does once it is gone."""
    old, new = token(SECRET), token(NEXT_SECRET)

    assert [isinstance(read(one, SECRET, NEXT_SECRET), Redeemed) for one in (old, new)] == [True, True]
    assert [read(old, NEXT_SECRET), read(new, SECRET), read(old)] == [REFUSED, REFUSED, Redeemed(**CLAIMS)]


def test_an_end() -> None:
    """It has ended 30 seconds after its `exp`; before that it is good as often as it is shown."""
    assert read(token(), after=timedelta(seconds=639)) == read(token()) == Redeemed(**CLAIMS)
    assert read(token(), after=timedelta(seconds=640)) is EXPIRED


_PLAIN: Final = token()
_BEGIN, _, _SIGNATURE = _PLAIN.rpartition(".")
_HEAD, _, _BODY = _BEGIN.partition(".")
_NONE, _SHORT, _TEXT = b64(b'{"alg":"none"}'), b64(b'{"alg":"HS256"}'), b64(b'"HS256"')
_TWICE: Final = json.dumps(CLAIMS)
_RSA: Final = jwt.encode(CLAIMS, rsa.generate_private_key(public_exponent=65537, key_size=2048), algorithm="RS256")

FORGED: Final[list[tuple[str, RedeemReason]]] = [
    # no signature, or another's
    (f"{_NONE}.{_BODY}.", MALFORMED),
    (f"{_NONE}.{_BODY}.AA", REFUSED),
    (f"{_BEGIN}.", MALFORMED),
    (_BEGIN, MALFORMED),
    (f"{_BEGIN}.AA", REFUSED),
    (f"{_BEGIN}.{_SIGNATURE[:-1]}", REFUSED),
    (f"{_BEGIN}.{_SIGNATURE}A", REFUSED),
    (f"{_BEGIN}.{_SIGNATURE[::-1]}", REFUSED),
    (token("the-redeem-secret-of-sun-garden"), REFUSED),
    (token(""), REFUSED),
    (token(SECRET.upper()), REFUSED),
    # another algorithm
    (_RSA, REFUSED),
    (token(header={"alg": "none"}), REFUSED),
    (token(header={"alg": "hs256"}), REFUSED),
    (token(header={"alg": "RS256"}), REFUSED),
    (signed({"alg": "HS512"}, CLAIMS, digest="sha512"), REFUSED),
    (signed(HEADER, CLAIMS, digest="sha512"), REFUSED),
    (token(header={"alg": ["HS256"]}), REFUSED),
    (token(header={"typ": "JWT"}), REFUSED),
    # headers that change the reading
    (token(header={**HEADER, "crit": ["exp"]}), REFUSED),
    (token(header={**HEADER, "b64": False}), REFUSED),
    (token(header={**HEADER, "zip": "DEF"}), REFUSED),
    (token(header={**HEADER, "cty": "JWT"}), REFUSED),
    (token(header={**HEADER, "typ": "ownership-pass+jwt"}), REFUSED),
    (token(header={**HEADER, "typ": None}), REFUSED),
    # a part of another token
    (f"{_HEAD}.{b64(json.dumps(CLAIMS | {'purchase_id': 99}).encode())}.{_SIGNATURE}", REFUSED),
    (f"{_HEAD}.{_BODY}{b64(b'x')}.{_SIGNATURE}", MALFORMED),
    (f"{_SHORT}.{_BODY}.{_SIGNATURE}", REFUSED),
    # claims that are there twice
    (signed(HEADER, _TWICE[:-1] + ', "purchase_id": 99}'), REFUSED),
    (signed(HEADER, _TWICE[:-1] + f', "exp": {NOW + 9999}}}'), REFUSED),
    (signed(HEADER, _TWICE[:-1] + ', "metadata": {"a": 1, "a": 2}}'), REFUSED),
    # times
    (token(exp=NOW - 31, iat=NOW - 600), EXPIRED),
    (token(exp=NOW - DAY + 600, iat=NOW - DAY), EXPIRED),
    (token(exp=NOW + 3601), REFUSED),
    (token(exp=NOW + 600, iat=NOW - DAY), REFUSED),
    (token(iat=NOW + 31), REFUSED),
    (token(iat=NOW + DAY, exp=NOW + DAY + 600), REFUSED),
    (token(nbf=NOW + 31), REFUSED),
    (token(iat=NOW, exp=NOW), REFUSED),
    (token(iat=NOW, exp=NOW - 1), REFUSED),
    (token(exp=str(NOW + 600)), REFUSED),
    (token(exp=True), REFUSED),
    (token(exp=10**20), REFUSED),
    (token(exp=-1, iat=-600), REFUSED),
    (signed(HEADER, json.dumps(CLAIMS).replace(str(NOW + 610), "NaN")), MALFORMED),
    (signed(HEADER, json.dumps(CLAIMS).replace(str(NOW + 610), "1e999")), MALFORMED),
    # claims that are missing, or of another type
    *((token(without=name), REFUSED) for name in CLAIMS),
    *((token(purchase_id=wrong), REFUSED) for wrong in ("100", 100.5, 0, -1, 2**53, True, None, [100])),
    (token(sub_product_id="101"), REFUSED),
    (token(external_id=5), REFUSED),
    (token(external_id="x" * 1025), REFUSED),
    (token(metadata=[1]), REFUSED),
    (token(metadata="{}"), REFUSED),
    (token(metadata={"a": "b" * 1017}), REFUSED),
    # no token at all
    ("", MALFORMED),
    ("a.b.c", MALFORMED),
    (f"{_PLAIN}.{_PLAIN}", MALFORMED),
    (f"{_HEAD}.{b64(b'[1]')}.{_SIGNATURE}", MALFORMED),
    (f"{_TEXT}.{_BODY}.{_SIGNATURE}", MALFORMED),
    (f"{_HEAD}.{b64(bytes([0xFF, 0xFE]))}.{_SIGNATURE}", MALFORMED),
    (signed(HEADER, "[" * 3000), MALFORMED),
    (token(padding="x" * 8000), MALFORMED),
    (token(padding="x" * 1_000_000), MALFORMED),
    (_PLAIN.replace(".", ".\n"), MALFORMED),
    (_PLAIN + "=", MALFORMED),
]


def test_the_corpus_is_of_size() -> None:
    """Sixty at least."""
    assert len({text for text, _ in FORGED}) >= 60


@pytest.mark.parametrize(("text", "reason"), FORGED, ids=range(len(FORGED)))
def test_forged_tokens(text: str, reason: RedeemReason) -> None:
    """None is accepted, by any secret, and each is refused for what it is."""
    assert read(text) is reason
    assert not isinstance(read(text, SECRET, NEXT_SECRET), Redeemed)


def test_metadata_of_any_depth() -> None:
    """It is refused, and none is a bug: the readers that see it one after the other give up at different depths."""
    found = {
        read(signed(HEADER, json.dumps(CLAIMS)[:-1] + f', "metadata": {{"a": {"[" * depth + "]" * depth}}}}}'))
        for depth in range(600, 1100)
    }

    assert found <= {REFUSED, MALFORMED}
