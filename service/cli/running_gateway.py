"""Requests of commands to a running gateway, as any caller sends them over HTTP."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import click
import httpx
import msgspec

from service.api.problems import Problem
from service.cli.exits import Exit
from service.cli.secret_input import CREDENTIALS
from service.cli.terminal import printable, show_json
from service.secret_text import UnusableText, read_key

SUBJECTS: Final = {field: name for field, name in CREDENTIALS.items() if field not in {"jwt", "access_token"}}
"""The credentials about which operators have a word: a JWT ends by itself."""

_UNIX: Final = "unix:"
_TIMEOUT_SECONDS: Final = 10.0

_REFUSED: Final = (401, 403, 404, 409)
_NOT_UNDERSTOOD: Final = (400, 413)

Command = TypeVar("Command", bound=Callable[..., object])


def gateway_options(right: str) -> Callable[[Command], Command]:
    """Return the decorator that adds `--url` and `--token-file` to a command that needs such a right."""

    def decorate(command: Command) -> Command:
        token_file = click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            help=f"A file with the token of a caller that has {right}; needed where callers are configured.",
        )
        url = click.option(
            "--url",
            default="http://127.0.0.1:8080",
            show_default=True,
            help="Where the gateway answers, as `serve` says it; unix:PATH for a Unix socket.",
        )
        return url(token_file(command))

    return decorate


def send(
    method: str,
    path: str,
    *,
    url: str,
    token_file: Path | None,
    expected: object = None,
    body: Mapping[str, object] | None = None,
    query: Mapping[str, str] | None = None,
    show: Callable[[bytes], None] = show_json,
) -> Exit:
    """Send a request, show the answer, and return what it means; what is not of the `expected` type is no gateway's.

    `show` prints the body of an answer that is as expected.
    """
    where = _where(url)
    headers = {} if token_file is None else {"Authorization": f"Bearer {_read_token(token_file)}"}
    content = None
    if body is not None:
        # json, not msgspec: numbers that are too large are for the gateway to refuse.
        content, headers["Content-Type"] = json.dumps(body), "application/json"
    try:
        with httpx.Client(**where, timeout=_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
            response = client.request(method, path, content=content, params=query, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        _complain(f"no answer at {printable(url)} ({type(error).__name__})")
        return Exit.UNKNOWN
    return _show(response, expected, show)


def _where(url: str) -> dict[str, Any]:
    """Return the client's arguments for the gateway's address."""
    if url.startswith(_UNIX):
        return {"base_url": "http://gateway", "transport": httpx.HTTPTransport(uds=url.removeprefix(_UNIX))}
    try:
        parts = urlsplit(url)
        fits = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        fits = False
    if not fits or not url.isprintable() or " " in url:
        raise click.UsageError("--url is no address of a gateway: expected http://HOST:PORT, https://… or unix:PATH")
    return {"base_url": url}


def _read_token(file: Path) -> str:
    # What the file holds is never repeated: it may be another secret, named by mistake.
    try:
        return read_key(file)
    except UnusableText as unusable:
        raise click.UsageError(f"--token-file holds no token such as `new-caller` prints: {unusable}") from None


def _show(response: httpx.Response, expected: object, show: Callable[[bytes], None]) -> Exit:
    if not _is_gateways(response, expected):
        _complain("what answers there is no gateway")
        return Exit.UNKNOWN
    if response.is_success:
        if response.content:
            show(response.content)
        return Exit.OK
    show_json(response.content)
    if response.status_code in _REFUSED:
        return Exit.NO
    return Exit.USAGE if response.status_code in _NOT_UNDERSTOOD else Exit.UNKNOWN


def _is_gateways(response: httpx.Response, expected: object) -> bool:
    if response.is_success and expected is None:
        return response.status_code == httpx.codes.NO_CONTENT
    try:
        msgspec.json.decode(response.content, type=expected if response.is_success else Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def _complain(text: str) -> None:
    click.echo(f"{click.style('error', fg='red', bold=True)}: {text}", err=True)
