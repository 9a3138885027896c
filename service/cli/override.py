"""`override`: say to a running gateway about one player, for a while, that it is let in or kept out."""

import re
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import click

from service.api.overrides import OverrideBody, OverrideSet
from service.api.paths import OVERRIDES_PATH
from service.cli.exits import Exit, exit_codes
from service.cli.pasted import PastedId, PastedUserId
from service.cli.running_gateway import SUBJECTS, gateway_options, send
from service.cli.secret_input import read_credential
from service.ownership import OverrideWord

_EXITS: Final = {
    Exit.NO: "the gateway refuses: an unknown token, or one without the right or the game; an unknown game or id; the "
    "game has 1000",
    Exit.USAGE: "the command line, or the subject, cannot be understood",
    Exit.UNKNOWN: "no gateway answered there, or not now; nothing may have been done",
}
_SET_EXITS: Final = {
    Exit.OK: "it holds, on every replica within two seconds, or as the answer says",
    **_EXITS,
}
_UNITS: Final = {"m": 60, "h": 3600, "d": 86_400}
_DURATION: Final = re.compile(r"(?P<count>[1-9][0-9]{0,6})(?P<unit>[mhd])")


class _Duration(click.ParamType[int]):
    """A whole number of minutes, hours or days, as seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the seconds."""
        match = _DURATION.fullmatch(str(value))
        if match is None:
            self.fail("expected minutes, hours or days, such as 30m, 12h or 7d", param, ctx)
        return int(match["count"]) * _UNITS[match["unit"]]


_game = click.option("--game", required=True, help="The game, by its configured slug or its itch.io id.")
_duration = click.option("--for", "seconds", type=_Duration(), required=True, help="How long: 30m, 12h, 7d; up to 90d.")
_note = click.option("--note", help="Why, for people: up to 200 characters. It is in no log.")


@click.group(epilog=exit_codes({Exit.OK: "done", **_EXITS}))
def override() -> None:
    """Let one player in for a while, or keep it out, at a running gateway.

    It holds at once, on every replica within two seconds, and ends by itself. What is for good stands in the
    configuration. Secrets are read from standard input, where a terminal prompts for them without showing them.
    """


@override.command(epilog=exit_codes(_SET_EXITS))
@_game
@click.option("--user-id", type=PastedUserId(), help="The itch.io user to let in.")
@click.option("--subject", type=click.Choice(["email"]), help="Let in the address that standard input holds.")
@_duration
@_note
@gateway_options("the right `override`")
@click.pass_context
def grant(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - `_say` types each option
    """Let a player in for a while, although itch.io does not say that it owns the game."""
    ctx.exit(_say(OverrideWord.GRANT, **given))


@override.command(epilog=exit_codes(_SET_EXITS))
@_game
@click.option(
    "--user-id", type=PastedUserId(), help="The itch.io user to keep out, by every method that leads to the account."
)
@click.option(
    "--subject",
    type=click.Choice(list(SUBJECTS)),
    help="Keep out the download key, or the e-mail address, that standard input holds.",
)
@_duration
@_note
@gateway_options("the right `override`")
@click.pass_context
def ban(ctx: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - `_say` types each option
    """Keep a player out for a while, although it owns the game."""
    ctx.exit(_say(OverrideWord.BAN, **given))


@override.command("list", epilog=exit_codes({Exit.OK: "they are listed", **_EXITS}))
@_game
@gateway_options("the right `override` or `support`")
@click.pass_context
def show(ctx: click.Context, *, game: str, url: str, token_file: Path | None) -> None:
    """List what holds for a game, the latest first. Neither addresses nor keys are shown."""
    ctx.exit(
        send("GET", OVERRIDES_PATH, url=url, token_file=token_file, expected=list[OverrideBody], query={"game": game})
    )


@override.command(epilog=exit_codes({Exit.OK: "it holds no more", **_EXITS}))
@click.argument("override_id", metavar="ID", type=PastedId())
@gateway_options("the right `override`")
@click.pass_context
def remove(ctx: click.Context, *, override_id: str, url: str, token_file: Path | None) -> None:
    """Take back the one with this id, as `list` shows it."""
    path = f"{OVERRIDES_PATH}/{quote(override_id, safe='')}"
    ctx.exit(send("DELETE", path, url=url, token_file=token_file))


def _say(
    word: OverrideWord,
    *,
    game: str,
    user_id: int | None,
    subject: str | None,
    seconds: int,
    note: str | None,
    url: str,
    token_file: Path | None,
) -> Exit:
    if (user_id is None) == (subject is None):
        raise click.UsageError("name exactly one of --user-id and --subject")
    body: dict[str, object] = {"game": game, "word": word.value, "seconds": seconds, "user_id": user_id, "note": note}
    if subject is not None:
        body[subject] = read_credential(SUBJECTS[subject])
    return send("POST", OVERRIDES_PATH, url=url, token_file=token_file, expected=OverrideSet, body=body)
