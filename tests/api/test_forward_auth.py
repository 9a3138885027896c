"""Proxies that ask whether a player's request may pass."""

import asyncio
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import pytest

from service.http.application import Listener
from service.sandbox import seed
from service.settings import SettingsReader
from tests.api.conftest import Open
from tests.api.edges import FIELDS, OTHER, PROXY, Edge, jwt_of, key
from tests.clock import FakeClock
from tests.gateways import X_MOON, Asker, LogLines, befall, caller_lines, opened, store_calls, until
from tests.http.serving import listening

POLICIES: Final = (
    X_MOON
    + """
[games.sun-garden]
id = 4

[forward_auth.downloads]
game = "x-moon"
caller = "edge"
credentials = ["jwt", "download_key"]

[forward_auth.keys]
game = "x-moon"
caller = "edge"
credentials = ["download_key"]

[forward_auth.other]
game = "sun-garden"
caller = "other-edge"
credentials = ["jwt", "download_key"]
"""
    + caller_lines("edge", PROXY, rights='["verify"]', games='["x-moon"]', rate="10000")
    + caller_lines("other-edge", OTHER, rights='["verify"]', games='["sun-garden"]', rate="10000")
)


@pytest.fixture
async def gateway(open_with: Open) -> Asker:
    """A gateway with three policies of two proxies."""
    return await open_with(POLICIES)


async def test_owner_by_jwt_is_let_in(edge: Edge, clock: FakeClock, log: LogLines) -> None:
    """The place behind the proxy learns who the player is, and why; the line names the policy."""
    answered = await edge.ask(jwt_of(seed.OWNER_ID, clock), "X-Request-ID: 7")

    assert (answered.status, answered.body) == (200, b"")
    assert answered.headers["cache-control"] == "no-store"
    line = await log.line_of("7")
    assert (line["policy"], line["caller"], line["method"]) == ("downloads", "edge", "jwt")
    assert [answered.headers[name] for name in FIELDS] == [
        str(seed.OWNER_ID),
        "owned",
        "download_key",
        line["decision_id"].lower(),
    ]


async def test_holder_of_a_key_is_not_named_as_its_owner(edge: Edge) -> None:
    """A key proves that the game is owned; whose it is would name another account."""
    answered = await edge.ask(key())

    assert answered.status == 200
    assert [answered.headers[name] for name in FIELDS[:3]] == ["none", "owned", "download_key"]


async def test_seller_without_any_proof_is_let_in(edge: Edge, clock: FakeClock) -> None:
    """The seller's own account plays its game."""
    answered = await edge.ask(jwt_of(seed.SELLER_ID, clock))

    assert answered.status == 200
    assert [answered.headers[name] for name in FIELDS[:3]] == [str(seed.SELLER_ID), "granted", "seller_account"]


async def test_player_without_the_game_is_refused(edge: Edge, clock: FakeClock) -> None:
    """403, with a problem, and without a field for the place behind."""
    answered = await edge.ask(jwt_of(seed.STRANGER_ID, clock))

    problem = answered.problem
    assert answered.status == problem["status"] == 403
    assert (problem["allowed"], problem["outcome"], problem["reason"]) == (False, "not_owned", "no_download_key")
    assert problem["code"] == problem["reason"]
    assert problem["decision_id"]
    assert not any(name in answered.headers for name in FIELDS)
    assert answered.headers["cache-control"] == "no-store"


async def test_banned_player_is_refused(open_with: Open, clock: FakeClock) -> None:
    """403, however much the player owns the game."""
    gateway = await open_with(
        f"[games.x-moon]\nid = 3\nban_user_ids = [{seed.OWNER_ID}]\n"
        '[forward_auth.a]\ngame = "3"\ncredentials = ["jwt"]\n'
    )
    async with listening(gateway.gateway.http) as server:
        answered = await Edge(server.port).ask(jwt_of(seed.OWNER_ID, clock), path="/forward-auth/a", token="")

    assert (answered.status, answered.problem["outcome"]) == (403, "banned")


