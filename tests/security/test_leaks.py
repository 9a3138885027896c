"""Secrets that must never be seen, sent through every request that there is and every fault that there can be.

Afterwards they are looked for, in every form, in all log lines at `debug`, in the metrics, in every response, in the
text of every exception, and in all that Redis holds.
"""

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from redis.asyncio import Redis

from service.api.paths import OVERRIDES_PATH
from service.app import open_gateway, open_upstream
from service.errors import GatewayError, SettingsError
from service.ownership import AccessToken, AppJwt, DownloadKey, GameId, ProofKind, Subject, VerifiedEmail
from service.redis.connect import connect
from service.sandbox.faults import Fault
from service.sandbox.state import Sandbox
from service.sandbox.world_content import AccessTokenRecord, PurchaseKind, SellerKeyState
from service.secret import RedisUrl, SellerKey
from service.settings import Settings, load_settings
from service.stores.transport import StoreClient
from service.verification.interfaces import Lane
from tests.clock import FakeClock, passing_time
from tests.gateways import (
    X_MOON,
    Asker,
    LogLines,
    caller_lines,
    client_of,
    logging_into,
    pointing_at,
    sandbox_alone,
    settings_from,
    until_learned,
)
from tests.redis_server import RedisServer
from tests.security.search import found

SELLER_KEY: Final = "canarySellerKeyQ7vT2mB9xK4wZ8pL3nR6sD1fH"
TOKEN: Final = "ogw_canaryCallerTokenG5hJ8kQ2wE7rT4yU9iO3pA6s"
DOWNLOAD_KEY: Final = "canaryDownloadKeyM3nB6vC9xZ2lK5jH8gF4dS7"
UNKNOWN_KEY: Final = "canaryUnknownKeyP8oI5uY2tR9eW6qA3sD7fG4h"
ACCESS_TOKEN: Final = "canaryAccessTokenB7nM4vC2xZ9lK6jH3gF8dS5"
FOREIGN_TOKEN: Final = "canary_foreign-token-of_another-site-T2w9y4"
EMAIL: Final = "canary.player+games-X4z7@mail.example.com"
REDIS_PASSWORD: Final = "canaryRedisPasswordV2bN5mK8jH3gF6dS9aP4o"
SECRET: Final = "canarySealingSecretT6yU9iO2pL5kJ8hG3fD7s"
NOTE: Final = "canaryNote of Mrs. Player, refund pending; C7vB2nM9kL4jH6gF"
CALLER: Final = "canary-caller-of-support-x5c8v2b7"
"""Callers' names are in the log, and in no clear text anywhere else."""
RIGHTS: Final = '["verify", "assert:user", "assert:email", "admin", "override", "support"]'
OWNER: Final = 1994

STORE_FAULTS: Final[list[dict[str, Any]]] = [
    {"status": 429},
    {"status": 429, "retry_after": "7"},
    {"status": 503, "retry_after": f"{SELLER_KEY} {DOWNLOAD_KEY}"},
    {"status": 500},
    {"status": 502},
    {"status": 401},
    {"status": 403},
    {"status": 404},
    {"html_challenge": True},
    {"truncated": True},
    {"redirect": f"https://elsewhere.example/?key={SELLER_KEY}&download_key={DOWNLOAD_KEY}&email={EMAIL}"},
    {"body": f'{{"errors": ["unknown: {DOWNLOAD_KEY} {EMAIL} {SELLER_KEY}"]}}'},
    {"body": '{"errors": ["invalid key"]}'},
    {"body": '{"errors": ["invalid game"]}'},
    {"body": f'{{"download_key": {{"id": "{EMAIL}", "key": "{UNKNOWN_KEY}", "game_id": "{SELLER_KEY}"}}}}'},
    {"body": f'{{"user": {{"id": 1, "username": 7, "display_name": {{"{EMAIL}": "{TOKEN}"}}}}}}'},
    {"body": f"<html>{DOWNLOAD_KEY} {EMAIL} {SELLER_KEY}</html>", "content_type": f"text/{DOWNLOAD_KEY}"},
    {"body": DOWNLOAD_KEY * 10_000},
    {"body_base64": b"\xff\xfe" + SELLER_KEY.encode()},
]
SLOW_FAULTS: Final[list[dict[str, Any]]] = [
    {"latency_ms": 60_000},
    {"drip": {"chunk_bytes": 16, "interval_ms": 1_000}},
]


