"""`serve`: starting, greeting, stopping, refusing to start."""

import json
import shlex
import signal
import socket
import time
from pathlib import Path

import pytest

from service.cli.exits import Exit
from tests.cli.signals import run_until_signal
from tests.cli.terminals import run, start
from tests.docs.pages import ROOT
from tests.redis_server import free_port


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_told_to_stop(number: signal.Signals, capfd: pytest.CaptureFixture[str]) -> None:
    """The exit code is 0."""
    port = free_port()

    result = run_until_signal(
        f"http://127.0.0.1:{port}/readyz", number, "serve", "--sandbox", "--port", str(port),
        environ={"OWNERSHIP_GATEWAY_DRAIN_SECONDS": "0"},
    )  # fmt: skip

    events = [json.loads(line)["event"] for line in capfd.readouterr().out.splitlines()]
    assert result.exit_code == Exit.OK
    assert "started" in events[:2]  # the sandbox may have accepted the key before
    assert events[-1] == "stopped"


def test_it_prints_questions_to_paste() -> None:
    """On stderr, where no log collector listens."""
    port = free_port()

    result = run_until_signal(
        f"http://127.0.0.1:{port}/readyz", signal.SIGINT, "serve", "--sandbox", "--port", str(port)
    )

    assert result.stderr.startswith(f"The ownership gateway answers at http://127.0.0.1:{port} (Ctrl-C stops it).")
    assert f"curl -sS -X POST http://127.0.0.1:{port}/verify/download-key" in result.stderr


def test_with_a_unix_socket_the_questions_go_there(tmp_path: Path) -> None:
    """The curl commands name its path."""
    path = tmp_path / "gateway.sock"
    with start(["serve", "--sandbox"], {"OWNERSHIP_GATEWAY_UNIX_SOCKET": str(path)}) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if line.startswith("curl"))
        process.terminate()
        process.terminate()

    assert shlex.split(line)[:4] == ["curl", "-sS", "--unix-socket", str(path)]


def test_a_world_of_ones_own_is_served(tmp_path: Path) -> None:
    """The gateway says where its world is shown instead of questions that would not fit it."""
    world, port = tmp_path / "world.json", free_port()
    world.write_text('{"games": [{"id": 3, "slug": "mine"}]}')

    result = run_until_signal(
        f"http://127.0.0.1:{port}/readyz", signal.SIGINT, "serve", "--sandbox", "--port", str(port),
        "--world", str(world),
    )  # fmt: skip

    assert f"curl -sS http://127.0.0.1:{port}/sandbox/world" in result.stderr
    assert "download_key" not in result.stderr


@pytest.mark.parametrize("command", [["serve", "--sandbox"], ["sandbox"]])
def test_a_world_with_mistakes_does_not_start(tmp_path: Path, command: list[str]) -> None:
    """A line for each mistake."""
    world = tmp_path / "world.json"
    world.write_text('{"keys": [{"key": "a-key-of-mine", "game_id": 7}, {"key": "short", "game_id": 7}]}')

    result = run(*command, "--port", "0", "--world", str(world))

    assert result.exit_code == Exit.CONFIGURATION
    assert result.stderr.splitlines() == [
        rf"error: {world}: /keys/1/key: Expected `str` matching regex '^[A-Za-z0-9_-]{{10,64}}\\Z'"
    ]


def test_a_world_goes_with_the_sandbox(tmp_path: Path) -> None:
    """A real key's store has a world already."""
    result = run(
        "serve", "--world", str(tmp_path / "world.json"), environ={"OWNERSHIP_GATEWAY_ITCH__API_KEY": "k" * 40}
    )

    assert (result.exit_code, result.stderr) == (
        Exit.CONFIGURATION,
        "error: --world goes with --sandbox: the store of a real key has a world already\n",
    )


def test_in_front_of_itch_there_is_nothing_to_paste() -> None:
    """A gateway in front of itch.io prints no questions to paste."""
    port = free_port()

    result = run_until_signal(
        f"http://127.0.0.1:{port}/readyz", signal.SIGINT, "serve", "--port", str(port),
        environ={"OWNERSHIP_GATEWAY_ITCH__BASE_URL": "http://127.0.0.1:1", "OWNERSHIP_GATEWAY_ITCH__API_KEY": "k" * 40},
    )  # fmt: skip

    assert result.stderr == f"The ownership gateway answers at http://127.0.0.1:{port} (Ctrl-C stops it).\n"


