"""Requests that curl can send and a browser does not."""

import subprocess
from collections.abc import Callable

import pytest

from tests.integrations.conftest import TOKEN
from tests.integrations.processes import Gateway, needed
from tests.integrations.questions import PATH, body, fate

_USER = 1994
_JSON = "Content-Type: application/json"
_DATA = ("--data-binary", body(_USER).decode())


def curl(*arguments: str, sent: bytes = b"") -> tuple[str, str]:
    """Return what it prints, and what it tells about it when asked to be verbose."""
    command = [needed("curl"), "--silent", "--show-error", "--noproxy", "*", "--max-time", "20", *arguments]
    ran = subprocess.run(command, input=sent, capture_output=True, check=False, timeout=30)
    return ran.stdout.decode(), ran.stderr.decode()


def ask(gateway: Gateway, *arguments: str, times: int = 1, sent: bytes = b"") -> tuple[list[str], str]:
    """Return, for each time the question is asked: fate, HTTP version, connections made; and the verbose text."""
    shown = ("--verbose", "--write-out", "\n%{http_code} %{http_version} %{num_connects}\n")
    token = ("--header", f"Authorization: Bearer {TOKEN}")
    printed, told = curl(*shown, *token, *arguments, *[gateway.address + PATH] * times, sent=sent)
    lines = printed.splitlines()
    found = []
    for answer, line in zip(lines[::2], lines[1::2], strict=True):
        status, version, made = line.split()
        found.append(f"{fate(int(status), answer, _USER)} {version} {made}")
    return found, told


def test_upgrade_to_http2_is_not_taken_up(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """`--http2` offers it; nothing differs, and the connection is used again."""
    found, _ = ask(gateway, "--http2", "--header", _JSON, *_DATA, times=3)

    seen(f"{found}")
    assert found == ["right 1.1 1", "right 1.1 0", "right 1.1 0"]


def test_expect_100_continue(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """Curl holds the body back until the gateway asks for it."""
    found, told = ask(
        gateway, "--expect100-timeout", "15", "--header", "Expect: 100-continue", "--header", _JSON, *_DATA
    )

    asked_for = [line for line in told.splitlines() if line.startswith("< HTTP/1.1 100")]
    seen(f"{found}, {asked_for}")
    assert (found, len(asked_for)) == (["right 1.1 1"], 1)


def test_expect_100_continue_with_too_much(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """A body that is refused for its length is answered at once, or when it has been asked for."""
    expecting = ("--expect100-timeout", "15", "--header", "Expect: 100-continue")
    found, _ = ask(gateway, *expecting, "--header", _JSON, "--data-binary", "@-", sent=b" " * 100_000)

    seen(f"{found}")
    assert found == ["413 1.1 1"]


def test_http_1_0(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """Each answer ends its connection."""
    found, _ = ask(gateway, "--http1.0", "--header", _JSON, *_DATA, times=2)

    seen(f"{found}")
    assert [text.split()[0] for text in found] == ["right", "right"]
    assert [text.split()[2] for text in found] == ["1", "1"]


def test_http_1_0_with_keep_alive(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """A caller that asks for it in the old way may or may not keep its connection; all answers are right."""
    found, _ = ask(gateway, "--http1.0", "--header", "Connection: keep-alive", "--header", _JSON, *_DATA, times=2)

    seen(f"{found}")
    assert [text.split()[0] for text in found] == ["right", "right"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
def test_head(path: str, gateway: Gateway, seen: Callable[[str], None]) -> None:
    """As GET, without the body; the connection is used again."""
    url = gateway.address + path
    shown = ("--verbose", "--write-out", "%{http_code} %{num_connects}\n")
    printed, told = curl("--head", *shown, "--output", "/dev/null", url, "--output", "/dev/null", url)

    seen(printed.replace("\n", ", "))
    assert printed.splitlines() == ["200 1", "200 0"], told


def test_chunked_upload(gateway: Gateway, seen: Callable[[str], None]) -> None:
    """A body from a pipe has no length."""
    found, told = ask(
        gateway, "--request", "POST", "--header", _JSON, "--header", "Transfer-Encoding: chunked", "--upload-file", "-",
        times=1, sent=body(_USER),
    )  # fmt: skip

    seen(f"{found}")
    assert "> Transfer-Encoding: chunked" in told
    assert found == ["right 1.1 1"]


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_compressed_body(encoding: str, gateway: Gateway, seen: Callable[[str], None]) -> None:
    """The body is refused for its coding, not as JSON that cannot be read."""
    found, _ = ask(gateway, "--header", _JSON, "--header", f"Content-Encoding: {encoding}", *_DATA)

    seen(f"{found}")
    assert found == ["415 1.1 1"]


@pytest.mark.parametrize(
    "parameters", ["charset=utf8", 'charset="UTF-8"', "charset=utf-8; profile=x", "version=1", "Charset=UTF8"]
)
def test_media_type_with_parameters(parameters: str, gateway: Gateway, seen: Callable[[str], None]) -> None:
    """Media types are parsed, not compared."""
    found, _ = ask(gateway, "--header", f"{_JSON}; {parameters}", *_DATA)

    seen(f"{found}")
    assert found == ["right 1.1 1"]
