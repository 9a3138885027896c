"""`sandbox`: the stand-in for itch.io alone, for a gateway in front of it, or for tests of other programs."""

import asyncio
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

import click
from msgspec.structs import replace

from service.cli.configuration import config_option, give_up, read_settings, read_world_of, world_option
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes
from service.clock import SystemClock
from service.errors import SettingsError
from service.event_loop import run
from service.observability.line_writer import unbuffered
from service.observability.logs import Logging, configure_logging
from service.sandbox import seed
from service.sandbox.sandbox_server import SandboxServer
from service.sandbox.state import Sandbox
from service.sandbox.world_content import WorldContent
from service.settings import LogFormat
from service.settings.model import is_loopback

_LARGEST_PORT: Final = 65_535
_THROTTLING: Final = '{"status":429,"retry_after":"7"}'
_ANY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - nothing is bound here


@click.command(
    epilog=exit_codes(
        {
            Exit.OK: "stopped by SIGTERM or Ctrl-C",
            Exit.CONFIGURATION: f"{UNUSABLE_CONFIGURATION}, or the address is taken",
        }
    )
)
@config_option
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, _LARGEST_PORT),
    default=8090,
    show_default=True,
    help="The port to listen on; 0 takes any free one.",
)
@world_option
def sandbox(*, config: Path | None, host: str, port: int, world: Path | None) -> None:
    """Serve the sandbox alone: a stand-in for itch.io, in both dialects, until SIGTERM or Ctrl-C.

    Nothing in it is real: its players, keys and games are the same each time, and every program that reaches it may
    change them and let things go wrong. Prints the settings for a gateway in front of it. Of the configuration only
    `log` counts.
    """
    settings = read_settings(config, require_source=False, require_callers=False)
    content = read_world_of(world, replace(settings, sandbox=True)) or seed.WORLD
    log = configure_logging(
        settings.log.level,
        settings.log.format or (LogFormat.CONSOLE if sys.stdout.isatty() else LogFormat.JSON),
        sandbox=True,
        stream=unbuffered(sys.stdout),
        clock=SystemClock(),
    )
    try:
        run(_serve(host, port, log, content))
    except SettingsError as error:
        give_up(error)
    finally:
        log.close()


async def _serve(host: str, port: int, log: Logging, content: WorldContent) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        server = SandboxServer(Sandbox(clock=SystemClock(), content=content), host=host, port=port)
        try:
            await stack.enter_async_context(server)
        except OSError as error:
            # Python's own words go on in brackets, with the address again.
            why = str(error.strerror or error).partition(" (while ")[0]
            raise SettingsError([f"cannot listen on {host} port {port}: {why}"]) from None
        base_url = _reachable(server.base_url)
        log.logger.info("started", listening=base_url)
        if not is_loopback(host):
            warning = click.style("warning", fg="yellow", bold=True)
            click.echo(f"{warning}: whoever reaches {host} can change this sandbox and break its answers.", err=True)
        click.echo("\n".join(_greeting(base_url)), err=True)
        await stop.wait()
    log.logger.info("stopped")


def _reachable(base_url: str) -> str:
    """Return where to ask from this machine; "any address" is no address to ask."""
    for any_address, loopback in _ANY_ADDRESS.items():
        base_url = base_url.replace(f"//{any_address}:", f"//{loopback}:")
    return base_url


def _greeting(base_url: str) -> Iterator[str]:
    faults = f"{base_url}/sandbox/faults"
    yield f"The sandbox answers at {base_url} as itch.io would (Ctrl-C stops it). Nothing in it is real."
    yield ""
    yield "# settings for a gateway in front of it, as api.itch.io"
    yield from _exports(base_url, "current")
    yield ""
    yield "# or as the older itch.io/api/1"
    yield from _exports(f"{base_url}/api/1", "server-side")
    yield ""
    yield "# its players, keys and JWTs, and what to expect of each"
    yield f"curl -sS {base_url}/sandbox"
    yield ""
    yield "# let it throttle everybody, then be well again"
    yield f"curl -sS -X PUT {faults} -d {shlex.quote(_THROTTLING)}"
    yield f"curl -sS -X DELETE {faults}"


def _exports(base_url: str, dialect: str) -> Iterator[str]:
    yield f"export OWNERSHIP_GATEWAY_ITCH__BASE_URL={base_url}"
    yield f"export OWNERSHIP_GATEWAY_ITCH__DIALECT={dialect}"
    yield f"export OWNERSHIP_GATEWAY_ITCH__API_KEY={seed.SELLER_KEY}"
