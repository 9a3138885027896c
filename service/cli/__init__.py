"""The command line. Each command is a module of its own; the exit codes are in `exits`."""

import click

from service.cli.commands import Commands
from service.cli.exits import UNUSABLE_CONFIGURATION, Exit, exit_codes


@click.group(
    cls=Commands,
    summaries={
        "serve": "Answer questions over HTTP until SIGTERM or Ctrl-C.",
        "verify": "Ask one question from this terminal.",
        "doctor": "Check the key, its scopes and games, the clock and Redis.",
        "games": "List the games of the seller's key.",
        "sandbox": "Serve the sandbox alone: a stand-in for itch.io.",
        "new-caller": "Make a token for a game server, and its configuration.",
        "new-pass-key": "Make a private key that signs passes.",
        "invalidate": "Have a running gateway forget a player, or a whole game.",
        "override": "Let one player in for a while, or keep it out, at a running gateway.",
        "why": "Say why a player is let in or not, at a running gateway.",
        "openapi": "Print the description of the API in OpenAPI 3.1.",
        "check-config": "Read the configuration as `serve` would, and show it.",
    },
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=exit_codes(
        {
            Exit.OK: "done; the player may be let in; nothing is wrong",
            Exit.NO: "the answer is no; something is wrong",
            Exit.UNKNOWN: "there was no usable answer; ask again later",
            Exit.CONFIGURATION: UNUSABLE_CONFIGURATION,
        }
    ),
)
@click.version_option(package_name="ownership-gateway")
def main() -> None:
    """Does this player own the game on itch.io? Ask, or serve the answer to game servers."""
