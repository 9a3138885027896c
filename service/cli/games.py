"""`games`: the games that the seller's key can see, and names for them."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec
from msgspec import Struct

from service.app import open_upstream
from service.cli.configuration import config_option, give_up, read_settings, sandbox_option
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.cli.terminal import printable, terminal_log
from service.errors import NoAnswer, SettingsError
from service.itch.wire import WireGame
from service.settings import Settings
from service.settings.values import SLUG


class _Game(Struct, frozen=True):
    """A game as `--json` shows it; the slug is the one that the configuration can use."""

    id: int
    slug: str
    title: str
    url: str


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
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of a table.")
@click.pass_context
def games(ctx: click.Context, *, config: Path | None, sandbox: bool | None, as_json: bool) -> None:
    """List the games of the seller's key.

    Prints their ids, slugs and titles, and the lines that name them in the gateway's TOML file.
    """
    settings = read_settings(config, flags={"sandbox": sandbox}, require_callers=False)
    if settings.is_relay:
        give_up(SettingsError(["relay.url is set: a relay has no seller's key; list the games at its hub"]))
    try:
        found = _named(asyncio.run(_list(settings)))
    except NoAnswer as no_answer:
        click.echo(f"{click.style('error', fg='red', bold=True)}: {no_answer}; `doctor` says more", err=True)
        ctx.exit(Exit.UNKNOWN)
    if as_json:
        click.echo(msgspec.json.encode(found))
        return
    if not found:
        click.echo("The seller's key sees no game.", err=True)
        return
    click.echo("\n".join([*_table(found), "", *_toml(found)]))


async def _list(settings: Settings) -> list[WireGame]:
    with terminal_log(settings) as log:
        async with open_upstream(settings, log=log) as store:
            return await store.source.games()


def _named(found: Sequence[WireGame]) -> list[_Game]:
    """Give every game a slug of its own: two sellers may have called theirs the same, or by a number alone."""
    slugs = [game.slug if re.fullmatch(SLUG, game.slug) else f"game-{game.id}" for game in found]
    uses = Counter(slugs)
    return [
        _Game(game.id, slug if uses[slug] == 1 else f"game-{game.id}", game.title, game.url)
        for game, slug in zip(found, slugs, strict=True)
    ]


def _table(found: Sequence[_Game]) -> Iterator[str]:
    rows = [("ID", "SLUG", "TITLE"), *((str(game.id), game.slug, printable(game.title)) for game in found)]
    id_width = max(len(number) for number, _, _ in rows)
    slug_width = max(len(slug) for _, slug, _ in rows)
    for number, slug, title in rows:
        yield f"{number:>{id_width}}  {slug:<{slug_width}}  {title}".rstrip()


def _toml(found: Sequence[_Game]) -> Iterator[str]:
    for game in found:
        yield f"[games.{game.slug}]"
        yield f"id = {game.id}"
