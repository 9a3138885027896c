"""`verify`: one question from a terminal, answered as over HTTP."""

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from click.testing import Result

from service.api.answers import Answer
from service.cli import main
from service.cli.exits import Exit
from service.sandbox import seed
from service.sandbox.store_endpoints import StoreEndpoint
from tests.cli.conftest import Upstream, WriteConfig
from tests.cli.terminals import COMMAND, Terminal, environment, run, run_in_background
from tests.gateways import until


def ask(method: str, credential: str | bytes = b"", *arguments: str, **how: Any) -> Result:
    """Ask the built-in sandbox about game 3, with the credential on standard input."""
    stdin = credential.encode() if isinstance(credential, str) else credential
    return run("verify", "--sandbox", "--game", "3", "--method", method, *arguments, stdin=stdin, **how)


def body_of(result: Result) -> dict[str, Any]:
    """Return what was printed."""
    body: dict[str, Any] = json.loads(result.stdout)
    return body


@pytest.mark.parametrize(
    ("method", "credential", "reason", "code"),
    [
        ("download_key", seed.OWNER_KEY, "download_key", Exit.OK),
        ("download_key", f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}", "download_key", Exit.OK),
        ("download_key", seed.REVOKED_KEY, "invalid_download_key", Exit.NO),
        ("jwt", "no.jwt.at-all", "malformed_jwt", Exit.NO),
        ("email", seed.BUYER_EMAIL, "purchase", Exit.OK),
        ("email", seed.STRANGER_EMAIL, "no_download_key", Exit.NO),
        ("user", str(seed.BUNDLE_BUYER_ID), "bundle_purchase", Exit.OK),
        ("user", str(seed.SELLER_ID), "seller_account", Exit.OK),
    ],
)
def test_the_answer_is_the_exit_code(method: str, credential: str, reason: str, code: Exit) -> None:
    """0 lets the player in, 1 does not."""
    result = ask(method, credential + "\n")

    assert body_of(result)["reason"] == reason
    assert result.exit_code == code


def test_the_body_is_that_of_http() -> None:
    """The printed answer is the body of HTTP's."""
    body = body_of(ask("download_key", seed.OWNER_KEY))

    assert list(body) == list(Answer.__struct_fields__)
    assert body["caveats"] == ["sandbox"]


def test_a_user_can_be_an_argument() -> None:
    """An id is no secret."""
    assert ask("user", b"", "--user-id", str(seed.OWNER_ID)).exit_code == Exit.OK


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_the_end_of_the_line_is_no_part_of_the_credential(ending: str) -> None:
    """`echo` and editors add one."""
    assert ask("download_key", seed.OWNER_KEY + ending).exit_code == Exit.OK


@pytest.mark.parametrize("text", [f" {seed.OWNER_KEY}", f"'{seed.OWNER_KEY}'.", f"{seed.OWNER_KEY}\n\n"])
def test_marks_around_a_paste_are_no_part_of_the_credential(text: str) -> None:
    """Text is pasted into a terminal as into a game."""
    assert ask("download_key", text).exit_code == Exit.OK


@pytest.mark.parametrize("text", [f"{seed.OWNER_KEY[:9]} {seed.OWNER_KEY[9:]}", f"key={seed.OWNER_KEY}"])
def test_the_rest_of_the_input_is(text: str) -> None:
    """A key that needs repair is not the key that was sold."""
    assert body_of(ask("download_key", text))["reason"] == "malformed_download_key"


@pytest.mark.parametrize("text", [f"{seed.OWNER_ID}\n", f' "{seed.OWNER_ID}". ', f"<{seed.OWNER_ID}>"])
def test_user_id_may_be_pasted(text: str) -> None:
    """An id is taken from standard input and as an argument in the same way."""
    assert ask("user", text).exit_code == Exit.OK
    assert ask("user", "", "--user-id", text).exit_code == Exit.OK


