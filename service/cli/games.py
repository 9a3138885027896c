"""`games`: the games that the seller's key can see, and names for them."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from msgspec import UNSET, Struct, UnsetType

from service.app import open_upstream
from service.cli.configuration import config_option, give_up, read_settings, sandbox_option
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.cli.game_files import table_of
from service.cli.terminal import printable, terminal_log
from service.errors import NoAnswer, SettingsError
from service.itch.source import ItchSource
from service.itch.uploads import WireUpload
from service.itch.wire import WireGame
from service.settings import Settings
from service.settings.values import SLUG


class _Game(Struct, frozen=True):
    """A game as `--json` shows it; the slug is the one that the configuration can use."""

    id: int
    slug: str
    title: str
    url: str
    files: list[WireUpload] | UnsetType = UNSET


@click.command(
    epilog=exit_codes(
        {
            Exit.OK: "done",
            Exit.UNKNOWN: "itch.io gave no usable answer; `doctor` says more",
            Exit.CONFIGURATION: UNUSABLE_CONFIGURATION,
        }
    )
)
@config_option
@sandbox_option
@click.option("--files", is_flag=True, help="Also list the files of each game, with the newest build of each channel.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.pass_context
def games(ctx: click.Context, *, config: Path | None, sandbox: bool | None, files: bool, as_json: bool) -> None:
    """List the games of the seller's key.

    Prints their ids, slugs and titles, and the lines that name them in the gateway's TOML file, or their files.
    """
    settings = read_settings(config, flags={"sandbox": sandbox}, require_callers=False)
    if settings.is_relay:
        give_up(SettingsError(["relay.url is set: a relay has no seller's key; list the games at its hub"]))
    try:
        found = _named(asyncio.run(_list(settings, files=files)))
    except NoAnswer as no_answer:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {no_answer}; `doctor` says more", err=True)
        ctx.exit(Exit.UNKNOWN)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not found:
        click.echo("The seller's key sees no game.", err=True)
        return
    below = _files(found, datetime.now(UTC)) if files else _toml(found)
    click.echo("\n".join([*_table(found), "", *below]))


async def _list(settings: Settings, *, files: bool) -> list[tuple[WireGame, list[WireUpload] | None]]:
    with terminal_log(settings) as log:
        async with open_upstream(settings, log=log) as store:
            found = await store.source.games()
            return [(game, await _uploads(store.source, game) if files else None) for game in found]


async def _uploads(source: ItchSource, game: WireGame) -> list[WireUpload]:
    """Return the files of a game. Raises `NoAnswer`, which names the game."""
    try:
        return await source.uploads(game.id)
    except NoAnswer as no_answer:
        raise type(no_answer)(f"the files of game {game.id}: {no_answer}", cause=no_answer.cause) from no_answer


def _named(listed: Sequence[tuple[WireGame, list[WireUpload] | None]]) -> list[_Game]:
    """Give every game a slug of its own: two sellers may have called theirs the same, or by a number alone."""
    found = [game for game, _ in listed]
    slugs = [game.slug if re.fullmatch(SLUG, game.slug) else f"game-{game.id}" for game in found]
    uses = Counter(slugs)
    return [
        _Game(
            game.id,
            slug if uses[slug] == 1 else f"game-{game.id}",
            game.title,
            game.url,
            UNSET if uploads is None else uploads,
        )
        for (game, uploads), slug in zip(listed, slugs, strict=True)
    ]


def _table(found: Sequence[_Game]) -> Iterator[str]:
    rows = [("ID", "SLUG", "TITLE"), *((str(game.id), game.slug, printable(game.title)) for game in found)]
    id_width = max(len(number) for number, _, _ in rows)
    slug_width = max(len(slug) for _, slug, _ in rows)
    for number, slug, title in rows:
        yield f"{number:>{id_width}}  {slug:<{slug_width}}  {title}".rstrip()


def _files(found: Sequence[_Game], now: datetime) -> Iterator[str]:
    for game in found:
        yield f"{game.slug}:"
        yield from (f"  {line}" for line in table_of(game.files or [], now))


def _toml(found: Sequence[_Game]) -> Iterator[str]:
    for game in found:
        yield f"[games.{game.slug}]"
        yield f"id = {game.id}"
