"""`deploy/redis`: a real Redis with the shipped configuration, and users made by the shipped script."""

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpx
import pytest
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, ResponseError

from service.cli.findings import Finding, FindingLevel
from service.cli.redis_checks import examine_redis
from service.clock import SystemClock
from service.redis.acl import COMMANDS
from service.sandbox import seed
from service.secret import RedisUrl
from tests.cache.certificates import write_certificate
from tests.deploy.processes import gateway
from tests.gateways import SECRET, caller_lines
from tests.redis_server import RedisServer, free_port

_REDIS: Final = Path(__file__).parents[2] / "deploy" / "redis"
_SERVICE: Final = _REDIS.parents[1] / "service"
_IN_SCRIPTS: Final = {
    command
    for script in _SERVICE.rglob("*.lua")
    for command in re.findall(r"redis\.p?call\('(\w+)'", script.read_text())
}
_KEY: Final = "og:v2:x"
_ARGUMENTS: Final = {
    "HDEL": (_KEY, "f"),
    "HGET": (_KEY, "f"),
    "GETRANGE": (_KEY, "0", "1"),
    "HSTRLEN": (_KEY, "field"),
    "HSET": (_KEY, "f", "x"),
    "PEXPIRE": (_KEY, "1"),
    "PTTL": (_KEY,),
    "SET": (_KEY, "x"),
    "TIME": (),
    "UNLINK": (_KEY,),
}
"""Arguments that fit each command which scripts use."""

_TOKEN: Final = "ogw_a-caller-that-may-do-everything"
_ALL_RIGHTS: Final = '["verify", "assert:user", "admin"]'
_FIRST_STRANGER_ID: Final = 900_000
_TIMEOUT_SECONDS: Final = 20
_OPERATOR: Final = "user operator on >operator +@all ~* &*\n"


class Shipped:
    """A running server, and the URL that the script printed for it."""

    def __init__(self, server: RedisServer, url: str) -> None:
        self.server = server
        self.url = url

    def client(self, *, user: str | None = None, password: str | None = None) -> Redis:
        """Return a plain client; of the gateway's own user unless another is named."""
        parts = urlsplit(self.url)
        return Redis(
            host="127.0.0.1",
            port=self.server.port,
            username=user or parts.username,
            password=password or parts.password,
            protocol=2,
            driver_info=None,
            retry=Retry(NoBackoff(), 0),
        )


def _make_users(file: Path, host: str) -> str:
    script = subprocess.run([_REDIS / "make-users.sh", file, host], capture_output=True, text=True, check=True)
    return script.stdout.strip()


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shipped]:
    """A server as shipped, with an operator's user in addition to the gateway's, so that the test may look at it."""
    users = tmp_path_factory.mktemp("redis") / "users.acl"
    port = free_port()
    url = _make_users(users, f"127.0.0.1:{port}")
    users.write_text(users.read_text() + _OPERATOR)
    server = RedisServer(configuration=_REDIS / "redis.conf", arguments=["--aclfile", str(users)], port=port)
    server.start()
    yield Shipped(server, url)
    server.stop()


def _verdicts(findings: list[Finding]) -> dict[str, FindingLevel]:
    return {finding.check: finding.verdict for finding in findings}


async def _run(client: Redis, *command: str) -> None:
    await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py has no types there


async def test_grants_all_that_the_gateway_needs(shipped: Shipped) -> None:
    """The gateway's own client writes, reads and deletes an entry."""
    findings = await examine_redis(RedisUrl(shipped.url), clock=SystemClock())

    assert _verdicts(findings) == {
        "redis": FindingLevel.OK,
        "redis rights": FindingLevel.OK,
        "redis writes": FindingLevel.OK,
    }


@pytest.mark.parametrize("command", sorted(_IN_SCRIPTS))
async def test_grants_what_the_scripts_need(shipped: Shipped, command: str) -> None:
    """Every command in a script of the gateway's is permitted on a key of the gateway's."""
    async with shipped.client(user="operator", password="operator") as operator:
        answer = await operator.acl_dryrun("ownership-gateway", command, *_ARGUMENTS[command])

    assert answer == b"OK"


