"""Credentials: the ones that the store accepts, and the words in which it refuses the others."""

import base64
import json
from datetime import timedelta
from typing import Any

import httpx
import jwt as pyjwt
import pytest

from service.sandbox import jwts, seed
from service.sandbox.state import Sandbox
from service.sandbox.world_content import SellerKeyState
from tests.clock import START, FakeClock

PROFILES = [("/profile", 401), ("/api/1/jwt/me", 200)]


async def ask(client: httpx.AsyncClient, path: str, bearer: str | None) -> tuple[int, Any]:
    """Return the status and the JSON of an answer."""
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    answer = await client.get(path, headers=headers)
    return answer.status_code, answer.json()


def encode(part: object) -> str:
    """Write one part of a JWT."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def forge(header: object, claims: object = None, signature: bytes = b"none") -> str:
    """Write a JWT with a made-up signature."""
    return f"{encode(header)}.{encode(claims or {'sub': '1994'})}.{encode(signature)}"


def sign(claims: dict[str, Any], headers: dict[str, Any] | None = None) -> str:
    """Sign any claims with the key in the sandbox's published source."""
    return pyjwt.encode(claims, jwts._SIGNING_KEY, algorithm="HS256", headers=headers)


@pytest.mark.parametrize("path", ["/profile", "/api/1/jwt/me"])
async def test_a_jwt_says_whose_it_is(http: httpx.AsyncClient, sandbox: Sandbox, path: str) -> None:
    """Both dialects show the player of a JWT."""
    minted = sandbox.mint_jwt(seed.OWNER_ID)

    status, content = await ask(http, path, minted.jwt)

    assert status == 200
    assert (content["user"]["id"], content["user"]["username"]) == (1994, "amos")


