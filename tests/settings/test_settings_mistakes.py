"""Every mistake an operator can make has one line, and the line says where it is and what is expected."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from service.errors import SettingsError
from service.settings import load_settings
from tests.cache.certificates import write_certificate

DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
SECRET = "correct horse battery staple, twice"

NO_TOKEN = (
    "callers[lobby].token_sha256 in gateway.toml is that of no token: expected the SHA-256 of the whole token, as"
    " new-caller prints it"
)

GAME = """
    [games.x-moon]
    id = 3
"""
CALLER = f"""
    [[callers]]
    name = "lobby"
    token_sha256 = "{DIGEST}"
    games = ["*"]
    rights = ["verify"]
"""


def mistakes_of(environ: Mapping[str, str], file: Path | None = None) -> list[str]:
    """Return the lines with which the settings are refused; the variables stand without our prefix."""
    prefixed = {f"OWNERSHIP_GATEWAY_{name}": text for name, text in environ.items()}
    with pytest.raises(SettingsError) as refusal:
        load_settings(prefixed, config_file=file)
    return refusal.value.mistakes


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("PORT", "65536", "PORT is '65536': expected a whole number from 0 to 65535"),
        ("PORT", "-1", "PORT is '-1': expected a whole number from 0 to 65535"),
        ("PORT", "http", "PORT is 'http': expected a whole number from 0 to 65535"),
        ("PORT", "null", "PORT is 'null': expected a whole number from 0 to 65535"),
        ("PORT", "9" * 5000, f"PORT is '{'9' * 59}…: expected a whole number from 0 to 65535"),
        (
            "HOST",
            "my host",
            "HOST is 'my host': expected a host name or an IP address, or a list of them, each only once",
        ),
        ("HOST", "::,", "HOST is '::,': expected a host name or an IP address, or a list of them, each only once"),
        (
            "HOST",
            "::1,::1",
            "HOST is '::1,::1': expected a host name or an IP address, or a list of them, each only once",
        ),
        (
            "OPERATIONS__HOST",
            "a b",
            "OPERATIONS__HOST is 'a b': expected a host name or an IP address, or a list of them, each only once",
        ),
        ("KEEP_ALIVE_SECONDS", "4", "KEEP_ALIVE_SECONDS is '4': expected a whole number from 5 to 7200"),
        ("KEEP_ALIVE_SECONDS", "7201", "KEEP_ALIVE_SECONDS is '7201': expected a whole number from 5 to 7200"),
        ("MAX_CONNECTIONS", "0", "MAX_CONNECTIONS is '0': expected a whole number from 1 to 1000000"),
        ("DEADLINE_MS", "49", "DEADLINE_MS is '49': expected a whole number from 50 to 10000"),
        ("DEADLINE_MS", "10001", "DEADLINE_MS is '10001': expected a whole number from 50 to 10000"),
        ("DRAIN_SECONDS", "-1", "DRAIN_SECONDS is '-1': expected a number from 0 to 600"),
        ("DRAIN_SECONDS", "nan", "DRAIN_SECONDS is 'nan': expected a number from 0 to 600"),
        ("REPLICAS", "0", "REPLICAS is '0': expected a whole number from 1 to 1000"),
        ("SANDBOX", "maybe", "SANDBOX is 'maybe': expected true or false"),
        ("UNIX_SOCKET", "a\0b", "UNIX_SOCKET cannot be used: expected a path"),
        ("SECRET", "x" * 31, "SECRET cannot be used: expected at least 32 characters of text"),
        ("SECRET", "\udcff" * 32, "SECRET cannot be used: expected at least 32 characters of text"),
        ("ITCH__API_KEY", "two words", "ITCH__API_KEY cannot be used: expected printable ASCII without spaces"),
        ("ITCH__API_KEY", "schlüssel", "ITCH__API_KEY cannot be used: expected printable ASCII without spaces"),
        ("ITCH__DIALECT", "old", "ITCH__DIALECT is 'old': expected one of current, server-side"),
        ("ITCH__RATE", "0", "ITCH__RATE is '0': expected a number above 0, at most 8"),
        ("ITCH__RATE", "8.1", "ITCH__RATE is '8.1': expected a number above 0, at most 8"),
        ("ITCH__RATE", "inf", "ITCH__RATE is 'inf': expected a number above 0, at most 8"),
        ("ITCH__BURST", "16", "ITCH__BURST is '16': expected a whole number from 1 to 15"),
        ("ITCH__TIMEOUT", "0.4", "ITCH__TIMEOUT is '0.4': expected a number from 0.5 to 30"),
        ("ITCH__TIMEOUT", "31", "ITCH__TIMEOUT is '31': expected a number from 0.5 to 30"),
        (
            "ITCH__CONTACT_URL",
            "https://a.example/(x)",
            "ITCH__CONTACT_URL cannot be used: expected an http or https URL of at most 200 printable ASCII characters",
        ),
        ("CACHE__MAX_ENTRIES", "0", "CACHE__MAX_ENTRIES is '0': expected a whole number from 1 to 10000000"),
        ("CACHE__MAX_MEBIBYTES", "0", "CACHE__MAX_MEBIBYTES is '0': expected a whole number from 1 to 65536"),
        ("OPERATIONS__PORT", "x", "OPERATIONS__PORT is 'x': expected a whole number from 0 to 65535"),
        ("LOG__LEVEL", "loud", "LOG__LEVEL is 'loud': expected one of debug, info, warning, error"),
        ("LOG__FORMAT", "xml", "LOG__FORMAT is 'xml': expected one of json, console"),
    ],
)
def test_a_value_that_does_not_fit(name: str, text: str, line: str) -> None:
    """A value out of its bounds is refused with what was given and what is expected."""
    environ = {name: text} if name in {"SANDBOX", "ITCH__API_KEY"} else {"ITCH__API_KEY": "k3y", name: text}

    assert mistakes_of(environ) == [f"OWNERSHIP_GATEWAY_{line}"]


@pytest.mark.parametrize(
    "url",
    [
        "localhost",
        "http://x",
        "redis://",
        "redis://user@",
        "unix://",
        "redis+sentinel:///0",
        "redis://a b",
        "redis://[",
    ],
)
def test_a_redis_url_of_no_known_form(url: str) -> None:
    """A Redis URL must have one of the schemes and name a place."""
    environ = {"ITCH__API_KEY": "k3y", "REDIS__URL": url, "SECRET": SECRET}

    assert mistakes_of(environ) == [
        "OWNERSHIP_GATEWAY_REDIS__URL cannot be used: expected a URL that begins with redis://, rediss://, unix://,"
        " redis+sentinel://, rediss+sentinel://, redis+cluster://, rediss+cluster://"
    ]


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("api.itch.io", "expected a URL such as https://api.itch.io"),
        ("ftp://api.itch.io", "expected a URL such as https://api.itch.io"),
        ("https://", "expected a URL such as https://api.itch.io"),
        ("https://[", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io:99999", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io\\@evil.example", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io/\n", "expected a URL such as https://api.itch.io"),
        ("http://[::1].evil.example", "expected a URL such as https://api.itch.io"),
        ("http://[::1]evil.example:80", "expected a URL such as https://api.itch.io"),
        ("https://[::1", "expected a URL such as https://api.itch.io"),
        ("https://[:::1]", "expected a URL such as https://api.itch.io"),
        ("http://[::1%25lo]", "expected a URL such as https://api.itch.io"),
        ("http://127.0.0.1%2eevil.example", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io%00.evil.example", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io\x7f", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io\t", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io:80:90", "expected a URL such as https://api.itch.io"),
        ("https://api.itch.io:0", "expected a URL such as https://api.itch.io"),
        ("https://:443", "expected a URL such as https://api.itch.io"),
        ("https://a,b", "expected a URL such as https://api.itch.io"),
        ("https://me@api.itch.io", "a user name or password has no place in it"),
        ("https://api.itch.io@evil.example", "a user name or password has no place in it"),
        ("https://@api.itch.io", "a user name or password has no place in it"),
        ("https://me:pw@api.itch.io", "a user name or password has no place in it"),
        ("https://api.itch.io?a=b", "a query or fragment has no place in it"),
        ("https://api.itch.io#a", "a query or fragment has no place in it"),
        (
            "https://itch.io/api/1/s3llerkey",
            "the API key has no place in it, URLs end up in logs; the gateway sends the key in a header",
        ),
        (
            "https://itch.io/api/1/s3ller%6bey",
            "the API key has no place in it, URLs end up in logs; the gateway sends the key in a header",
        ),
        (
            "http://api.itch.io",
            "plain http would show the API key to everybody on the way; expected https, or a loopback address",
        ),
    ],
)
def test_an_address_to_which_the_key_must_not_go(url: str, fault: str) -> None:
    """A store address that would leak the key, or is none, is refused without being repeated."""
    line = f"OWNERSHIP_GATEWAY_ITCH__BASE_URL cannot be used: {fault}"

    assert mistakes_of({"ITCH__API_KEY": "s3llerkey", "ITCH__BASE_URL": url}) == [line]


@pytest.mark.parametrize("token", ["", " ", "\n", "\r\n"])
def test_a_digest_of_no_token(tmp_path: Path, token: str) -> None:
    """The digest of an empty token would let in callers without a token."""
    file = tmp_path / "gateway.toml"
    file.write_text(dedent(CALLER).replace(DIGEST, hashlib.sha256(token.encode()).hexdigest()), encoding="utf-8")

    assert mistakes_of({"SANDBOX": "true"}, file) == [NO_TOKEN]


def test_a_digest_of_nothing_at_all(tmp_path: Path) -> None:
    """A digest of zeros comes from a template that was not filled in."""
    file = tmp_path / "gateway.toml"
    file.write_text(dedent(CALLER).replace(DIGEST, "0" * 64), encoding="utf-8")

    assert mistakes_of({"SANDBOX": "true"}, file) == [NO_TOKEN]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        (
            {},
            "OWNERSHIP_GATEWAY_ITCH__API_KEY is not set: give the seller's itch.io API key there or in a file named by"
            " OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE, or try the gateway with OWNERSHIP_GATEWAY_SANDBOX=true",
        ),
        (
            {"SANDBOX": "false"},
            "OWNERSHIP_GATEWAY_ITCH__API_KEY is not set: give the seller's itch.io API key there or in a file named by"
            " OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE, or try the gateway with OWNERSHIP_GATEWAY_SANDBOX=true",
        ),
        (
            {"SANDBOX": "true", "HOST": "0.0.0.0"},  # noqa: S104 - that is what is refused
            "OWNERSHIP_GATEWAY_HOST is '0.0.0.0', but there are no [[callers]]: without callers the gateway listens"
            " only on loopback (127.0.0.1, ::1, localhost) or a Unix socket",
        ),
        (
            {"SANDBOX": "true", "HOST": "::1, localhost, 10.0.0.7, ::"},
            "OWNERSHIP_GATEWAY_HOST holds '10.0.0.7', but there are no [[callers]]: without callers the gateway listens"
            " only on loopback (127.0.0.1, ::1, localhost) or a Unix socket",
        ),
        (
            {"SANDBOX": "true", "ITCH__API_KEY": "k3y"},
            "OWNERSHIP_GATEWAY_SANDBOX and OWNERSHIP_GATEWAY_ITCH__API_KEY are both set: the sandbox never stands in"
            " for a real store, keep one",
        ),
        (
            {"SANDBOX": "true", "ITCH__BASE_URL": "https://api.itch.io"},
            "OWNERSHIP_GATEWAY_SANDBOX and OWNERSHIP_GATEWAY_ITCH__BASE_URL are both set: the sandbox never stands in"
            " for a real store, keep one",
        ),
        (
            {"ITCH__API_KEY": "k3y", "ITCH__BASE_URL": "https://api.itch.io", "ITCH__DIALECT": "server-side"},
            "OWNERSHIP_GATEWAY_ITCH__BASE_URL belongs to the dialect current, but OWNERSHIP_GATEWAY_ITCH__DIALECT is"
            " server-side, which is spoken at https://itch.io/api/1",
        ),
        (
            {"ITCH__API_KEY": "k3y", "ITCH__BASE_URL": "https://ITCH.io/api/1"},
            "OWNERSHIP_GATEWAY_ITCH__BASE_URL belongs to the dialect server-side, but OWNERSHIP_GATEWAY_ITCH__DIALECT"
            " is current, which is spoken at https://api.itch.io",
        ),
        (
            {"ITCH__API_KEY": "k3y", "ITCH__ACCESS_TOKENS": "true", "ITCH__DIALECT": "server-side"},
            "OWNERSHIP_GATEWAY_ITCH__ACCESS_TOKENS is on, but OWNERSHIP_GATEWAY_ITCH__DIALECT is server-side: only"
            " current has them",
        ),
        (
            {"SANDBOX": "true", "REDIS__URL": "redis://localhost"},
            "OWNERSHIP_GATEWAY_SECRET is not set, but OWNERSHIP_GATEWAY_REDIS__URL is: what is kept in Redis must be"
            " sealed with a secret of at least 32 characters, the same on all replicas",
        ),
        (
            {"ITCH__API_KEY": "k" * 32, "SECRET": "k" * 32},
            "OWNERSHIP_GATEWAY_SECRET is the same as OWNERSHIP_GATEWAY_ITCH__API_KEY: make a secret of its own",
        ),
        (
            {"SANDBOX": "true", "OPERATIONS__HOST": "127.0.0.1"},
            "OWNERSHIP_GATEWAY_OPERATIONS__HOST is set without OWNERSHIP_GATEWAY_OPERATIONS__PORT: set both or neither",
        ),
        (
            {"SANDBOX": "true", "HOST": "127.0.0.1,::1", "OPERATIONS__HOST": "::1", "OPERATIONS__PORT": "8080"},
            "OWNERSHIP_GATEWAY_OPERATIONS__PORT is 8080, which OWNERSHIP_GATEWAY_PORT is too: leave it out to serve"
            " both from one listener",
        ),
        (
            {"SANDBOX": "true", "CONSOLE": "true", "OPERATIONS__HOST": "::", "OPERATIONS__PORT": "9090"},
            "OWNERSHIP_GATEWAY_CONSOLE is on and there are no [[callers]], but the console would be served on"
            " OWNERSHIP_GATEWAY_OPERATIONS__PORT to other machines: configure callers, or set"
            " OWNERSHIP_GATEWAY_OPERATIONS__HOST to 127.0.0.1",
        ),
        (
            {"SANDBOX": "true", "OPERATIONS__PORT": "8080"},
            "OWNERSHIP_GATEWAY_OPERATIONS__PORT is 8080, which OWNERSHIP_GATEWAY_PORT is too: leave it out to serve"
            " both from one listener",
        ),
    ],
)
def test_settings_that_contradict_each_other(environ: dict[str, str], line: str) -> None:
    """Settings that make no sense together are refused with a line that names each of them."""
    assert mistakes_of(environ) == [line]


PASSWORD_TO_ENCODE = (
    "has a user or password that is not percent-encoded: write % as %25, @ as %40, : as %3A, / as %2F, ? as %3F, # as"
    " %23, [ as %5B and ] as %5D"
)


def test_a_redis_url_is_called_as_the_operator_calls_it(tmp_path: Path) -> None:
    """Be it a variable, a key in the file, or a file that either names."""
    url, environ = "redis://:p@ss/w#rd@cache", {"ITCH__API_KEY": "k3y", "SECRET": SECRET}
    file, url_file = tmp_path / "gateway.toml", tmp_path / "url"
    file.write_text(f'[redis]\nurl = "{url}"\n', encoding="utf-8")
    url_file.write_text(url, encoding="utf-8")

    assert mistakes_of(environ | {"REDIS__URL": url}) == [f"OWNERSHIP_GATEWAY_REDIS__URL {PASSWORD_TO_ENCODE}"]
    assert mistakes_of(environ, file) == [f"redis.url in gateway.toml {PASSWORD_TO_ENCODE}"]
    assert mistakes_of(environ | {"REDIS__URL_FILE": str(url_file)}) == [
        f"OWNERSHIP_GATEWAY_REDIS__URL_FILE {PASSWORD_TO_ENCODE}"
    ]


def test_a_key_in_a_file_and_the_sandbox_are_one_mistake(tmp_path: Path) -> None:
    """The key and the file that it stands in are the same setting."""
    (tmp_path / "key").write_text("k3y", encoding="utf-8")

    (line,) = mistakes_of({"SANDBOX": "true", "ITCH__API_KEY_FILE": str(tmp_path / "key")})

    assert line.startswith("OWNERSHIP_GATEWAY_SANDBOX and OWNERSHIP_GATEWAY_ITCH__API_KEY_FILE are both set")


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ("prot = 1", "prot in gateway.toml is not a setting; did you mean port?"),
        ("[itch]\nraet = 1", "itch.raet in gateway.toml is not a setting; did you mean itch.rate?"),
        ('api_key = "x"', "api_key in gateway.toml is not a setting; did you mean itch.api_key?"),
        ('"itch.rate" = 1', "'itch.rate' in gateway.toml is not a setting; did you mean itch.rate?"),
        ("[zzzzzz]\na = 1", "zzzzzz in gateway.toml is not a setting"),
        ('"a b" = 1', "'a b' in gateway.toml is not a setting"),
        ("[itch]\n[itch.retry]\nmax = 3", "itch.retry in gateway.toml is not a setting; did you mean itch.rate?"),
        ("[gaems.x]\nid = 1", "gaems in gateway.toml is not a setting; did you mean games?"),
        (
            f"{GAME}grace = 1",
            "games.x-moon.grace in gateway.toml is not a setting; did you mean games.x-moon.grace_seconds?",
        ),
        (
            f"{CALLER}rates = 1",
            "callers[lobby].rates in gateway.toml is not a setting; did you mean callers[lobby].rate?",
        ),
        ("itch = 5", "itch in gateway.toml is a single value: expected a table"),
        ("games = []", "games in gateway.toml is a list: expected a table"),
        ("[games]\nx-moon = 3", "games.x-moon in gateway.toml is a single value: expected a table"),
        ("[callers]", "callers in gateway.toml is a table: expected one [[callers]] table for each caller"),
        ("callers = [3]", "callers[#1] in gateway.toml is a single value: expected a table"),
        ('port = "8080"', "port in gateway.toml is '8080': expected a whole number from 0 to 65535"),
        (
            'host = "::1,127.0.0.1"',
            "host in gateway.toml is '::1,127.0.0.1': expected a host name or an IP address, or a list of them, each"
            " only once",
        ),
        (
            "host = []",
            "host in gateway.toml is []: expected a host name or an IP address, or a list of them, each only once",
        ),
        (
            "host = 5",
            "host in gateway.toml is 5: expected a host name or an IP address, or a list of them, each only once",
        ),
        ("port = true", "port in gateway.toml is true: expected a whole number from 0 to 65535"),
        ("port = {a = 1}", "port in gateway.toml is a table: expected a whole number from 0 to 65535"),
        ("port = [[1]]", "port in gateway.toml is a list: expected a whole number from 0 to 65535"),
        ("port = 2026-11-20", "port in gateway.toml is 2026-11-20: expected a whole number from 0 to 65535"),
        (
            f"port = 0x{'f' * 5000}",
            "port in gateway.toml is a very large number: expected a whole number from 0 to 65535",
        ),
        ("drain_seconds = nan", "drain_seconds in gateway.toml is nan: expected a number from 0 to 600"),
        (
            f"[itch]\nrate = 0x{'f' * 5000}",
            "itch.rate in gateway.toml is a very large number: expected a number above 0, at most 8",
        ),
        ("secret = 5", "secret in gateway.toml cannot be used: expected at least 32 characters of text"),
        ('unix_socket = ""', "unix_socket in gateway.toml cannot be used: expected a path"),
        (
            "[games.3]\nid = 3",
            "games.3 in gateway.toml is no slug: expected 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or"
            " digit, and not all digits",
        ),
        (
            '[games."X\\nMoon"]\nid = 3',
            "games.'X\\nMoon' in gateway.toml is no slug: expected 1 to 64 of a-z, 0-9, _ and -, beginning with a"
            " letter or digit, and not all digits",
        ),
        (
            "[games.x-moon]",
            "games.x-moon.id in gateway.toml is missing: expected a whole number from 1 to 9007199254740991",
        ),
        (
            "[games.x-moon]\nid = 0",
            "games.x-moon.id in gateway.toml is 0: expected a whole number from 1 to 9007199254740991",
        ),
        (
            "[games.x-moon]\nid = 9007199254740992",
            "games.x-moon.id in gateway.toml is 9007199254740992: expected a whole number from 1 to 9007199254740991",
        ),
        (
            f"{GAME}[games.y]\nid = 3",
            "games.y.id in gateway.toml is 3, which games.x-moon has already: an id names one game",
        ),
        (
            f"{GAME}accept = []",
            "games.x-moon.accept in gateway.toml is []: expected a list of at least one of download_key, purchase,"
            " bundle_purchase, web_purchase, each only once",
        ),
        (
            f'{GAME}accept = ["donation"]',
            "games.x-moon.accept in gateway.toml is ['donation']: expected a list of at least one of download_key,"
            " purchase, bundle_purchase, web_purchase, each only once",
        ),
        (
            f'{GAME}accept = ["purchase", "purchase"]',
            "games.x-moon.accept in gateway.toml is ['purchase', 'purchase']: expected a list of at least one of"
            " download_key, purchase, bundle_purchase, web_purchase, each only once",
        ),
        (
            f"{GAME}owned_fresh_seconds = 59",
            "games.x-moon.owned_fresh_seconds in gateway.toml is 59: expected a whole number from 60 to 86400",
        ),
        (
            f"{GAME}not_owned_seconds = 301",
            "games.x-moon.not_owned_seconds in gateway.toml is 301: expected a whole number from 1 to 300",
        ),
        (
            f"{GAME}grace_seconds = 259201",
            "games.x-moon.grace_seconds in gateway.toml is 259201: expected a whole number from 0 to 259200",
        ),
        (
            f"{GAME}grace_seconds = 3599",
            "games.x-moon.grace_seconds in gateway.toml is 3599: expected 0, or at least"
            " owned_fresh_seconds, which is 3600",
        ),
        (
            f"{GAME}grant_user_ids = [1, 0]",
            "games.x-moon.grant_user_ids in gateway.toml is [1, 0]: expected a list of itch.io user ids, each a whole"
            " number and only once",
        ),
        (
            f"{GAME}grant_user_ids = [1, 2]\nban_user_ids = [2]",
            "games.x-moon in gateway.toml both grants and bans 2: keep each user in one list",
        ),
        (
            f"{GAME}grant_user_ids = [1, 2, 3, 4, 5, 6]\nban_user_ids = [1, 2, 3, 4, 5, 6]",
            "games.x-moon in gateway.toml both grants and bans 1, 2, 3, 4, 5, …: keep each user in one list",
        ),
        (
            f'{GAME}ban_emails = ["amos@example.com", "no address"]',
            "games.x-moon.ban_emails in gateway.toml cannot be used: expected a list of e-mail addresses, each only"
            " once",
        ),
        (
            f'{GAME}ban_emails = ["amos@example.com", "Amos@EXAMPLE.com"]',
            "games.x-moon.ban_emails in gateway.toml cannot be used: expected a list of e-mail addresses, each only"
            " once",
        ),
        (
            f"{GAME}ban_emails = [77]",
            "games.x-moon.ban_emails in gateway.toml cannot be used: expected a list of e-mail addresses, each only"
            " once",
        ),
        (
            f"{GAME}canary_owner = 3",
            "games.x-moon.canary_owner in gateway.toml is not a setting; did you mean"
            " games.x-moon.canary_owner_user_id?",
        ),
        (
            f"{GAME}canary_owner_user_id = 0",
            "games.x-moon.canary_owner_user_id in gateway.toml is 0: expected a whole number from 1 to"
            " 9007199254740991",
        ),
        (
            f"{GAME}canary_owner_user_id = 7\nban_user_ids = [6, 7]",
            "games.x-moon.canary_owner_user_id in gateway.toml is 7, which ban_user_ids holds too: expected an account"
            " that itch.io alone decides about",
        ),
        (
            f"{GAME}canary_stranger_user_id = 7\ngrant_user_ids = [7]",
            "games.x-moon.canary_stranger_user_id in gateway.toml is 7, which grant_user_ids holds too: expected an"
            " account that itch.io alone decides about",
        ),
        (
            f"{GAME}canary_owner_user_id = 7\ncanary_stranger_user_id = 7",
            "games.x-moon.canary_stranger_user_id in gateway.toml is 7, which canary_owner_user_id is too: expected an"
            " account that does not own the game",
        ),
        (
            "[games.x-moon]\ncanary_owner_user_id = 7",
            "games.x-moon.id in gateway.toml is missing: expected a whole number from 1 to 9007199254740991",
        ),
        (
            CALLER.replace("lobby", "Lobby"),
            "callers[Lobby].name in gateway.toml is 'Lobby': expected 1 to 64 of a-z, 0-9 and -",
        ),
        (
            CALLER.replace("lobby", "a b"),
            "callers[#1].name in gateway.toml is 'a b': expected 1 to 64 of a-z, 0-9 and -",
        ),
        (
            CALLER.replace(DIGEST, "ogw_thetokenitself"),
            "callers[lobby].token_sha256 in gateway.toml cannot be used: expected the SHA-256 of the whole token as 64"
            " hexadecimal digits",
        ),
        (
            CALLER.replace('["*"]', "[]"),
            "callers[lobby].games in gateway.toml is []: expected a list of at least one slug or itch.io game id,"
            ' each only once, or ["*"]',
        ),
        (
            CALLER.replace('["*"]', '["*", "x-moon"]') + GAME,
            'callers[lobby].games in gateway.toml holds "*" and more: expected "*" alone, or the games one by one',
        ),
        (
            CALLER.replace('["*"]', '["x-mon"]') + GAME,
            "callers[lobby].games in gateway.toml holds 'x-mon', which is no game:"
            " expected a slug or id from [games.<slug>]",
        ),
        (
            CALLER.replace('["*"]', "[4]") + GAME,
            "callers[lobby].games in gateway.toml holds '4', which is no game:"
            " expected a slug or id from [games.<slug>]",
        ),
        (
            CALLER.replace('["*"]', '["x-moon"]'),
            "callers[lobby].games in gateway.toml holds 'x-moon', which is no game:"
            " expected a slug or id from [games.<slug>]",
        ),
        (
            CALLER.replace('["verify"]', '["verify", "root"]'),
            "callers[lobby].rights in gateway.toml is ['verify', 'root']: expected a list of at least one of verify,"
            " assert:user, assert:email, pass, override, support, admin, challenge, each only once",
        ),
        (
            CALLER.replace('    rights = ["verify"]\n', ""),
            "callers[lobby].rights in gateway.toml is missing: expected a list of at least one of verify, assert:user,"
            " assert:email, pass, override, support, admin, challenge, each only once",
        ),
        (f"{CALLER}rate = 0", "callers[lobby].rate in gateway.toml is 0: expected a number above 0, at most 100000"),
        (
            f"{CALLER}failed_keys_per_minute = 0",
            "callers[lobby].failed_keys_per_minute in gateway.toml is 0: expected a whole number from 1 to 100000",
        ),
        (
            CALLER + CALLER.replace(DIGEST, "1" * 64),
            "callers[lobby].name in gateway.toml is there more than once: expected a name of its own for each caller",
        ),
        (
            CALLER + CALLER.replace("lobby", "match").replace(DIGEST, DIGEST.upper()),
            "callers[match].token_sha256 in gateway.toml is that of callers[lobby] too: expected a token of its own for"
            " each caller",
        ),
    ],
)
def test_a_mistake_in_the_file(tmp_path: Path, toml: str, line: str) -> None:
    """A mistake in the TOML file is refused with a line that says where in the file it stands."""
    file = tmp_path / "gateway.toml"
    file.write_text(dedent(toml), encoding="utf-8")

    assert mistakes_of({"SANDBOX": "true"}, file) == [line]


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b"port = = 1", "gateway.toml is not TOML: look at line 1, column 8"),
        (b"port = 1\nhost = 'h4nter2", "gateway.toml is not TOML: look at end of document"),
        (b"port = \xff", "gateway.toml is not UTF-8 text"),
        (b"port = " + b"9" * 5000, "gateway.toml holds a number too long or a nesting too deep"),
        (b"port = " + b"[" * 100_000, "gateway.toml holds a number too long or a nesting too deep"),
    ],
)
def test_a_file_that_is_no_toml(tmp_path: Path, raw: bytes, line: str) -> None:
    """A file that cannot be read as TOML is refused with the place, never with what stands there."""
    file = tmp_path / "gateway.toml"
    file.write_bytes(raw)

    assert mistakes_of({"SANDBOX": "true"}, file) == [line]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """A configuration file that does not exist is refused, never taken for an empty one."""
    file = tmp_path / "absent.toml"

    assert mistakes_of({"SANDBOX": "true"}, file) == [
        f"the configuration file {str(file)!r} cannot be read: No such file or directory"
    ]


def test_a_name_that_no_file_can_have() -> None:
    """A configuration file whose name is impossible is a mistake like any other."""
    assert mistakes_of({"SANDBOX": "true", "CONFIG": "a\0b"}) == [
        "OWNERSHIP_GATEWAY_CONFIG cannot be used: expected a path"
    ]


def test_contradictions_wait_for_a_readable_file(tmp_path: Path) -> None:
    """While the file is unreadable, what may stand in it is not reported missing."""
    file = tmp_path / "gateway.toml"
    file.write_text("[[callers", encoding="utf-8")

    lines = mistakes_of({"HOST": "0.0.0.0"}, file)  # noqa: S104 - that is what would be refused

    assert lines == ["gateway.toml is not TOML: look at end of document"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("PROT", "OWNERSHIP_GATEWAY_PROT is not a setting; did you mean OWNERSHIP_GATEWAY_PORT?"),
        (
            "ITCH_API_KEY",
            "OWNERSHIP_GATEWAY_ITCH_API_KEY is not a setting; did you mean OWNERSHIP_GATEWAY_ITCH__API_KEY?",
        ),
        ("port", "OWNERSHIP_GATEWAY_port is not a setting; did you mean OWNERSHIP_GATEWAY_PORT?"),
        ("QQQQQQ", "OWNERSHIP_GATEWAY_QQQQQQ is not a setting"),
        ("QQ\nQQ", "'OWNERSHIP_GATEWAY_QQ\\nQQ' is not a setting"),
        (
            "GAMES__X_MOON__ID",
            "OWNERSHIP_GATEWAY_GAMES__X_MOON__ID cannot be set: games stand in the TOML file only, as [games.<slug>]",
        ),
        ("CALLERS", "OWNERSHIP_GATEWAY_CALLERS cannot be set: callers stand in the TOML file only, as [[callers]]"),
    ],
)
def test_a_variable_that_sets_nothing(name: str, line: str) -> None:
    """A variable with our prefix that is no setting is refused, with the name that was probably meant."""
    assert mistakes_of({"SANDBOX": "true", name: "h4nter2"}) == [line]


def test_all_mistakes_come_at_once(tmp_path: Path) -> None:
    """The operator reads every mistake in one go, those of the file too."""
    file = tmp_path / "gateway.toml"
    file.write_text("log = 3\n[games.a]\nid = 0\n[games.b]\nid = 1\ngrace_seconds = 1\n", encoding="utf-8")

    lines = mistakes_of({"PORT": "x", "SNADBOX": "true"}, file)

    assert [line.split(" ")[0] for line in lines] == [
        "log",
        "OWNERSHIP_GATEWAY_SNADBOX",
        "OWNERSHIP_GATEWAY_PORT",
        "games.a.id",
        "OWNERSHIP_GATEWAY_ITCH__API_KEY",
        "games.b.grace_seconds",
    ]


@pytest.mark.parametrize(
    "toml",
    ["[games.x-moon]\nid = 0", f"[itch]\napi_key = {'é'!r}", "callers = 3", '[[callers]]\nname = "lobby"'],
)
def test_the_consequences_of_a_mistake_are_not_mistakes(tmp_path: Path, toml: str) -> None:
    """A check that builds on a setting already refused adds no line about it."""
    file = tmp_path / "gateway.toml"
    file.write_text(toml, encoding="utf-8")

    lines = mistakes_of({} if "itch" in toml else {"ITCH__API_KEY": "k3y", "HOST": "127.0.0.1"}, file)

    assert all(" in gateway.toml" in line for line in lines)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "reading {path} fails: No such file or directory"),
        (b"", "{path} holds no certificates in PEM format"),
        (b"no certificate", "{path} holds no certificates in PEM format"),
    ],
)
def test_certificates_to_trust_that_cannot_be_read(tmp_path: Path, content: bytes | None, fault: str) -> None:
    """OpenSSL itself would trust no server then, without a word."""
    path = tmp_path / "authorities.pem"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_SANDBOX": "true", "SSL_CERT_FILE": str(path)})

    assert refusal.value.mistakes == [f"SSL_CERT_FILE cannot be used: {fault.format(path=repr(str(path)))}"]


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_certificates_to_trust_in_no_file(name: str) -> None:
    """An empty variable is no exception: OpenSSL takes it for the name of a file."""
    with pytest.raises(SettingsError) as refusal:
        load_settings({"OWNERSHIP_GATEWAY_SANDBOX": "true", "SSL_CERT_FILE": name})

    [line] = refusal.value.mistakes
    assert line.startswith("SSL_CERT_FILE cannot be used: ")


def test_certificates_to_trust_that_can_be_read(tmp_path: Path) -> None:
    """The certificates need not be an authority's."""
    write_certificate(tmp_path, address="127.0.0.1")

    loaded = load_settings({"OWNERSHIP_GATEWAY_SANDBOX": "true", "SSL_CERT_FILE": str(tmp_path / "certificate.pem")})

    assert loaded.sandbox
