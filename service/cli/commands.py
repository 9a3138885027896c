"""Commands that are imported when they are used: help and configuration need nothing of the server."""

import os
from collections.abc import Mapping
from importlib import import_module

import click

from service.cli.exits import Exit


class Commands(click.Group):
    """A group of commands by name, each with its one-line help. `serve` is `serve` of the module `service.cli.serve`.

    Ctrl-C ends every command quietly. Colours are for terminals, and not for those who set NO_COLOR.
    """

    def __init__(self, *, summaries: Mapping[str, str], **attributes: object) -> None:
        super().__init__(**attributes)  # type: ignore[arg-type]  # handed on as they are
        self._summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names, in the order in which a newcomer needs them."""
        return list(self._summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's
        """Return a command, importing what it needs; None where there is none of that name."""
        if cmd_name not in self._summaries:
            return None
        attribute = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"{__package__}.{attribute}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """List the commands; click's own way would import them all."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run the command that was asked for."""
        if os.environ.get("NO_COLOR"):  # https://no-color.org
            ctx.color = False
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):
            ctx.exit(Exit.INTERRUPTED)