@pytest.mark.parametrize(
    ("result", "told"),
    [
        (lambda: ask("jwt", b""), "standard input holds nothing: expected there: JWT"),
        (lambda: ask("jwt", b"\n"), "standard input holds nothing"),
        (lambda: ask("jwt", b"\xff"), "standard input is not UTF-8 text"),
        (lambda: ask("user", b"amos"), "an itch.io user id is a number"),
        (lambda: ask("user", b"1_994"), "an itch.io user id is a number"),
        (lambda: ask("user", b"", "--user-id", "1e3"), "an itch.io user id is a number"),
        (lambda: ask("jwt", b"x", "--user-id", "1"), "--user-id goes with --method user"),
        (lambda: ask("password", b"x"), "'password' is not one of 'download_key', 'jwt', 'email', 'user'"),
        (lambda: run("verify", "--sandbox", "--method", "jwt"), "Missing option '--game'"),
    ],
)
def test_what_cannot_be_asked_is_a_usage_error(result: Callable[[], Result], told: str) -> None:
    """In one line, and without an answer."""
    ended = result()

    assert (ended.exit_code, ended.stdout) == (Exit.USAGE, "")
    assert told in ended.stderr


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        (lambda: run("verify", "--sandbox", "--game", "x", "--method", "user", "--user-id", "1"), "unknown_game"),
        (lambda: ask("email", b"nobody"), "malformed_email"),
        (lambda: ask("user", b"0"), "out_of_range"),
        (lambda: ask("user", b"", "--user-id", str(2**70)), "out_of_range"),
        (lambda: ask("jwt", b"x" * 20_000), "body_too_large"),
        (lambda: ask("user", b"1", "--max-age", "-1"), "out_of_range"),
        (lambda: ask("user", b"1", "--deadline-ms", "1"), "out_of_range"),
    ],
)
def test_what_the_gateway_refuses_is_a_usage_error(result: Callable[[], Result], problem: str) -> None:
    """The words are those of the gateway, as over HTTP."""
    ended = result()

    assert ended.exit_code == Exit.USAGE
    assert body_of(ended)["code"] == problem


async def test_no_answer_is_neither_yes_nor_no(store: Upstream) -> None:
    """A script must not keep a player out because itch.io is down."""
    store.befall(status=503)

    result = await run_in_background(
        "verify", "--game", "3", "--method", "user", "--user-id", str(seed.OWNER_ID), environ=store.variables
    )

    assert result.exit_code == Exit.UNKNOWN
    assert (body_of(result)["outcome"], body_of(result)["allowed"]) == ("unknown", False)
    assert "doctor" in result.stderr


async def test_the_seller_is_known_before_the_answer_is_no(store: Upstream) -> None:
    """The seller may become known while ownership is looked up."""
    store.befall(endpoint=StoreEndpoint.DOWNLOAD_KEYS, latency_ms=200)

    result = await run_in_background(
        "verify", "--game", "3", "--method", "user", "--user-id", str(seed.SELLER_ID), environ=store.variables
    )

    assert body_of(result)["reason"] == "seller_account"


def test_nothing_is_known_without_asking() -> None:
    """`--only-if-cached` reaches the gateway: a new process remembers nothing."""
    result = ask("user", str(seed.OWNER_ID), "--only-if-cached")

    assert (result.exit_code, body_of(result)["reason"]) == (Exit.UNKNOWN, "not_cached")


def test_an_unusable_configuration_is_not_an_answer() -> None:
    """A missing seller key is an error, not an answer."""
    result = run("verify", "--game", "3", "--method", "user", "--user-id", "1")

    assert (result.exit_code, result.stdout) == (Exit.CONFIGURATION, "")


def test_configured_callers_do_not_matter(write_config: WriteConfig) -> None:
    """Configured callers do not limit a person who can read the seller's key."""
    path = write_config(
        f'[games.x-moon]\nid = 3\n[[callers]]\nname = "lobby"\ntoken_sha256 = "{"1" * 64}"\n'
        'games = ["x-moon"]\nrights = ["verify"]\n'
    )

    result = run("verify", "--config", path, "--sandbox", "--game", "x-moon", "--method", "user", "--user-id", "1994")

    assert result.exit_code == Exit.OK


def test_a_terminal_is_prompted() -> None:
    """On stderr, so that stdout holds the answer and nothing else."""
    result = ask("download_key", b"")  # for comparison: no terminal, no prompt
    prompted = run(
        "verify",
        "--sandbox",
        "--game",
        "3",
        "--method",
        "download_key",
        stdin=Terminal(seed.OWNER_KEY.encode() + b"\n"),
    )

    assert "Download key or URL:" not in result.stderr
    assert prompted.stderr == "Download key or URL: \n"
    assert body_of(prompted)["allowed"] is True


