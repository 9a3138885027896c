"""The text of the mail that brings a code: the operator's, or one in English."""

from pathlib import Path
from typing import Final

from msgspec import Struct

from service.secret_text import UnusableText, read_text, shown

_LARGEST: Final = 8 * 1024
_LONGEST_SUBJECT: Final = 200

_ENGLISH: Final = """{code} is your code for {game}
Your code is {code}

Type it where you were asked for it, within {minutes} minutes. It shows that this address is yours.
If you have not asked for it, somebody has typed your address by mistake: you need not do anything.
"""


class MailText(Struct, frozen=True):
    """A subject and a body with `{code}`, `{game}` and `{minutes}` in them."""

    subject: str
    body: str

    def filled(self, *, code: str, game: str, minutes: int) -> "MailText":
        """Return the text of one mail."""

        def fill(text: str) -> str:
            return text.replace("{code}", code).replace("{game}", game).replace("{minutes}", str(minutes))

        return MailText(fill(self.subject), fill(self.body))

    def __repr__(self) -> str:
        return "MailText(***)"


def read_mail_text(path: Path | None) -> MailText:
    """Return the text in a file, whose first line is the subject; without one ours.

    Raises `UnusableText` with a reason that names the file.
    """
    if path is None:
        return _split(_ENGLISH)
    return _split(read_text(path, largest=_LARGEST).removeprefix("\ufeff"), name=shown(path))


def _split(text: str, *, name: str = "") -> MailText:
    subject, _, body = text.replace("\r\n", "\n").strip().partition("\n")
    if not subject.isprintable() or not 0 < len(subject) <= _LONGEST_SUBJECT:
        raise UnusableText(f"the first line of {name}, the subject, is none of 1 to {_LONGEST_SUBJECT} characters")
    if "{code}" not in body or "\0" in body:
        raise UnusableText(f"{name} has no {{code}} below its first line")
    return MailText(subject, f"{body.strip()}\n")