class Evidence:
    """All that can be seen from outside."""

    def __init__(self) -> None:
        self.log = LogLines()
        self.responses = b""
        self.exceptions = b""
        self.redis = b""

    async def see(self, response: httpx.Response) -> httpx.Response:
        """Keep a whole response."""
        self.responses += repr((response.status_code, response.headers.raw)).encode() + response.content
        return response

    def raised(self, error: BaseException) -> None:
        """Keep all that can be printed of an exception and of those it came from."""
        lines = [*traceback.format_exception(error), repr(error), str(error), repr(error.args)]
        self.exceptions += "\n".join(lines).encode("utf-8", "backslashreplace")

    async def dump(self, redis: Redis) -> None:
        """Keep every key and every value, of any type."""
        await redis.config_set("rdbcompression", "no")
        async for key in redis.scan_iter():
            self.redis += key + b"\n" + (await redis.dump(key) or b"") + b"\n"

    def haystacks(self) -> dict[str, bytes]:
        """Return it by where it was seen."""
        return {
            "the log": self.log.written,
            "a response": self.responses,
            "an exception": self.exceptions,
            "Redis": self.redis,
        }


class Scene:
    """A gateway whose every secret is a canary, and all that it speaks to."""

    def __init__(self, gateway: Asker, sandbox: Sandbox, seen: Evidence, jwts: list[str]) -> None:
        self.gateway = gateway
        self.sandbox = sandbox
        self.seen = seen
        self.jwts = jwts

    async def ask_everything(self, **fields: object) -> list[httpx.Response]:
        """Ask by every method, alone and in a batch, as a known caller."""
        requests = list(questions(self.jwts, fields))
        headers = {"authorization": f"Bearer {TOKEN}"}
        answers = [await self.gateway.http.post(path, content=body, headers=JSON | headers) for path, body in requests]
        return [await self.seen.see(answer) for answer in answers]

    async def over(self) -> None:
        """Let the time pass after which a fault is forgotten."""
        self.sandbox.faults.replace([])
        self.gateway.clock.jump(timedelta(minutes=2))


JSON: Final = {"content-type": "application/json"}


def questions(jwts: list[str], fields: dict[str, object]) -> Iterator[tuple[str, bytes]]:
    """Yield every question, as path and body."""
    asked: list[tuple[str, str, object]] = [
        ("download_key", "download_key", DOWNLOAD_KEY),
        ("download_key", "download_key", UNKNOWN_KEY),
        ("download_key", "download_key", f"https://leafo.itch.io/x-moon/download/{DOWNLOAD_KEY}"),
        ("email", "email", EMAIL),
        ("user", "user_id", OWNER),
        ("access_token", "access_token", ACCESS_TOKEN),
        ("access_token", "access_token", FOREIGN_TOKEN),
        *(("jwt", "jwt", jwt) for jwt in jwts),
    ]
    items = []
    for number, (method, name, credential) in enumerate(asked):
        question = {"game": 3, name: credential, **fields}
        yield f"/verify/{method.replace('_', '-')}", json.dumps(question).encode()
        items.append({"id": str(number), "method": method, **question})
    yield "/verify/batch", json.dumps({"items": items}).encode()


def bad_bodies(jwt: str) -> Iterator[bytes]:
    """Yield bodies that are refused, full of secrets."""
    for secret in (SELLER_KEY, TOKEN, DOWNLOAD_KEY, ACCESS_TOKEN, EMAIL, jwt, REDIS_PASSWORD, SECRET):
        quoted = json.dumps(secret).encode()
        yield b"{" + quoted
        yield quoted
        yield b'{"game": ' + quoted + b"}"
        yield b'{"game": 3, ' + quoted + b": 1}"
        yield b'{"game": 3, "access_token": [' + quoted + b"]}"
        yield b'{"game": 3, "access_token": "' + quoted[1:-1] + b' "}'
        yield b'{"game": 3, "jwt": {' + quoted + b": " + quoted + b"}}"
        yield b'{"game": 3, "download_key": ' + quoted[:-1] + b'\\u0000\\r\\n"}'
        yield b'{"game": 3, "email": "a@' + quoted[1:-1] + b'@b"}'
        yield b'{"game": 3, "user_id": ' + quoted + b"}"
        yield b'{"items": [{"id": "a", "method": ' + quoted + b", " + quoted + b": 1}]}"
        yield secret.encode() + b"\xff"


