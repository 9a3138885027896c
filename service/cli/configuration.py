"""The first step of all commands: read the configuration, or print each mistake in it in one line."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from service.cli.exits import Exit
from service.errors import SettingsError
from service.settings import Settings, SettingsReader

if TYPE_CHECKING:
    from service.sandbox.world_content import WorldContent

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The TOML file with the configuration; environment variables beat it.",
)

sandbox_option = click.option(
    "--sandbox", is_flag=True, default=None, help="Answer from the built-in sandbox instead of itch.io."
)

world_option = click.option(
    "--world",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A JSON file with the sandbox's own players, games, keys and purchases, as GET /sandbox/world gives it.",
)


def read_world_of(file: Path | None, settings: Settings) -> "WorldContent | None":
    """Return the world in the file, beside the configured games; on any mistake end the process, with a line each."""
    if file is None:
        return None
    if not settings.sandbox:
        give_up(SettingsError(["--world goes with --sandbox: the store of a real key has a world already"]))
    from service.sandbox.world_file import read_world  # noqa: PLC0415 - few are a sandbox

    try:
        return read_world(file, configured={int(game.id) for game in settings.games})
    except SettingsError as error:
        give_up(error)


def read_settings(
    config: Path | None,
    *,
    flags: Mapping[str, object] | None = None,
    require_source: bool = True,
    require_callers: bool = True,
) -> Settings:
    """Return the settings; on any mistake end the process, with a line for each."""
    reader = settings_reader(config, flags=flags)
    return read_with(reader, require_source=require_source, require_callers=require_callers)


def settings_reader(config: Path | None, *, flags: Mapping[str, object] | None = None) -> SettingsReader:
    """Return what reads the settings, now and later."""
    return SettingsReader(os.environ, config_file=config, flags=flags)


def read_with(reader: SettingsReader, *, require_source: bool = True, require_callers: bool = True) -> Settings:
    """Return the settings; on any mistake end the process, with a line for each."""
    try:
        return reader.read(require_source=require_source, require_callers=require_callers)
    except SettingsError as error:
        give_up(error)


def load(
    config: Path | None,
    *,
    flags: Mapping[str, object] | None = None,
    require_source: bool = True,
    require_callers: bool = True,
) -> Settings:
    """Return the settings. Raises `SettingsError`."""
    reader = settings_reader(config, flags=flags)
    return reader.read(require_source=require_source, require_callers=require_callers)


def give_up(error: SettingsError) -> NoReturn:
    """End the process over a configuration that cannot be used, with a line for each mistake."""
    with suppress(OSError, ValueError):  # the exit code is right also where nothing can be said
        for mistake in error.mistakes:
            click.echo(f"{click.style('error', fg='red', bold=True)}: {mistake}", err=True)
    sys.exit(Exit.CONFIGURATION)
