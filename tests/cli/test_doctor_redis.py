"""`doctor`, on Redis."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from redis.asyncio import Redis

from service.cache.keys import derive_keys
from service.cache.secrets_in_use import SecretsDigest, secrets_in_use
from service.cli.exits import Exit
from service.cli.redis_checks import examine_redis
from service.redis.acl import COMMANDS, FOR_A_CLUSTER, as_rules
from service.sandbox import seed
from service.secret import RedisUrl, SealingSecret, SellerKey
from tests.cache.wire import server_that_says
from tests.cli.terminals import run, run_in_background
from tests.clock import FakeClock
from tests.redis_server import RedisServer, free_port

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "pa55w0rd-of-this-test"
NEEDED = as_rules(*COMMANDS).split()


def variables(url: str) -> dict[str, str]:
    """Return the configuration of a gateway with this Redis."""
    return {
        "OWNERSHIP_GATEWAY_SANDBOX": "true",
        "OWNERSHIP_GATEWAY_SECRET": SECRET,
        "OWNERSHIP_GATEWAY_REDIS__URL": url,
    }


def examined(url: str) -> Result:
    """Let the doctor examine a gateway with this Redis."""
    return run("doctor", "--json", environ=variables(url))


def finding(result: Result, check: str) -> dict[str, Any]:
    """Return what the doctor found."""
    findings: list[dict[str, Any]] = json.loads(result.stdout)["checks"]
    return next(one for one in findings if one["check"] == check)


def test_a_healthy_redis_is_healthy(own_redis: RedisServer) -> None:
    """Redis answers and stores entries, and the secret is set."""
    result = examined(own_redis.url)

    assert result.exit_code == Exit.OK
    assert finding(result, "secret")["verdict"] == "ok"
    assert finding(result, "redis")["detail"].startswith("answers in ")
    assert finding(result, "redis writes")["detail"] == "an entry could be written, read and deleted"


@pytest.mark.parametrize(
    ("theirs", "verdict", "detail"),
    [
        ((SECRET, seed.SELLER_KEY), "ok", "set; the gateways at this Redis use the same, and the same seller key"),
        ((f"{SECRET}\r", seed.SELLER_KEY), "problem", "a gateway at this Redis uses another secret"),
        ((SECRET, "key-of-another-seller"), "problem", "a gateway at this Redis uses another seller key"),
    ],
)
async def test_secrets_are_compared_with_those_of_the_gateways_that_run(
    empty_redis: Redis, redis_url: str, theirs: tuple[str, str], verdict: str, detail: str
) -> None:
    """A secret that differs from that of a running gateway is a problem; the doctor tells that gateway nothing."""
    secret, seller_key = theirs
    told = SecretsDigest.of(derive_keys(SealingSecret(secret)).comparing, [SellerKey(seller_key)])
    await secrets_in_use(empty_redis, ours=told)

    found = finding(await run_in_background("doctor", "--json", environ=variables(redis_url)), "secret")

    assert (found["verdict"], found["detail"]) == (verdict, detail)
    assert await secrets_in_use(empty_redis) == [told]


async def test_nothing_of_it_stays(empty_redis: Redis, redis_url: str) -> None:
    """The entry of the check is deleted at once."""
    result = await run_in_background("doctor", environ=variables(redis_url))

    assert "an entry could be written" in result.stdout
    assert await empty_redis.dbsize() == 0


def test_a_url_that_cannot_be_used_is_a_mistake_of_the_configuration() -> None:
    """The message repeats nothing of the URL."""
    result = examined(f"redis://:{PASSWORD}@h/first")

    assert result.exit_code == Exit.NO
    assert finding(result, "configuration")["detail"].startswith("OWNERSHIP_GATEWAY_REDIS__URL must end in")
    assert PASSWORD not in result.output


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
def test_a_redis_that_is_not_there_is_a_problem(scheme: str) -> None:
    """The checks that need an answer are skipped, for a single server and for a cluster."""
    result = examined(f"{scheme}://127.0.0.1:{free_port()}")

    assert result.exit_code == Exit.NO
    assert finding(result, "redis")["detail"] == "nothing listens there"
    assert finding(result, "redis")["why"] == "refused"
    assert finding(result, "redis writes")["verdict"] == "skipped"


def test_a_server_that_is_no_cluster_is_a_problem(own_redis: RedisServer) -> None:
    """The hint names the scheme that says so."""
    result = examined(own_redis.url.replace("redis://", "redis+cluster://"))

    assert finding(result, "redis")["why"] == "protocol"
    assert "redis+cluster://" in finding(result, "redis")["hint"]


def test_a_cluster_needs_rights_more(guard: Callable[..., RedisServer]) -> None:
    """The one that is missing is named, and the hint has all of them."""
    server = guard("~og:v2:*", *NEEDED, "--cluster-enabled", "yes", "--cluster-port", str(free_port()))

    found = finding(examined(url_of(server).replace("redis://", "redis+cluster://")), "redis")

    assert (found["why"], found["detail"]) == ("forbidden", "Redis does not permit its user to run CLUSTER SLOTS")
    assert as_rules(*COMMANDS, *FOR_A_CLUSTER) in found["hint"]


async def test_a_node_of_a_cluster_is_a_problem() -> None:
    """The hint names the scheme for clusters."""
    async with server_that_says(b"-MOVED 1 127.0.0.1:1\r\n") as url:
        result = await run_in_background("doctor", "--json", environ=variables(url))

    assert finding(result, "redis")["why"] == "moved"
    assert "redis+cluster://" in finding(result, "redis")["hint"]


def test_tls_that_is_missing_or_too_much_is_a_problem(tls_redis: RedisServer, own_redis: RedisServer) -> None:
    """The hint names the other scheme."""
    missing = finding(examined(f"redis://127.0.0.1:{tls_redis.port}"), "redis")
    too_much = finding(examined(own_redis.url.replace("redis://", "rediss://")), "redis")

    assert (missing["why"], too_much["why"]) == ("reset", "timeout")
    assert missing["hint"].endswith("where Redis speaks TLS, write rediss:// for redis://")
    assert too_much["hint"].endswith("where Redis speaks no TLS, write redis:// for rediss://")


def test_a_file_for_tls_that_holds_nothing_is_a_problem(tmp_path: Path) -> None:
    """It is named by its option, and Redis is not blamed."""
    nonsense = tmp_path / "ca.pem"
    nonsense.write_text("no certificate", encoding="utf-8")

    found = finding(examined(f"rediss://127.0.0.1:{free_port()}?ssl_ca_certs={nonsense}"), "redis")

    assert found["detail"] == "ssl_ca_certs in redis.url cannot be used: no certificate or key in PEM form"
    assert found["hint"].startswith("put the file back")
    assert found["why"] == "other"


def test_a_silent_redis_is_a_problem(own_redis: RedisServer) -> None:
    """The gateway would not wait for it, so neither does the doctor."""
    own_redis.pause()

    result = examined(own_redis.url)

    assert finding(result, "redis")["detail"] == "no connection within 100 ms, or no reply within 500 ms"
    assert "TLS" not in finding(result, "redis")["hint"]


def guarded(*rules: str) -> Iterator[RedisServer]:
    """Start a Redis whose user `og` may do this."""
    server = RedisServer(arguments=["--user", "og", "on", f">{PASSWORD}", *rules])
    server.start()
    yield server
    server.stop()


def url_of(server: RedisServer, password: str = PASSWORD) -> str:
    """Return the URL for the user `og`."""
    return server.url.replace("redis://", f"redis://og:{password}@")


@pytest.fixture
def least() -> Iterator[RedisServer]:
    """A Redis whose user may do exactly what the gateway needs."""
    yield from guarded("~og:v2:*", *NEEDED)


@pytest.fixture
def guard() -> Iterator[Callable[..., RedisServer]]:
    """Start a Redis whose user may do what a test says."""
    with ExitStack() as stack:
        yield lambda *rules: stack.enter_context(contextmanager(guarded)(*rules))


def test_what_the_hint_asks_for_is_enough(least: RedisServer) -> None:
    """No right more is needed, not even to PING."""
    result = examined(url_of(least))

    assert result.exit_code == Exit.OK
    assert finding(result, "redis rights")["verdict"] == "ok"
    assert finding(result, "redis writes")["verdict"] == "ok"


def test_a_wrong_password_is_a_problem(least: RedisServer) -> None:
    """The message does not repeat the password."""
    result = examined(url_of(least, "wr0ng-password"))

    assert finding(result, "redis")["detail"] == "Redis refuses user or password"
    assert "wr0ng" not in result.output


@pytest.mark.parametrize("lacking", [command for command in COMMANDS if command != "getrange"])
def test_a_right_that_lacks_is_named(guard: Callable[..., RedisServer], lacking: str) -> None:
    """The hint is the rule to set."""
    result = examined(url_of(guard("~og:v2:*", *NEEDED, f"-{lacking}")))

    found = finding(result, "redis rights")
    assert result.exit_code == Exit.NO
    assert (found["verdict"], found["detail"]) == ("problem", f"its user may not run {lacking.upper()}")
    assert " ".join(NEEDED) in found["hint"]
    assert finding(result, "redis writes")["verdict"] == "skipped"


def test_a_right_that_lacks_from_the_first_command_on_is_named(guard: Callable[..., RedisServer]) -> None:
    """Without it nothing else can be tried."""
    result = examined(url_of(guard("~og:v2:*", *NEEDED, "-getrange")))

    assert finding(result, "redis")["detail"] == "Redis does not permit its user to run GETRANGE"
    assert finding(result, "redis rights")["verdict"] == "skipped"


def test_another_database_needs_a_right_more(least: RedisServer) -> None:
    """The missing right is named like the others."""
    result = examined(f"{url_of(least)}/1")

    assert finding(result, "redis")["detail"] == "Redis does not permit its user to run SELECT"
    assert "+select" in finding(result, "redis")["hint"]


def test_rights_that_lack_are_named_together(guard: Callable[..., RedisServer]) -> None:
    """All missing rights are in one finding."""
    result = examined(url_of(guard("~og:v2:*", *NEEDED, "-hget", "-pttl")))

    assert finding(result, "redis rights")["detail"] == "its user may not run HGET or run PTTL"


def test_a_user_without_the_keys_is_a_problem(guard: Callable[..., RedisServer]) -> None:
    """A Redis user without the gateway's keys is a problem, even if it may run every command."""
    result = examined(url_of(guard("~cache:*", *NEEDED)))

    assert finding(result, "redis")["detail"] == "Redis does not permit its user to use keys that begin with og:v2:"
    assert "~og:v2:*" in finding(result, "redis")["hint"]


