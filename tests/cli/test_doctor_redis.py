"""`doctor`, on Redis."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from click.testing import Result
from redis.asyncio import Redis

from service.cli.exits import Exit
from service.cli.redis_checks import examine_redis
from service.secret import RedisUrl
from tests.cache.wire import server_that_says
from tests.cli.terminals import run, run_beside
from tests.clock import FakeClock
from tests.redis_server import RedisServer, free_port

SECRET = "0123456789abcdef0123456789abcdef"
PASSWORD = "pa55w0rd-of-this-test"
NEEDED = [
    "+get",
    "+set",
    "+del",
    "+evalsha",
    "+eval",
    "+hget",
    "+hgetall",
    "+hmget",
    "+hset",
    "+hdel",
    "+pexpire",
    "+time",
    "+client|setname",
]


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
    """It answers, keeps entries, and the secret is set."""
    result = examined(own_redis.url)

    assert result.exit_code == Exit.OK
    assert finding(result, "secret")["verdict"] == "ok"
    assert finding(result, "redis")["detail"].startswith("answers in ")
    assert finding(result, "redis writes")["detail"] == "an entry could be written, read and deleted"


async def test_nothing_of_it_stays(empty_redis: Redis, redis_url: str) -> None:
    """Its entry is deleted at once."""
    result = await run_beside("doctor", environ=variables(redis_url))

    assert "an entry could be written" in result.stdout
    assert await empty_redis.dbsize() == 0


def test_a_url_that_cannot_be_used_is_a_mistake_of_the_configuration() -> None:
    """It repeats nothing of the URL."""
    result = examined(f"redis://:{PASSWORD}@h/first")

    assert result.exit_code == Exit.NO
    assert finding(result, "configuration")["detail"].startswith("OWNERSHIP_GATEWAY_REDIS__URL must end in")
    assert PASSWORD not in result.output


@pytest.mark.parametrize("scheme", ["redis", "redis+cluster"])
def test_a_redis_that_is_not_there_is_a_problem(scheme: str) -> None:
    """Whether a single server or a cluster; what it cannot show is not asked for."""
    result = examined(f"{scheme}://127.0.0.1:{free_port()}")

    assert result.exit_code == Exit.NO
    assert finding(result, "redis")["detail"] == "nobody answers there within 100 ms"
    assert finding(result, "redis writes")["verdict"] == "skipped"


def test_a_silent_redis_is_a_problem(own_redis: RedisServer) -> None:
    """The gateway would not wait for it, so neither does the doctor."""
    own_redis.pause()

    result = examined(own_redis.url)

    assert finding(result, "redis")["detail"] == "Redis does not answer within 50 ms"


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
    yield from guarded("~og:v1:*", *NEEDED)


@pytest.fixture
def read_only() -> Iterator[RedisServer]:
    """A Redis whose user may only read."""
    yield from guarded("~og:v1:*", "+get", "+client|setname")


@pytest.fixture
def without_set() -> Iterator[RedisServer]:
    """A Redis whose user may run scripts, and not what is in them."""
    yield from guarded("~og:v1:*", "+get", "+evalsha", "+eval", "+client|setname")


@pytest.fixture
def other_keys() -> Iterator[RedisServer]:
    """A Redis whose user may use other keys only."""
    yield from guarded("~cache:*", *NEEDED)


def test_what_the_hint_asks_for_is_enough(least: RedisServer) -> None:
    """No right more is needed, not even to PING."""
    result = examined(url_of(least))

    assert finding(result, "redis writes")["verdict"] == "ok"


def test_a_wrong_password_is_a_problem(least: RedisServer) -> None:
    """It is not repeated."""
    result = examined(url_of(least, "wr0ng-password"))

    assert finding(result, "redis")["detail"] == "Redis refuses user or password"
    assert "wr0ng" not in result.output


def test_a_user_without_the_keys_is_a_problem(other_keys: RedisServer) -> None:
    """The hint is the rule to set."""
    result = examined(url_of(other_keys))

    assert finding(result, "redis")["detail"] == "Redis does not permit a command that the gateway needs"
    assert " ".join(NEEDED) in finding(result, "redis")["hint"]


def test_a_user_that_may_only_read_is_a_problem(read_only: RedisServer) -> None:
    """Reads alone fill no cache."""
    result = examined(url_of(read_only))

    assert (finding(result, "redis")["verdict"], finding(result, "redis writes")["verdict"]) == ("ok", "problem")
    assert " ".join(NEEDED) in finding(result, "redis writes")["hint"]


def test_a_right_that_lacks_inside_a_script_is_a_problem(without_set: RedisServer) -> None:
    """Redis then answers with an error that has no name."""
    found = finding(examined(url_of(without_set)), "redis writes")

    assert (found["verdict"], found["detail"]) == ("problem", "Redis answers with an error (ResponseError)")
    assert " ".join(NEEDED) in found["hint"]


@pytest.mark.parametrize(
    ("arguments", "detail"),
    [
        (["--replicaof", "127.0.0.1", "1"], "this Redis is a replica that takes no writes"),
        (["--maxmemory", "1"], "Redis is full and evicts nothing"),
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
    """It passes."""
    async with server_that_says(b"-LOADING Redis is loading the dataset in memory\r\n") as url:
        result = await run_beside("doctor", "--json", environ=variables(url))

    assert finding(result, "redis")["hint"] == "run it again in a minute"


async def test_a_redis_that_keeps_nothing_is_a_problem() -> None:
    """What was written must be there."""
    async with server_that_says(b"$-1\r\n") as url:
        result = await run_beside("doctor", "--json", environ=variables(url))

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
    """Not even at debug level, where everything else is."""
    environ = variables(url_of(least)) | {"OWNERSHIP_GATEWAY_LOG__LEVEL": "debug"}

    result = run("doctor", *arguments, environ=environ, real_streams=True)

    assert "redis writes" in result.stdout
    assert PASSWORD not in result.output
    assert SECRET not in result.output
