"""Four proxies with the recipes of deploy/forward-auth: no fault of the store or of the gateway lets a player in."""

import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, Final

import pytest
from msgspec import Struct

from service.sandbox import seed
from tests.gateways import X_MOON, caller_lines
from tests.integrations.guarded_place import GuardedPlace
from tests.integrations.guards import GUARDS, TOKEN, guard
from tests.integrations.processes import Gateway, lasting_port
from tests.redis_server import free_port

_PATIENCE_SECONDS: Final = 60
"""Traefik waits for 30 s for a gateway that hangs."""

_POLICIES: Final = """
[forward_auth.downloads]
game = "x-moon"
caller = "edge"
credentials = ["pass", "jwt", "download_key"]
cookie = "ownership_pass"

[forward_auth.keys]
game = "x-moon"
credentials = ["download_key"]
caller = "edge"
"""
KEY: Final = f"X-Download-Key: {seed.OWNER_KEY}"
STUDIO: Final = "ogw_the-token-of-the-studio-in-tests-00000000000"
OURS: Final = {
    "x-ownership-player": "none",
    "x-ownership-outcome": "owned",
    "x-ownership-reason": "download_key",
}


class Seen(Struct, frozen=True):
    """The response that a player saw: 0 if the connection ended without a status."""

    status: int
    headers: dict[str, str]


class Guarded:
    """A guarded place, the proxy in front of it, and the gateway that the proxy asks."""

    def __init__(self, name: str, port: int, place: GuardedPlace, gateway: Gateway) -> None:
        self.name = name
        self.place = place
        self.gateway = gateway
        self._port = port

    def visit(self, *fields: str, path: str = "/file", method: str = "GET", behind: bytes = b"") -> Seen:
        """Send a request as a player does, over a connection of its own."""
        head = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: place.example", "Connection: close", *fields, "", ""])
        if any(field.startswith("Upgrade:") for field in fields):
            head = head.replace("Connection: close", "Connection: Upgrade")
        with socket.create_connection(("127.0.0.1", self._port), _PATIENCE_SECONDS) as connection:
            connection.sendall(head.encode("latin-1") + behind)
            received = b""
            while b"\r\n\r\n" not in received and (more := connection.recv(65536)):
                received += more
        if not received:
            return Seen(0, {})
        lines = received.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        return Seen(int(lines[0].split()[1]), dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line))

    def reached(self, *fields: str, **more: Any) -> tuple[Seen, list[list[tuple[str, str]]]]:
        """Send a request; return what the player saw, and the requests that reached the place meanwhile."""
        before = len(self.place.reached)
        seen = self.visit(*fields, **more)
        return seen, self.place.reached[before:]

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Use a control endpoint of the sandbox."""
        headers = {"Connection": "close"} | ({} if body is None else {"Content-Type": "application/json"})
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=_PATIENCE_SECONDS)
        with closing(connection):
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            with connection.getresponse() as response:
                assert response.status < http.client.BAD_REQUEST, response.read()
                return json.loads(response.read() or b"null")

    def issue_pass(self) -> str:
        """Return a pass of the owner's account."""
        headers = {"Connection": "close", "Content-Type": "application/json", "Authorization": f"Bearer {STUDIO}"}
        order = json.dumps({"game": 3, "method": "user", "user_id": seed.OWNER_ID})
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.port, timeout=_PATIENCE_SECONDS)
        with closing(connection):
            connection.request("POST", "/passes", order, headers)
            return str(json.loads(connection.getresponse().read())["pass"]["value"])

    def jwt(self, user_id: int) -> str:
        """Return the field with a JWT of that user."""
        return f"Authorization: Bearer {self.control('POST', '/sandbox/jwts', {'user_id': user_id})['jwt']}"


@pytest.fixture(scope="module")
def edge_gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway behind all four."""
    directory = tmp_path_factory.mktemp("gateway")
    file = directory / "gateway.toml"
    caller = caller_lines("edge", TOKEN, rate="10000", rights='["verify"]', failed_keys_per_minute="10000")
    studio = caller_lines("studio", STUDIO, rights='["assert:user", "pass"]')
    file.write_text(X_MOON + _POLICIES + caller + studio, encoding="utf-8")
    gateway = Gateway(lasting_port(), directory / "log", {"CONFIG": str(file)})
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()


@pytest.fixture(scope="module", params=GUARDS)
def running(
    request: pytest.FixtureRequest, edge_gateway: Gateway, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    """Each proxy in turn."""
    port = free_port()
    with GuardedPlace() as place:
        ports = {8000: port, 8080: edge_gateway.port, 9000: place.port}
        with guard(request.param, tmp_path_factory.mktemp(request.param), ports):
            guarded = Guarded(request.param, port, place, edge_gateway)
            _until_routed(guarded)
            yield guarded


@pytest.fixture
def guarded(running: Guarded) -> Guarded:
    """The proxy in front of a gateway that has forgotten everything."""
    running.control("POST", "/sandbox/reset")
    return running


def _until_routed(guarded: Guarded) -> None:
    """Return once the proxy has read its recipe: Traefik listens before."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while (status := guarded.visit(KEY).status) != 200:
        assert time.monotonic() < end, f"{guarded.name} answers {status}"
        time.sleep(0.1)


