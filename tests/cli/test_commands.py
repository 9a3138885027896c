"""All commands: help, exit codes, colours, and quiet ends."""

import os
import subprocess
import sys

import click
import pytest

from service.cli import main
from service.cli.exits import Exit
from tests.cli.terminals import COMMAND, Interrupted, Terminal, environment, run

COMMANDS = [
    "serve",
    "verify",
    "doctor",
    "games",
    "sandbox",
    "new-caller",
    "new-pass-key",
    "invalidate",
    "override",
    "why",
    "openapi",
    "check-config",
]
HEAVY = ["litestar", "uvicorn", "aiohttp", "httpx", "uvloop", "structlog", "prometheus_client"]


def commands() -> dict[str, click.Command]:
    """Return every command by its name."""
    context = click.Context(main)
    found = {name: main.get_command(context, name) for name in main.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


def test_these_are_the_commands() -> None:
    """Each name leads to a command."""
    assert list(commands()) == COMMANDS


def test_help_lists_every_command() -> None:
    """The name alone shows the list of commands."""
    listed = run("--help").stdout

    assert all(f"\n  {name} " in listed for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_says_how_it_ends(name: str, flag: str) -> None:
    """The exit codes are in the help."""
    result = run(name, flag)

    assert result.exit_code == Exit.OK
    assert "Exit codes:\n      0  " in result.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained_in_a_sentence(name: str) -> None:
    """Every option has a sentence of help."""
    options = [option for option in commands()[name].params if isinstance(option, click.Option)]

    assert all((option.help or "").partition("  [")[0].endswith(".") for option in options)


def test_scripts_can_rely_on_the_exit_codes() -> None:
    """The numbers never change."""
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "NO": 1,
        "USAGE": 2,
        "UNKNOWN": 3,
        "CONFIGURATION": 4,
        "INTERRUPTED": 130,
    }


def test_every_exit_code_is_in_the_help() -> None:
    """One list serves all commands."""
    listed = run("--help").stdout

    assert all(f"\n  {code:>5}  " in listed for code in Exit)


def test_an_unknown_command_is_a_usage_error() -> None:
    """A typo is the operator's, not an answer."""
    assert run("verfy").exit_code == Exit.USAGE


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["new-caller", "lobby"], ["check-config"]], ids=lambda words: words[0]
)
def test_nothing_of_the_server_is_imported_without_need(arguments: list[str]) -> None:
    """Help comes at once."""
    code = (
        "import sys\n"
        "from service.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code],
        env=environment({"OWNERSHIP_GATEWAY_SANDBOX": "true"}),
        capture_output=True,
        text=True,
        check=True,
    )

    assert ended.stdout.splitlines()[-1] == "[]"


def test_the_package_can_be_run() -> None:
    """`python -m service` is the command."""
    ended = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert "version 0.1.0" in ended.stdout


@pytest.mark.parametrize("stdin", [Interrupted(), Terminal(b"")], ids=["Ctrl-C", "the end of input at a prompt"])
def test_being_interrupted_is_no_answer(stdin: Terminal | Interrupted) -> None:
    """A script must not take Ctrl-C for a no."""
    result = run("verify", "--sandbox", "--game", "3", "--method", "jwt", stdin=stdin)

    assert result.exit_code == Exit.INTERRUPTED
    assert "Traceback" not in result.output
    assert "Aborted" not in result.output


def test_errors_are_red_on_a_terminal() -> None:
    assert "\x1b[31m" in run("check-config", color=True).stderr


def test_no_color_is_respected() -> None:
    """https://no-color.org: any value but an empty one."""
    assert "\x1b" not in run("check-config", color=True, environ={"NO_COLOR": "1"}).stderr


def test_there_are_no_colours_where_no_terminal_is() -> None:
    """Files and pipes get plain text."""
    assert "\x1b" not in run("check-config").stderr


def test_a_reader_that_leaves_early_is_no_error() -> None:
    """`ownership-gateway check-config | head -1` says nothing of its own."""
    reading, writing = os.pipe()
    os.close(reading)

    ended = subprocess.run(
        [*COMMAND, "check-config"],
        env=environment({"OWNERSHIP_GATEWAY_SANDBOX": "true"}),
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )

    os.close(writing)
    assert ended.stderr == b""
