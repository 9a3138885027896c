"""The control endpoints: each of them once, and their refusals."""

from typing import Any

import httpx
import pytest
from msgspec.structs import replace

from service.ownership import Reason
from service.sandbox import jwts, seed
from service.sandbox.control import ENDPOINTS
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import LONGEST, Sandbox
from tests.clock import FakeClock
from tests.gateways import plain_client

KEYS = "/games/3/download_keys"


async def tell(http: httpx.AsyncClient, method: str, path: str, body: object = None) -> Any:
    """Send a control request, and return the JSON of its answer."""
    answer = await http.request(method, f"/sandbox{path}", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.headers["x-sandbox"] == "ownership-gateway"
    return answer.json()


async def test_it_shows_what_it_holds(http: httpx.AsyncClient) -> None:
    """The overview holds keys, games and an example of each kind with a sentence."""
    shown = await tell(http, "GET", "")

    assert list(shown["seller_keys"]) == [seed.SELLER_KEY, seed.SECOND_SELLER_KEY]
    assert [game["slug"] for game in shown["games"]] == ["x-moon", "sun-garden"]
    assert {example["path"] for example in shown["examples"]} == {
        "/verify/download-key",
        "/verify/jwt",
        "/verify/email",
        "/verify/user",
    }
    assert all(example["about"] and Reason(example["reason"]) for example in shown["examples"])


async def test_the_examples_hold(seller: httpx.AsyncClient) -> None:
    """Every download key among the examples yields its promised answer."""
    shown = await tell(seller, "GET", "")

    for example in shown["examples"]:
        if key := example["body"].get("download_key"):
            answer = await seller.get(KEYS, params={"download_key": key})
            assert ("download_key" in answer.json()) is (example["reason"] == "download_key")


async def test_the_jwts_that_are_shown_hold(http: httpx.AsyncClient) -> None:
    """The store accepts every JWT among the examples, except for the expired one."""
    shown = await tell(http, "GET", "")

    for example in shown["examples"]:
        if jwt := example["body"].get("jwt"):
            answer = await http.get("/profile", headers={"Authorization": f"Bearer {jwt}"})
            assert answer.is_success is (example["reason"] != "expired_jwt")


async def test_a_fault_is_told_and_taken_away(seller: httpx.AsyncClient) -> None:
    """A single object is a single fault; GET shows it and DELETE ends it."""
    told = await tell(seller, "PUT", "/faults", {"status": 429, "retry_after": "7", "times": 3})
    during = (await seller.get("/profile")).status_code
    seen = await tell(seller, "GET", "/faults")
    removed = await tell(seller, "DELETE", "/faults")
    after = (await seller.get("/profile")).status_code

    assert told["faults"][0]["befallen"] == 0
    assert seen == {"faults": [{"fault": {"times": 3, "status": 429, "retry_after": "7"}, "befallen": 1}]}
    assert (during, removed, after) == (429, {"faults": []}, 200)


async def test_a_list_of_faults_is_told(http: httpx.AsyncClient) -> None:
    """A list replaces all faults at once."""
    told = await tell(http, "PUT", "/faults", [{"status": 503, "times": 1}, {"latency_ms": 5}])

    assert len(told["faults"]) == 2


async def test_faults_leave_the_control_endpoints_alone(http: httpx.AsyncClient) -> None:
    """Faults spare the control endpoints: else no request could remove them."""
    await tell(http, "PUT", "/faults", {"status": 503})

    assert await tell(http, "DELETE", "/faults") == {"faults": []}


async def test_a_key_is_minted_claimed_and_revoked(seller: httpx.AsyncClient) -> None:
    """A download key is found once it is claimed, and refused once it is revoked."""
    key = (await tell(seller, "POST", "/keys", {"game_id": 3, "email": "new@example.com"}))["key"]
    await tell(seller, "POST", "/keys/claim", {"key": key, "user_id": seed.STRANGER_ID})
    claimed = (await seller.get(KEYS, params={"download_key": key})).json()
    await tell(seller, "POST", "/keys/revoke", {"key": key})
    revoked = (await seller.get(KEYS, params={"download_key": key})).json()

    assert claimed["download_key"]["owner"]["id"] == seed.STRANGER_ID
    assert revoked == {"errors": ["invalid download key"]}


async def test_a_purchase_is_made_and_refunded(seller: httpx.AsyncClient) -> None:
    """A bundle is listed until its refund."""
    bought = await tell(
        seller,
        "POST",
        "/purchases",
        {"game_id": [3, 4], "user_id": seed.STRANGER_ID, "purchase_type": "bundle"},
    )
    during = (await seller.get("/games/4/purchases", params={"user_id": seed.STRANGER_ID})).json()
    await tell(seller, "POST", "/purchases/refund", {"purchase_id": bought["purchase_id"]})
    after = (await seller.get("/games/4/purchases", params={"user_id": seed.STRANGER_ID})).json()

    assert [row["id"] for row in during["purchases"]] == [bought["purchase_id"]]
    assert after == {"purchases": {}}


async def test_a_purchase_of_one_game(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """The id of a single game needs no list."""
    bought = await tell(http, "POST", "/purchases", {"game_id": 3, "email": "new@example.com", "with_key": True})

    assert bought["game_id"] == [3]
    assert sandbox.world.key_sent_to(3, "new@example.com") is not None


async def test_a_jwt_is_minted(http: httpx.AsyncClient) -> None:
    """A minted JWT lives for the requested number of seconds."""
    minted = await tell(http, "POST", "/jwts", {"user_id": 1994, "lifetime_seconds": 60})
    answer = await http.get("/profile", headers={"Authorization": f"Bearer {minted['jwt']}"})

    assert minted["expires_at"] == "2026-11-20T14:04:11Z"
    assert answer.json()["user"]["id"] == 1994


async def test_an_expired_jwt_is_minted(http: httpx.AsyncClient) -> None:
    """A JWT with a negative lifetime has expired already."""
    minted = await tell(http, "POST", "/jwts", {"user_id": 1994, "lifetime_seconds": -1})
    answer = await http.get("/profile", headers={"Authorization": f"Bearer {minted['jwt']}"})

    assert answer.json() == {"errors": ["token expired"]}


async def test_the_usual_lifetime_is_the_same_everywhere(http: httpx.AsyncClient, clock: FakeClock) -> None:
    """Without a requested lifetime a JWT lives as long as itch.io's."""
    minted = await tell(http, "POST", "/jwts", {"user_id": 1994})

    assert minted["expires_at"].startswith((clock.now() + jwts.USUAL_LIFETIME).strftime("%Y-%m-%dT%H:%M:%S"))


async def test_the_seller_key_is_revoked_and_given_back(seller: httpx.AsyncClient) -> None:
    """A revoked seller key is refused until it is given back."""
    await tell(seller, "PUT", "/seller-key", {"revoked": True})
    revoked = (await seller.get("/profile")).json()
    await tell(seller, "PUT", "/seller-key", {})
    given_back = (await seller.get("/profile")).status_code

    assert revoked == {"errors": ["invalid key"]}
    assert given_back == 200


async def test_the_scopes_of_the_second_key(http: httpx.AsyncClient) -> None:
    """The seller's second key has scopes of its own."""
    told = await tell(http, "PUT", "/seller-key", {"which": "second", "scopes": ["profile:me"]})

    assert told[seed.SELLER_KEY] == {"revoked": False, "scopes": None}
    assert told[seed.SECOND_SELLER_KEY] == {"revoked": False, "scopes": ["profile:me"]}


async def test_reset_starts_over(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """A reset restores the world and empties faults and journal."""
    await tell(seller, "PUT", "/faults", {"status": 503})
    await tell(seller, "PUT", "/seller-key", {"revoked": True})
    await seller.get("/profile")

    await tell(seller, "POST", "/reset")

    assert sandbox.faults.state() == []
    assert sandbox.journal.report().total == 0
    assert (await seller.get("/profile")).status_code == 200


async def test_the_requests_that_were_seen(seller: httpx.AsyncClient) -> None:
    """The journal shows requests and the status of their answers, and never a credential."""
    await seller.get(KEYS, params={"user_id": 1994})
    await seller.get("/nowhere")
    await tell(seller, "PUT", "/faults", {"status": 503})
    await seller.get("/profile", headers={"Authorization": ""})

    answer = await seller.get("/sandbox/requests")

    shown = answer.json()
    assert shown["total"] == 3
    assert shown["counts"] == {
        "profile": 1,
        "games": 0,
        "credentials": 0,
        "download_keys": 1,
        "purchases": 0,
        "latest": 0,
        "uploads": 0,
        "ownership": 0,
        "other": 1,
    }
    assert shown["last"][0] == {
        "at": "2026-11-20T14:03:11.123456Z",
        "method": "GET",
        "path": KEYS,
        "query": [["user_id", "1994"]],
        "authorization": True,
        "status": 200,
        "fault": False,
    }
    assert (shown["last"][2]["status"], shown["last"][2]["fault"]) == (503, True)
    assert seed.SELLER_KEY not in answer.text


async def test_a_request_without_a_credential_is_seen_as_such(http: httpx.AsyncClient) -> None:
    """The journal says that a request had no `Authorization`."""
    await http.get("/profile")

    assert (await tell(http, "GET", "/requests"))["last"][0]["authorization"] is False


@pytest.mark.parametrize("path", ["/api/1/a-real-key/me", "/api/1/a-real-key", "/api/2/a-real-key/me"])
async def test_a_key_in_the_path_is_not_remembered(http: httpx.AsyncClient, path: str) -> None:
    """The journal masks a key in the path: it may be a real one."""
    await http.get(path)

    answer = await http.get("/sandbox/requests")

    assert "a-real-key" not in answer.text
    assert answer.json()["last"][0]["path"].split("/")[3] == "***"


async def test_only_the_last_requests_are_remembered(http: httpx.AsyncClient) -> None:
    """The journal keeps the last requests and counts all of them."""
    for _ in range(LONGEST + 1):
        await http.get("/profile")

    shown = await tell(http, "GET", "/requests")

    assert (shown["total"], len(shown["last"])) == (LONGEST + 1, LONGEST)


@pytest.mark.parametrize(
    ("method", "path", "body", "detail"),
    [
        ("POST", "/keys", b"", "the body does not fit: Input data was truncated"),
        ("POST", "/keys", b"{", "the body does not fit: Input data was truncated"),
        ("POST", "/keys", b'{"key":"\xff"}', "the body is not UTF-8"),
        ("POST", "/keys", b'{"x":' + b"[" * 50_000, "the body does not fit: Object contains unknown field `x`"),
        ("PUT", "/faults", b"[" * 50_000, "the body does not fit: Expected `object`, got `array`"),
        ("POST", "/keys", b"[" * 50_000, "the body does not fit: Expected `object`, got `array`"),
        ("POST", "/keys", b"{}", "the body does not fit: Object missing required field `game_id`"),
        ("POST", "/keys", b'{"game_id":3,"x":1}', "the body does not fit: Object contains unknown field `x`"),
        (
            "POST",
            "/keys",
            b'{"game_id":' + b"9" * 5000 + b"}",
            "the body does not fit: Integer value out of range",
        ),
        ("POST", "/keys", b'{"game_id":77}', "the sandbox has no such game"),
        ("POST", "/keys", b'{"game_id":3,"key":"\\ud800"}', "the body does not fit"),
        ("POST", "/keys/claim", b'{"key":"none","user_id":1994}', "the sandbox has no such download key"),
        ("POST", "/purchases", b'{"game_id":[],"email":"a@example.com"}', "the body does not fit"),
        ("POST", "/jwts", b'{"user_id":0}', "the body does not fit"),
        ("POST", "/jwts", b'{"user_id":1994,"lifetime_seconds":99999999999}', "the body does not fit"),
        ("PUT", "/faults", b"{}", "the body does not fit: this fault does nothing"),
        ("PUT", "/faults", b' [{"status":429},{}]', "the body does not fit: this fault does nothing"),
        ("PUT", "/seller-key", b'{"scopes":["Profile Me"]}', "the body does not fit"),
    ],
)
async def test_nonsense_is_answered_with_one_clear_line(
    http: httpx.AsyncClient, method: str, path: str, body: bytes, detail: str
) -> None:
    """A bad body is a 400 whose detail is one line about the mistake."""
    answer = await http.request(method, f"/sandbox{path}", content=body)

    problem = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["status"], problem["code"]) == (400, 400, "sandbox_mistake")
    assert problem["detail"].startswith(detail)
    assert "\n" not in problem["detail"]


async def test_the_wrong_method_is_refused(http: httpx.AsyncClient) -> None:
    """A wrong method is a 405 with the endpoint's methods."""
    answer = await http.get("/sandbox/reset")

    assert (answer.status_code, set(answer.headers["allow"].split(", "))) == (405, {"POST", "OPTIONS"})
    assert answer.json()["detail"] == "GET /sandbox shows what there is"


@pytest.mark.parametrize("path", ["/sandbox/keys/", "/sandbox//keys", "/sandbox/k%65ys"])
async def test_other_spellings_of_a_path(http: httpx.AsyncClient, path: str) -> None:
    """Extra slashes and percent-encoding make no difference to a path."""
    answer = await http.post(path, json={"game_id": 3})

    assert answer.status_code == 200


async def test_the_methods_of_an_endpoint(http: httpx.AsyncClient) -> None:
    """OPTIONS lists an endpoint's methods, without a body."""
    answer = await http.options("/sandbox/faults")

    assert (answer.status_code, answer.content) == (204, b"")
    assert set(answer.headers["allow"].split(", ")) == {"DELETE", "GET", "OPTIONS", "PUT"}


async def test_a_path_without_an_endpoint_is_the_stores(http: httpx.AsyncClient) -> None:
    """A misspelt control endpoint is an unknown address of the store."""
    answer = await http.post("/sandbox/fault")

    assert (answer.status_code, answer.json()) == (404, {"errors": ["invalid api endpoint"]})


async def test_a_body_can_be_too_large(http: httpx.AsyncClient) -> None:
    """A body over four mebibytes is refused."""
    answer = await http.put("/sandbox/faults", content=b" " * (4 * 1024 * 1024 + 1))

    assert (answer.status_code, answer.json()["code"]) == (413, "refused")


async def test_a_fault_can_answer_more_than_the_gateway_reads(seller: httpx.AsyncClient) -> None:
    """A fault's body may have a megabyte, to test that the gateway does not read it."""
    await tell(seller, "PUT", "/faults", {"body": "x" * 1_000_000})

    assert len((await seller.get("/profile")).content) == 1_000_000


async def test_a_world_can_be_brought_along(clock: FakeClock) -> None:
    """A sandbox serves the world that it is given."""
    content = replace(seed.WORLD, keys=())

    async with (
        SandboxServer(Sandbox(clock=clock, content=content)) as server,
        plain_client(base_url=server.base_url) as client,
    ):
        answer = await client.get(
            KEYS,
            params={"download_key": seed.OWNER_KEY},
            headers={"Authorization": f"Bearer {seed.SELLER_KEY}"},
        )

    assert answer.json() == {"errors": ["invalid download key"]}


async def test_users_and_games_of_ones_own(seller: httpx.AsyncClient) -> None:
    """A studio's own players and games, with made up parts where none are given."""
    user = await tell(seller, "POST", "/users", {"id": 7, "username": "ada", "display_name": "Ada", "press": True})
    other = await tell(seller, "POST", "/users", {"emails": ["eve@example.com"]})
    game = await tell(seller, "POST", "/games", {"slug": "my-game"})
    key = await tell(seller, "POST", "/keys", {"game_id": game["id"], "user_id": user["id"]})

    assert (user["emails"], other["username"]) == (["user-7@example.com"], f"user-{other['id']}")
    assert (game["id"], game["title"], key["user_id"]) == (6, "my-game", 7)
    found = (await seller.get(f"/games/{game['id']}/download_keys", params={"user_id": 7})).json()
    assert found["download_key"]["owner"]["display_name"] == "Ada"


async def test_the_world_is_shown_whole(http: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """In the words of the control endpoints."""
    shown = await tell(http, "GET", "/world")

    assert list(shown) == ["seller_id", "users", "games", "keys", "purchases", "channels"]
    assert shown["keys"][0]["key"] == seed.OWNER_KEY
    assert shown["purchases"][0]["purchase_id"] == 11561
    assert len(shown["users"]) == len(sandbox.world.accounts)


async def test_the_clock_is_moved_forward(http: httpx.AsyncClient) -> None:
    """A JWT ends as time passes, and a sandbox that stands alone has a clock to move, too."""
    minted = await tell(http, "POST", "/jwts", {"user_id": 1994, "lifetime_seconds": 60})
    told = await tell(http, "POST", "/clock", {"advance_seconds": 60.5})
    answer = await http.get("/profile", headers={"Authorization": f"Bearer {minted['jwt']}"})

    assert told == await tell(http, "GET", "/clock")
    assert told == {"now": "2026-11-20T14:04:11.623456Z", "ahead_seconds": 60.5}
    assert answer.json() == {"errors": ["token expired"]}


@pytest.mark.parametrize(
    ("method", "path", "body", "pointer"),
    [
        ("POST", "/access-tokens/revoke", {"access_token": "none"}, "/access_token"),
        ("POST", "/users", {"id": 1994}, "/id"),
        ("POST", "/users", {"username": "amos"}, "/username"),
        ("POST", "/users", {"emails": ["new@example.com", "BEA@example.com"]}, "/emails/1"),
        ("POST", "/games", {"slug": "new", "id": 3}, "/id"),
        ("POST", "/games", {"slug": "x-moon"}, "/slug"),
        ("POST", "/games", {}, "/slug"),
        ("POST", "/keys", {"game_id": 3, "key": seed.OWNER_KEY}, "/key"),
        ("POST", "/keys", {"game_id": 77}, "/game_id"),
        ("POST", "/keys", {"game_id": 3, "user": 1}, "/user"),
        ("POST", "/purchases", {"game_id": [3, 3], "user_id": 1}, "/game_id"),
        ("POST", "/purchases/refund", {"purchase_id": 1}, "/purchase_id"),
        ("POST", "/clock", {"advance_seconds": -1}, "/advance_seconds"),
        ("POST", "/clock", {"advance_seconds": 315_360_001}, "/advance_seconds"),
        ("PUT", "/faults", [{"status": 503}, {"status": 200}], "/1"),
        ("PUT", "/faults", [{"name": "outage"}, {"name": "throttle"}], "/1"),
        ("PUT", "/faults", [{"endpoint": "games", "deny": True}, {"endpoint": "games", "latency_ms": 1}], "/1"),
        ("PUT", "/faults", {"name": "outage", "status": 500}, ""),
        ("PUT", "/faults", {"name": "flood"}, "/name"),
    ],
)
async def test_a_mistake_has_a_pointer(
    http: httpx.AsyncClient, method: str, path: str, body: object, pointer: str
) -> None:
    """The place of the mistake in the body, as a JSON pointer."""
    answer = await http.request(method, f"/sandbox{path}", json=body)

    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
    assert answer.status_code == 400


async def test_faults_that_can_all_befall_are_taken(http: httpx.AsyncClient) -> None:
    """One that is bounded leaves requests to those after it."""
    faults = [{"name": "slow", "times": 1}, {"endpoint": "games", "deny": True}, {"latency_ms": 1}]

    assert len((await tell(http, "PUT", "/faults", faults))["faults"]) == 3


async def test_a_clock_has_an_end(http: httpx.AsyncClient) -> None:
    """Ten years, in one step or in several."""
    await tell(http, "POST", "/clock", {"advance_seconds": 315_360_000})

    assert (await http.post("/sandbox/clock", json={"advance_seconds": 1})).status_code == 400


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_a_page_of_another_site_changes_nothing(http: httpx.AsyncClient, sandbox: Sandbox, site: str) -> None:
    """A browser sends its POST without asking first, if it is plain text."""
    headers = {"sec-fetch-site": site, "content-type": "text/plain"}
    before = sandbox.world.content()
    refused = await http.post("/sandbox/keys/revoke", content=f'{{"key":"{seed.OWNER_KEY}"}}', headers=headers)
    read = await http.get("/sandbox", headers=headers)

    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_page")
    assert sandbox.world.content() == before
    assert read.status_code == 200


@pytest.mark.parametrize("site", ["same-origin", "none", None])
async def test_the_sandboxs_own_pages_and_programs_change_it(http: httpx.AsyncClient, site: str | None) -> None:
    """A browser says so of the console, and of what its user has typed; programs say nothing."""
    headers = {} if site is None else {"sec-fetch-site": site}

    assert (await http.post("/sandbox/games", json={"slug": "new"}, headers=headers)).status_code == 200


async def test_the_endpoints_describe_themselves(http: httpx.AsyncClient) -> None:
    """Each endpoint and method with its bodies."""
    described = await tell(http, "GET", "/openapi.json")

    assert described["openapi"] == "3.1.0"
    assert {path: set(methods) for path, methods in described["paths"].items()} == {
        f"/sandbox{path}": {method.lower() for method in methods} for path, methods in ENDPOINTS.items()
    }
    assert "MintKey" in described["components"]["schemas"]