def _refused(guarded: Guarded, *fields: str, **more: Any) -> Seen:
    """Send a request that must not reach the place; return what the player saw."""
    seen, reached = guarded.reached(*fields, **more)
    assert reached == [], f"{guarded.name} let {fields} through"
    assert not any(name.startswith("x-ownership-") for name in seen.headers)
    return seen


def test_allowed(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """The place learns who comes from the gateway, and gets neither token nor key."""
    by_key, (first,) = guarded.reached(KEY)
    by_jwt, (second,) = guarded.reached(guarded.jwt(seed.OWNER_ID), path="/a%20b/../c?d=e")

    fields = dict(first)
    seen(f"{by_key.status}, {by_jwt.status}")
    assert (by_key.status, by_jwt.status) == (200, 200)
    assert {name: fields[name] for name in OURS} == OURS
    assert re.fullmatch("[0-9A-Z]{26}", fields["x-ownership-decision"])
    assert dict(second)["x-ownership-player"] == str(seed.OWNER_ID)
    assert "x-ownership-caller" not in fields
    assert "x-download-key" not in fields
    assert TOKEN not in repr((first, second))


def test_passes(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """A pass lets in by header and by cookie; not by two cookies, by another name, or beside another credential."""
    shown = guarded.issue_pass()
    cookie = f"Cookie: ownership_pass={shown}"
    allowed = [guarded.reached(field) for field in (f"Authorization: Bearer {shown}", cookie, f"{cookie}; a=b")]
    refused = [
        _refused(guarded, *fields).status
        for fields in (
            [f"{cookie}; ownership_pass={shown}"],
            [cookie, cookie],
            [f"{cookie},{shown}"],
            [f"Cookie: other={shown}"],
            [f"Cookie: ownership_pass={shown[:-4]}AAAA"],
            [cookie, "Authorization: Bearer a.b.c"],
            [cookie, "X-Download-Key: sandbox-no-such-key-of-anybody-000000000", "Authorization: Bearer a.b.c"],
        )
    ]

    statuses = [one.status for one, _ in allowed]
    seen(f"{statuses} {refused}")
    assert statuses == [200] * 3
    assert [dict(fields)["x-ownership-player"] for _, (fields,) in allowed] == [str(seed.OWNER_ID)] * 3
    assert set(refused) <= {400, 401}


def test_refused(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """403 for a player without the game, 401 for one without a credential that is good, or with two."""
    stranger = guarded.jwt(seed.STRANGER_ID)
    found = [
        _refused(guarded, *fields)
        for fields in (
            [stranger],
            ["X-Download-Key: sandbox-no-such-key-of-anybody-000000000"],
            [],
            ["Authorization: Bearer a.b.c"],
            ["Authorization: Basic YTpi"],
            [KEY, stranger],
            [KEY, KEY],
            [f"{KEY},{seed.OWNER_KEY}"],
        )
    ]

    statuses = [one.status for one in found]
    seen(str(statuses))
    assert statuses == [403, 403, *[401] * 6]
    assert all("www-authenticate" in one.headers for one in found[2:])


def test_two_authorizations(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """Whichever of two is taken, no player comes in by both."""
    owner, stranger = guarded.jwt(seed.OWNER_ID), guarded.jwt(seed.STRANGER_ID)

    statuses = [_refused(guarded, *fields).status for fields in ([owner, owner], [owner, stranger], [stranger, owner])]
    seen(str(statuses))
    assert all(400 <= status < 600 for status in statuses)


def test_store_away(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """503 with `Retry-After`, and no player comes in, by no fault of the store."""
    faults: list[dict[str, object]] = [
        {"status": 503},
        {"status": 429, "retry_after": "30"},
        {"status": 403},
        {"html_challenge": True},
        {"body": "{}"},
        {"body": '{"owned": true}'},
        {"truncated": True},
        {"redirect": "https://example.com/", "status": 302},
        {"latency_ms": 20_000},
    ]
    known = guarded.jwt(seed.OWNER_ID)
    assert guarded.visit(known).status == 200
    waits = []
    for fault in faults:
        guarded.control("PUT", "/sandbox/faults", fault)
        found = _refused(guarded, KEY)
        assert found.status == 503, (fault, found)
        waits.append(int(found.headers["retry-after"]))
        assert guarded.visit(known).status == 200, "the store said so before"
        guarded.control("DELETE", "/sandbox/faults")
    seen(f"503 of {len(faults)} faults, Retry-After {waits}")
    assert guarded.visit(KEY).status == 200


def test_spoofed_fields(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """The place sees our fields once each, in no second spelling; the gateway sees none of the player's."""
    names = ["Player", "Outcome", "Reason", "Decision"]
    statuses = []
    for between in ("-", "_"):
        for before in ("-", "_"):
            spoofed = [f"X{before}Ownership{between}{name}: spoofed" for name in names]
            spoofed += [line.upper() for line in spoofed] + ["X-Ownership-Caller: spoofed"]
            found, reached = guarded.reached(KEY, *spoofed)
            statuses.append(found.status)
            assert found.status in {200, 400}, found
            assert len(reached) == (found.status == 200)
            for fields in reached:
                ours = sorted(name.replace("_", "-") for name, _ in fields if re.match("x.ownership", name))
                assert ours == sorted(f"x-ownership-{name.lower()}" for name in names)
                assert "spoofed" not in repr(fields).lower()
            stranger = _refused(guarded, "Authorization: Bearer a.b.c", *spoofed)
            assert stranger.status in {400, 401}
    for field in (
        "X-Forwarded-Uri: /forward-auth/keys",
        "X-Original-URL: /livez",
        "X-Forwarded-Method: OPTIONS",
        "X-Forwarded-Host: a",
        "X-HTTP-Method-Override: OPTIONS",
    ):
        assert _refused(guarded, field).status == 401
        assert guarded.visit(field, KEY).status == 200
    seen(f"{statuses}")


@pytest.mark.parametrize(
    "path",
    [
        "/../keys",
        "/%2e%2e/keys",
        "/..%2fkeys",
        "//keys",
        "/a/../../keys",
        "/;/keys",
        "/%00",
        "/a?x=/../keys",
        "/%252e%252e/keys",
        "/\\..\\keys",
        "/forward-auth/keys",
        "/ownership-gateway",
    ],
)
def test_paths(guarded: Guarded, path: str, seen: Callable[[str], None]) -> None:
    """No path chooses the policy, or goes past it: a JWT, which another policy does not take, is judged by this."""
    owner = guarded.visit(guarded.jwt(seed.OWNER_ID), path=path).status
    statuses = [
        owner,
        _refused(guarded, path=path).status,
        _refused(guarded, guarded.jwt(seed.STRANGER_ID), path=path).status,
    ]

    seen(f"{path} {statuses}")
    assert owner in {200, 400, 404}
    assert set(statuses[1:]) <= {400, 401, 403, 404}


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "FOO"])
def test_methods(guarded: Guarded, method: str, seen: Callable[[str], None]) -> None:
    """None is exempt; a body goes to the place alone."""
    body = method in {"POST", "PUT", "PATCH"}
    fields, behind = (["Content-Length: 5"], b"a=b&c") if body else ([], b"")

    stranger = _refused(guarded, guarded.jwt(seed.STRANGER_ID), *fields, method=method, behind=behind).status
    nobody = _refused(guarded, *fields, method=method, behind=behind).status
    owner = guarded.visit(guarded.jwt(seed.OWNER_ID), *fields, method=method, behind=behind).status
    seen(f"{method} {owner} {stranger} {nobody}")
    if method in {"HEAD", "POST", "PUT", "PATCH", "DELETE"}:
        assert (owner, stranger, nobody) == (200, 403, 401)


def test_preflight(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """The proxy answers it itself: it has no credential, and does not reach the place."""
    fields = ["Origin: https://game.example", "Access-Control-Request-Method: GET"]

    found = _refused(guarded, *fields, method="OPTIONS")
    bare = _refused(guarded, method="OPTIONS")
    seen(f"{found.status}, without an origin {bare.status}")
    assert found.status in {200, 204}


def test_websocket(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """An upgrade passes like any other request: with a credential alone."""
    upgrade = ["Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=="]

    owner = guarded.visit(KEY, *upgrade).status
    nobody, stranger = (
        _refused(guarded, *upgrade).status,
        _refused(guarded, guarded.jwt(seed.STRANGER_ID), *upgrade).status,
    )
    seen(f"{owner} {nobody} {stranger}")
    assert (owner, nobody, stranger) == (101, 401, 403)


def test_gateway_hangs(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """A gateway that hangs lets no player in, not even known owners; then all is as before."""
    assert guarded.visit(KEY).status == 200
    begun = time.monotonic()
    guarded.gateway.signal(signal.SIGSTOP)
    try:
        found = _refused(guarded, KEY)
    finally:
        guarded.gateway.signal(signal.SIGCONT)
    seen(f"{found.status}, Retry-After {found.headers.get('retry-after')}, after {time.monotonic() - begun:.0f} s")
    assert found.status == (500 if guarded.name == "traefik" else 503)
    assert ("retry-after" in found.headers) == (guarded.name != "traefik")
    assert guarded.visit(KEY).status == 200


def test_gateway_away(guarded: Guarded, seen: Callable[[str], None]) -> None:
    """A gateway that is not there lets no player in; once it is back, all is as before."""
    guarded.gateway.kill()
    try:
        found = _refused(guarded, KEY)
    finally:
        guarded.gateway.start()
    seen(f"{found.status}, Retry-After {found.headers.get('retry-after')}")
    assert found.status == (500 if guarded.name == "traefik" else 503)
    assert ("retry-after" in found.headers) == (guarded.name != "traefik")
    _until_routed(guarded)
