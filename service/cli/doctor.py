"""`doctor`: is everything there that the gateway needs, and if not, what to do?"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, Unpack

import click
import msgspec
from msgspec.structs import replace

from service.app import open_hub, open_upstream
from service.cache.keys import derive_keys
from service.cache.secrets_in_use import SecretsDigest
from service.cli.configuration import config_option, load, sandbox_option
from service.cli.exits import Exit, exit_codes
from service.cli.findings import Finding, FindingLevel, lines, report
from service.cli.known_overrides import read_overrides
from service.cli.pasted import PastedUserId
from service.cli.redis_checks import examine_redis, examine_secrets
from service.cli.secret_input import CREDENTIALS
from service.cli.store_checks import examine_next_key, examine_store
from service.cli.terminal import terminal_log
from service.clock import SystemClock
from service.errors import SettingsError
from service.secret import SellerKey
from service.settings import Settings


class _Recorded(TypedDict):
    """The options that go with `--record`."""

    overwrite: bool
    game: str | None
    user_id: int | None
    method: str | None


@click.command(
    epilog=exit_codes({Exit.OK: "nothing is wrong, there may be warnings", Exit.NO: "there is at least one problem"})
)
@config_option
@sandbox_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object instead of lines.")
@click.option(
    "--record",
    "record_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Instead of the checks, ask each question once, and write the form of the answers to this file.",
)
@click.option("--overwrite", is_flag=True, help="Let --record replace a file that is there.")
@click.option("--game", help="The game that --record asks about, by its configured slug or its itch.io id.")
@click.option("--user-id", type=PastedUserId(), help="The itch.io user that --record asks about.")
@click.option(
    "--method",
    type=click.Choice(list(CREDENTIALS)),
    help="The credential of a player, in standard input, that --record asks by.",
)
@click.pass_context
def doctor(
    ctx: click.Context,
    *,
    config: Path | None,
    sandbox: bool | None,
    as_json: bool,
    record_file: Path | None,
    **recorded: Unpack[_Recorded],
) -> None:
    """Check the configuration, the key, its scopes and games, canaries, the clock, Redis, and who proves addresses.

    Every check ends in ok, warning, problem or skipped, with a hint what to do. It asks itch.io some five questions,
    and one for each canary, deletes at once what it writes to Redis, and logs in to the mail server without sending
    anything. In a relay it asks the hub alone, about no player: whether it knows the token and the games. No secret is
    printed.

    With --record the answers of itch.io are compared with what the gateway expects of them, and their form is written:
    fields, kinds, lengths, statuses, days and error strings, no value that names a person or a game.
    """
    if record_file is None and any(value is not None and value is not False for value in recorded.values()):
        raise click.UsageError("--overwrite, --game, --user-id and --method go with --record")
    try:
        settings = load(config, flags={"sandbox": sandbox})
    except SettingsError as error:
        findings = [*_mistakes(error), Finding("everything else", FindingLevel.SKIPPED, "for want of a configuration")]
    else:
        if record_file is None:
            found = asyncio.run(_examine(settings))
        else:
            from service.cli.recording.command import record_to  # noqa: PLC0415 - few record

            found = record_to(record_file, settings, **recorded)
        findings = [_configuration(settings), *found]
    result = report(findings)
    click.echo(msgspec.json.encode(result) if as_json else "\n".join(lines(findings)))
    ctx.exit(Exit.OK if result.ok else Exit.NO)


def _mistakes(error: SettingsError) -> Iterator[Finding]:
    for mistake in error.mistakes:
        yield Finding("configuration", FindingLevel.PROBLEM, mistake)


def _configuration(settings: Settings) -> Finding:
    detail = f"{_count(len(settings.games), 'game')}, {_count(len(settings.callers), 'caller')}"
    if settings.sandbox:
        hint = "set OWNERSHIP_GATEWAY_ITCH__API_KEY and leave the sandbox out to ask itch.io"
        return Finding("configuration", FindingLevel.WARNING, f"{detail}; the sandbox answers, nothing is real", hint)
    return Finding("configuration", FindingLevel.OK, detail)


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


async def _examine(settings: Settings) -> list[Finding]:
    with terminal_log(settings) as log:
        if settings.is_relay:
            from service.cli.hub_checks import examine_hub  # noqa: PLC0415 - off until configured: not even imported

            async with open_hub(settings, log=log) as hub:
                return await examine_hub(hub, settings)
        async with open_upstream(_with_key(settings, settings.itch.api_key), log=log) as store:
            found = await examine_store(
                store.source, settings, await read_overrides(settings, store.address.environment)
            )
            held = store.key_ring.held()
        if settings.itch.next_api_key is not None:
            async with open_upstream(_with_key(settings, settings.itch.next_api_key), log=log) as store:
                found.append(await examine_next_key(store.source, settings))
                held += store.key_ring.held()
        addresses = await _examine_addresses(settings)
        return [*found, *await _examine_redis(settings, held), _examine_passes(settings), *addresses]


def _examine_passes(settings: Settings) -> Finding:
    if settings.passes.key is None:
        return Finding("passes", FindingLevel.SKIPPED, "not configured")
    from service.passes.signing_keys import key_set  # noqa: PLC0415 - off until configured: not even imported

    signing, *others = [key.kid for key in key_set(settings.passes.key).keys]
    published = f"; published beside it: {', '.join(others)}" if others else ""
    return Finding("passes", FindingLevel.OK, f"{signing} signs{published}")


async def _examine_addresses(settings: Settings) -> list[Finding]:
    has_server = settings.mail.url is not None
    off = [] if has_server else [Finding("mail", FindingLevel.SKIPPED, "not configured; no codes are mailed")]
    if not has_server and not settings.oidc:
        return off
    # Off until configured: not even imported.
    from service.cli.address_checks import examine_issuer, examine_mail  # noqa: PLC0415
    from service.proofs.key_documents import Documents  # noqa: PLC0415
    from service.wiring.upstream import user_agent  # noqa: PLC0415

    documents = Documents(user_agent=user_agent(settings))
    mail = [await examine_mail(settings.mail)] if has_server else off
    return [*mail, *[await examine_issuer(one, n, documents) for n, one in enumerate(settings.oidc, start=1)]]


def _with_key(settings: Settings, key: SellerKey | None) -> Settings:
    """Return the settings with this key alone, so that the other cannot stand in for it."""
    alone = replace(settings.itch, api_key=key, api_key_file=None, next_api_key=None, next_api_key_file=None)
    return replace(settings, itch=alone)


async def _examine_redis(settings: Settings, held: list[SellerKey]) -> list[Finding]:
    url = settings.redis.url
    if url is None:
        return [Finding("redis", FindingLevel.SKIPPED, "not configured; each process remembers for itself")]
    ours = SecretsDigest.of(derive_keys(settings.secret).comparing, held)
    return [await examine_secrets(url, ours), *await examine_redis(url, clock=SystemClock())]
