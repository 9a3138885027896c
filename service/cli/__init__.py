"""The command line. Each command is a module of its own; the exit codes are in `exits`."""

import click

from service.cli.serve import serve


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="ownership-gateway")
def main() -> None:
    """Does this player own the game on itch.io? Ask, or serve the answer to game servers."""


main.add_command(serve)
