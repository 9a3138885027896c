"""The claims of a JWT that is not verified."""

import base64
import json
import sys
from datetime import UTC, datetime
from typing import Any, Final

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.credentials import read_jwt
from service.itch.unverified_jwt import UnverifiedClaims, peek
from service.ownership import AppJwt


def token_with(claims: object, header: object | None = None) -> str:
    """Return a token with exactly this JSON in it, and a made-up signature."""
    return raw_token(json.dumps(claims), json.dumps({"alg": "HS256", "typ": "JWT"} if header is None else header))


def raw_token(claims: str, header: str = '{"alg":"HS256"}') -> str:
    """Return a token with exactly this text in it."""
    return ".".join([_part(header), _part(claims), "c2lnbmF0dXJl"])


def _part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def claims_of(claims: object, header: object | None = None) -> UnverifiedClaims:
    """Return the claims of a token with this JSON."""
    token = read_jwt(token_with(claims, header))
    assert isinstance(token, AppJwt)
    return peek(token)


def test_the_known_claims() -> None:
    """A token's expiry, user and game are read."""
    claims = {"sub": "1994", "user_id": 1994, "exp": 1_800_000_000, "game_id": "3", "scope": "profile:me"}

    assert claims_of(claims) == UnverifiedClaims(datetime(2027, 1, 15, 8, tzinfo=UTC), frozenset({1994}), 3)


def test_claims_that_are_not_there_restrict_nothing() -> None:
    """A token without known claims restricts nothing: itch.io does not document its claims."""
    assert claims_of({"x": 1}) == UnverifiedClaims()


def test_two_users_are_both_reported() -> None:
    """Two different user ids are both kept, so that neither passes for the only one."""
    assert claims_of({"sub": 1, "user_id": 2}).user_ids == {1, 2}


@pytest.mark.parametrize("name", ["amos", "", "-5", "1994.0", " 1994", "auth0|1994", "\u0661"])
def test_a_subject_may_be_a_name_of_its_issuers(name: str) -> None:
    """A `sub` that is a name only its issuer understands cannot be compared with a user id."""
    assert claims_of({"sub": name}) == UnverifiedClaims()


@pytest.mark.parametrize("claim", ["sub", "user_id", "game_id", "exp"])
def test_a_claim_of_nothing_restricts_nothing(claim: str) -> None:
    """A claim of null is as good as absent."""
    assert claims_of({claim: None, "x": 1}) == UnverifiedClaims()


ODD: Final[tuple[object, ...]] = (
    1995.0,
    1e300,
    True,
    False,
    0,
    -1,
    2**53,
    2**70,
    [],
    ["1995"],
    [1995],
    {},
    {"id": 1995},
    "1" * 17,
    "0",
)


@pytest.mark.parametrize("claim", ["sub", "user_id", "game_id"])
@pytest.mark.parametrize("value", ODD, ids=repr)
def test_a_claim_that_restricts_and_makes_no_sense(claim: str, value: object) -> None:
    """A user or game that cannot be understood makes the whole token unreadable."""
    assert claims_of({claim: value}) == UnverifiedClaims(unreadable=True)


@pytest.mark.parametrize("claim", ["user_id", "game_id"])
@pytest.mark.parametrize("value", ["amos", "", "1995.0", "-5", " 1995", "\u0661"])
def test_only_a_subject_may_be_a_name(claim: str, value: str) -> None:
    """Ids of itch.io are numbers, or strings of digits."""
    assert claims_of({claim: value}) == UnverifiedClaims(unreadable=True)


@pytest.mark.parametrize("claim", ["sub", "user_id", "game_id", "exp"])
@pytest.mark.parametrize("digits", [17, 400, 5000])
def test_a_number_of_any_length_is_read_without_harm(claim: str, digits: int) -> None:
    """Python itself refuses to read the longest."""
    for number in ("9" * digits, f'"{"9" * digits}"'):
        assert peek(AppJwt(raw_token(f'{{"{claim}":{number}}}'))).unreadable


