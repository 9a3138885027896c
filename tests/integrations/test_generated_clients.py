"""Clients that generators make from the description, compiled as strictly as their languages can.

Each asks for every outcome, a batch, and a gateway that has too much to do.
"""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
import pytest

from service.api.openapi import describe_api
from tests.gateways import X_MOON, caller_lines
from tests.integrations.conftest import TOKEN
from tests.integrations.processes import Gateway, needed
from tests.redis_server import free_port

_SOURCES: Final = Path(__file__).parent / "generated"
_TOOLS: Final = Path(__file__).parents[2] / ".tools"
_PYTHON: Final = _TOOLS / "generators-venv/bin"
_NODE: Final = _TOOLS / "generators-node"
_STEP_SECONDS: Final = 240

OUTCOMES: Final = """\
true owned download_key -
true granted seller_account -
false not_owned no_download_key open_game_once
false banned operator_ban -
false rejected malformed_download_key copy_key_again
false unknown not_cached try_again
true owned download_key -
false unknown not_cached try_again
404 unknown_game
"""
"""The six outcomes, and the results of a batch: a yes, a question without an answer, and a mistake."""

OVERLOAD: Final = "false unknown overloaded try_again\n" * 3
"""A question, a batch and an administrator's request to a gateway that takes on no more."""

_JAVA_OPTIONS: Final = ",".join(
    (
        "dateLibrary=java8",
        "hideGenerationTimestamp=true",
        "openApiNullable=false",
        "invokerPackage=client",
        "apiPackage=client.api",
        "modelPackage=client.model",
    )
)
# What generators leave in their own code: serial numbers, and names that Jackson has found better ones for.
_JAVA_LINT: Final = "-Xlint:all,-processing,-serial,-deprecation"
_TYPESCRIPT: Final = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "--noImplicitOverride"),
    *("--noUnusedLocals", "--noUnusedParameters", "--noImplicitReturns", "--noFallthroughCasesInSwitch"),
    *("--target", "es2022", "--module", "nodenext", "--moduleResolution", "nodenext"),
    *("--lib", "es2022,dom,dom.iterable"),
)


def run(*command: str | Path, cwd: Path) -> str:
    """Return what a command prints; it must succeed."""
    path = f"{_PYTHON}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=_STEP_SECONDS,
        env=os.environ | {"PATH": path},
    )
    assert ran.returncode == 0, f"{command[0]} failed:\n{ran.stdout[-4000:]}{ran.stderr[-4000:]}"
    return ran.stdout


