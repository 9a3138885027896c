"""`new-caller`: a token for a game server, and the lines that let the gateway know it."""

import hashlib
import secrets
from collections.abc import Iterator
from typing import Any, Final

import click

from service.api.callers import TOKEN_PREFIX
from service.cli.exits import Exit, exit_codes
from service.rights import Right
from service.settings.conversion import Misfit, RawValue, convert
from service.settings.docs import rendered
from service.settings.model import CALLER, CallerSettings

_TOKEN_BYTES: Final = 32


@click.command(epilog=exit_codes({Exit.OK: "done"}))
@click.argument("name")
@click.option(
    "--game",
    "games",
    multiple=True,
    help="A game it may ask about, by slug or itch.io id; repeat for more.  [default: *, all of them]",
)
@click.option(
    "--right",
    "rights",
    type=click.Choice([right.value for right in Right]),
    multiple=True,
    help="What it may do; repeat for more.  [default: verify]",
)
@click.option("--rate", default="50", show_default=True, help="How many questions a second it may ask.")
def new_caller(*, name: str, games: tuple[str, ...], rights: tuple[str, ...], rate: str) -> None:
    """Make a token for the game server NAME, and its configuration.

    The first line printed is the token, which the game server sends as `Authorization: Bearer TOKEN`; it is stored
    nowhere and shown this once. The rest goes into the gateway's TOML file, and holds only the token's hash.
    """
    token = TOKEN_PREFIX + secrets.token_urlsafe(_TOKEN_BYTES)
    caller = CallerSettings(
        name=_fitting(name, "name", "NAME"),
        token_sha256=hashlib.sha256(token.encode()).hexdigest(),
        games=_fitting(list(dict.fromkeys(games)) or ["*"], "games", "--game"),
        rights=_fitting(list(dict.fromkeys(rights)) or [Right.VERIFY], "rights", "--right"),
        rate=_fitting(rate, "rate", "--rate"),
    )
    if caller.all_games and len(caller.games) > 1:
        raise click.UsageError('--game holds "*" and more: expected "*" alone, or the games one by one')
    click.echo(token)
    click.echo()
    click.echo("\n".join(_toml(caller)))
    click.echo("\nThe token is shown this once: give it to the game server, and to nobody else.", err=True)


def _fitting(value: object, key: str, written: str) -> Any:  # noqa: ANN401 - of the kind that the setting has
    """Return the value as the setting would take it from the TOML file."""
    try:
        return convert(RawValue(value, written=written, textual=True), CALLER[key].type)
    except Misfit as misfit:
        raise click.UsageError(str(misfit)) from None


def _toml(caller: CallerSettings) -> Iterator[str]:
    yield "[[callers]]"
    for key, field in CALLER.items():
        value = getattr(caller, field.name)
        if field.required or value != field.default:
            yield f"{key} = {rendered(value)}"
