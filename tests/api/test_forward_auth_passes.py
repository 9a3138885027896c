"""Passes that players show to proxies, in a header or a cookie."""

from datetime import timedelta
from typing import Final

import pytest

from service.sandbox import seed
from tests.api.conftest import Open
from tests.api.edges import FIELDS, PROXY, Edge, jwt_of, key
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, caller_lines, store_calls

STUDIO: Final = "ogw_the-token-of-the-studio-in-tests-00000000000"
POLICIES: Final = (
    X_MOON
    + """
[forward_auth.all]
game = "x-moon"
caller = "edge"
credentials = ["pass", "jwt", "download_key"]
cookie = "ownership_pass"

[forward_auth.passes]
game = "x-moon"
caller = "edge"
credentials = ["pass"]

[forward_auth.jwts]
game = "x-moon"
caller = "edge"
credentials = ["jwt"]
"""
    + caller_lines("edge", PROXY, rights='["verify"]', rate="10000")
    + caller_lines("studio", STUDIO, rights='["verify", "assert:user", "pass", "admin"]', rate="10000")
)
ALL: Final = "/forward-auth/all"


@pytest.fixture
async def gateway(open_with: Open) -> Asker:
    """A gateway with a policy for all credentials, one for passes and one for JWTs."""
    return await open_with(POLICIES)


async def pass_for(gateway: Asker, **order: object) -> str:
    """Return a pass that the studio has asked for; without more, of the owner's account."""
    order = order or {"method": "user", "user_id": seed.OWNER_ID}
    answer = await gateway.http.post(
        "/passes", json={"game": 3, **order}, headers={"authorization": f"Bearer {STUDIO}"}
    )
    value: str = answer.json()["pass"]["value"]
    return value


@pytest.mark.parametrize("path", [ALL, "/forward-auth/passes"])
async def test_pass_in_the_header(gateway: Asker, edge: Edge, log: LogLines, path: str) -> None:
    """It names the account, which the place behind learns, and is a question like any other."""
    shown = await pass_for(gateway)
    before = store_calls(gateway.sandbox)

    answered = await edge.ask(f"Authorization: Bearer {shown}", "X-Request-ID: 7", path=path)

    assert (answered.status, answered.body) == (200, b"")
    assert [answered.headers[name] for name in FIELDS[:3]] == [str(seed.OWNER_ID), "owned", "download_key"]
    assert (await log.line_of("7"))["method"] == "pass"
    assert store_calls(gateway.sandbox) == before


async def test_pass_in_the_cookie(gateway: Asker, edge: Edge) -> None:
    """A browser that downloads can send no header of its own."""
    shown = await pass_for(gateway)
    cookies = f"a=b; ownership_pass={shown};c"

    answered = await edge.ask(f"Cookie: {cookies}", path=ALL)

    assert (answered.status, answered.headers["x-ownership-player"]) == (200, str(seed.OWNER_ID))
    assert (await edge.ask(f"Cookie: {cookies}", path="/forward-auth/passes")).problem["code"] == "no_credential"


async def test_pass_of_a_key_names_no_account(gateway: Asker, edge: Edge) -> None:
    """The holder of a key need not be its owner; nor need the holder of a pass that was given for it."""
    shown = await pass_for(gateway, method="download_key", download_key=seed.OWNER_KEY)

    answered = await edge.ask(f"Cookie: ownership_pass={shown}", path=ALL)

    assert answered.status == 200
    assert [answered.headers[name] for name in FIELDS[:3]] == ["none", "owned", "download_key"]


async def test_header_goes_before_the_cookie(gateway: Asker, edge: Edge, clock: FakeClock) -> None:
    """The cookie is not read beside a header, even one that is no credential."""
    cookie = f"Cookie: ownership_pass={await pass_for(gateway)}"

    fields = (jwt_of(seed.STRANGER_ID, clock), key("no key"), "Authorization: Basic YTpi")
    answers = [await edge.ask(field, cookie, path=ALL) for field in fields]

    assert [answered.status for answered in answers] == [403, 401, 401]