@asynccontextmanager
async def scene(directory: Path, server: RedisServer, *, password: str = REDIS_PASSWORD) -> AsyncIterator[Scene]:
    """Open such a gateway, in a world that knows the canaries."""
    clock, seen = FakeClock(), Evidence()
    async with sandbox_alone(clock) as (sandbox, base_url):
        sandbox.world.seller_keys[SELLER_KEY] = SellerKeyState()
        sandbox.world.mint_key(3, text=DOWNLOAD_KEY, user_id=OWNER, email=EMAIL)
        sandbox.world.access_tokens[ACCESS_TOKEN] = AccessTokenRecord(OWNER, sandbox.world.seller.id)
        sandbox.world.access_tokens[FOREIGN_TOKEN] = AccessTokenRecord(OWNER, 777)
        sandbox.world.buy([3, 4], email=EMAIL, kind=PurchaseKind.BUNDLE)
        good = sandbox.mint_jwt(OWNER).jwt
        expired = sandbox.mint_jwt(OWNER, lifetime=-timedelta(hours=1)).jwt
        forged = good.rpartition(".")[0] + "." + sandbox.mint_jwt(2001).jwt.rpartition(".")[2]
        toml = (
            f'secret = "{SECRET}"\n'
            + pointing_at(base_url, api_key=SELLER_KEY)
            + "access_tokens = true\n"
            + X_MOON
            + f'\n[redis]\nurl = "redis://:{password}@127.0.0.1:{server.port}"\n'
            + caller_lines(CALLER, TOKEN, rate="100000", failed_keys_per_minute="100000", rights=RIGHTS)
        )
        settings = settings_from(directory, toml, sandbox=False)
        with logging_into(seen.log, clock=clock, sandbox=False) as logs:
            async with open_gateway(settings, log=logs, clock=clock) as gateway, client_of(gateway) as http:
                await until_learned(gateway)
                asker = Asker(gateway=gateway, http=http, clock=clock, log=seen.log)
                yield Scene(asker, sandbox, seen, [good, expired, forged])
                for path in ("/metrics", "/readyz", "/version", "/livez", "/openapi.json"):
                    await seen.see(await http.get(path))


def secrets_of(jwts: list[str]) -> dict[str, str]:
    """Return all canaries by name; of a JWT each part but the header, which all of them have."""
    canaries = {
        "seller key": SELLER_KEY,
        "caller token": TOKEN,
        "download key": DOWNLOAD_KEY,
        "unknown download key": UNKNOWN_KEY,
        "access token": ACCESS_TOKEN,
        "foreign access token": FOREIGN_TOKEN,
        "e-mail": EMAIL,
        "e-mail's local part": EMAIL.partition("@")[0],
        "Redis password": REDIS_PASSWORD,
        "sealing secret": SECRET,
    }
    for number, jwt in enumerate(jwts):
        _, claims, signature = jwt.split(".")
        canaries |= {f"claims of JWT {number}": claims, f"signature of JWT {number}": signature}
    return canaries


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    """A Redis that asks for a password."""
    server = RedisServer(arguments=["--requirepass", REDIS_PASSWORD])
    server.start()
    yield server
    server.stop()


def client(server: RedisServer) -> Redis:
    """Return a client of our own, which has the password too."""
    return Redis(port=server.port, password=REDIS_PASSWORD)


async def test_good_answers_show_no_secret(tmp_path: Path, redis: RedisServer) -> None:
    """Every method, answered by the store, from memory, and from Redis by another gateway."""
    async with scene(tmp_path, redis) as one:
        answers = await one.ask_everything() + await one.ask_everything() + await one.ask_everything(max_age=0)
    async with client(redis) as reader:
        await one.seen.dump(reader)

    assert {answer.status_code for answer in answers} == {200}
    assert len(one.seen.redis.splitlines()) > 10
    assert found(secrets_of(one.jwts), one.seen.haystacks()) == []


