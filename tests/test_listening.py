"""The sockets of a gateway: on which addresses, ports and paths it listens, and when a path goes away."""

import errno
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from service.errors import SettingsError
from service.listening import Listeners, connection_limit, default_connection_limit, listen
from service.settings import OperationsSettings, Settings

ANY: Settings = Settings(port=0, sandbox=True)


@pytest.fixture
def listening() -> Iterator[ExitStack]:
    """A stack that closes the sockets of a test."""
    with ExitStack() as stack:
        yield stack


def on(*hosts: str, **others: Any) -> Settings:
    """Settings for some free port of these hosts."""
    return replace(ANY, host=hosts, **others)


def names(sockets: tuple[socket.socket, ...]) -> list[str]:
    """The addresses of sockets."""
    return [one.getsockname()[0] for one in sockets]


def ports(listeners: Listeners) -> set[int]:
    """The ports of the sockets for questions."""
    return {one.getsockname()[1] for one in listeners.questions}


def answers(address: str, port: int) -> bool:
    """Whether a connection to the address is accepted."""
    try:
        socket.create_connection((address, port), timeout=30).close()
    except ConnectionRefusedError:
        return False
    return True


# Addresses.


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "::"])  # noqa: S104 - any address is tested
def test_address_is_listened_on(listening: ExitStack, host: str) -> None:
    """One address is one socket."""
    listeners = listen(on(host), listening)

    assert names(listeners.questions) == [host]
    assert listeners.operations == ()
    assert listeners.path is None


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_any_ipv6_address_is_any_ipv4_address(listening: ExitStack, address: str) -> None:
    """`::` serves both versions of IP: a service of a dual-stack cluster has addresses of both."""
    (port,) = ports(listen(on("::"), listening))

    assert answers(address, port)


def test_any_ipv6_address_beside_an_ipv4_address_is_ipv6_alone(listening: ExitStack) -> None:
    """The IPv4 address that is listed limits who can connect by IPv4."""
    (port,) = ports(listen(on("::", "127.0.0.1"), listening))

    assert [answers(address, port) for address in ("::1", "127.0.0.1", "127.0.0.2")] == [True, True, False]


@pytest.mark.parametrize("name", ["localhost", "LocalHost"])
def test_localhost_is_both_loopbacks(listening: ExitStack, name: str) -> None:
    """Some clients try ::1 alone, others 127.0.0.1."""
    listeners = listen(on(name), listening)

    assert names(listeners.questions) == ["127.0.0.1", "::1"]
    assert len(ports(listeners)) == 1