def test_make_run_lets_the_program_decide(tmp_path: Path) -> None:
    """A dotted key in the file is a key, however it is written."""
    lines = (ROOT / "Makefile").read_text(encoding="utf-8").splitlines()
    (command,) = (line for at, line in enumerate(lines) if lines[at - 1].startswith("run: "))
    config, key = tmp_path / "gateway.toml", tmp_path / "key"
    key.write_text("k3y", encoding="utf-8")
    config.write_text(f"itch.api_key_file = '{key}'\nitch.base_url = 'http://127.0.0.1:1'\n", encoding="utf-8")

    arguments = shlex.split(command)[2:]
    without, with_key = (
        run_until_signal(
            f"http://127.0.0.1:{port}/readyz", signal.SIGINT, *arguments, "--port", str(port),
            environ=environ,
        ).stderr
        for port, environ in ((free_port(), {}), (free_port(), {"OWNERSHIP_GATEWAY_CONFIG": str(config)}))
    )  # fmt: skip

    assert arguments[0] == "serve"
    assert "This is the sandbox" in without
    assert "sandbox" not in with_key


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        ({"ITCH__API_KEY_FILE": "/not/there"}, "ITCH__API_KEY_FILE cannot be used"),
        ({"ITCH__BASE_URL": "https://api.itch.io"}, "ITCH__API_KEY is not set"),
        ({"SANDBOX": "true", "ITCH__API_KEY": "k3y"}, "SANDBOX and OWNERSHIP_GATEWAY_ITCH__API_KEY are both set"),
    ],
)
def test_the_sandbox_hides_no_mistake(environ: dict[str, str], line: str) -> None:
    """Half a configuration of a real store is none of the sandbox, and no flag is blamed that was not typed."""
    variables = {f"OWNERSHIP_GATEWAY_{name}": value for name, value in environ.items()}

    result = run("serve", "--sandbox-without-key", "--port", "1", environ=variables)

    assert result.exit_code == Exit.CONFIGURATION
    assert f"error: OWNERSHIP_GATEWAY_{line}" in result.stderr
    assert "--sandbox" not in result.stderr


def test_a_taken_port_is_one_line() -> None:
    """The exit code is that of a configuration that cannot be used."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        result = run("serve", "--sandbox", "--port", str(port), real_streams=True)

    assert result.exit_code == Exit.CONFIGURATION
    assert result.stderr == f"error: cannot listen on 127.0.0.1 port {port}: Address already in use\n"


def test_a_redis_url_is_looked_at_before_the_port() -> None:
    """A bad Redis URL ends the start before the port is open."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = run(
            "serve", "--sandbox", "--port", str(taken.getsockname()[1]),
            environ={"OWNERSHIP_GATEWAY_REDIS__URL": "redis://h/x", "OWNERSHIP_GATEWAY_SECRET": "s" * 32},
        )  # fmt: skip

    assert result.exit_code == Exit.CONFIGURATION
    assert "REDIS__URL" in result.stderr
    assert "cannot listen" not in result.stderr


def test_a_flag_beats_the_environment() -> None:
    """As everywhere."""
    port = free_port()

    result = run_until_signal(
        f"http://127.0.0.1:{port}/readyz", signal.SIGINT, "serve", "--sandbox", "--port", str(port),
        environ={"OWNERSHIP_GATEWAY_PORT": "1"},
    )  # fmt: skip

    assert f"127.0.0.1:{port}" in result.stderr


def test_many_names_can_be_looked_up_at_once() -> None:
    """A name server that does not answer about Redis must not keep the gateway from the store."""
    variables = {
        "OWNERSHIP_GATEWAY_REDIS__URL": f"redis://localhost:{free_port()}",
        "OWNERSHIP_GATEWAY_SECRET": "a secret of a test that has 32 characters",
    }
    with start(["serve", "--sandbox", "--port", "0"], variables) as process:
        try:
            assert until_it_has(process.pid, threads=64)
        finally:
            process.terminate()
            process.terminate()


def until_it_has(pid: int, *, threads: int) -> bool:
    """Return whether the process has so many threads, some time in the next minute."""
    deadline = time.monotonic() + 60  # of a busy machine
    while time.monotonic() < deadline:
        if len(list(Path(f"/proc/{pid}/task").iterdir())) >= threads:
            return True
    return False