async def test_refusals_show_no_secret(tmp_path: Path, redis: RedisServer) -> None:
    """Bodies that are no questions, tokens that are not known, routes that do not exist."""
    async with scene(tmp_path, redis) as one:
        for body in bad_bodies(one.jwts[0]):
            for path in (
                "/verify/download-key",
                "/verify/jwt",
                "/verify/email",
                "/verify/user",
                "/verify/access-token",
                "/verify/batch",
            ):
                headers = JSON | {"authorization": f"Bearer {TOKEN}"}
                response = await one.seen.see(await one.gateway.http.post(path, content=body, headers=headers))
                assert response.status_code in (200, 400, 404)
        for wrong in (SELLER_KEY, TOKEN + "x", f"Basic {TOKEN}", *one.jwts):
            for header in ("authorization", "x-request-id", "traceparent", "content-type", "cookie", "host"):
                headers = JSON | {header: f"Bearer {wrong}" if header == "authorization" else f"{wrong} {wrong}"}
                await one.seen.see(await one.gateway.http.post("/verify/jwt", content=b"{}", headers=headers))
            await one.seen.see(await one.gateway.http.get(f"/{wrong}", params={"key": wrong}))
            await one.seen.see(await one.gateway.http.put("/verify/jwt", params={"key": wrong}))

    assert found(secrets_of(one.jwts), one.seen.haystacks()) == []


async def test_faults_of_the_store_show_no_secret(tmp_path: Path, redis: RedisServer) -> None:
    """The store itself may repeat the credential."""
    async with scene(tmp_path, redis) as one:
        for fault in STORE_FAULTS:
            one.sandbox.faults.replace([Fault(**fault)])
            await one.ask_everything(max_age=0)
            await one.over()
        for fault in SLOW_FAULTS:
            one.sandbox.faults.replace([Fault(**fault)])
            asking = asyncio.create_task(one.ask_everything(max_age=0, deadline_ms=50))
            while not asking.done():
                await one.gateway.clock.advance(timedelta(milliseconds=50))
            await one.over()
    async with client(redis) as reader:
        await one.seen.dump(reader)

    assert b'"event":"source_lost"' in one.seen.log.written
    assert found(secrets_of(one.jwts), one.seen.haystacks()) == []


def overrides() -> Iterator[dict[str, object]]:
    """Yield what operators say about each subject."""
    whole = {"game": 3, "word": "ban", "seconds": 3600, "note": NOTE}
    yield whole | {"email": EMAIL}
    yield whole | {"email": EMAIL.upper(), "word": "grant"}
    yield whole | {"download_key": DOWNLOAD_KEY}
    yield whole | {"download_key": f"https://leafo.itch.io/x-moon/download/{UNKNOWN_KEY}"}
    yield whole | {"user_id": OWNER}


def bad_overrides() -> Iterator[dict[str, object]]:
    """Yield what is refused, full of secrets."""
    for good in overrides():
        yield good | {"note": f"{NOTE}\u0000"}
        yield good | {"note": NOTE * 10}
        yield good | {"note": {NOTE: EMAIL}}
        yield good | {"word": NOTE}
        yield good | {"seconds": NOTE}
        yield good | {"game": EMAIL}
        yield good | {NOTE: EMAIL}
        yield good | {"email": f"{EMAIL} {NOTE}", "user_id": 7}
    yield {"game": 3, "word": "grant", "seconds": 3600, "note": NOTE, "download_key": DOWNLOAD_KEY}
    yield {"game": 3, "word": "ban", "seconds": 3600, "note": NOTE, "email": NOTE}


