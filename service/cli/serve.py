"""`serve`: answer questions over HTTP."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

import click

from service.app import Gateway
from service.cli.configuration import (
    config_option,
    give_up,
    read_with,
    read_world_of,
    sandbox_option,
    settings_reader,
    world_option,
)
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.clock import SystemClock
from service.errors import SettingsError
from service.event_loop import run
from service.observability.line_writer import unbuffered
from service.observability.logs import configure_logging
from service.server import serve as serve_gateway
from service.settings import LogFormat, Settings
from service.settings.checks import names_a_store

_NAME_LOOK_UPS: Final = ("UV_THREADPOOL_SIZE", "64")
"""The number of host names that libuv looks up at once, unless the operator says otherwise. With its own 4, a name
server that does not answer about Redis keeps every caller from itch.io too: each look-up of a name that it ignores
takes a thread for as long as the resolver waits, which is seconds."""


@click.command(
    epilog=exit_codes(
        {
            Exit.OK: "stopped by SIGTERM or Ctrl-C",
            Exit.CONFIGURATION: f"{UNUSABLE_CONFIGURATION}, or the address is taken",
        }
    )
)
@config_option
@sandbox_option
@world_option
@click.option(
    "--sandbox-without-key",
    is_flag=True,
    help="Answer from the sandbox where nothing is configured that asks itch.io; for trying it out.",
)
@click.option(
    "--host",
    help="The address to listen on, or several with commas; anything but loopback needs callers.  [default: 127.0.0.1]",
)
@click.option("--port", type=int, help="The port to listen on; 0 takes any free one.  [default: 8080]")
def serve(
    *,
    config: Path | None,
    host: str | None,
    port: int | None,
    sandbox: bool | None,
    sandbox_without_key: bool,
    world: Path | None,
) -> None:
    """Answer questions over HTTP until SIGTERM or Ctrl-C.

    At SIGTERM it goes on answering for the configured `drain_seconds`, then finishes what is under way; Ctrl-C, or a
    second SIGTERM, skips the wait. At SIGHUP it reads the games and callers of its file again, as it does by itself
    within seconds after the file has changed.
    """
    flags = {"host": host, "port": port, "sandbox": sandbox}
    if sandbox_without_key and not names_a_store(read_with(settings_reader(config, flags=flags), require_source=False)):
        flags["sandbox"] = True
    reader = settings_reader(config, flags=flags)
    settings = read_with(reader)
    content = read_world_of(world, settings)
    stream = unbuffered(sys.stdout)
    log = configure_logging(
        settings.log.level,
        settings.log.format or (LogFormat.CONSOLE if stream.isatty() else LogFormat.JSON),
        sandbox=settings.sandbox,
        stream=stream,
        clock=SystemClock(),
    )

    def started(gateway: Gateway, base_url: str) -> None:
        _greet(settings, gateway, base_url, own_world=content is not None)

    os.environ.setdefault(*_NAME_LOOK_UPS)  # libuv reads it when the first name is looked up
    try:
        run(serve_gateway(settings, log=log, started=started, reader=reader, world=content))
    except SettingsError as error:
        give_up(error)
    finally:
        log.close()


def _greet(settings: Settings, gateway: Gateway, base_url: str, *, own_world: bool) -> None:
    """Say where it answers and, in the sandbox, what to ask; on stderr, where no log collector listens."""
    lines = [f"The ownership gateway answers at {base_url} (Ctrl-C stops it)."]
    if own_world:
        lines += [f"\nThis is the sandbox: nothing in it is real. All that is in it: curl -sS {base_url}/sandbox/world"]
    elif gateway.sandbox is not None:
        # Only a gateway with a sandbox imports anything of it.
        from service.cli.greeting import curl_lines  # noqa: PLC0415 - see above
        from service.sandbox import seed  # noqa: PLC0415 - see above

        jwt = gateway.sandbox.mint_jwt(seed.OWNER_ID).jwt
        lines += ["\nThis is the sandbox: nothing below is real. Paste into another terminal:\n"]
        lines += [curl_lines(base_url, settings, jwt=jwt)]
    with suppress(OSError, ValueError):  # a full disk, a reader that is gone: no reason not to serve
        click.echo("\n".join(lines), err=True)