def test_grants_nothing_that_the_gateway_does_not_need() -> None:
    """The user's rights are the commands that the gateway lists and `doctor` tries, and no other."""
    granted = re.findall(r"\+([a-z|]+)", (_REDIS / "users.acl.template").read_text())

    assert sorted(granted) == sorted(COMMANDS)


class Worked(NamedTuple):
    """The traces in Redis of two gateways that have worked with it for a while."""

    refused: list[object]
    used: set[str]
    kept: list[bytes]


@pytest.fixture(scope="module")
def worked(shipped: Shipped, tmp_path_factory: pytest.TempPathFactory) -> Worked:
    """Two gateways of one store have answered, waited for each other's look-ups, forgotten, and been throttled."""
    file = tmp_path_factory.mktemp("gateway") / "gateway.toml"
    file.write_text("[games.x-moon]\nid = 3\nkey_players = 2\n" + caller_lines("all", _TOKEN, rights=_ALL_RIGHTS))
    store_port, *ports = (free_port() for _ in range(3))
    store = f"http://127.0.0.1:{store_port}"
    settings = {
        "ITCH__BASE_URL": store,
        "ITCH__API_KEY": seed.SELLER_KEY,
        "REDIS__URL": shipped.url,
        "SECRET": SECRET,
        "CONFIG": str(file),
        "REPLICAS": "2",
    }
    with BlockingRedis(port=shipped.server.port, username="operator", password="operator") as operator:
        operator.acl_log_reset()
        operator.config_resetstat()
        with (
            gateway({}, "sandbox", "--port", str(store_port)),
            gateway({**settings, "PORT": str(ports[0])}, "serve"),
            gateway({**settings, "PORT": str(ports[1])}, "serve"),
            ThreadPoolExecutor() as callers,
        ):
            jwt = _jwt_of_an_owner(store)
            # The same of both at once, of a slow store: each waits for what the other has begun.
            _put_fault(store, {"latency_ms": 500})
            list(callers.map(_ask_all_kinds, ports, repeat(jwt)))
            _wait_until_one_waits_for_the_other(operator, callers, ports)
            _put_fault(store, {"status": 429, "retry_after": "1"})
            list(callers.map(_ask_and_be_throttled, ports))
            _wait_until_invalidations_are_exchanged(operator)
        return Worked(
            refused=list(operator.acl_log()),
            used=_commands_used(operator),
            kept=[key for key in operator.keys("*") if isinstance(key, bytes)],
        )


def _put_fault(store: str, fault: dict[str, object]) -> None:
    httpx.put(f"{store}/sandbox/faults", json=fault, trust_env=False).raise_for_status()


def _commands_used(operator: BlockingRedis) -> set[str]:
    return {name.removeprefix("cmdstat_").lower() for name in operator.info("commandstats")}


def _wait_until_one_waits_for_the_other(operator: BlockingRedis, callers: ThreadPoolExecutor, ports: list[int]) -> None:
    """Ask both gateways about one stranger after the other, until one has met a lease of the other's."""
    give_up_at = time.monotonic() + _TIMEOUT_SECONDS
    user_id = _FIRST_STRANGER_ID
    while "pttl" not in _commands_used(operator) and time.monotonic() < give_up_at:
        user_id += 1
        list(callers.map(_ask_about, ports, repeat(user_id)))


def _wait_until_invalidations_are_exchanged(operator: BlockingRedis) -> None:
    """Return once a gateway has read what the other wrote, as it does every second."""
    give_up_at = time.monotonic() + _TIMEOUT_SECONDS
    while "hstrlen" not in _commands_used(operator) and time.monotonic() < give_up_at:
        time.sleep(0.05)


def test_refuses_a_working_gateway_nothing(worked: Worked) -> None:
    """Two gateways that answer while the store falters are never refused a command by Redis."""
    assert worked.refused == []


@pytest.mark.parametrize("command", ["getrange", "set", "unlink", "evalsha", "hstrlen", "hset", "pttl", "time"])
def test_a_working_gateway_uses_what_it_is_granted(worked: Worked, command: str) -> None:
    """A control for the test above: cache, leases, budget and invalidations have all used Redis."""
    assert command in worked.used


def test_a_working_gateway_keeps_to_its_own_keys(worked: Worked) -> None:
    """The gateway stored something, and all of it under its own names."""
    assert worked.kept
    assert [key for key in worked.kept if not re.match(rb"og:v2:", key)] == []
    assert [key for key in worked.kept if re.fullmatch(rb"og:v2:p:[0-9a-f]{32}", key)]