@pytest.mark.parametrize("lacking", [["-set"], ["-del"], ["-set", "-del", "-hdel", "-pexpire"]])
async def test_nothing_stays_of_what_was_tried(guard: Callable[..., RedisServer], lacking: list[str]) -> None:
    """No key without a TTL is left, under any rights."""
    server = guard("~og:v2:*", *NEEDED, *lacking)
    await run_in_background("doctor", environ=variables(url_of(server)))

    async with Redis.from_url(server.url) as operator:
        assert [key for key in await operator.keys("*") if await operator.pttl(key) < 0] == []


async def test_a_refusal_in_other_words_is_not_repeated() -> None:
    """The words of Redis might repeat a secret."""
    async with server_that_says(b"-NOPERM no permissions to run the 'frobnicate' command\r\n") as url:
        result = await run_in_background("doctor", "--json", environ=variables(url))

    detail = finding(result, "redis")["detail"]
    assert detail == "Redis does not permit its user to run a command that the gateway needs"


async def test_an_error_without_a_name_is_one_of_the_server() -> None:
    """Redis's own log has the rest."""
    async with server_that_says(b"-ERR more clients than one\r\n") as url:
        result = await run_in_background("doctor", "--json", environ=variables(url))

    assert finding(result, "redis")["detail"] == "Redis answers with an error"


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        (["--replicaof", "127.0.0.1", "1"], "this Redis is a replica that takes no writes, or cannot save to its disk"),
        (["--maxmemory", "1"], "Redis is full and evicts nothing, or takes no more connections"),
    ],
)
def test_a_redis_that_takes_no_writes_is_a_problem(arguments: list[str], detail: str) -> None:
    """Each kind with a hint of its own."""
    server = RedisServer(arguments=arguments)
    server.start()

    result = examined(server.url)

    server.stop()
    assert finding(result, "redis")["verdict"] == "ok"
    assert finding(result, "redis writes")["detail"] == detail