@pytest.mark.parametrize("expires", [0, 1, 1.5, 1_800_000_000, 253_402_300_799, 253_402_300_799.0, 0.0, -0.0])
def test_an_expiry_within_the_calendar(expires: float) -> None:
    """Whole seconds or parts of them (RFC 7519 2, NumericDate)."""
    read = claims_of({"exp": expires})

    assert read.expires_at == datetime.fromtimestamp(expires, UTC)
    assert not read.unreadable


@pytest.mark.parametrize(
    "expires", [-1, -0.1, 253_402_300_800, 253_402_300_799.5, 2**63, 1e300, True, False, "1800000000", [], {}]
)
def test_an_expiry_that_makes_no_sense(expires: object) -> None:
    """The claim is there, so it is not ignored: no answer may rest on such a token."""
    assert claims_of({"exp": expires}) == UnverifiedClaims(unreadable=True)


@pytest.mark.parametrize("expires", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_an_expiry_that_is_no_json_number(expires: str) -> None:
    """A token of that shape is refused earlier already; here it must do no harm either."""
    assert peek(AppJwt(raw_token('{"exp":' + expires + "}"))).unreadable


@pytest.mark.parametrize("extra", [{"kid": 5}, {"crit": ["x"]}, {"b64": False}])
def test_a_header_that_the_library_refuses(extra: dict[str, object]) -> None:
    """A token whose header the JWT library refuses is unreadable."""
    assert claims_of({"sub": "1994"}, {"alg": "HS256", **extra}) == UnverifiedClaims(unreadable=True)


@pytest.mark.parametrize("text", ["", "a", "a.b", "a.b.c", "....", "e30.W10.x", "e30.e30.x", "\u00e9.e30.x"])
def test_what_is_no_token_is_unreadable(text: str) -> None:
    """The shape is checked before; without that check nothing is raised either."""
    assert peek(AppJwt(text)).unreadable


def test_claims_nested_without_end() -> None:
    """A token that is nested just deep enough for the check of its shape must not be too deep here."""

    def from_the_depths(token: AppJwt, frames: int) -> UnverifiedClaims:
        return peek(token) if frames == 0 else from_the_depths(token, frames - 1)

    for depth in (500, 900, 1400):
        nested = '{"sub":"1994","x":' + "[" * depth + "]" * depth + "}"

        read = from_the_depths(AppJwt(raw_token(nested)), sys.getrecursionlimit() // 3)

        assert read in (UnverifiedClaims(user_ids=frozenset({1994})), UnverifiedClaims(unreadable=True))


def test_a_real_token_is_read() -> None:
    """The claims of a token signed as by the sandbox and itch.io are read."""
    token = jwt.encode({"sub": "1994", "exp": 1_800_000_000}, "k" * 32, algorithm="HS256")

    assert peek(AppJwt(token)).user_ids == {1994}


_number = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
_json = st.recursive(
    st.none() | st.booleans() | _number | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_claims = st.fixed_dictionaries(
    {},
    optional={
        "exp": _json,
        "nbf": _json,
        "iat": _json,
        "aud": _json,
        "iss": _json,
        "jti": _json,
        "sub": _json,
        "user_id": _json,
        "game_id": _json,
    },
)
_header = st.fixed_dictionaries(
    {"alg": st.just("HS256")}, optional={"kid": _json, "crit": _json, "b64": _json, "typ": _json, "zip": _json}
)


@given(_claims | _json, _header)
def test_whatever_passes_for_a_token_can_be_read(claims: Any, header: object) -> None:
    """Reading a token's claims never raises, and no date leaves the calendar."""
    token = read_jwt(token_with(claims, header))

    if isinstance(token, AppJwt):
        read = peek(token)
        assert isinstance(claims, dict)
        assert read.unreadable or (read.expires_at is None) == (claims.get("exp") is None)


@given(st.binary(max_size=60), st.binary(max_size=60), st.binary(min_size=1, max_size=20))
def test_any_three_parts_can_be_read(header: bytes, claims: bytes, signature: bytes) -> None:
    """Text that is no JWT is read without an exception, even if its shape was not checked."""
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in (header, claims, signature))

    assert isinstance(peek(AppJwt(token)), UnverifiedClaims)
