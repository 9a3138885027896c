"""The documented SQL in PostgreSQL: two posts at once for each of a thousand purchases, and one grant each."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_TIMES: Final = 1000
_EXAMPLE: Final = Path(__file__).resolve().parents[2] / "deploy" / "examples" / "redeem"


def _as_server(*command: str) -> None:
    """Run a command as a user whom the server accepts: it does not run as root."""
    other = ["runuser", "-u", "nobody", "--"] if os.geteuid() == 0 else []
    subprocess.run([*other, *command], check=True, stdout=subprocess.DEVNULL, cwd="/")


@pytest.fixture
def server() -> Iterator[str]:
    """The directory of a server's socket, of a new and empty database."""
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    assert found is not None, "PostgreSQL is not installed: deploy/check-integrations.sh installs it"
    commands = Path(found).parent
    # Below /tmp, for the path of a socket has little room.
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="og-pg-") as directory:
        Path(directory).chmod(0o777)
        data = f"{directory}/data"
        _as_server(str(commands / "initdb"), "-D", data, "-U", "studio", "-A", "trust")
        options = f"-c listen_addresses= -c unix_socket_directories={directory} -c fsync=off"
        _as_server(str(commands / "pg_ctl"), "-D", data, "-w", "-l", f"{directory}/log", "-o", options, "start")
        try:
            yield directory
        finally:
            _as_server(str(commands / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")


def _open_psql(server: str) -> "subprocess.Popen[str]":
    psql = shutil.which("psql") or "psql"
    options = ["-X", "-v", "ON_ERROR_STOP=1", "-h", server, "-U", "studio", "-d", "postgres"]
    return subprocess.Popen([psql, *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _answer(session: "subprocess.Popen[str]") -> str:
    """Return what a session says of the row of one transaction."""
    assert session.stdout is not None
    begun, inserted, committed = (session.stdout.readline().strip() for _ in range(3))
    assert (begun, committed) == ("BEGIN", "COMMIT")
    return inserted


def test_two_sessions_at_once_grant_once(server: str) -> None:
    """Of two transactions at once for one purchase one records it, and the other nothing."""
    table = _open_psql(server)
    table.communicate((_EXAMPLE / "redeemed.sql").read_text(encoding="utf-8"), timeout=60)
    page = (_EXAMPLE.parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    documented = page.partition("```sql\n")[2].partition("```")[0]
    sessions = [_open_psql(server) for _ in range(2)]
    said: list[list[str]] = []
    for number in range(_TIMES):
        # To both, without waiting for an answer; now the one is first, now the other.
        for who in (0, 1) if number % 2 else (1, 0):
            stdin = sessions[who].stdin
            assert stdin is not None
            stdin.write(documented.replace("100, 101, 'anna'", f"{number}, 101, '{('anna', 'ben')[who]}'"))
            stdin.flush()
        said.append([_answer(session) for session in sessions])
    for session in sessions:
        session.communicate(timeout=60)

    assert [session.returncode for session in sessions] == [0, 0]
    assert [sorted(both) for both in said] == [["INSERT 0 0", "INSERT 0 1"]] * _TIMES
