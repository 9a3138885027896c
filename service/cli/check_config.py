"""`check-config`: is this configuration one that `serve` would start with, and what does it amount to?"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from service.cli.configuration import config_option, read_with, sandbox_option, settings_reader
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.settings import READ_AGAIN, Settings, describe

_READ_AGAIN: Final = [f"#   {what}" for what in READ_AGAIN]

_UNSEEN: Final = (
    "holds by user id and JWT, and by key and e-mail where itch.io names the account: it does not for purchases, nor"
    " for keys that nobody has claimed; ban addresses with ban_emails"
)
_NO_CALLERS: Final = (
    "no [[callers]] in the file: a gateway that starts with it asks for no token; one that runs with callers refuses it"
    " at a reload, and keeps what it has"
)
_NO_GAMES: Final = (
    "no [games.<slug>] in the file: a gateway that starts with it answers about any game; one that runs with games"
    " refuses it at a reload, and keeps what it has"
)


@click.command(epilog=exit_codes({Exit.OK: "`serve` would start with it", Exit.CONFIGURATION: UNUSABLE_CONFIGURATION}))
@config_option
@sandbox_option
def check_config(*, config: Path | None, sandbox: bool | None) -> None:
    """Read the configuration as `serve` would, and show it.

    Prints every setting with the value that applies, of a secret only whether it is set, and at the end what a running
    gateway reads again; or every mistake in one line each. Notes on standard error are no mistakes: they say what a
    ban does not see, and that a file without callers or games is good for a start alone. No other program is asked:
    whether the key works is for `doctor` to say.
    """
    reader = settings_reader(config, flags={"sandbox": sandbox})
    settings = read_with(reader)
    click.echo(describe(settings))
    click.echo("\n".join(["\n# Read again while the gateway runs; everything else is read at start:", *_READ_AGAIN]))
    for note in _notes(settings, from_file=reader.content is not None):
        click.echo(f"{click.style('note', fg='yellow', bold=True)}: {note}", err=True)


def _notes(settings: Settings, *, from_file: bool) -> Iterator[str]:
    """Yield what is no mistake, and may not be meant."""
    if from_file and not settings.callers:
        yield _NO_CALLERS
    if from_file and not settings.games:
        yield _NO_GAMES
    for game in settings.games:
        if game.ban_user_ids:
            yield f"games.{game.slug}.ban_user_ids {_UNSEEN}"
