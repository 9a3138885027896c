"""The sources of settings, and the order in which they beat each other."""

from pathlib import Path

import pytest
from msgspec import structs

from service.errors import SettingsError
from service.ownership import GameId, Mailbox, ProofKind
from service.rights import Right
from service.secret import RedisUrl, SealingSecret, SellerKey
from service.settings import ItchDialect, LogFormat, LogLevel, Settings, load_settings

KEY = {"OWNERSHIP_GATEWAY_ITCH__API_KEY": "k3y"}
DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


def test_a_key_is_all_it_takes() -> None:
    """With the seller's key and nothing else, every default applies."""
    assert load_settings(KEY) == Settings(itch=structs.replace(Settings().itch, api_key=SellerKey("k3y")))


def test_the_whole_file(tmp_path: Path) -> None:
    """Everything the documentation shows can stand in the file and arrives in its type."""
    file = tmp_path / "gateway.toml"
    file.write_text(
        f"""
        host = "0.0.0.0"
        drain_seconds = 2
        secret = "{"s" * 32}"
        [itch]
        api_key = "k3y"
        dialect = "server-side"
        timeout = 2.5
        contact_url = "https://studio.example/contact"
        [redis]
        url = "redis+sentinel://:pw@a:26379,b:26379/mymaster/0"
        [operations]
        host = "127.0.0.1"
        port = 9090
        [log]
        level = "debug"
        format = "console"
        [games.x-moon]
        id = 3
        accept = ["download_key", "web_purchase"]
        grant_user_ids = [29789]
        ban_user_ids = [7]
        ban_emails = ["Amos@B\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example"]
        grant_press = true
        grace_seconds = 0
        [[callers]]
        name = "lobby"
        token_sha256 = "{DIGEST}"
        games = ["x-moon"]
        rights = ["verify", "assert:user"]
        """,
        encoding="utf-8",
    )

    settings = load_settings({"OWNERSHIP_GATEWAY_CONFIG": str(file)})

    assert settings.drain_seconds == 2
    assert settings.secret == SealingSecret("s" * 32)
    assert settings.itch.timeout_seconds == 2.5
    assert settings.itch.dialect is ItchDialect.SERVER_SIDE
    assert settings.redis.url == RedisUrl("redis+sentinel://:pw@a:26379,b:26379/mymaster/0")
    assert (settings.operations.host, settings.operations.port) == (("127.0.0.1",), 9090)
    assert (settings.log.level, settings.log.format) == (LogLevel.DEBUG, LogFormat.CONSOLE)
    (game,) = settings.games
    assert game.ban_emails == {Mailbox("amos@xn--bcher-kva.example")}
    assert (game.slug, game.id, game.grace_seconds, game.grant_press) == ("x-moon", 3, 0, True)
    assert game.accept == {ProofKind.DOWNLOAD_KEY, ProofKind.WEB_PURCHASE}
    (caller,) = settings.callers
    assert caller.rights == {Right.VERIFY, Right.ASSERT_USER}
    assert caller.token_digest.hex() == DIGEST


def test_the_environment_beats_the_file(tmp_path: Path) -> None:
    """A setting that both the file and a variable set is as the variable says."""
    file = tmp_path / "gateway.toml"
    file.write_text("port = 1\n[itch]\nrate = 1\nburst = 1", encoding="utf-8")

    settings = load_settings(KEY | {"OWNERSHIP_GATEWAY_ITCH__RATE": "2"}, config_file=file)

    assert (settings.port, settings.itch.rate, settings.itch.burst) == (1, 2, 1)


def test_a_flag_beats_the_environment() -> None:
    """A command-line flag has the last word; a flag not used has none."""
    environ = {"OWNERSHIP_GATEWAY_PORT": "1", "OWNERSHIP_GATEWAY_HOST": "::1"}
    flags = {"port": 2, "host": None, "sandbox": True, "unix_socket": Path("/run/gateway.sock")}

    settings = load_settings(environ, flags=flags)

    assert (settings.port, settings.host, settings.sandbox) == (2, ("::1",), True)
    assert settings.unix_socket == Path("/run/gateway.sock")


def test_a_flag_is_named_as_it_is_typed() -> None:
    """A mistake in a flag is explained in the words of the command line."""
    with pytest.raises(SettingsError) as refusal:
        load_settings(KEY, flags={"deadline_ms": 1, "itch.bust": 1})

    assert refusal.value.mistakes == [
        "--itch-bust is not a setting; did you mean itch.burst?",
        "--deadline-ms is 1: expected a whole number from 50 to 10000",
    ]


