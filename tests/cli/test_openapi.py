"""The command that prints the description of the API."""

from service.api.openapi import describe_api
from service.cli.exits import Exit
from tests.cli.terminals import run


def test_it_prints_what_a_gateway_describes() -> None:
    """The same bytes as at `/openapi.json`, without a configuration."""
    result = run("openapi")

    assert (result.exit_code, result.stdout.strip()) == (Exit.OK, describe_api().decode())
