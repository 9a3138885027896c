"""`openapi`: the description of the API, for generators of clients and linters."""

import click

from service.api.openapi import describe_api
from service.cli.exits import Exit, exit_codes
from service.cli.terminal import show_json


@click.command(epilog=exit_codes({Exit.OK: "done"}))
def openapi() -> None:
    """Print the description of the API in OpenAPI 3.1.

    It is the one that a running gateway of this version has at `/openapi.json`, and needs no configuration.
    """
    show_json(describe_api())