@pytest.mark.parametrize(
    ("field", "reason"),
    [
        ("Authorization: Bearer a.b.c", "malformed_jwt"),
        ("Authorization: bearer a_personal_key_of_somebody", "api_key_not_accepted"),
        ("X-Download-Key: no key", "malformed_download_key"),
        ("X-Download-Key: \xff\xff\xff", "malformed_download_key"),
    ],
)
async def test_rejected_credential(edge: Edge, field: str, reason: str) -> None:
    """401, which says that the credential is the matter (RFC 6750)."""
    answered = await edge.ask(field)

    assert (answered.status, answered.problem["reason"]) == (401, reason)
    assert answered.headers["www-authenticate"] == 'bearer error="invalid_token"'
    assert not any(name in answered.headers for name in FIELDS)


async def test_expired_jwt(edge: Edge, clock: FakeClock) -> None:
    """A credential that was good once is 401, too."""
    answered = await edge.ask(jwt_of(seed.OWNER_ID, clock, timedelta(seconds=-1)))

    assert (answered.status, answered.problem["outcome"]) == (401, "rejected")


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("downloads", []),
        ("downloads", ["Authorization: Basic YTpi"]),
        ("downloads", ["Authorization:", "X-Download-Key:"]),
        ("downloads", ["Authorization: Bearer a.b.c", key()]),
        ("downloads", [key(), key()]),
        ("downloads", [key(), key(seed.SHORT_KEY)]),
        ("downloads", [key(f"https://a.itch.io/x/download/{seed.OWNER_KEY}?a,{seed.OWNER_KEY}")]),
        ("downloads", ["Authorization: Bearer a.b.c,Bearer a.b.c"]),
        ("downloads", ["Cookie: ownership_pass=a.b.c"]),
        ("downloads?download_key=" + seed.OWNER_KEY, []),
        ("keys", ["Authorization: Bearer a.b.c"]),
    ],
)
async def test_not_exactly_one_credential(gateway: Asker, edge: Edge, path: str, fields: list[str]) -> None:
    """401 without an error of a token; the store is not asked, nor is a decision counted."""
    answered = await edge.ask(*fields, path=f"/forward-auth/{path}")

    assert (answered.status, answered.problem["code"]) == (401, "no_credential")
    assert answered.problem["allowed"] is False
    assert answered.headers["www-authenticate"] == "bearer"
    assert store_calls(gateway.sandbox) == 0
    assert await gateway.metric("refused_total", cause="no_credential") == 1
    assert await gateway.metric("answers_total") == 0


async def test_hint_names_what_the_policy_takes(edge: Edge) -> None:
    """A player's program learns which credential to present, and no more."""
    by_key = await edge.ask(path="/forward-auth/keys")
    by_both = await edge.ask()

    assert "X-Download-Key" in by_key.problem["detail"]
    assert "Bearer" not in by_key.problem["detail"]
    assert "Bearer" in by_both.problem["detail"]


async def test_two_authorizations_are_no_request(edge: Edge, clock: FakeClock) -> None:
    """400, which is a no behind every proxy: two readers could take two different ones."""
    assert (await edge.ask(jwt_of(seed.OWNER_ID, clock), jwt_of(seed.OWNER_ID, clock))).status == 400


async def test_no_answer_of_the_store(gateway: Asker, edge: Edge) -> None:
    """503 with `Retry-After`, never a no."""
    befall(gateway.sandbox, status=503)

    answered = await edge.ask(key())

    assert (answered.status, answered.problem["outcome"], answered.problem["allowed"]) == (503, "unknown", False)
    assert answered.headers["retry-after"] == str(answered.problem["retry_after_seconds"])
    assert 1 <= int(answered.headers["retry-after"]) <= 5
    assert not any(name in answered.headers for name in FIELDS)


