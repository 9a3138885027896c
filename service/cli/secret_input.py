"""Credentials from standard input: every user of the machine can read the command line."""

import sys
from typing import Final

import click

from service.api.problems import LARGEST_BODY

CREDENTIALS: Final = {
    "download_key": "Download key or URL",
    "jwt": "JWT",
    "access_token": "Access token",
    "email": "E-mail address",
}
"""The fields of questions whose values must not stand in the command line, and their names for a person."""


def read_credential(name: str) -> str:
    """Return the text of standard input, without the end of its line; ask for it, unseen, if it is a terminal."""
    text: str = click.prompt(name, hide_input=True, err=True) if sys.stdin.isatty() else _piped(name)
    return text


def _piped(name: str) -> str:
    # One byte more than any question may have: the gateway then says itself that it is too much.
    raw = sys.stdin.buffer.read(LARGEST_BODY + 1)
    try:
        text: str = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise click.UsageError("standard input is not UTF-8 text") from None
    if not text:
        raise click.UsageError(f"standard input holds nothing: expected there: {name}")
    return text