async def test_a_loading_redis_is_a_problem() -> None:
    """The hint is to run the command again: loading ends by itself."""
    async with server_that_says(b"-LOADING Redis is loading the dataset in memory\r\n") as url:
        result = await run_in_background("doctor", "--json", environ=variables(url))

    assert finding(result, "redis")["hint"] == "run it again in a minute"


async def test_a_redis_that_keeps_nothing_is_a_problem() -> None:
    """A Redis that loses a key at once is a problem."""
    async with server_that_says(b"$-1\r\n") as url:
        result = await run_in_background("doctor", "--json", environ=variables(url))

    assert finding(result, "redis writes")["detail"] == "an entry was gone as soon as it was written"


class SlowClock(FakeClock):
    """Between two looks at it, 20 ms pass."""

    def monotonic(self) -> float:
        """Return a later time."""
        self.jump(timedelta(milliseconds=20))
        return super().monotonic()


async def test_a_slow_redis_is_a_warning(redis_url: str) -> None:
    """Every question that the process cannot answer itself waits for it."""
    found = (await examine_redis(RedisUrl(redis_url), clock=SlowClock()))[0]

    assert (found.verdict, found.detail) == ("warning", "answers in 20.0 ms")


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_no_secret_is_printed(least: RedisServer, arguments: list[str]) -> None:
    """The debug level shows everything else."""
    environ = variables(url_of(least)) | {"OWNERSHIP_GATEWAY_LOG__LEVEL": "debug"}

    result = run("doctor", *arguments, environ=environ, real_streams=True)

    assert "redis writes" in result.stdout
    assert PASSWORD not in result.output
    assert SECRET not in result.output