def test_the_named_file_beats_the_variable(tmp_path: Path) -> None:
    """The file named on the command line is read instead of the one in the environment."""
    file = tmp_path / "gateway.toml"
    file.write_text("port = 1", encoding="utf-8")

    settings = load_settings(KEY | {"OWNERSHIP_GATEWAY_CONFIG": "/absent.toml"}, config_file=file)

    assert settings.port == 1


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    """A file from an editor that writes a byte order mark is read like any other."""
    file = tmp_path / "gateway.toml"
    file.write_text("port = 1\r\n", encoding="utf-8-sig")

    assert load_settings(KEY, config_file=file).port == 1


def test_an_empty_variable_sets_nothing() -> None:
    """A variable that a template left empty leaves the default."""
    environ = {"OWNERSHIP_GATEWAY_PORT": "", "OWNERSHIP_GATEWAY_REDIS__URL": "", "OWNERSHIP_GATEWAY_CONFIG": ""}

    assert load_settings(KEY | environ) == load_settings(KEY)


def test_variables_of_others_are_left_alone() -> None:
    """Only variables with our prefix are read."""
    assert load_settings(KEY | {"PORT": "x", "OWNERSHIP": "x"}) == load_settings(KEY)


def test_the_links_of_a_kubernetes_service_are_left_alone() -> None:
    """Variables that Kubernetes makes for Services named like us neither set the port nor are refused."""
    links = {
        "OWNERSHIP_GATEWAY_SERVICE_HOST": "10.0.0.7",
        "OWNERSHIP_GATEWAY_SERVICE_PORT": "8080",
        "OWNERSHIP_GATEWAY_SERVICE_PORT_HTTP": "8080",
        "OWNERSHIP_GATEWAY_PORT": "tcp://10.0.0.7:8080",
        "OWNERSHIP_GATEWAY_PORT_8080_TCP": "tcp://10.0.0.7:8080",
        "OWNERSHIP_GATEWAY_PORT_8080_TCP_ADDR": "10.0.0.7",
        "OWNERSHIP_GATEWAY_SERVICE_SERVICE_HOST": "10.0.0.9",
        "OWNERSHIP_GATEWAY_SERVICE_PORT_80_TCP_PROTO": "tcp",
        "OWNERSHIP_GATEWAY_REDIS_SERVICE_HOST": "10.0.0.8",
        "OWNERSHIP_GATEWAY_REDIS_PORT": "tcp://10.0.0.8:6379",
    }

    assert load_settings(KEY | links) == load_settings(KEY)


def test_our_port_is_ours_beside_the_links() -> None:
    """A port that the pod's own specification sets applies although a Service has our name."""
    links = {"OWNERSHIP_GATEWAY_SERVICE_HOST": "10.0.0.7", "OWNERSHIP_GATEWAY_PORT": "9000"}

    assert load_settings(KEY | links).port == 9000


def test_links_without_their_service_are_mistakes() -> None:
    """A variable that only looks like a Service link is refused like any unknown one."""
    with pytest.raises(SettingsError, match=r"OWNERSHIP_GATEWAY_PORT is 'tcp://10\.0\.0\.7:8080'"):
        load_settings(KEY | {"OWNERSHIP_GATEWAY_PORT": "tcp://10.0.0.7:8080"})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LocalHost", "::1,127.0.0.1"])
def test_loopback_needs_no_callers(host: str) -> None:
    """On loopback no token is needed."""
    assert load_settings(KEY | {"OWNERSHIP_GATEWAY_HOST": host}).callers == ()


def test_a_unix_socket_needs_no_callers() -> None:
    """A Unix socket is guarded by the file system; the host does not count."""
    environ = {"OWNERSHIP_GATEWAY_UNIX_SOCKET": "/run/gateway.sock", "OWNERSHIP_GATEWAY_HOST": "::"}

    assert load_settings(KEY | environ).unix_socket == Path("/run/gateway.sock")


def test_some_commands_need_neither_source_nor_callers() -> None:
    """A command that asks no store and does not listen works before either is configured."""
    environ = {"OWNERSHIP_GATEWAY_HOST": "::"}

    assert load_settings(environ, require_source=False, require_callers=False).host == ("::",)


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        ({}, "https://api.itch.io"),
        ({"DIALECT": "server-side"}, "https://itch.io/api/1"),
        ({"BASE_URL": "https://proxy.example/itch/"}, "https://proxy.example/itch"),
        ({"BASE_URL": "http://localhost:9000"}, "http://localhost:9000"),
        ({"BASE_URL": "http://[::1]:9000", "DIALECT": "server-side"}, "http://[::1]:9000"),
        ({"BASE_URL": "https://api.itch.io"}, "https://api.itch.io"),
    ],
)
def test_where_itch_io_is(environ: dict[str, str], url: str) -> None:
    """The dialect has its own address, unless another one is set."""
    prefixed = {f"OWNERSHIP_GATEWAY_ITCH__{name}": text for name, text in environ.items()}

    assert load_settings(KEY | prefixed).itch.effective_base_url == url