@pytest.mark.parametrize(
    "cookie",
    [
        "Cookie: ownership_pass={0}; ownership_pass={0}",
        "Cookie: ownership_pass={0}, ownership_pass={0}",
        "Cookie: ownership_pass={0}\r\nCookie: ownership_pass={0}",
        "Cookie: ownership_pass={0}\r\nCookie: a=b",
        "Cookie: Ownership_Pass={0}",
        "Cookie: ownership_pass",
        "Cookie: ownership_pass=",
        "Cookie: a=ownership_pass={0}",
        "X-Cookie: ownership_pass={0}",
    ],
)
async def test_not_exactly_one_cookie(gateway: Asker, edge: Edge, cookie: str) -> None:
    """Two readers could take two different ones."""
    shown = await pass_for(gateway)

    answered = await edge.ask(cookie.format(shown), path=ALL)

    assert (answered.status, answered.problem["code"]) == (401, "no_credential")


async def test_cookie_holds_nothing_but_passes(edge: Edge, clock: FakeClock) -> None:
    """A JWT or a key that stands there is no pass."""
    jwt = jwt_of(seed.OWNER_ID, clock).removeprefix("Authorization: Bearer ")

    answers = [await edge.ask(f"Cookie: ownership_pass={shown}", path=ALL) for shown in (jwt, seed.OWNER_KEY)]

    assert [(answered.status, answered.problem["reason"]) for answered in answers] == [(401, "malformed_pass")] * 2


async def test_kind_by_its_shape(gateway: Asker, edge: Edge, clock: FakeClock) -> None:
    """`typ` says pass; a policy takes no kind that is not among its own."""
    shown, jwt = f"Authorization: Bearer {await pass_for(gateway)}", jwt_of(seed.OWNER_ID, clock)

    at_all = [(await edge.ask(field, path=ALL)).status for field in (shown, jwt)]
    at_passes = [(await edge.ask(field, path="/forward-auth/passes")).status for field in (shown, jwt)]
    at_jwts = [(await edge.ask(field, path="/forward-auth/jwts")).status for field in (shown, jwt)]

    assert (at_all, at_passes, at_jwts) == ([200, 200], [200, 401], [401, 200])


async def test_pass_that_is_no_good_any_more(gateway: Asker, edge: Edge, clock: FakeClock) -> None:
    """Expired, void, forged or for one player only: 401, which says that the credential is the matter."""
    shown = await pass_for(gateway, method="download_key", download_key=seed.OWNER_KEY)
    named = await pass_for(gateway, method="user", user_id=seed.OWNER_ID, player_ref="a")
    late = await pass_for(gateway)
    body = {"game": 3, "download_key": seed.OWNER_KEY}
    clock.jump(timedelta(seconds=1))
    await gateway.http.post("/admin/invalidate", json=body, headers={"authorization": f"Bearer {STUDIO}"})
    answers = [
        await edge.ask(f"Cookie: ownership_pass={text}", path=ALL) for text in (shown, named, f"{late[:-4]}AAAA")
    ]
    clock.jump(timedelta(hours=1))
    answers.append(await edge.ask(f"Cookie: ownership_pass={late}", path=ALL))

    assert [answered.problem["reason"] for answered in answers] == [*["refused_pass"] * 3, "expired_pass"]
    assert {answered.status for answered in answers} == {401}
    assert {answered.headers["www-authenticate"] for answered in answers} == {'bearer error="invalid_token"'}


async def test_hint_names_passes_where_they_are_taken(edge: Edge) -> None:
    """A player's program learns which credential to present."""
    by_pass = await edge.ask(path="/forward-auth/passes")
    by_jwt = await edge.ask(path="/forward-auth/jwts")

    assert "a pass" in by_pass.problem["detail"]
    assert "a pass" not in by_jwt.problem["detail"]
