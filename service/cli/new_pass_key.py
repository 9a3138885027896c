"""`new-pass-key`: a private key that signs passes."""

import click

from service.cli.exits import Exit, exit_codes
from service.pass_pem import new_signing_key


@click.command(epilog=exit_codes({Exit.OK: "done"}))
def new_pass_key() -> None:
    """Make a private key that signs passes, and print it.

    It belongs into the file that `passes.key_file` names, which may hold up to four: the first signs, all are
    published. To replace a key, add the new one at the end; an hour later move it to the top; remove the old one when
    its passes have ended.
    """
    click.echo(new_signing_key(), nl=False)
    click.echo("With this key any player can be made an owner: keep it where the seller's API key is kept.", err=True)
