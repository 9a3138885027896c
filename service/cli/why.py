"""`why`: why a running gateway lets a player in or not, in sentences."""

from datetime import timedelta
from pathlib import Path

import click
import msgspec

from service.api.explained import Explanation
from service.api.paths import EXPLAIN_PATH
from service.cli.exits import Exit, exit_codes
from service.cli.pasted import PastedId, PastedUserId
from service.cli.running_gateway import gateway_options, send
from service.cli.secret_input import CREDENTIALS, read_credential
from service.cli.terminal import printable, show_json
from service.explanation import tell_refusal, tell_remembered


@click.command(
    epilog=exit_codes(
        {
            Exit.OK: "it is explained",
            Exit.NO: "the gateway refuses: an unknown token, or one without the right or the game; an unknown decision",
            Exit.USAGE: "the command line, or the credential, cannot be understood",
            Exit.UNKNOWN: "no gateway answered there, or not now",
        }
    )
)
@click.argument("decision_id", type=PastedId(), required=False)
@click.option("--game", help="The game, by its configured slug or its itch.io id.")
@click.option("--user-id", type=PastedUserId(), help="The itch.io user; it is no secret.")
@click.option(
    "--method",
    type=click.Choice(list(CREDENTIALS)),
    help="What standard input holds: a download key, a JWT or an e-mail address.",
)
@click.option("--ask", is_flag=True, help="Ask itch.io now; it needs the right of the method, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as over HTTP.")
@gateway_options("the right `support`")
@click.pass_context
def why(
    ctx: click.Context,
    *,
    decision_id: str | None,
    game: str | None,
    user_id: int | None,
    method: str | None,
    ask: bool,
    as_json: bool,
    url: str,
    token_file: Path | None,
) -> None:
    """Say why a player was let in or not.

    DECISION_ID is the support code that the player was shown. Without one, name the game and the player: by --user-id,
    or by a credential that is read from standard input, where a terminal prompts for it without showing it.
    """
    body: dict[str, object] = {}
    if decision_id is not None:
        if game is not None or user_id is not None or method is not None or ask:
            raise click.UsageError("name a DECISION_ID, or a game and a player")
        body["decision_id"] = decision_id
    elif game is None:
        raise click.UsageError("name a DECISION_ID, or --game and a player")
    elif (user_id is None) == (method is None):
        raise click.UsageError("name exactly one of --user-id and --method")
    else:
        body |= {"game": game, "ask": ask}
        if user_id is not None:
            body["user_id"] = user_id
        if method is not None:
            body[method] = read_credential(CREDENTIALS[method])
    ctx.exit(
        send(
            "POST",
            EXPLAIN_PATH,
            url=url,
            token_file=token_file,
            expected=Explanation,
            body=body,
            show=show_json if as_json else _show,
        )
    )


def _show(body: bytes) -> None:
    """Print an explanation for a person."""
    explanation = msgspec.json.decode(body, type=Explanation)
    lines = list(explanation.sentences)
    if explanation.remembered:
        lines += ["", "What is remembered of itch.io's answers:"]
        lines += [
            "  "
            + tell_remembered(
                one.tier,
                one.about,
                one.says,
                timedelta(seconds=one.age_seconds),
                counts=one.counts,
                proofs=one.proofs,
            )
            for one in explanation.remembered
        ]
    if explanation.refusals:
        lines += ["", "The last refusals:"]
        lines += [
            "  " + tell_refusal(one.decision_id, one.last_at, one.method, one.reason, one.count)
            for one in explanation.refusals
        ]
    click.echo("\n".join(printable(line) for line in lines))