async def test_overrides_show_neither_subject_nor_note(tmp_path: Path, redis: RedisServer) -> None:
    """The note is in the answers to who may read it, and nowhere else in clear text; address and key are in none."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    shown, ids = b"", list[str]()
    async with scene(tmp_path, redis) as one, client(redis) as reader:
        http = one.gateway.http
        for refused in bad_overrides():
            response = await one.seen.see(await http.post(OVERRIDES_PATH, json=refused, headers=headers))
            assert response.status_code in (400, 404)
        for wrong in (EMAIL, NOTE, DOWNLOAD_KEY):
            await one.seen.see(await http.get(OVERRIDES_PATH, params={"game": wrong}, headers=headers))
            await one.seen.see(await http.delete(f"{OVERRIDES_PATH}/{wrong}", headers=headers))
        for present in (True, False):
            ids.clear()
            for said in overrides():
                response = await http.post(OVERRIDES_PATH, json=said, headers=headers)
                shown += response.content
                ids.append(response.json()["id"])
            shown += (await http.get(OVERRIDES_PATH, params={"game": 3}, headers=headers)).content
            async with passing_time(one.gateway.clock):
                await one.ask_everything()
            await one.seen.see(await http.get("/metrics"))
            if present:
                await until_in(reader, "og:v2:o:*", len(set(ids)))
                await one.seen.dump(reader)
                redis.kill()
        for override_id in set(ids):
            await one.seen.see(await http.delete(f"{OVERRIDES_PATH}/{override_id}", headers=headers))

    lines = one.seen.log.lines("override_set") + one.seen.log.lines("override_removed")
    haystacks = one.seen.haystacks()
    assert shown.count(NOTE.encode()) == 2 * (5 + 4)
    assert {line["by"] for line in lines} == {CALLER}
    assert b"og:v2:o:" in haystacks["Redis"]
    assert found(secrets_of(one.jwts), haystacks | {"an answer about overrides": shown}) == []
    assert found({"note": NOTE}, haystacks) == []
    assert found({"caller": CALLER}, {"Redis": haystacks["Redis"], "a response": haystacks["a response"]}) == []


async def until_in(redis: Redis, pattern: str, count: int) -> None:
    """Return once so many keys are there."""
    async with asyncio.timeout(10):
        while len(await redis.keys(pattern)) < count:  # noqa: ASYNC110 - Redis sets no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("trouble", ["killed", "hanging", "full", "read-only", "other password", "corrupt"])
async def test_faults_of_redis_show_no_secret(tmp_path: Path, redis: RedisServer, trouble: str) -> None:
    """Connections, commands and errors carry passwords and names of entries; none is shown."""
    password = "canaryWrongPasswordW9eR6tY3uI8oP5aS2dF7g" if trouble == "other password" else REDIS_PASSWORD
    async with scene(tmp_path, redis, password=password) as one:
        await one.ask_everything()
        await make_trouble(redis, trouble)
        async with passing_time(one.gateway.clock):
            answers = await one.ask_everything(max_age=0)
        await one.over()
        async with passing_time(one.gateway.clock):
            answers += await one.ask_everything(max_age=0)
        if trouble == "hanging":
            redis.resume()

    assert {answer.status_code for answer in answers} == {200}
    assert found(secrets_of(one.jwts) | {"other password": password}, one.seen.haystacks()) == []


async def make_trouble(server: RedisServer, trouble: str) -> None:
    """Break Redis in this way."""
    async with client(server) as own:
        match trouble:
            case "killed":
                server.kill()
            case "hanging":
                server.pause()
            case "full":
                await own.config_set("maxmemory", "1")
            case "read-only":
                await own.replicaof("127.0.0.1", "1")
            case "corrupt":
                async for key in own.scan_iter("og:v2:e:*"):
                    await own.set(key, b"\xff" * 64)


async def test_bugs_show_no_secret(tmp_path: Path) -> None:
    """A bug raises an exception that quotes every secret, in the middle of a request to the store."""
    seen, clock = Evidence(), FakeClock()

    def broken(request: httpx.Request) -> httpx.Response:
        raise RuntimeError(f"{request.url} {request.headers} {SELLER_KEY} {DOWNLOAD_KEY} {EMAIL}")

    toml = (
        pointing_at("http://127.0.0.1:9", api_key=SELLER_KEY)
        + "access_tokens = true\n"
        + X_MOON
        + caller_lines("lobby", TOKEN)
    )
    settings = settings_from(tmp_path, toml, sandbox=False)
    jwts = [Sandbox(clock=clock).mint_jwt(OWNER).jwt]
    with logging_into(seen.log, clock=clock, sandbox=False) as logs:
        async with (
            open_gateway(settings, log=logs, clock=clock, transport=httpx.MockTransport(broken)) as gateway,
            client_of(gateway) as http,
        ):
            for path, body in questions(jwts, {}):
                response = await http.post(path, content=body, headers=JSON | {"authorization": f"Bearer {TOKEN}"})
                await seen.see(response)
                results = response.json().get("results", [])
                assert [response.status_code, *(one["status"] for one in results)] == (
                    [200, *[500] * len(results)] if path == "/verify/batch" else [500]
                )

    assert b'"event":"bug"' in seen.log.written
    assert found(secrets_of(jwts), seen.haystacks()) == []


async def test_exceptions_of_the_store_show_no_secret(tmp_path: Path) -> None:
    """Exceptions of the store's client can be printed with all their causes."""
    seen, clock = Evidence(), FakeClock()
    jwts = [Sandbox(clock=clock).mint_jwt(OWNER).jwt]
    async with sandbox_alone(clock) as (sandbox, base_url):
        for fault in [*STORE_FAULTS, {"body": "nobody is there"}]:
            sandbox.faults.replace([Fault(**fault)])
            address = "http://127.0.0.1:9" if fault.get("body") == "nobody is there" else base_url
            settings = settings_from(tmp_path, pointing_at(address, api_key=SELLER_KEY), sandbox=False)
            await ask_store_directly(settings, seen, jwts[0])

    assert seen.exceptions.count(b"Traceback") >= 3 * len(STORE_FAULTS)
    assert found(secrets_of(jwts), seen.haystacks()) == []


