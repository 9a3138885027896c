"""Redis URLs that are accepted, and wrong ones, which no error repeats."""

from pathlib import Path

import pytest

from service.errors import SettingsError
from service.redis.url import Form, RedisAddress, RedisPassword, parse_redis_url
from service.secret import RedisUrl

PASSWORD = RedisPassword("s3cr3t/@:pw")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://cache", RedisAddress(form=Form.SERVER, tls=False, hosts=(("cache", 6379),))),
        ("redis://cache:7000/", RedisAddress(form=Form.SERVER, tls=False, hosts=(("cache", 7000),))),
        ("redis://[::1]/2", RedisAddress(form=Form.SERVER, tls=False, hosts=(("::1", 6379),), db=2)),
        ("redis://[::1]:7000", RedisAddress(form=Form.SERVER, tls=False, hosts=(("::1", 7000),))),
        (
            "rediss://og:s3cr3t%2F%40%3Apw@cache:6380/1",
            RedisAddress(form=Form.SERVER, tls=True, hosts=(("cache", 6380),), db=1, username="og", password=PASSWORD),
        ),
        (
            "redis://:s3cr3t%2F@:pw@cache",
            RedisAddress(form=Form.SERVER, tls=False, hosts=(("cache", 6379),), password=PASSWORD),
        ),
        ("unix:///run/redis.sock", RedisAddress(form=Form.SOCKET, tls=False, path="/run/redis.sock")),
        (
            "unix://og:s3cr3t%2F%40%3Apw@/run/my%20redis.sock?db=3",
            RedisAddress(
                form=Form.SOCKET, tls=False, path="/run/my redis.sock", db=3, username="og", password=PASSWORD
            ),
        ),
        (
            "redis+sentinel://:s3cr3t%2F%40%3Apw@one,two:26380/mymaster",
            RedisAddress(
                form=Form.SENTINEL,
                tls=False,
                hosts=(("one", 26379), ("two", 26380)),
                master="mymaster",
                password=PASSWORD,
            ),
        ),
        (
            "rediss+sentinel://one/my%20master/4?sentinel_username=s&sentinel_password=s3cr3t%2F%40%3Apw",
            RedisAddress(
                form=Form.SENTINEL,
                tls=True,
                hosts=(("one", 26379),),
                master="my master",
                db=4,
                sentinel_username="s",
                sentinel_password=PASSWORD,
            ),
        ),
        (
            "redis+cluster://one,two:7001/0",
            RedisAddress(form=Form.CLUSTER, tls=False, hosts=(("one", 6379), ("two", 7001))),
        ),
        ("rediss+cluster://one", RedisAddress(form=Form.CLUSTER, tls=True, hosts=(("one", 6379),))),
    ],
)
def test_a_good_url(url: str, address: RedisAddress) -> None:
    """Every form is understood, with its defaults and its percent-encoding."""
    assert parse_redis_url(RedisUrl(url)) == address


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("", "begin with"),
        ("s3cr3t", "begin with"),
        ("s3cr3t://cache", "begin with"),
        ("http://:s3cr3t@cache", "begin with"),
        ("redis://:s3cr3t@[::1", "not a URL"),
        ("redis://cache?s3cr3t", "not a URL"),
        ("redis://", "no host"),
        ("redis://:s3cr3t@", "no host"),
        ("redis://:s3cr3t@:6379", "no host"),
        ("redis://s3cr3t@cache", "without a password"),
        ("redis://og:@cache", "without a password"),
        ("redis://:pass/s3cr3t@cache", "%2F"),
        ("redis://og:s3cr3t/word@cache", "%2F"),
        ("redis://:s3cr3t#word@cache", "%23"),
        ("redis://:s3cr3t?word@cache", "%3F"),
        ("redis://og:s3cr3t@1/w#rd@cache", "%40"),
        ("unix://og:s3cr3t/word@/run/redis.sock", "%2F"),
        ("redis://cache#s3cr3t", "must not contain #"),
        ("redis://:s3cr3t@cache:port", "port"),
        ("redis://:s3cr3t@cache:0", "port"),
        ("redis://:s3cr3t@cache:65536", "port"),
        ("redis://:s3cr3t@cache:\u0663", "port"),
        ("redis://:s3cr3t@cache/one", "number of the database"),
        ("redis://:s3cr3t@cache/1/2", "number of the database"),
        ("redis://:s3cr3t@one,two", "several hosts"),
        ("redis://:s3cr3t@cache?password=s3cr3t", "only: nothing"),
        ("redis://:s3cr3t@cache?ssl_ca_certs=/s3cr3t", "only: nothing"),
        ("rediss://:s3cr3t@cache?ssl_cert_reqs=none", "only: ssl_ca_certs"),
        ("rediss://:s3cr3t@cache?ssl_ca_certs=/s3cr3t/not/there", "ssl_ca_certs"),
        ("unix://run/s3cr3t.sock", "three slashes"),
        ("unix://", "three slashes"),
        ("unix:///run/s3cr3t.sock?db=one", "number of the database"),
        ("redis+sentinel://:s3cr3t@one", "name the master"),
        ("redis+sentinel://:s3cr3t@one/mymaster/x", "number of the database"),
        ("redis+sentinel://one/mymaster?sentinel_username=s3cr3t", "sentinel_password"),
        ("redis+cluster://:s3cr3t@one/1", "must not name a database"),
    ],
)
def test_a_wrong_url(url: str, hint: str) -> None:
    """One line says what to do, and nothing of the URL is in it."""
    with pytest.raises(SettingsError) as refused:
        parse_redis_url(RedisUrl(url))

    (line,) = refused.value.mistakes
    assert line.startswith("redis.url ")
    assert hint in line
    assert "s3cr3t" not in line
    assert "\n" not in line


def test_an_option_may_have_an_at_sign_in_it(tmp_path: Path) -> None:
    """It is no password for that."""
    file = tmp_path / "a@b.pem"
    file.touch()

    assert parse_redis_url(RedisUrl(f"rediss://cache?ssl_ca_certs={file}")).ssl_ca_certs == str(file)


def test_a_wrong_url_is_not_in_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    """The parser's own error, which quotes the URL, is not what ours came from."""
    with pytest.raises(SettingsError) as refused:
        parse_redis_url(RedisUrl("redis://:s3cr3t@[::1"))

    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    """Either alone is a mistake."""
    certificate = tmp_path / "certificate.pem"
    certificate.touch()

    with pytest.raises(SettingsError, match="together"):
        parse_redis_url(RedisUrl(f"rediss://cache?ssl_certfile={certificate}"))


def test_files_for_tls(tmp_path: Path) -> None:
    """Files that exist are taken over."""
    file = tmp_path / "some.pem"
    file.touch()

    address = parse_redis_url(RedisUrl(f"rediss://cache?ssl_ca_certs={file}&ssl_certfile={file}&ssl_keyfile={file}"))

    assert (address.ssl_ca_certs, address.ssl_certfile, address.ssl_keyfile) == (str(file),) * 3
