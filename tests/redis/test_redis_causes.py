"""The cause for which Redis gives no answer, told from what is on the wire: to readers, and to scripts."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.causes import Cause
from service.redis.acl import COMMANDS, as_rules, unused_key
from service.redis.connect import close, connect
from service.redis.failures import REDIS_FAILURES, cause_of
from service.redis.reader import open_reader
from service.redis.script import TRY_WRITING
from service.secret import RedisUrl
from tests.cache.certificates import write_certificate
from tests.cache.wire import server_that_says
from tests.clock import FakeClock
from tests.redis_server import RedisServer, free_port


async def causes_once(url: str) -> tuple[Cause | None, Cause | None]:
    """Read from this Redis, and write to it; return why each fails, None if it does not."""
    client = connect(RedisUrl(url))
    reader = open_reader(client, most=10, clock=FakeClock())
    reply = await reader.get(unused_key())
    reading, writing = cause_of(reply) if isinstance(reply, Exception) else None, None
    try:
        await TRY_WRITING.run(client, unused_key())
    except REDIS_FAILURES as failure:
        writing = cause_of(failure)
    await reader.close()
    await close(client)
    return reading, writing


async def causes_at(url: str) -> tuple[Cause | None, Cause | None]:
    """Return why reading and writing fail at a Redis that answers; a busy machine may make it late to connect."""
    while Cause.TIMEOUT in (causes := await causes_once(url)):
        pass
    return causes


FORMS = ["redis://{}", "redis+cluster://{}"]


@contextmanager
def running(*arguments: str, plain: bool = True) -> Iterator[RedisServer]:
    """Run a Redis of the test's own."""
    server = RedisServer(arguments=arguments, plain=plain)
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def test_a_redis_that_works(own_redis: RedisServer) -> None:
    """A control."""
    assert await causes_at(own_redis.url) == (None, None)


@pytest.mark.parametrize("form", [*FORMS, "rediss://{}", "redis://localhost:{}"])
async def test_a_closed_port(form: str) -> None:
    """By any form of the URL, be it that a host has two addresses which both refuse."""
    where = str(free_port())
    url = form.format(where if form.startswith("redis://localhost") else f"127.0.0.1:{where}")

    assert await causes_at(url) == (Cause.REFUSED, Cause.REFUSED)


async def test_a_socket_that_is_not_there(tmp_path: Path) -> None:
    """It is as a closed port."""
    assert await causes_at(f"unix://{tmp_path}/redis.sock") == (Cause.REFUSED, Cause.REFUSED)


async def test_a_name_that_no_server_knows() -> None:
    """Nor is one that is none a mistake of ours."""
    assert await causes_at("redis://a..b") == (Cause.DNS, Cause.DNS)


async def test_an_address_without_a_route() -> None:
    """The system never connects to the address that stands for all."""
    assert await causes_at("redis://255.255.255.255") == (Cause.UNREACHABLE, Cause.UNREACHABLE)


@pytest.mark.parametrize("form", FORMS)
async def test_a_redis_that_hangs_up(form: str) -> None:
    """As soon as it is asked."""
    async with server_that_says(b"") as url:
        assert await causes_at(url.replace("redis://", form.format(""))) == (Cause.RESET, Cause.RESET)


REPLIES = {
    b"-LOADING Redis is loading the dataset in memory": Cause.LOADING,
    b"-MASTERDOWN Link with MASTER is down": Cause.LOADING,
    b"-MOVED 3999 127.0.0.1:6381": Cause.MOVED,
    b"-ASK 3999 127.0.0.1:6381": Cause.MOVED,
    b"-NOAUTH Authentication required.": Cause.AUTH,
    b"-NOPERM this user has no permissions": Cause.FORBIDDEN,
    b"-DENIED Redis is running in protected mode": Cause.FORBIDDEN,
    b"-MISCONF Redis is configured to save RDB snapshots": Cause.READONLY,
    b"-NOREPLICAS Not enough good replicas to write.": Cause.READONLY,
    b"-OOM command not allowed when used memory > 'maxmemory'.": Cause.FULL,
    b"-ERR max number of clients reached": Cause.FULL,
    b"-ERR unknown command 'GETRANGE'": Cause.PROTOCOL,
    b"-BUSY Redis is busy running a script": Cause.SERVER_ERROR,
    b"-ERR what?": Cause.SERVER_ERROR,
    b"HTTP/1.1 400 Bad Request": Cause.PROTOCOL,
}