async def test_a_nameless_player(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A profile without a display name lacks the field."""
    _, content = await ask(http, "/profile", sandbox.mint_jwt(seed.STRANGER_ID).jwt)

    assert "display_name" not in content["user"]


async def test_a_press_account(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """The profile of a press account says so."""
    _, content = await ask(http, "/profile", sandbox.mint_jwt(seed.PRESS_ID).jwt)

    assert content["user"]["press_user"] is True


@pytest.mark.parametrize(
    ("path", "expires_at"),
    [
        ("/credentials/info", "2026-11-27T14:03:11.000000000Z"),
        ("/api/1/jwt/credentials/info", "2026-11-27 14:03:11"),
    ],
)
async def test_a_jwt_has_one_scope_and_an_end(
    http: httpx.AsyncClient, sandbox: Sandbox, path: str, expires_at: str
) -> None:
    """A JWT lives for seven days, and its only scope is the profile."""
    status, content = await ask(http, path, sandbox.mint_jwt(seed.OWNER_ID).jwt)

    assert (status, content) == (200, {"scopes": ["profile:me"], "expires_at": expires_at})


@pytest.mark.parametrize(
    ("path", "scope", "expected_status"),
    [
        ("/profile/games", "profile:games", 403),
        ("/games/3/download_keys", "game:view:purchases", 403),
        ("/games/3/purchases", "game:view:purchases", 403),
        ("/api/1/jwt/game/3/download_keys", "game:view:purchases", 200),
    ],
)
async def test_a_jwt_may_not_look_up_keys(
    http: httpx.AsyncClient, sandbox: Sandbox, path: str, scope: str, expected_status: int
) -> None:
    """Download keys are beyond a JWT's scope."""
    status, content = await ask(http, path, sandbox.mint_jwt(seed.OWNER_ID).jwt)

    assert (status, content) == (expected_status, {"errors": [f"api key does not permit `{scope}`"]})


@pytest.mark.parametrize(("path", "expected_status"), PROFILES)
async def test_an_expired_jwt_is_refused(
    http: httpx.AsyncClient, sandbox: Sandbox, clock: FakeClock, path: str, expected_status: int
) -> None:
    """A JWT is refused from the very instant of its end."""
    minted = sandbox.mint_jwt(seed.OWNER_ID, lifetime=timedelta(seconds=10))

    clock.jump(minted.expires_at - clock.now())

    assert await ask(http, path, minted.jwt) == (expected_status, {"errors": ["token expired"]})


async def test_a_jwt_is_signed_for_users_who_are_not_there_yet(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """Such a user is made on the spot, and again after a reset, by the JWT of before."""
    minted = sandbox.mint_jwt(77)
    sandbox.begin_again()

    answer = await http.get("/profile", headers={"Authorization": f"Bearer {minted.jwt}"})

    assert answer.json()["user"]["username"] == "user-77"


NEST = b"[" * 11_000 + b"]" * 11_000


@pytest.mark.parametrize(("path", "expected_status"), PROFILES)
@pytest.mark.parametrize(
    ("bearer", "message"),
    [
        ("a..c", "missing data"),
        ("..", "missing data"),
        ("a$.b.c", "invalid base64"),
        ("YQ.YQ.a", "invalid base64"),
        ("é.b.c", "invalid base64"),
        (forge(b"no JSON"), "header not JWT"),
        (forge(b"\xff\xfe"), "header not JWT"),
        (forge({"alg": "HS256"}), "header not JWT"),
        (forge({"typ": "JOSE", "alg": "HS256"}), "header not JWT"),
        (forge({"typ": "JWT", "alg": "none"}), "header not HS256"),
        (forge({"typ": "JWT", "alg": "HS512"}), "header not HS256"),
        (forge({"typ": "JWT", "alg": "HS256"}), "invalid signature"),
        (forge(b'{"typ":"JWT","alg":"HS256","x":' + NEST + b"}"), "header not JWT"),
        (sign({"sub": "1994"}), "missing data"),
        (sign({"sub": "amos", "iat": 0, "exp": 2**40}), "missing data"),
        (sign({"sub": "1994", "iat": 0, "exp": 2**62}), "missing data"),
        (pyjwt.PyJWS().encode(b"no JSON", jwts._SIGNING_KEY, algorithm="HS256"), "missing data"),
        (pyjwt.PyJWS().encode(NEST, jwts._SIGNING_KEY, algorithm="HS256"), "missing data"),
        (sign({"sub": "0", "iat": 0, "exp": 2**33}), "missing data"),
        (sign({"sub": "1994", "iat": 0, "exp": 2**33}, {"crit": ["x"]}), "header not JWT"),
    ],
    ids=lambda value: value[:24],
)
async def test_bad_jwts_are_refused_in_itchs_words(
    http: httpx.AsyncClient, path: str, expected_status: int, bearer: str, message: str
) -> None:
    """Each flaw of a JWT has its own error string."""
    headers = {b"Authorization": f"Bearer {bearer}".encode()}

    answer = await http.get(path, headers=headers)

    assert (answer.status_code, answer.json()) == (expected_status, {"errors": [message]})


async def test_a_seller_key_is_no_jwt(http: httpx.AsyncClient) -> None:
    """A seller key at a JWT's address is refused as a bad JWT."""
    assert await ask(http, "/api/1/jwt/me", seed.SELLER_KEY) == (200, {"errors": ["missing data"]})


async def test_a_jwt_is_no_seller_key(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A JWT at a seller key's address is refused as an unknown key."""
    bearer = sandbox.mint_jwt(seed.OWNER_ID).jwt

    assert await ask(http, "/api/1/key/me", bearer) == (200, {"errors": ["invalid key"]})


@pytest.mark.parametrize("header", [None, "", "Bearer", f"Basic {seed.SELLER_KEY}", seed.SELLER_KEY])
@pytest.mark.parametrize(("path", "expected_status"), [("/profile", 401), ("/api/1/key/me", 200)])
async def test_credentials_come_as_bearer(
    http: httpx.AsyncClient, header: str | None, path: str, expected_status: int
) -> None:
    """A request without a bearer credential is refused."""
    answer = await http.get(path, headers={} if header is None else {"Authorization": header})

    assert (answer.status_code, answer.json()) == (expected_status, {"errors": ["authentication required"]})


@pytest.mark.parametrize(("path", "expected_status"), [("/profile", 401), ("/api/1/key/me", 200)])
async def test_an_unknown_key_is_invalid(http: httpx.AsyncClient, path: str, expected_status: int) -> None:
    """The error string of an unknown seller key differs by one word from a download key's."""
    assert await ask(http, path, "another-key") == (expected_status, {"errors": ["invalid key"]})


async def test_a_key_in_the_path_is_invalid(http: httpx.AsyncClient) -> None:
    """The sandbox takes credentials from the header only."""
    status, content = await ask(http, f"/api/1/{seed.SELLER_KEY}/me", seed.SELLER_KEY)

    assert (status, content) == (200, {"errors": ["invalid key"]})


async def test_two_seller_keys_work_at_once(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """Both seller keys work, and the second after the first is revoked, as in a rotation."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(revoked=True)

    assert await ask(http, "/profile", seed.SELLER_KEY) == (401, {"errors": ["invalid key"]})
    assert (await ask(http, "/profile", seed.SECOND_SELLER_KEY))[0] == 200


@pytest.mark.parametrize(
    ("scopes", "expected_status"),
    [((), 403), (("profile",), 403), (("game:view",), 200), (("game:view:purchases",), 200), (("gam",), 403)],
)
async def test_a_scope_includes_those_below_it(
    http: httpx.AsyncClient, sandbox: Sandbox, scopes: tuple[str, ...], expected_status: int
) -> None:
    """A scope includes narrower ones, and no others."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(scopes=scopes)

    status, _ = await ask(http, f"/games/3/download_keys?download_key={seed.OWNER_KEY}", seed.SELLER_KEY)

    assert status == expected_status


async def test_no_scopes_are_an_empty_object(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """An empty list of scopes is `{}`."""
    sandbox.world.seller_keys[seed.SELLER_KEY] = SellerKeyState(scopes=())

    assert await ask(http, "/credentials/info", seed.SELLER_KEY) == (200, {"scopes": {}})


def test_the_clock_of_the_tests_is_inside_a_jwts_life() -> None:
    """The forged JWTs above end long after the tests' clock, so that no refusal is due to age."""
    assert START.timestamp() < 2**33