async def test_overload_is_answered_like_every_question(open_with: Open) -> None:
    """A gateway with more to do than it can take on says so at once, with `Retry-After`."""
    gateway = await open_with("max_requests = 1\n" + POLICIES)
    befall(gateway.sandbox, latency_ms=60_000)
    async with listening(gateway.gateway.http) as server:
        edge = Edge(server.port)
        waiting = asyncio.create_task(edge.ask(key()))
        await until(lambda: gateway.gateway.http.in_flight)
        answered = await edge.ask(key(seed.SHORT_KEY))
        waiting.cancel()

    assert (answered.status, answered.problem["reason"]) == (503, "overloaded")
    assert answered.headers["retry-after"] == "1"


async def test_proxy_over_its_rate(open_with: Open) -> None:
    """All players behind a proxy share its rate."""
    gateway = await open_with(POLICIES.replace("rate = 10000", "rate = 1"))
    async with listening(gateway.gateway.http) as server:
        answers = [await Edge(server.port).ask(key()) for _ in range(3)]

    assert [answered.status for answered in answers] == [200, 200, 429]
    assert (answers[2].headers["retry-after"], answers[2].problem["code"]) == ("1", "too_many_questions")
    assert answers[2].problem["allowed"] is False


@pytest.mark.parametrize("token", ["", "ogw_no-token-of-ours", f"{PROXY}, {OTHER}", f"Bearer {PROXY}", OTHER])
async def test_proxy_that_is_not_known(gateway: Asker, edge: Edge, log: LogLines, token: str) -> None:
    """503, for 401 would tell players to log in; and no `Retry-After`, for time does not mend it."""
    answered = await edge.ask(key(), token=token)

    assert (answered.status, answered.problem["code"]) == (503, "forward_auth_refused")
    assert "retry-after" not in answered.headers
    assert "www-authenticate" not in answered.headers
    assert "detail" not in answered.problem
    assert answered.problem["allowed"] is False
    assert await gateway.metric("refused_total", cause="forward_auth") == 1
    assert store_calls(gateway.sandbox) == 0
    line = await log.line("refused")
    assert (line["cause"], line["request_id"]) == ("forward_auth", answered.problem["request_id"])


async def test_token_in_the_place_of_the_players_is_none(edge: Edge) -> None:
    """`Authorization` is the player's: a token of a caller there is a credential like any other, and no good one."""
    assert (await edge.ask(f"Authorization: Bearer {PROXY}", token="")).problem["code"] == "forward_auth_refused"
    assert (await edge.ask(f"Authorization: Bearer {PROXY}")).problem["reason"] == "api_key_not_accepted"


@pytest.mark.parametrize(
    "name",
    [
        "downloads",
        "downloads/",
        "downloads/../keys",
        "downloads/%2e%2e/other",
        "downloads/a//b;c?d",
        "downloads?x=/keys",
    ],
)
async def test_path_behind_the_policy_is_ignored(edge: Edge, clock: FakeClock, name: str) -> None:
    """Envoy appends the player's own path, dot segments included; it chooses no policy."""
    assert (await edge.ask(jwt_of(seed.OWNER_ID, clock), path=f"/forward-auth/{name}")).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/downloads",
        "./downloads",
        "../forward-auth/downloads",
        "down%6coads",
        "Downloads",
        "downloads;x",
        "downloads%2f",
        "downloads%3f",
        "downloads#x",
        "other",
    ],
)
async def test_path_that_is_no_policy_of_the_proxy(gateway: Asker, edge: Edge, name: str) -> None:
    """No name is decoded or normalised into a policy, and one of another proxy is none."""
    answered = await edge.ask(key(), path=f"/forward-auth/{name}")

    assert (answered.status, answered.problem["code"]) == (503, "forward_auth_refused")
    assert store_calls(gateway.sandbox) == 0


async def test_policy_is_for_its_own_proxy_only(open_with: Open) -> None:
    """The right to ask about the game does not do: a path that was turned into another policy's gets nowhere."""
    gateway = await open_with(POLICIES.replace('games = ["sun-garden"]', 'games = ["*"]'))
    async with listening(gateway.gateway.http) as server:
        answers = [await Edge(server.port).ask(key(), token=token) for token in (PROXY, OTHER)]

    assert answers[0].status == 200
    assert (answers[1].status, answers[1].problem["code"]) == (503, "forward_auth_refused")
    assert store_calls(gateway.sandbox) == 1