@pytest.mark.parametrize(("reply", "cause"), REPLIES.items(), ids=lambda value: str(value)[:20])
async def test_an_error_reply(reply: bytes, cause: Cause) -> None:
    """Readers and redis-py tell the same, although they read replies each in its own way."""
    async with server_that_says(reply + b"\r\n") as url:
        assert await causes_at(url) == (cause, cause)


async def test_a_wrong_password() -> None:
    """Of a user, of the default one, and none where one is needed."""
    with running("--requirepass", "right") as server:
        found = [
            await causes_at(server.url.replace("redis://", f"redis://{login}"))
            for login in ("", ":wrong@", "user:wrong@")
        ]

    assert found == [(Cause.AUTH, Cause.AUTH)] * 3


@pytest.mark.parametrize(
    ("rules", "causes"),
    [
        (f"~og:v2:* {as_rules(*COMMANDS)}", (None, None)),
        (f"~og:v2:* {as_rules(*COMMANDS)} -getrange", (Cause.FORBIDDEN, None)),
        (f"~og:v2:* {as_rules(*COMMANDS)} -evalsha", (None, Cause.FORBIDDEN)),
        (f"~og:v2:* {as_rules(*COMMANDS)} -set", (None, Cause.FORBIDDEN)),
        (f"~other:* {as_rules(*COMMANDS)}", (Cause.FORBIDDEN, Cause.FORBIDDEN)),
    ],
)
async def test_a_right_that_is_missing(rules: str, causes: tuple[Cause | None, Cause | None]) -> None:
    """To a command, to one within a script, or to the keys."""
    with running("--user", "og", "on", ">right", *rules.split()) as server:
        assert await causes_at(server.url.replace("redis://", "redis://og:right@")) == causes


async def test_the_right_to_a_database_is_missing() -> None:
    """It is needed to connect."""
    with running("--user", "og", "on", ">right", "~og:v2:*", *as_rules(*COMMANDS).split()) as server:
        url = server.url.replace("redis://", "redis://og:right@") + "/1"

        assert await causes_at(url) == (Cause.FORBIDDEN, Cause.FORBIDDEN)


@pytest.mark.parametrize(
    ("arguments", "cause"),
    [(["--replicaof", "127.0.0.1", "1"], Cause.READONLY), (["--maxmemory", "1"], Cause.FULL)],
)
async def test_a_redis_that_takes_no_writes(arguments: list[str], cause: Cause) -> None:
    """It still answers reads."""
    with running(*arguments) as server:
        assert await causes_at(server.url) == (None, cause)


async def test_a_redis_without_a_connection_left(own_redis: RedisServer) -> None:
    """It says so and hangs up; those who connect without a password may find the connection closed before they hear."""
    async with Redis.from_url(own_redis.url) as operator:
        await operator.config_set("maxclients", 1)

        with_password = await causes_at(own_redis.url.replace("redis://", "redis://:password@"))
        without = await causes_at(own_redis.url)

    assert with_password == (Cause.FULL, Cause.FULL)
    assert set(without) <= {Cause.FULL, Cause.RESET}


async def test_a_node_of_a_cluster(one_node_cluster: RedisServer) -> None:
    """A cluster of one node has all keys; another number of the database is what it does not have."""
    assert await causes_at(one_node_cluster.url) == (None, None)
    assert await causes_at(one_node_cluster.url.replace("redis://", "redis+cluster://")) == (None, None)