def test_what_is_typed_is_not_shown() -> None:
    """A typed credential is not echoed."""
    terminal, behind = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "verify", "--sandbox", "--game", "3", "--method", "download_key"],
        env=environment(),
        stdin=behind,
        stdout=subprocess.PIPE,
        stderr=behind,
        start_new_session=True,  # without a terminal of its own the prompt takes standard input
    ) as process:
        os.close(behind)
        shown = b""
        while b"URL: " not in shown:  # the space comes last, once nothing typed is shown any more
            shown += os.read(terminal, 1024)
        os.write(terminal, seed.OWNER_KEY.encode() + b"\n")
        answer, _ = process.communicate()
    shown += os.read(terminal, 1024)
    os.close(terminal)

    assert json.loads(answer)["allowed"] is True
    assert seed.OWNER_KEY.encode() not in shown


def test_no_option_takes_a_credential() -> None:
    """No option takes a credential: other users of the machine can read a process's arguments."""
    verify = main.get_command(None, "verify")  # type: ignore[arg-type]  # the context is not looked at
    assert verify is not None

    assert {option.name for option in verify.params} == {
        "config", "sandbox", "game", "method", "user_id", "max_age", "only_if_cached", "deadline_ms",
    }  # fmt: skip


class Screen(StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        """Return true: it is a terminal."""
        return True


def test_a_person_gets_it_in_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the answer is spread out, means the same, and is said in a sentence."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)

    main(
        ["verify", "--sandbox", "--game", "3", "--method", "user", "--user-id", str(seed.OWNER_ID)],
        standalone_mode=False,
    )

    assert screen.getvalue().startswith('{\n  "allowed": true,\n')
    answer, _, sentence = screen.getvalue().partition("\n\n")
    assert json.loads(answer)["player"]["username"] == "amos"
    assert sentence.startswith("Let in: itch.io knows a download key of this game for this player. itch.io was asked")


@pytest.mark.parametrize(
    ("user_id", "flags", "sentence"),
    [
        (seed.STRANGER_ID, ["--only-if-cached"], "Not decided: nothing recent enough is known"),
        (0, [], ""),
    ],
    ids=["unknown", "no question"],
)
def test_a_person_is_told_what_it_means(
    monkeypatch: pytest.MonkeyPatch, user_id: int, flags: list[str], sentence: str
) -> None:
    """An answer that is none has a sentence, too; a question that is none has not."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)

    main(
        ["verify", "--sandbox", "--game", "3", "--method", "user", "--user-id", str(user_id), *flags],
        standalone_mode=False,
    )

    assert screen.getvalue().partition("}\n\n")[2].startswith(sentence)
    assert ("\n\n" in screen.getvalue()) == bool(sentence)


def test_a_script_gets_it_in_one() -> None:
    """One line, as over HTTP."""
    assert len(ask("download_key", seed.OWNER_KEY).stdout.splitlines()) == 1


def test_it_logs_nothing_unless_asked(capfd: pytest.CaptureFixture[str]) -> None:
    """The answer says why."""
    result = ask("download_key", seed.OWNER_KEY, real_streams=True)

    assert result.stderr == ""
    assert capfd.readouterr().err == ""


def test_at_debug_level_it_logs_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    """For the person who must find out more; without the credential."""
    variables = {"OWNERSHIP_GATEWAY_LOG__LEVEL": "debug", "OWNERSHIP_GATEWAY_LOG__FORMAT": "json"}

    result = ask("download_key", seed.OWNER_KEY, real_streams=True, environ=variables)

    logged = capfd.readouterr().err
    assert "verified" in [json.loads(line)["event"] for line in logged.splitlines()]
    assert seed.OWNER_KEY not in logged
    assert body_of(result)["allowed"] is True


async def test_ctrl_c_is_quiet_while_the_store_is_asked(store: Upstream) -> None:
    """No traceback, and not the exit code of an answer."""
    store.befall(latency_ms=60_000)
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "verify", "--game", "3", "--method", "user", "--user-id", "1",
        env=environment(store.variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    await until(lambda: store.sandbox.journal.report().total)

    process.send_signal(signal.SIGINT)
    out, errors = await process.communicate()

    assert (process.returncode, out, errors) == (Exit.INTERRUPTED, b"", b"")