@pytest.mark.parametrize(
    "path", ["/forward-auth", "/%66orward-auth/downloads", "//forward-auth/downloads", "/x/../forward-auth/downloads"]
)
async def test_path_beside_it_is_nothing(edge: Edge, path: str) -> None:
    """Other spellings of the path lead nowhere, and so let no player in."""
    assert (await edge.ask(key(), path=path)).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"])
async def test_every_method_is_answered_alike(edge: Edge, clock: FakeClock, method: str) -> None:
    """The proxy decides what needs no credential; here nothing is exempt."""
    owner = await edge.ask(jwt_of(seed.OWNER_ID, clock), method=method)
    stranger = await edge.ask(jwt_of(seed.STRANGER_ID, clock), method=method)
    nobody = await edge.ask(method=method)

    assert [answered.status for answered in (owner, stranger, nobody)] == [200, 403, 401]
    assert owner.headers["x-ownership-player"] == str(seed.OWNER_ID)


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    "announced", ["Content-Length: 5", "Transfer-Encoding: chunked", "Content-Length: 5\r\nExpect: 100-continue"]
)
async def test_announced_body_is_not_waited_for(edge: Edge, clock: FakeClock, method: str, announced: str) -> None:
    """The head is answered, and the connection ends: what comes next may be that body, or another player's request."""
    answered = await edge.ask(jwt_of(seed.STRANGER_ID, clock), announced, method=method)

    assert (answered.status, answered.ended) == (403, True)


async def test_request_behind_an_announced_body_is_not_answered(gateway: Asker, edge: Edge, clock: FakeClock) -> None:
    """Bytes behind such a head are no second request."""
    second = f"GET /forward-auth/downloads HTTP/1.1\r\nHost: a\r\nX-Ownership-Caller: {PROXY}\r\n{key()}\r\n\r\n"

    answered = await edge.ask(
        jwt_of(seed.STRANGER_ID, clock), "Content-Length: 5", method="POST", behind=second.encode()
    )

    assert (answered.status, answered.ended) == (403, True)
    assert await gateway.metric("answers_total") == 1


async def test_websocket_is_answered_like_any_other(edge: Edge, clock: FakeClock) -> None:
    """Caddy hands the fields of an upgrade on; no protocol is changed."""
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==",
    ]

    assert (await edge.ask(jwt_of(seed.OWNER_ID, clock), *upgrade)).status == 200
    assert (await edge.ask(*upgrade)).status == 401


@pytest.mark.parametrize(
    "spoofed",
    [
        "X-Ownership-Player: 1994",
        "X-Ownership-Outcome: owned",
        "X-Forwarded-Uri: /forward-auth/keys",
        "X-Forwarded-Method: OPTIONS",
        "X-Original-URL: /livez",
        "X-Forwarded-For: 127.0.0.1",
        "Forwarded: for=127.0.0.1",
        "X-Rewrite-URL: /livez",
        "X-HTTP-Method-Override: OPTIONS",
        "Content-Type: application/json",
    ],
)
async def test_other_fields_are_never_read(edge: Edge, clock: FakeClock, spoofed: str) -> None:
    """Proxies pass many fields of players on; none of them changes an answer."""
    owner = await edge.ask(jwt_of(seed.OWNER_ID, clock), spoofed)
    stranger = await edge.ask(jwt_of(seed.STRANGER_ID, clock), spoofed)

    assert (owner.status, owner.headers["x-ownership-player"]) == (200, str(seed.OWNER_ID))
    assert (stranger.status, stranger.problem["outcome"]) == (403, "not_owned")


