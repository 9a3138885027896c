"""A password that is rotated in the file with the URL of Redis: the next connection uses it."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.redis.connect import close, connect
from service.redis.failures import REDIS_FAILURES
from service.redis.reader import RedisReader, open_reader
from service.redis.redis_login import RedisLogin, RedisUrlFile
from service.secret import RedisUrl
from service.secret_file import SecretFile
from service.secret_text import read_secret
from tests.clock import FakeClock
from tests.redis_server import RedisServer


class Heard:
    """A record of what was said about the file."""

    def __init__(self) -> None:
        self.reloads = 0
        self.unreadable: list[str] = []

    def reloaded(self) -> None:
        """Count a reload."""
        self.reloads += 1


@pytest.fixture
def heard() -> Heard:
    """The record of a test."""
    return Heard()


@pytest.fixture
def guarded() -> Iterator[RedisServer]:
    """A Redis with a password."""
    server = RedisServer(arguments=["--requirepass", "old"])
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def operator(guarded: RedisServer) -> AsyncIterator[Redis]:
    """The one who rotates the password."""
    async with Redis(host="127.0.0.1", port=guarded.port, password="old") as client:
        await client.ping()
        yield client


def url_file(path: Path, url: str, heard: Heard) -> RedisUrlFile:
    """Return the file with this URL in it."""
    path.write_text(url, encoding="utf-8")
    return RedisUrlFile(
        RedisUrl(url),
        reread=SecretFile(path, read=read_secret).reread,
        reloaded=heard.reloaded,
        unreadable=heard.unreadable.append,
    )


async def test_the_next_connection_uses_the_new_password(
    guarded: RedisServer, operator: Redis, tmp_path: Path, heard: Heard, clock: FakeClock
) -> None:
    """Commands of redis-py and our own reads; those that are open when the password changes notice nothing."""
    url = f"redis://:{{}}@127.0.0.1:{guarded.port}"
    file = url_file(tmp_path / "url", url.format("old"), heard)
    client = connect(RedisUrl(url.format("old")), file=file)
    reader = open_reader(client, most=100, clock=clock)
    assert isinstance(reader, RedisReader)
    before = [await client.set("name", "value"), await reader.get("name")]

    await operator.config_set("requirepass", "new")
    still = [await client.get("name"), await reader.get("name")]
    await operator.client_kill_filter(_type="normal", skipme=True)
    with pytest.raises(REDIS_FAILURES):
        await client.get("name")
    (tmp_path / "url").write_text(url.format("new"), encoding="utf-8")
    after = [await client.get("name"), await reader.get("name")]

    assert (before, still, after) == ([True, b"value"], [b"value"] * 2, [b"value"] * 2)
    assert (heard.reloads, heard.unreadable) == (1, [])
    await reader.close()
    await close(client)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("redis://u:new@other/0", "only user and password can change"),
        ("redis://u:new@host/1", "only user and password can change"),
        ("rediss://u:new@host/0", "only user and password can change"),
        ("http://u:new@host/0", "must begin with one of"),
        ("redis://u:new@host/0\nredis://u:new@host/0", "more than one line"),
        ("", "is empty"),
        (None, "fails"),
    ],
)
def test_what_cannot_be_used_changes_nothing(tmp_path: Path, heard: Heard, written: str | None, said: str) -> None:
    """It is said once, without the secret, and what was read before stays."""
    path = tmp_path / "url"
    file = url_file(path, "redis://u:old@host/0", heard)
    login = RedisLogin(file)
    if written is None:
        path.unlink()
    else:
        path.write_text(written, encoding="utf-8")

    logins = [login.get_credentials() for _ in range(2)]

    assert logins == [("u", "old")] * 2
    (why,) = heard.unreadable
    assert said in why
    assert "new" not in why
    assert heard.reloads == 0


def test_a_password_that_comes_before_a_file_it_is_used_with_is_not_missed(tmp_path: Path, heard: Heard) -> None:
    """The URL names a file for TLS that is replaced in the same instant: the next connections look again."""
    path, authority = tmp_path / "url", tmp_path / "ca.pem"
    url = f"rediss://u:{{}}@host/0?ssl_ca_certs={authority}"
    authority.touch()
    file = url_file(path, url.format("old"), heard)
    login = RedisLogin(file)
    path.write_text(url.format("new"), encoding="utf-8")
    authority.unlink()

    meanwhile = [login.get_credentials() for _ in range(2)]
    authority.touch()
    after = login.get_credentials()

    assert meanwhile == [("u", "old")] * 2
    assert after == ("u", "new")
    assert (len(heard.unreadable), heard.reloads) == (1, 1)


async def test_who_logs_in_as_whom(tmp_path: Path, heard: Heard) -> None:
    """User and password, a password alone, or nothing; Sentinels have their own."""
    path = tmp_path / "url"
    url = "redis+sentinel://{}host:26379/mymaster{}"
    file = url_file(path, url.format("", ""), heard)
    logins = []
    for redis, sentinel in (
        ("", ""),
        (":p@", "?sentinel_password=s"),
        ("u:p@", "?sentinel_username=v&sentinel_password=s"),
    ):
        path.write_text(url.format(redis, sentinel), encoding="utf-8")
        logins += [await RedisLogin(file).get_credentials_async()]
        logins += [await RedisLogin(file, for_sentinels=True).get_credentials_async()]

    assert logins == [(), (), ("p",), ("s",), ("u", "p"), ("v", "s")]
    assert heard.reloads == 2
