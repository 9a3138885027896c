"""`invalidate`: have a running gateway forget a player, or a whole game."""

import json
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click
import httpx
import msgspec

from service.api.admin import Invalidated
from service.api.paths import INVALIDATE_PATH
from service.api.problems import Problem
from service.cli.exits import Exit, exit_codes
from service.cli.secret_input import read_credential
from service.cli.terminal import printable, show_json
from service.secret_text import UnusableText, read_key

_SUBJECTS: Final = {"download_key": "Download key or URL", "email": "E-mail address"}
"""Fields whose values must not stand in the command line, and their names for a person."""

_UNIX: Final = "unix:"
_TIMEOUT_SECONDS: Final = 10.0

_REFUSED: Final = (401, 403, 404)
_NOT_UNDERSTOOD: Final = (400, 413)


@click.command(
    epilog=exit_codes(
        {
            Exit.OK: "forgotten, on every replica within two seconds",
            Exit.NO: "the gateway refuses: an unknown token, or one without the right or the game; an unknown game",
            Exit.USAGE: "the command line, or the subject, cannot be understood",
            Exit.UNKNOWN: "no gateway answered there, or not now; nothing may have been forgotten",
        }
    )
)
@click.option("--game", required=True, help="The game, by its configured slug or its itch.io id.")
@click.option("--user-id", type=int, help="The itch.io user to forget; it is no secret.")
@click.option(
    "--subject",
    type=click.Choice(list(_SUBJECTS)),
    help="Forget the download key, or the e-mail address, that standard input holds.",
)
@click.option("--all", "everybody", is_flag=True, help="Forget everybody: each player costs itch.io questions again.")
@click.option(
    "--url",
    default="http://127.0.0.1:8080",
    show_default=True,
    help="Where the gateway answers, as `serve` says it; unix:PATH for a Unix socket.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file with the token of a caller that has the right `admin`; needed where callers are configured.",
)
@click.pass_context
def invalidate(
    ctx: click.Context,
    *,
    game: str,
    user_id: int | None,
    subject: str | None,
    everybody: bool,
    url: str,
    token_file: Path | None,
) -> None:
    """Have a running gateway forget what it knows about a player, or about a whole game.

    For instance after a refund, which itch.io does not announce: the next question asks itch.io, and until it has
    answered nothing older is used, not even during an outage. Name one of --user-id, --subject and --all. Secrets are
    read from standard input, where a terminal prompts for them without showing them.
    """
    if (user_id is not None) + (subject is not None) + everybody != 1:
        raise click.UsageError("name exactly one of --user-id, --subject and --all")
    where = _where(url)
    headers = {} if token_file is None else {"Authorization": f"Bearer {_read_token(token_file)}"}
    body: dict[str, object] = {"game": game}
    if user_id is not None:
        body["user_id"] = user_id
    if subject is not None:
        body[subject] = read_credential(_SUBJECTS[subject])
    try:
        with httpx.Client(**where, timeout=_TIMEOUT_SECONDS, trust_env=False, follow_redirects=False) as client:
            # json, not msgspec: numbers that are too large are for the gateway to refuse.
            content_type = {"Content-Type": "application/json"}
            response = client.post(INVALIDATE_PATH, content=json.dumps(body), headers=headers | content_type)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        click.echo(
            f"{click.style('error', fg='red', bold=True)}: no answer at {printable(url)} ({type(error).__name__})",
            err=True,
        )
        ctx.exit(Exit.UNKNOWN)
    ctx.exit(_show(response))


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


def _show(response: httpx.Response) -> Exit:
    if not _is_gateways(response):
        click.echo(f"{click.style('error', fg='red', bold=True)}: what answers there is no gateway", err=True)
        return Exit.UNKNOWN
    show_json(response.content)
    if response.is_success:
        return Exit.OK
    if response.status_code in _REFUSED:
        return Exit.NO
    return Exit.USAGE if response.status_code in _NOT_UNDERSTOOD else Exit.UNKNOWN


def _is_gateways(response: httpx.Response) -> bool:
    try:
        msgspec.json.decode(response.content, type=Invalidated if response.is_success else Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True