def test_localhost_is_not_resolved(listening: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A resolver that takes `localhost` for any address opens no gateway without callers."""
    resolve = socket.getaddrinfo

    def getaddrinfo(host: str, *rest: Any, **more: Any) -> list[Any]:
        return resolve("0.0.0.0" if host == "localhost" else host, *rest, **more)  # noqa: S104 - nothing is bound here

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    assert names(listen(on("localhost"), listening).questions) == ["127.0.0.1", "::1"]


def test_list_of_addresses_has_one_port(listening: ExitStack) -> None:
    """Port 0 is the same free port of all addresses."""
    listeners = listen(on("127.0.0.1", "127.0.0.2", "::1"), listening)

    assert names(listeners.questions) == ["127.0.0.1", "127.0.0.2", "::1"]
    assert len(ports(listeners)) == 1


@pytest.mark.parametrize("hosts", [("localhost", "127.0.0.1"), ("127.0.0.1", "localhost"), ("127.0.0.1", "127.0.0.1")])
def test_address_that_is_named_twice_is_one(listening: ExitStack, hosts: tuple[str, ...]) -> None:
    """An address that an earlier name of the list stands for is left out, and not taken for one in use."""
    listeners = listen(on(*hosts), listening)

    assert names(listeners.questions).count("127.0.0.1") == 1
    assert len(ports(listeners)) == 1


def test_free_port_is_free_on_all_addresses(listening: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that is free on the first address and taken on the second is given up for another."""
    kernel = socket.create_server
    taken: list[int] = []

    def create_server(address: tuple[Any, ...], **options: Any) -> socket.socket:
        if address[0] == "127.0.0.2" and not taken:
            taken.append(address[1])
            raise OSError(errno.EADDRINUSE, "Address already in use")
        return kernel(address, **options)

    monkeypatch.setattr(socket, "create_server", create_server)
    listeners = listen(on("127.0.0.1", "127.0.0.2"), listening)

    assert names(listeners.questions) == ["127.0.0.1", "127.0.0.2"]
    assert len(ports(listeners)) == 1


def resolved_to(*addresses: str) -> Any:
    """A resolver that knows one name."""
    resolve = socket.getaddrinfo

    def getaddrinfo(_host: str, *rest: Any, **more: Any) -> list[Any]:
        return [one for address in addresses for one in resolve(address, *rest, **more)]

    return getaddrinfo


def test_addresses_of_other_machines_are_left_out(listening: ExitStack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name may have addresses that this machine has not got, such as IPv6 ones where there is no IPv6."""
    monkeypatch.setattr(socket, "getaddrinfo", resolved_to("192.0.2.1", "127.0.0.1", "2001:db8::1"))

    assert names(listen(on("gateway.example"), listening).questions) == ["127.0.0.1"]


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_address_of_another_machine_is_a_mistake(listening: ExitStack, host: str) -> None:
    """The line names the address, and the operating system's reason."""
    with pytest.raises(SettingsError) as raised:
        listen(on(host), listening)

    assert raised.value.mistakes == [f"cannot listen on {host} port 0: Cannot assign requested address"]


def test_name_without_an_address_is_a_mistake(listening: ExitStack) -> None:
    """The line names the host."""
    with pytest.raises(SettingsError, match=r"\Acannot listen on nowhere\.invalid port 0: [A-Z][a-z ]+\Z"):
        listen(on("nowhere.invalid"), listening)


@pytest.mark.parametrize("hosts", [("127.0.0.1",), ("::1", "127.0.0.1"), ("localhost",)])
def test_port_in_use_is_a_mistake(listening: ExitStack, hosts: tuple[str, ...]) -> None:
    """The line names host and port, and the addresses that were free are free again."""
    taken = listening.enter_context(socket.create_server(("127.0.0.1", 0)))
    port = taken.getsockname()[1]
    with pytest.raises(SettingsError) as raised:
        listen(on(*hosts, port=port), listening)

    assert raised.value.mistakes == [f"cannot listen on {hosts[-1]} port {port}: Address already in use"]
    assert not answers("::1", port)


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (["127.0.0.1"], "http://127.0.0.1:"),
        (["0.0.0.0"], "http://127.0.0.1:"),  # noqa: S104 - any address is tested
        (["::1"], "http://[::1]:"),
        (["::"], "http://[::1]:"),
        (["localhost"], "http://127.0.0.1:"),
        (["::1", "127.0.0.1"], "http://[::1]:"),
    ],
    ids=str,
)
def test_base_url_is_one_to_ask(listening: ExitStack, hosts: list[str], told: str) -> None:
    """The first address, in a form that can be pasted on this machine."""
    listeners = listen(on(*hosts), listening)

    (port,) = ports(listeners)
    assert listeners.base_url == f"{told}{port}"


# Operations.


@pytest.mark.parametrize(
    ("host", "expected"), [(None, ["::1", "127.0.0.1"]), (("127.0.0.2", "::1"), ["127.0.0.2", "::1"])], ids=str
)
def test_operations_have_sockets_of_their_own(
    listening: ExitStack, host: tuple[str, ...] | None, expected: list[str]
) -> None:
    """Their addresses are those of the questions unless others are set; their port is the same on all."""
    listeners = listen(on("::1", "127.0.0.1", operations=OperationsSettings(host=host, port=0)), listening)

    assert names(listeners.operations) == expected
    assert {one.getsockname()[1] for one in listeners.operations} == {listeners.operations_port}
    assert listeners.operations_port not in ports(listeners)


