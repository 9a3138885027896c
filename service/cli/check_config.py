"""`check-config`: is this configuration one that `serve` would start with, and what does it amount to?"""

from pathlib import Path
from typing import Final

import click

from service.cli.configuration import config_option, read_settings, sandbox_option
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.settings import READ_AGAIN, describe

_READ_AGAIN: Final = [f"#   {what}" for what in READ_AGAIN]

_UNSEEN: Final = (
    "holds by user id and JWT, and by key and e-mail where itch.io names the account: it does not for purchases, nor"
    " for keys that nobody has claimed; ban addresses with ban_emails"
)


@click.command(epilog=exit_codes({Exit.OK: "`serve` would start with it", Exit.CONFIGURATION: UNUSABLE_CONFIGURATION}))
@config_option
@sandbox_option
def check_config(*, config: Path | None, sandbox: bool | None) -> None:
    """Read the configuration as `serve` would, and show it.

    Prints every setting with the value that applies, of a secret only whether it is set, and at the end what a running
    gateway reads again; or every mistake in one line each. No other program is asked: whether the key works is for
    `doctor` to say.
    """
    settings = read_settings(config, flags={"sandbox": sandbox})
    click.echo(describe(settings))
    click.echo("\n".join(["\n# Read again while the gateway runs; everything else is read at start:", *_READ_AGAIN]))
    for game in settings.games:
        if game.ban_user_ids:
            note = click.style("note", fg="yellow", bold=True)
            click.echo(f"{note}: games.{game.slug}.ban_user_ids {_UNSEEN}", err=True)
