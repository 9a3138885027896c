"""The first step of all commands: read the configuration, or print each mistake in it in one line."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import click

from service.cli.exits import Exit
from service.errors import SettingsError
from service.settings import Settings, load_settings

config_option = click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The TOML file with the configuration; environment variables beat it.",
)

sandbox_option = click.option(
    "--sandbox", is_flag=True, default=None, help="Answer from the built-in sandbox instead of itch.io."
)


def read_settings(
    config: Path | None,
    *,
    flags: Mapping[str, object] | None = None,
    require_source: bool = True,
    require_callers: bool = True,
) -> Settings:
    """Return the settings; on any mistake end the process, with a line for each."""
    try:
        return load(config, flags=flags, require_source=require_source, require_callers=require_callers)
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
    return load_settings(
        os.environ,
        config_file=config,
        overrides=flags,
        require_source=require_source,
        require_callers=require_callers,
    )


def give_up(error: SettingsError) -> NoReturn:
    """End the process over a configuration that cannot be used, with a line for each mistake."""
    with suppress(OSError, ValueError):  # the exit code is right also where nothing can be said
        for mistake in error.mistakes:
            click.echo(f"{click.style('error', fg='red', bold=True)}: {mistake}", err=True)
    sys.exit(Exit.CONFIGURATION)