def test_operations_without_sockets_of_their_own_have_no_port(listening: ExitStack) -> None:
    """They are served on the listener for questions."""
    assert listen(ANY, listening).operations_port is None


def test_operations_beside_a_unix_socket(listening: ExitStack, tmp_path: Path) -> None:
    """Questions by a path, operations by a port."""
    path = tmp_path / "gateway.sock"
    listeners = listen(replace(ANY, unix_socket=path, operations=OperationsSettings(port=0)), listening)

    assert (listeners.base_url, names(listeners.operations)) == (f"unix:{path}", ["127.0.0.1"])


# Unix sockets.


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of a gateway's socket."""
    return tmp_path / "gateway.sock"


def at(path: Path) -> Settings:
    """Settings for a Unix socket."""
    return replace(ANY, unix_socket=path)


def test_unix_socket_is_for_owner_and_group(listening: ExitStack, path: Path) -> None:
    """The mode of the socket lets no other user of the machine ask."""
    listen(at(path), listening)

    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_unix_socket_goes_with_the_stack(path: Path) -> None:
    """A start that fails later leaves no path."""
    with ExitStack() as stack:
        listen(at(path), stack)

    assert not path.exists()


def test_abandoned_unix_socket_is_replaced(listening: ExitStack, path: Path) -> None:
    """A process that was killed leaves a path at which no process listens."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    listen(at(path), listening)

    connect(path)


def connect(path: Path) -> None:
    """Connect to a Unix socket, or raise."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(30)
        client.connect(str(path))


@pytest.mark.parametrize("waiting", [0, 2], ids=["idle", "with a full backlog"])
def test_unix_socket_in_use_is_left_alone(listening: ExitStack, path: Path, waiting: int) -> None:
    """The first gateway keeps its path, also when it is too busy to accept."""
    living = listening.enter_context(socket.socket(socket.AF_UNIX))
    living.bind(str(path))
    living.listen(0)
    for _ in range(waiting):
        client = listening.enter_context(socket.socket(socket.AF_UNIX))
        client.settimeout(0)
        client.connect_ex(str(path))
    with pytest.raises(SettingsError) as raised:
        listen(at(path), listening)

    assert raised.value.mistakes == [f"cannot listen on the Unix socket {path}: Address already in use"]
    assert path.is_socket()


def test_file_in_place_of_a_unix_socket_is_left_alone(listening: ExitStack, tmp_path: Path) -> None:
    """Only an abandoned socket is replaced."""
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    with pytest.raises(SettingsError, match="cannot listen on the Unix socket"):
        listen(at(path), listening)

    assert path.read_text() == "precious"


def test_removed_path_is_the_next_gateways(listening: ExitStack, path: Path) -> None:
    """A gateway that stops makes room for the next one, and leaves its socket alone when it ends."""
    with ExitStack() as stack:
        last = listen(at(path), stack)
        assert last.path is not None
        last.path.remove()
        listen(at(path), listening)
        last.path.remove()

    connect(path)


def test_path_that_leads_elsewhere_is_left_alone(path: Path) -> None:
    """An operator replaced the socket by hand."""
    with ExitStack() as stack:
        listen(at(path), stack)
        path.unlink()
        path.write_text("precious")

    assert path.read_text() == "precious"


# Connections.


@pytest.mark.parametrize(
    ("descriptors", "connections"),
    [(256, 204), (1024, 819), (12_500, 10_000), (1_048_576, 10_000), (resource.RLIM_INFINITY, 10_000)],
)
def test_connections_leave_descriptors_for_the_rest(descriptors: int, connections: int) -> None:
    """Four fifths are for callers, 10 000 at most."""
    assert default_connection_limit(descriptors) == connections


def test_connections_are_limited_by_the_process_unless_set() -> None:
    """The setting beats what the operating system allows."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)

    assert connection_limit(ANY) == default_connection_limit(allowed)
    assert connection_limit(replace(ANY, max_connections=7)) == 7
