"""`doctor --record`: ask once, write what came back to a file, and tell what is other than expected."""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import click
import msgspec

from service.cli.findings import Finding, FindingLevel
from service.cli.recording.itch_questions import StoreQuestions, record_itch
from service.cli.recording.record import ABOUT, Record, findings_of
from service.cli.recording.record_file import record_file
from service.cli.secret_input import CREDENTIALS, read_credential
from service.cli.terminal import terminal_log
from service.clock import SystemClock
from service.credentials import read_access_token, read_download_key, read_email, read_jwt
from service.errors import BadQuestion
from service.ownership import LARGEST_ID, DownloadKey, GameId, Malformed, Method, PlayerId, PlayerToken, VerifiedEmail
from service.settings import ItchDialect, Settings
from service.wiring.version import VERSION

_Read = Callable[[str], DownloadKey | PlayerToken | VerifiedEmail | Malformed]
_READ: Final[Mapping[Method, _Read]] = {
    Method.DOWNLOAD_KEY: read_download_key,
    Method.JWT: read_jwt,
    Method.ACCESS_TOKEN: read_access_token,
    Method.EMAIL: lambda text: read_email(text, pointer=""),
}


def record_to(
    path: Path, settings: Settings, *, overwrite: bool, game: str | None, user_id: int | None, method: str | None
) -> list[Finding]:
    """Write the record, and return the findings. Raises `click.UsageError` before anything is asked."""
    if settings.is_relay:
        raise click.UsageError("a relay has no seller's key: record at its hub")
    asked = StoreQuestions(_read_game(game, settings), _read_player(user_id), _read(method, settings))
    with record_file(path, overwrite=overwrite) as write:
        record = asyncio.run(_record(settings, asked))
        write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    told = [finding for store in record.stores for finding in findings_of(store)]
    answers = sum(len(store.answers) for store in record.stores)
    hint = "read it before you send it: it holds forms and no values; docs/itch.md says who wants to see it"
    return [*told, Finding("record", FindingLevel.OK, f"{answers} answers are in {path}", hint)]


async def _record(settings: Settings, asked: StoreQuestions) -> Record:
    now = SystemClock().now()
    with terminal_log(settings) as log:
        return Record(ABOUT, VERSION, now, [await record_itch(settings, asked, log=log)])


def _read_game(text: str | None, settings: Settings) -> GameId | None:
    if text is None:
        return None
    for game in settings.games:
        if game.slug == text:
            return game.id
    if text.isascii() and text.isdigit() and len(text) <= 16 and 1 <= int(text) <= LARGEST_ID:  # noqa: PLR2004 - 2^53
        return GameId(int(text))
    raise click.UsageError("--game is neither the slug of a configured game nor an itch.io id")


def _read_player(user_id: int | None) -> PlayerId | None:
    if user_id is not None and not 1 <= user_id <= LARGEST_ID:
        raise click.UsageError("--user-id is no itch.io user id")
    return None if user_id is None else PlayerId(user_id)


def _read(method: str | None, settings: Settings) -> DownloadKey | PlayerToken | VerifiedEmail | None:
    """Return the credential from standard input, by its shape; what has another one goes nowhere."""
    if method is None:
        return None
    if method == Method.ACCESS_TOKEN and settings.itch.dialect is not ItchDialect.CURRENT:
        raise click.UsageError("access tokens need the dialect `current`")
    name = CREDENTIALS[method]
    try:
        credential = _READ[Method(method)](read_credential(name))
    except BadQuestion:
        raise click.UsageError(f"standard input holds none, and nothing was asked: {name}") from None
    if isinstance(credential, Malformed):
        raise click.UsageError(f"standard input holds none ({credential.reason}), and nothing was asked: {name}")
    return credential