async def test_known_player_is_answered_from_memory(gateway: Asker, edge: Edge, clock: FakeClock) -> None:
    """Answers learned by the one way are known to the other."""
    await edge.ask(jwt_of(seed.OWNER_ID, clock))
    before = store_calls(gateway.sandbox)

    answered = await edge.ask(jwt_of(seed.OWNER_ID, clock))

    assert answered.status == 200
    assert store_calls(gateway.sandbox) == before


async def test_bug_is_500(open_with: Open, log: LogLines) -> None:
    """A mistake of the gateway's lets no player in, and is told."""

    def broken(_request: httpx.Request) -> httpx.Response:
        raise RuntimeError("canary-7f3a91")

    policy = '[forward_auth.downloads]\ngame = "x-moon"\ncredentials = ["download_key"]\n'
    gateway = await open_with(
        '[itch]\napi_key = "a-seller-key-of-a-test"\n' + X_MOON + policy,
        sandbox=False,
        transport=httpx.MockTransport(broken),
    )
    async with listening(gateway.gateway.http) as server:
        answered = await Edge(server.port).ask(key(), token="")

    assert (answered.status, answered.problem["code"]) == (500, "internal_error")
    assert not any(name in answered.headers for name in FIELDS)
    assert await log.line("bug")


async def test_listener_for_operations_answers_no_proxy(gateway: Asker) -> None:
    """Its neighbours are other people."""
    async with listening(gateway.gateway.http, Listener.OPERATIONS) as operations:
        assert (await Edge(operations.port).ask(key())).status == 404
    async with listening(gateway.gateway.http, Listener.QUESTIONS) as questions:
        assert (await Edge(questions.port).ask(key())).status == 200


async def test_off_until_configured(open_with: Open) -> None:
    """Without policies there is no route, no series and no import."""
    for name in ("service.api.forward_auth", "service.api.policies"):
        sys.modules.pop(name, None)
    gateway = await open_with()
    async with listening(gateway.gateway.http) as server:
        answered = await Edge(server.port).ask(key())

    assert (answered.status, answered.problem["code"]) == (404, "not_enabled")
    metrics = (await gateway.http.get("/metrics")).text
    assert "forward_auth" not in metrics
    assert "no_credential" not in metrics
    assert not {"service.api.forward_auth", "service.api.policies"} & sys.modules.keys()


def test_not_imported_until_configured() -> None:
    """A process that has loaded the wiring has not loaded this, which only questions and policies need."""
    names = "'service.api.forward_auth', 'service.api.policies'"
    code = f"import sys, service.wiring.http, service.wiring.rules; print({{{names}}} & sys.modules.keys())"

    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert loaded.stdout.strip() == "set()"


async def test_series_are_there_before_the_first_refusal(gateway: Asker) -> None:
    """`rate()` does not see the event with which a series begins."""
    metrics = (await gateway.http.get("/metrics")).text

    assert 'refused_total{cause="forward_auth"} 0.0' in metrics
    assert 'refused_total{cause="no_credential"} 0.0' in metrics


async def test_policies_are_read_again(tmp_path: Path, clock: FakeClock, log: LogLines) -> None:
    """A policy that is written into the file holds without a restart, and so does its end."""
    file = tmp_path / "gateway.toml"
    file.write_text(X_MOON + caller_lines("edge", PROXY), encoding="utf-8")
    reader = SettingsReader({}, config_file=file, flags={"sandbox": "true"})
    settings = reader.read()
    async with (
        opened(settings, clock=clock, log=log, reader=reader) as gateway,
        listening(gateway.gateway.http) as server,
    ):
        edge = Edge(server.port)
        statuses = [(await edge.ask(key())).status]
        for toml in (POLICIES, POLICIES.replace("forward_auth.downloads", "forward_auth.files")):
            file.write_text(toml, encoding="utf-8")
            before = len(log.lines("configuration_reloaded"))
            gateway.gateway.reload()
            await until(partial(_reloaded, log, before))
            statuses.append((await edge.ask(key())).status)

    assert statuses == [404, 200, 503]


def _reloaded(log: LogLines, before: int) -> bool:
    return len(log.lines("configuration_reloaded")) > before