def _jwt_of_an_owner(store: str) -> str:
    made = httpx.post(f"{store}/sandbox/jwts", json={"user_id": seed.OWNER_ID}, trust_env=False)
    return str(made.raise_for_status().json()["jwt"])


def _client(port: int) -> httpx.Client:
    headers = {"Authorization": f"Bearer {_TOKEN}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False, timeout=15)


def _ask(http: httpx.Client, method: str, **fields: object) -> None:
    # A gateway that is throttled has used Redis all the same.
    answered = http.post(f"/verify/{method}", json={"game": 3, **fields}).status_code
    assert answered in {httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE}


def _ask_about(port: int, user_id: int) -> None:
    with _client(port) as http:
        _ask(http, "user", user_id=user_id)


def _ask_and_be_throttled(port: int) -> None:
    _ask_about(port, seed.SHORT_KEY_OWNER_ID)


def _ask_all_kinds(port: int, jwt: str) -> None:
    with _client(port) as http:

        def forget(**subject: object) -> None:
            http.post("/admin/invalidate", json={"game": 3, **subject}).raise_for_status()

        for fields in ({}, {"max_age": 0}):
            for key in (seed.OWNER_KEY, seed.REVOKED_KEY):
                for player in ("a", "b", "c"):
                    _ask(http, "download-key", download_key=key, player_ref=player, **fields)
            _ask(http, "user", user_id=seed.OWNER_ID, **fields)
        _ask(http, "jwt", jwt=jwt)
        forget(download_key=seed.OWNER_KEY)
        _ask(http, "download-key", download_key=seed.OWNER_KEY, player_ref="a")
        forget(user_id=seed.OWNER_ID)
        _ask(http, "user", user_id=seed.OWNER_ID)
        forget()


@pytest.mark.parametrize(
    "command",
    [
        ("GETRANGE", "somebody-else", "0", "1"),
        ("GET", "og:v2:x"),
        ("SET", "og:v1:x", "x"),
        ("UNLINK", "og:v2:x", "somebody-else"),
        ("EVAL", "return redis.call('SET', 'somebody-else', 'x')", "0"),
        ("EVAL", "return redis.call('FLUSHALL')", "0"),
        ("PUBLISH", "og:v2:x", "x"),
        ("SUBSCRIBE", "og:v2:x"),
        ("MGET", "og:v2:x"),
        ("KEYS", "og:v2:*"),
        ("SCAN", "0"),
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("ACL", "LIST"),
        ("MONITOR",),
        ("SAVE",),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SHUTDOWN", "NOSAVE"),
        ("CLIENT", "LIST"),
        ("SCRIPT", "FLUSH"),
        ("SELECT", "1"),
        ("PING",),
    ],
)
async def test_refuses(shipped: Shipped, command: tuple[str, ...]) -> None:
    """The gateway's password opens no other keys, no list of keys and no administration."""
    async with shipped.client() as client:
        with pytest.raises(ResponseError, match=r"no permissions|The user executing the script can't"):
            await _run(client, *command)


async def test_refuses_the_default_user(shipped: Shipped) -> None:
    """A client that names no user is refused, with any password."""
    async with shipped.client(user="default", password="") as client:
        with pytest.raises(AuthenticationError):
            await client.ping()


async def test_refuses_another_password(shipped: Shipped) -> None:
    """The name alone is worth nothing."""
    async with shipped.client(password="another") as client:
        with pytest.raises(AuthenticationError):
            await client.ping()


@pytest.mark.parametrize(
    ("setting", "value"),
    [("maxmemory", "268435456"), ("maxmemory-policy", "volatile-ttl"), ("save", ""), ("appendonly", "no")],
)
async def test_is_a_cache(shipped: Shipped, setting: str, value: str) -> None:
    """Redis is bounded, evicts old entries for new ones, and writes nothing to disk."""
    async with shipped.client(user="operator", password="operator") as operator:
        assert await operator.config_get(setting) == {setting: value}


async def test_one_with_a_disk_forgets_nothing() -> None:
    """Killed and started again, it still has what was written; the one without has not."""
    lines = [line for line in (_REDIS / "redis-durable.conf").read_text().splitlines() if line and line[0] != "#"]
    include, *settings = [line.partition(" ") for line in lines]
    durable = {f"--{name}": "{directory}" if name == "dir" else value for name, _, value in settings}
    kept = []
    for arguments in ([part for pair in durable.items() for part in pair], []):
        server = RedisServer(arguments=arguments)
        server.start()
        async with Redis.from_url(server.url) as client:
            await client.set("og:v2:t:a", b"entry", px=60_000)
        server.kill()
        server.start()
        async with Redis.from_url(server.url) as client:
            kept.append(await client.get("og:v2:t:a"))
        server.stop()

    assert include == ("include", " ", "/etc/redis/redis.conf")
    assert kept == [b"entry", None]


async def test_makes_room_when_it_is_full(shipped: Shipped) -> None:
    """New entries displace those that would expire first, without an error."""
    async with shipped.client(user="operator", password="operator") as operator, shipped.client() as client:
        await operator.config_set("maxmemory", "4mb")
        try:
            for number in range(200):
                await client.set(f"og:v2:{number}", b"x" * 100_000, px=60_000 + number)
            last, first = await client.getrange("og:v2:199", 0, 0), await client.getrange("og:v2:0", 0, 0)
        finally:
            await operator.config_set("maxmemory", "256mb")

    assert (last, first) == (b"x", b"")


def test_the_file_holds_no_password(tmp_path: Path) -> None:
    """The script writes only the hash, for its owner alone, and prints the password inside the URL."""
    url = _make_users(tmp_path / "users.acl", "redis.example:6380")
    password = urlsplit(url).password or ""

    users = (tmp_path / "users.acl").read_text()
    assert url.endswith("@redis.example:6380/0")
    assert password not in users
    assert hashlib.sha256(password.encode()).hexdigest() in users
    assert (tmp_path / "users.acl").stat().st_mode & 0o077 == 0


def test_the_script_overwrites_nothing(tmp_path: Path) -> None:
    """A password in use is not replaced by accident."""
    _make_users(tmp_path / "users.acl", "127.0.0.1")

    again = subprocess.run([_REDIS / "make-users.sh", tmp_path / "users.acl"], capture_output=True, check=False)

    assert again.returncode == 1


@pytest.fixture
def by_tls(tmp_path: Path) -> Iterator[str]:
    """The URL of a server with the shipped TLS configuration, at this machine's paths."""
    write_certificate(tmp_path, address="127.0.0.1")
    port = free_port()
    url = _make_users(tmp_path / "users.acl", f"127.0.0.1:{port}")
    text = (_REDIS / "redis-tls.conf").read_text()
    for shipped_path, path in {
        "/etc/redis/redis.conf": _REDIS / "redis.conf",
        "/etc/redis/tls/redis.crt": tmp_path / "certificate.pem",
        "/etc/redis/tls/redis.key": tmp_path / "key.pem",
        "/etc/redis/tls/ca.crt": tmp_path / "certificate.pem",
    }.items():
        assert shipped_path in text
        text = text.replace(shipped_path, str(path))
    (tmp_path / "redis-tls.conf").write_text(text)
    server = RedisServer(
        configuration=tmp_path / "redis-tls.conf",
        arguments=["--aclfile", str(tmp_path / "users.acl")],
        port=port,
        plain=False,
    )
    server.start()
    yield url
    server.stop()


async def test_encrypts(by_tls: str, tmp_path: Path) -> None:
    """With the TLS configuration the gateway gets in by rediss:// and the certificate that it is set to trust."""
    url = by_tls.replace("redis://", "rediss://") + f"?ssl_ca_certs={tmp_path / 'certificate.pem'}"

    findings = await examine_redis(RedisUrl(url), clock=SystemClock())

    assert _verdicts(findings) == {
        "redis": FindingLevel.OK,
        "redis rights": FindingLevel.OK,
        "redis writes": FindingLevel.OK,
    }


async def test_answers_only_encrypted(by_tls: str) -> None:
    """With the TLS configuration Redis refuses plain connections."""
    findings = await examine_redis(RedisUrl(by_tls), clock=SystemClock())

    assert _verdicts(findings)["redis"] == FindingLevel.PROBLEM
