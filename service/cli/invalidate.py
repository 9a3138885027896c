"""`invalidate`: have a running gateway forget a player, or a whole game."""

from pathlib import Path

import click

from service.api.admin import Invalidated
from service.api.paths import INVALIDATE_PATH
from service.cli.exits import Exit, exit_codes
from service.cli.pasted import PastedUserId
from service.cli.running_gateway import SUBJECTS, gateway_options, send
from service.cli.secret_input import read_credential


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
@click.option("--user-id", type=PastedUserId(), help="The itch.io user to forget; it is no secret.")
@click.option(
    "--subject",
    type=click.Choice(list(SUBJECTS)),
    help="Forget the download key, or the e-mail address, that standard input holds.",
)
@click.option("--all", "everybody", is_flag=True, help="Forget everybody: each player costs itch.io questions again.")
@gateway_options("the right `admin`")
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
    body: dict[str, object] = {"game": game}
    if user_id is not None:
        body["user_id"] = user_id
    if subject is not None:
        body[subject] = read_credential(SUBJECTS[subject])
    ctx.exit(send("POST", INVALIDATE_PATH, url=url, token_file=token_file, expected=Invalidated, body=body))