async def ask_store_directly(settings: Settings, seen: Evidence, jwt: str) -> None:
    """Ask by every kind of credential, without a gateway in between."""
    subjects: list[Subject] = [DownloadKey(DOWNLOAD_KEY), VerifiedEmail(EMAIL)]
    with logging_into(seen.log, clock=FakeClock(), sandbox=False) as logs:
        async with open_upstream(settings, log=logs) as store:
            for subject in subjects:
                try:
                    await store.source.look_up(GameId(3), subject, accept=frozenset(ProofKind), lane=Lane())
                except GatewayError as error:
                    seen.raised(error)
            for ask in (
                store.source.identify(AppJwt(jwt), GameId(3), lane=Lane()),
                store.source.identify(AccessToken(ACCESS_TOKEN), GameId(3), lane=Lane()),
                store.source.games(),
            ):
                try:
                    await ask
                except GatewayError as error:
                    seen.raised(error)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadTimeout, httpx.InvalidURL, OSError, ValueError])
async def test_words_of_the_http_driver_go_no_further(kind: type[Exception]) -> None:
    """The driver's exceptions carry URLs and headers, so none of them is the cause of our own."""
    seen = Evidence()

    def fail(request: httpx.Request) -> httpx.Response:
        raise kind(f"{request.url} {request.headers.raw!r}")

    store = StoreClient(base_url="http://127.0.0.1:9", user_agent="tests", transport=httpx.MockTransport(fail))
    with pytest.raises(GatewayError) as raised:
        await store.get("/profile", bearer=SellerKey(SELLER_KEY), parameters={"email": EMAIL, "key": DOWNLOAD_KEY})

    seen.raised(raised.value)
    await store.close()
    assert found(secrets_of([]), seen.haystacks()) == []


@pytest.mark.parametrize(
    "url",
    [
        f"redis://:{REDIS_PASSWORD}@host:port/0",
        f"redis://user:{REDIS_PASSWORD}@/0?unknown={REDIS_PASSWORD}",
        f"http://:{REDIS_PASSWORD}@host",
        f"redis+sentinel://:{REDIS_PASSWORD}@host",
        REDIS_PASSWORD,
    ],
)
def test_exceptions_of_a_redis_url_show_no_secret(url: str) -> None:
    """A mistake in it is described without repeating it."""
    seen = Evidence()

    with pytest.raises(SettingsError) as raised:
        connect(RedisUrl(url))

    seen.raised(raised.value)
    assert found({"Redis password": REDIS_PASSWORD}, seen.haystacks()) == []


def test_exceptions_of_the_configuration_show_no_secret(tmp_path: Path) -> None:
    """A secret may have been put into the wrong place."""
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'secret = "{SECRET}"\nhost = 7\n[itch]\napi_key = "{SELLER_KEY}"\nbase_url = "https://{SELLER_KEY}@api.itch.io"\n'
        f'[redis]\nurl = "{REDIS_PASSWORD}"\n[[callers]]\nname = "lobby"\ntoken_sha256 = "{TOKEN}"\n'
    )
    seen = Evidence()

    with pytest.raises(SettingsError) as raised:
        load_settings({"OWNERSHIP_GATEWAY_SECRET": SECRET[:8]}, config_file=file)

    seen.raised(raised.value)
    canaries = secrets_of([])
    assert len(raised.value.mistakes) >= 4
    assert found(canaries, seen.haystacks()) == []
