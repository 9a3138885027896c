"""Authentication, and the use of each right."""

import hashlib
import json
from collections.abc import Set as AbstractSet

import pytest

from service.ownership import Method
from service.sandbox import seed
from tests.gateways import PATHS, X_MOON, Asker, caller_lines, store_calls

pytestmark = pytest.mark.asyncio(loop_scope="module")

CREDENTIALS: dict[Method, str | int] = {
    Method.DOWNLOAD_KEY: seed.OWNER_KEY,
    Method.JWT: "",
    Method.EMAIL: seed.BUYER_EMAIL,
    Method.USER: seed.OWNER_ID,
    Method.PASS: "",
    Method.ACCESS_TOKEN: "",
}


RIGHTS = {
    Method.DOWNLOAD_KEY: {"verify"},
    Method.JWT: {"verify"},
    Method.EMAIL: {"verify", "assert:email"},
    Method.USER: {"assert:user"},
    Method.PASS: {"verify"},
    Method.ACCESS_TOKEN: {"verify"},
}
ALL_RIGHTS = {"verify", "assert:user", "assert:email", "admin"}


def token_with(rights: AbstractSet[str]) -> str:
    """Return the token of the caller that has exactly these rights."""
    return "ogw_with-" + "-and-".join(sorted(right.replace(":", "-") for right in rights))


LOBBY = token_with(ALL_RIGHTS)
SETS = (
    {frozenset(ALL_RIGHTS)}
    | {frozenset(s) for s in RIGHTS.values()}
    | {frozenset(ALL_RIGHTS - {r}) for r in ALL_RIGHTS}
)
TOML = f"[itch]\naccess_tokens = true\n{X_MOON}" + "".join(
    caller_lines(f"caller-{number}", token_with(rights), rights=json.dumps(sorted(rights)))
    for number, rights in enumerate(SETS)
)


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """A gateway with a caller for every set of rights that matters; its store has been asked nothing."""
    shared.sandbox.journal.clear()
    return shared


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer wrong",
        f"Basic {LOBBY}",
        f"Bearer {LOBBY}x",
        f"Bearer {LOBBY[:-1]}",
        f"Bearer {LOBBY.upper()}",
        f"Bearer {hashlib.sha256(LOBBY.encode()).hexdigest()}",
        LOBBY,
        f"Bearer {' ' * 600}{LOBBY}",
        "Bearer \N{LATIN SMALL LETTER E WITH ACUTE}",
    ],
)
async def test_nobody_unknown_is_answered(gateway: Asker, authorization: str | None) -> None:
    """401 without a token, and with any that is not exactly one of ours."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode())]

    response = await gateway.http.post(
        "/verify/download-key",
        content=json.dumps({"game": 3, "download_key": seed.OWNER_KEY}),
        headers=[*headers, (b"content-type", b"application/json")],
    )

    assert (response.status_code, response.json()["code"]) == (401, "not_authenticated")
    assert response.headers["www-authenticate"] == "Bearer"
    assert store_calls(gateway.sandbox) == 0


@pytest.mark.parametrize(
    ("authorization", "told"),
    [
        (LOBBY, True),
        (f"Basic {LOBBY}", True),
        (f"Bearer\t{LOBBY}", True),
        ("Bearer", True),
        ("Bearer wrong", False),
        (None, False),
    ],
)
async def test_missing_scheme_is_named(gateway: Asker, authorization: str | None, *, told: bool) -> None:
    """The most common slip in a game server's configuration; of the token itself nothing is said."""
    headers = {} if authorization is None else {"authorization": authorization}

    problem = (await gateway.http.post("/verify/user", json={}, headers=headers)).json()

    detail = 'the Authorization header lacks the scheme: expected "Bearer", a space, and the token'
    assert problem.get("detail") == (detail if told else None)
    assert LOBBY not in str(problem)


@pytest.mark.parametrize("path", [*PATHS.values(), "/verify/batch"])
async def test_who_asks_comes_before_what_is_asked(gateway: Asker, path: str) -> None:
    """An unknown caller learns nothing about its body."""
    assert (await gateway.http.post(path, content=b"{")).status_code == 401


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_known_caller_is_answered(gateway: Asker, scheme: str) -> None:
    """The scheme's name is written in any case (RFC 9110 11.1)."""
    response = await gateway.http.post(
        "/verify/download-key",
        json={"game": 3, "download_key": seed.OWNER_KEY},
        headers={"authorization": f"{scheme} {LOBBY}"},
    )

    assert response.json()["outcome"] == "owned"


@pytest.mark.parametrize("method", list(Method))
async def test_method_needs_its_rights_and_no_others(gateway: Asker, method: Method) -> None:
    """A caller with exactly the rights of a method may use it."""
    assert (await gateway.ask(method, CREDENTIALS[method], token=token_with(RIGHTS[method]))).status_code == 200


@pytest.mark.parametrize(("method", "missing"), [(m, right) for m in Method for right in sorted(RIGHTS[m])])
async def test_method_needs_each_of_its_rights(gateway: Asker, method: Method, missing: str) -> None:
    """403 without one of them, however many others the caller has; the problem names what is lacking."""
    response = await gateway.ask(method, CREDENTIALS[method], token=token_with(ALL_RIGHTS - {missing}))

    assert (response.status_code, response.json()["code"]) == (403, "not_permitted")
    assert response.json()["detail"] == f"it lacks the right {missing}"
    assert store_calls(gateway.sandbox) == 0