@pytest.fixture(scope="session")
def description(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The description, in a file."""
    file = tmp_path_factory.mktemp("description") / "openapi.json"
    file.write_bytes(describe_api())
    return file


def typescript(description: Path, directory: Path) -> list[str | Path]:
    """Make and compile the client in TypeScript; return the command that runs it."""
    (directory / "node_modules").symlink_to(_NODE / "node_modules")
    (directory / "package.json").write_text('{"type": "module"}')
    binaries = _NODE / "node_modules/.bin"
    run(binaries / "openapi-typescript", description, "-o", "api.d.ts", cwd=directory)
    shutil.copy(_SOURCES / "ask_all.mts", directory)
    run(binaries / "tsc", *_TYPESCRIPT, "ask_all.mts", cwd=directory)
    return [needed("node"), directory / "ask_all.mjs"]


def python(description: Path, directory: Path) -> list[str | Path]:
    """Make and check the client in Python; return the command that runs it."""
    # By itself it has Ruff mend the types of what it has written, until mypy accepts them no more.
    (directory / "config.json").write_text('{"post_hooks": []}')
    wanted = ("--config", "config.json", "--meta", "none", "--output-path", "ownership_client", "--fail-on-warning")
    run(_PYTHON / "openapi-python-client", "generate", "--path", description, *wanted, cwd=directory)
    shutil.copy(_SOURCES / "ask_all.py", directory)
    run(_PYTHON / "mypy", "--strict", "ownership_client", "ask_all.py", cwd=directory)
    return [_PYTHON / "python", directory / "ask_all.py"]


def java(description: Path, directory: Path) -> list[str | Path]:
    """Make and compile the client in Java; return the command that runs it."""
    # The generator's own archive has the libraries that its clients need.
    (archive,) = _PYTHON.parent.glob("lib/python*/site-packages/openapi_generator_cli/*.jar")
    made = ("generate", "-g", "java", "--library", "native", "-i", description, "-o", "made")
    run(needed("java"), "-jar", archive, *made, "--additional-properties", _JAVA_OPTIONS, cwd=directory)
    sources = [*(directory / "made/src/main").rglob("*.java"), *_SOURCES.rglob("*.java")]
    run(needed("javac"), _JAVA_LINT, "-Werror", "-d", "classes", "-cp", archive, *sources, cwd=directory)
    return [needed("java"), "-cp", f"{directory / 'classes'}{os.pathsep}{archive}", "AskAll"]


Maker = Callable[[Path, Path], list[str | Path]]
MAKERS: Final[tuple[Maker, ...]] = (typescript, python, java)


@pytest.fixture(scope="session", params=MAKERS, ids=lambda make: make.__name__)
def client(
    request: pytest.FixtureRequest, description: Path, tmp_path_factory: pytest.TempPathFactory
) -> list[str | Path]:
    """The command that runs a client, which was made and compiled without a warning."""
    make: Maker = request.param
    return make(description, tmp_path_factory.mktemp(make.__name__))


@contextmanager
def gateway_with(directory: Path, toml: str = "", **settings: str) -> Iterator[Gateway]:
    """Run a gateway that knows the caller and bans one player."""
    file = directory / "gateway.toml"
    file.write_text(X_MOON + "ban_user_ids = [2008]\n" + toml + caller_lines("game-server", TOKEN), encoding="utf-8")
    gateway = Gateway(free_port(), directory / "log", {"CONFIG": str(file), **settings})
    try:
        gateway.start()
        yield gateway
    finally:
        gateway.kill()


def test_description_is_without_findings(description: Path, tmp_path: Path, seen: Callable[[str], None]) -> None:
    """`redocly lint` finds no error and nothing to warn of, under its recommended rules."""
    told = run(_NODE / "node_modules/.bin/redocly", "lint", "--format=json", description, cwd=tmp_path)

    seen(told.strip().replace("\n", " ")[:80])
    assert '"errors": 0' in told
    assert '"warnings": 0' in told


def test_client_that_was_made_reads_every_outcome(
    client: list[str | Path], tmp_path: Path, seen: Callable[[str], None]
) -> None:
    """Yes, no and no answer arrive whole, and so do the results of a batch."""
    with gateway_with(tmp_path) as gateway:
        told = run(*client, gateway.address, TOKEN, "outcomes", cwd=tmp_path)

    seen(f"{len(told.splitlines())} answers")
    assert told == OUTCOMES


def test_client_that_was_made_reads_an_overload(
    client: list[str | Path], tmp_path: Path, seen: Callable[[str], None]
) -> None:
    """A gateway that takes on no more is no yes, no no, and no surprise."""
    with gateway_with(tmp_path, MAX_REQUESTS="1") as gateway, filled(gateway):
        told = run(*client, gateway.address, TOKEN, "overload", cwd=tmp_path)

    seen(told.splitlines()[0])
    assert told == OVERLOAD


@contextmanager
def filled(gateway: Gateway) -> Iterator[None]:
    """Keep a gateway that takes on one request busy with one that waits for its store, until the block ends."""
    over = threading.Event()
    busy = threading.Event()
    ask = {"game": 3, "user_id": 2001, "deadline_ms": 10_000, "max_age": 0}
    headers = {"Authorization": f"Bearer {TOKEN}"}

    def keep_asking() -> None:
        with httpx.Client(base_url=gateway.address, headers=headers, timeout=60) as http:
            while not over.is_set():
                busy.set()
                with suppress(httpx.HTTPError):  # in the end the gateway is gone
                    http.post("/verify/user", json=ask)
                over.wait(0.005)

    fault = {"latency_ms": 60_000}
    httpx.put(f"{gateway.address}/sandbox/faults", json=fault).raise_for_status()
    # Several, so that one of them takes the place of the one that has ended, and not the client that is checked.
    threads = [threading.Thread(target=keep_asking, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    busy.wait(60)
    try:
        yield
    finally:
        over.set()