@pytest.mark.parametrize(
    "url",
    [
        "redis://localhost",
        "rediss://user:pw@redis.example:6380/1",
        "unix:///run/redis.sock",
        "redis+sentinel://[::1]:26379/m",
        "rediss+sentinel://a,b/m",
        "redis+cluster://a:1,b:2",
        "rediss+cluster://a",
    ],
)
def test_every_form_of_redis_url(url: str) -> None:
    """Single servers, sockets, Sentinel and Cluster are all accepted."""
    environ = {"OWNERSHIP_GATEWAY_REDIS__URL": url, "OWNERSHIP_GATEWAY_SECRET": "s" * 32}

    assert load_settings(KEY | environ).redis.url == RedisUrl(url)


@pytest.mark.parametrize(
    ("text", "hosts"),
    [("::", ("::",)), ("::1,127.0.0.1", ("::1", "127.0.0.1")), (" localhost , ::1 ", ("localhost", "::1"))],
)
def test_a_variable_lists_addresses_with_commas(text: str, hosts: tuple[str, ...]) -> None:
    """One address is a list of one; blanks around commas do not count."""
    environ = {"OWNERSHIP_GATEWAY_HOST": text, "OWNERSHIP_GATEWAY_OPERATIONS__HOST": text}

    settings = load_settings(KEY | environ | {"OWNERSHIP_GATEWAY_OPERATIONS__PORT": "1"}, require_callers=False)

    assert (settings.host, settings.operations.host) == (hosts, hosts)


@pytest.mark.parametrize(("toml", "hosts"), [('"::1"', ("::1",)), ('["::1", "127.0.0.1"]', ("::1", "127.0.0.1"))])
def test_the_file_names_one_address_or_a_list(tmp_path: Path, toml: str, hosts: tuple[str, ...]) -> None:
    """A list in the file is a list of TOML."""
    file = tmp_path / "gateway.toml"
    file.write_text(f"host = {toml}", encoding="utf-8")

    assert load_settings(KEY, config_file=file).host == hosts


@pytest.mark.parametrize(
    "operations", [{"PORT": "0"}, {"PORT": "9090"}, {"PORT": "8080", "HOST": "127.0.0.2"}], ids=str
)
def test_operations_may_have_their_own_listener(operations: dict[str, str]) -> None:
    """Another port, or another address, is a place for the operations' listener."""
    prefixed = {f"OWNERSHIP_GATEWAY_OPERATIONS__{name}": text for name, text in operations.items()}

    assert load_settings(KEY | prefixed).operations.port == int(operations["PORT"])


@pytest.mark.parametrize(
    ("games", "ids"),
    [('["*"]', None), ('["x-moon"]', [3]), ("[4]", [4]), ('["x-moon", "4"]', [3, 4]), ('["4", 4]', [4])],
)
def test_a_caller_names_games_by_slug_or_id(tmp_path: Path, games: str, ids: list[int] | None) -> None:
    """However a caller's games are written, their ids are known; a star stands for all."""
    file = tmp_path / "gateway.toml"
    file.write_text(
        f"""
        games.x-moon.id = 3
        games.y.id = 4
        callers = [{{name = "a", token_sha256 = "{DIGEST}", games = {games}, rights = ["verify"]}}]
        """,
        encoding="utf-8",
    )
    settings = load_settings(KEY, config_file=file)

    found = settings.games_of(settings.callers[0])

    assert (found and sorted(found)) == ids


def test_without_games_every_id_may_be_named(tmp_path: Path) -> None:
    """A gateway for every game of the key cannot know which ids there are."""
    file = tmp_path / "gateway.toml"
    file.write_text(
        f'callers = [{{name = "a", token_sha256 = "{DIGEST}", games = [99], rights = ["verify"]}}]', encoding="utf-8"
    )
    settings = load_settings(KEY, config_file=file)

    assert settings.games_of(settings.callers[0]) == frozenset({GameId(99)})


@pytest.mark.parametrize(
    ("environ", "serves"),
    [
        ({}, False),
        ({"CONSOLE": "true"}, True),
        ({"SANDBOX": "true"}, True),
        ({"SANDBOX": "true", "CONSOLE": "false"}, False),
        ({"SANDBOX": "true", "OPERATIONS__PORT": "9090"}, True),
        ({"SANDBOX": "true", "OPERATIONS__PORT": "9090", "OPERATIONS__HOST": "127.0.0.1,::"}, False),
    ],
)
def test_sandbox_has_a_console_that_is_not_open_to_all(environ: dict[str, str], *, serves: bool) -> None:
    """A sandbox whose health is seen by a whole network started before there was a console, and still does."""
    key = {} if "SANDBOX" in environ else KEY
    settings = load_settings(key | {f"OWNERSHIP_GATEWAY_{name}": text for name, text in environ.items()})

    assert settings.serves_console is serves