async def test_a_cluster_whose_user_may_not_ask_for_its_nodes() -> None:
    """redis-py wraps the refusal twice."""
    rules = ["on", ">right", "~og:v2:*", *as_rules(*COMMANDS).split()]
    with running("--user", "og", *rules, "--cluster-enabled", "yes", "--cluster-port", str(free_port())) as server:
        url = server.url.replace("redis://", "redis+cluster://og:right@")

        assert await causes_at(url) == (Cause.FORBIDDEN, Cause.FORBIDDEN)


async def test_what_is_no_cluster(own_redis: RedisServer) -> None:
    """The URL says that it is one."""
    url = own_redis.url.replace("redis://", "redis+cluster://")

    assert await causes_at(url) == (Cause.PROTOCOL, Cause.PROTOCOL)


async def test_sentinels_that_are_none(own_redis: RedisServer) -> None:
    """One port is closed, at the other one is a Redis that watches no master."""
    gone = await causes_at(f"redis+sentinel://127.0.0.1:{free_port()}/mymaster")
    other = await causes_at(own_redis.url.replace("redis://", "redis+sentinel://") + "/mymaster")

    assert (gone, other) == ((Cause.UNREACHABLE,) * 2, (Cause.PROTOCOL,) * 2)


# TLS.


def serving(directory: Path) -> tuple[str, ...]:
    """Return the arguments of a Redis with the certificate in that directory."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    return "--tls-cert-file", str(certificate), "--tls-key-file", str(key), "--tls-auth-clients", "no"


@pytest.mark.parametrize("form", ["rediss://{}", "rediss+cluster://{}"])
@pytest.mark.parametrize(
    ("certificate", "cause"),
    [
        ({"address": "127.0.0.1", "valid_for": timedelta(minutes=-1)}, Cause.TLS_EXPIRED),
        ({"address": "127.0.0.1", "valid_in": timedelta(hours=1)}, Cause.TLS_EXPIRED),
        ({"address": "127.0.0.2"}, Cause.TLS_NAME),
    ],
)
async def test_a_certificate_that_is_wrong(
    tmp_path: Path, certificate: dict[str, object], cause: Cause, form: str
) -> None:
    """It is trusted, so that nothing else is wrong about it."""
    write_certificate(tmp_path, **certificate)  # type: ignore[arg-type]  # as the cases have them
    with running(*serving(tmp_path), plain=False) as server:
        url = form.format(f"127.0.0.1:{server.port}?ssl_ca_certs={tmp_path / 'certificate.pem'}")

        assert await causes_at(url) == (cause, cause)


async def test_a_certificate_that_nobody_vouches_for(tls_redis: RedisServer) -> None:
    """The machine trusts only the usual authorities."""
    assert await causes_at(f"rediss://127.0.0.1:{tls_redis.port}") == (Cause.TLS_UNTRUSTED,) * 2


async def test_a_redis_that_wants_a_certificate_from_us(tmp_path: Path) -> None:
    """It refuses the connection without one."""
    write_certificate(tmp_path, address="127.0.0.1")
    trusted = f"?ssl_ca_certs={tmp_path / 'certificate.pem'}"
    arguments = [*serving(tmp_path)[:-1], "yes", "--tls-ca-cert-file", str(tmp_path / "certificate.pem")]
    with running(*arguments, plain=False) as server:
        assert await causes_at(f"rediss://127.0.0.1:{server.port}{trusted}") == (Cause.AUTH, Cause.AUTH)


async def test_tls_is_missing_in_the_url(tls_redis: RedisServer) -> None:
    """A Redis that speaks TLS hangs up."""
    assert await causes_at(f"redis://127.0.0.1:{tls_redis.port}") == (Cause.RESET, Cause.RESET)


async def test_tls_is_too_much_in_the_url(own_redis: RedisServer) -> None:
    """A Redis without TLS waits for the end of the line; what is no Redis answers with something else."""
    waits = await causes_once(own_redis.url.replace("redis://", "rediss://"))
    async with server_that_says(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        answers = await causes_at(url.replace("redis://", "rediss://"))

    assert (waits, answers) == ((Cause.TIMEOUT,) * 2, (Cause.NOT_TLS,) * 2)
