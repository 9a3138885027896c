"""`verify`: one question from a terminal, answered as over HTTP."""

import asyncio
import json
import sys
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Final

import click
from msgspec import structs

from service.api.paths import PATHS
from service.app import open_gateway
from service.cli.configuration import config_option, read_settings, sandbox_option
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.cli.pasted import PastedUserId, read_user_id
from service.cli.secret_input import CREDENTIALS, read_credential
from service.cli.terminal import show_json, terminal_log
from service.clock import SystemClock
from service.explanation import Story, tell
from service.http.application import Listener
from service.http.connection import Request
from service.http.reply import Reply
from service.ownership import Caveat, Method, Reason
from service.settings import Settings

_FIELDS: Final = {Method(field): (field, name) for field, name in CREDENTIALS.items()} | {
    Method.USER: ("user_id", "itch.io user id"),
    Method.PASS: ("pass", "Pass"),
}
"""The field of each question that holds the credential, and what a person calls it."""


@click.command(
    epilog=exit_codes(
        {
            Exit.OK: "the player may be let in",
            Exit.NO: "the player may not be let in",
            Exit.USAGE: "this is no question: an unknown game, a malformed address",
            Exit.UNKNOWN: "there was no usable answer; ask again later",
            Exit.CONFIGURATION: UNUSABLE_CONFIGURATION,
        }
    )
)
@config_option
@sandbox_option
@click.option("--game", required=True, help="The game, by its configured slug or its itch.io id.")
@click.option(
    "--method",
    type=click.Choice([method.value for method in Method]),
    required=True,
    help="What the player presented.",
)
@click.option("--user-id", type=PastedUserId(), help="The itch.io user, for `--method user`; it is no secret.")
@click.option("--max-age", type=int, help="Use no evidence older than this many seconds; 0 asks itch.io now.")
@click.option("--only-if-cached", is_flag=True, help="Answer from what Redis holds, and never ask itch.io.")
@click.option("--deadline-ms", type=int, help="Wait at most this long, 50 to 10000 milliseconds.")
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    config: Path | None,
    sandbox: bool | None,
    game: str,
    method: str,
    user_id: int | None,
    max_age: int | None,
    only_if_cached: bool,
    deadline_ms: int | None,
) -> None:
    """Ask one question from this terminal.

    The credential is read from standard input, where a terminal prompts for it without showing it: arguments can be
    seen by every user of this machine. The answer is the JSON that a game server would get; any user who can run this
    may ask everything, whichever callers are configured.
    """
    chosen = Method(method)
    if user_id is not None and chosen is not Method.USER:
        raise click.UsageError("--user-id goes with --method user")
    settings = read_settings(config, flags={"sandbox": sandbox}, require_callers=False)
    field, _ = _FIELDS[chosen]
    body: dict[str, object] = {
        "game": game,
        field: _credential(chosen) if user_id is None else user_id,
        "max_age": max_age,
        "only_if_cached": only_if_cached,
        "deadline_ms": deadline_ms,
    }
    # Callers are for those who come over the network; the operator asks as the gateway's own.
    response = asyncio.run(_ask(structs.replace(settings, callers=()), PATHS[chosen], body))
    show_json(response.body)
    if sys.stdout.isatty() and (sentence := _sentence(response)):
        click.echo(f"\n{sentence}")
    code = _exit_of(response)
    if code is Exit.UNKNOWN:
        click.echo("`ownership-gateway doctor` may know why; OWNERSHIP_GATEWAY_LOG__LEVEL=debug says more.", err=True)
    ctx.exit(code)


def _credential(method: Method) -> str | int:
    """Return the credential from standard input, as the question wants it."""
    _, name = _FIELDS[method]
    text = read_credential(name)
    return text if method is not Method.USER else read_user_id(text)


async def _ask(settings: Settings, path: str, body: dict[str, object]) -> Reply:
    with terminal_log(settings) as log:
        async with open_gateway(settings, log=log) as gateway:
            request = Request(
                method=b"POST",
                target=path.encode("ascii"),
                headers={b"content-type": b"application/json"},
                # json, not msgspec: numbers that are too large are for the gateway to refuse.
                body=json.dumps(body).encode("utf-8"),
            )
            answer = gateway.http.application.answer(request, Listener.EVERYTHING)
            return answer if isinstance(answer, Reply) else await answer


def _sentence(reply: Reply) -> str:
    """Return the answer in sentences, nothing for a question that was none."""
    answer = json.loads(reply.body)
    if "reason" not in answer:
        return ""
    story = Story(
        reason=Reason(answer["reason"]),
        now=SystemClock().now(),
        caveats=tuple(Caveat(caveat) for caveat in answer.get("caveats", ())),
        observed_at=_instant(answer.get("observed_at")),
        usable_until=_instant(answer.get("usable_until")),
        stale=answer.get("stale", False),
    )
    return " ".join(tell(story).sentences)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _exit_of(reply: Reply) -> Exit:
    if reply.status == HTTPStatus.OK:
        return Exit.OK if json.loads(reply.body)["allowed"] else Exit.NO
    return Exit.UNKNOWN if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR else Exit.USAGE
