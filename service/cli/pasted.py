"""Ids as people paste them: what they copy around one is no part of it."""

import re
from typing import Final

import click

from service.credentials import unwrapped

_DIGITS: Final = re.compile(r"-?[0-9]{1,4300}", re.ASCII)
"""More of them Python itself refuses to read; the gateway refuses long before."""


def read_user_id(text: str) -> int:
    """Return the id in a text; its bounds are for the gateway to check. Raises `click.UsageError`."""
    text = unwrapped(text)
    if not _DIGITS.fullmatch(text):
        raise click.UsageError("an itch.io user id is a number")
    return int(text)


class PastedUserId(click.ParamType[int]):
    """The itch.io user id in an option. What is none is not repeated: it may be a key that was pasted there."""

    name = "number"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the id."""
        try:
            return read_user_id(str(value))
        except click.UsageError as error:
            self.fail(error.message, param, ctx)


class PastedId(click.ParamType[str]):
    """An id of the gateway's own, such as that of an override."""

    name = "id"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the id."""
        text = unwrapped(str(value))
        if not text:
            self.fail("expected an id", param, ctx)
        return text
