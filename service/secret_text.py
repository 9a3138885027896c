"""The text of a secret in a file, a variable or the configuration, at start and whenever it is read again.

What editors, shells and orchestrators leave around a secret is taken off where it cannot be part of it: white space,
and what takes no space at all, as a byte order mark. What may be part of it, and hardly ever is, is refused: quotes
around it, `NAME=` before it, and inside it what cannot be seen.
"""

import os
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final

KEY_EXPECTED: Final = "printable ASCII without spaces"
"""Completes the sentence "expected ..." for keys and tokens."""

PROXY_EXPECTED: Final = "http://[user:password@]host:port, and nothing after it"
"""Completes the sentence "expected ..." for proxies."""

_SHORTEST_REDEEM_SECRET: Final = 16
REDEEM_EXPECTED: Final = f"at least {_SHORTEST_REDEEM_SECRET} characters of text"
"""Completes the sentence "expected ..." for the secrets of redeem tokens."""

_LARGEST: Final = 64 * 1024
"""Bytes; no secret is longer, and a device given by mistake never ends."""

_LAST_PORT: Final = 65_535
_QUOTES: Final = ('"', "'", "`")
_FORMAT: Final = "Cf"
"""Unicode's category of marks that take no space: byte order marks, zero-width spaces, turns of direction."""

_INVISIBLE: Final = frozenset({_FORMAT, "Cc", "Zl", "Zp"})
"""Those and control characters, line and paragraph separators."""

_NAMED: Final = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_.-]*\s*=\s*[^=\s]")
"""A line of a shell or of an environment file. Base64 ends in `=` or `==` and is none."""
_NAME_ALONE: Final = re.compile(r"(?:export\s+)?[A-Z](?:[A-Z0-9]{0,11}|[A-Z0-9]*_[A-Z0-9_]*)\s*=")
"""Such a line without a value. Base32 ends in `=`, too, but is longer, and has no `_`."""
_KEY: Final = re.compile(r"[!-~]+")
_ENCODED: Final = r"[A-Za-z0-9._~!$&'()*+,;=%-]+"
_PROXY: Final = re.compile(
    rf"http://(?:{_ENCODED}:{_ENCODED}@)?(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{{1,5}})/?"
)
_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._-]{1,31})+")
"""Paths that may be named although they do not exist: secrets are longer, or end in `=`."""


class UnusableText(ValueError):  # noqa: N818 - it names what the text is
    """Text that cannot be a secret. The message says what is wrong with it, and never repeats it."""


def cleaned(text: str) -> str:
    """Return the secret in a text. Raises `UnusableText` if what is left cannot be one."""
    text = stripped(text)
    if text and text[0] in _QUOTES and text[0] == text[-1]:
        raise UnusableText("it has quotes around it: leave only the secret")
    if _NAMED.match(text) or _NAME_ALONE.fullmatch(text):
        raise UnusableText("a name and = stand before it: leave only the secret")
    if any(unicodedata.category(char) in _INVISIBLE for char in text):
        raise UnusableText("it has more than one line, or characters in it that cannot be seen")
    return text


def stripped(text: str) -> str:
    """Return the text without white space and marks that take no space around it."""
    kept = [at for at, char in enumerate(text) if not char.isspace() and unicodedata.category(char) != _FORMAT]
    return text[kept[0] : kept[-1] + 1] if kept else ""


def is_key(text: str) -> bool:
    """Whether the text can be a key or a token, which travel in a header."""
    return _KEY.fullmatch(text) is not None


def is_proxy_url(text: str) -> bool:
    """Whether the text is the URL of a proxy; user and password are percent-encoded."""
    found = _PROXY.fullmatch(text)
    return found is not None and 1 <= int(found["port"]) <= _LAST_PORT


def is_redeem_secret(text: str) -> bool:
    """Whether the text can be a secret that itch.io signs redeem tokens with."""
    # Lone surrogates, which no hash takes, cannot be printed.
    return len(text) >= _SHORTEST_REDEEM_SECRET and text.isprintable()


def read_secret(path: Path) -> str:
    """Return the secret in a file. Raises `UnusableText` with a reason that names the file."""
    return _read(path, cleaned)


def read_pem(path: Path) -> str:
    """Return the text of a file in PEM, which has many lines. Raises `UnusableText` with a reason that names it."""
    return _read(path, stripped)


def read_text(path: Path, *, largest: int) -> str:
    """Return the UTF-8 text of a file of so many bytes at most. Raises `UnusableText` with a reason that names it."""
    name = shown(path)
    try:
        with path.open("rb") as file:
            raw = file.read(largest + 1)
    except OSError as error:
        raise UnusableText(f"reading {name} fails: {error.strerror}") from error
    if len(raw) > largest:
        raise UnusableText(f"{name} is larger than {largest} bytes")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise UnusableText(f"{name} is not UTF-8 text") from None


def _read(path: Path, clean: Callable[[str], str]) -> str:
    text = read_text(path, largest=_LARGEST)
    try:
        text = clean(text)
    except UnusableText as unusable:
        raise UnusableText(f"{unusable}, in {shown(path)}") from None
    if not text:
        raise UnusableText(f"{shown(path)} is empty")
    return text


def read_key(path: Path) -> str:
    """Return the key in a file. Raises `UnusableText` with a reason that names the file."""
    text = read_secret(path)
    if not is_key(text):
        raise UnusableText(f"expected {KEY_EXPECTED}, in {shown(path)}")
    return text


def read_redeem_secret(path: Path) -> str:
    """Return the secret of redeem tokens in a file. Raises `UnusableText` with a reason that names the file."""
    text = read_secret(path)
    if not is_redeem_secret(text):
        raise UnusableText(f"expected {REDEEM_EXPECTED}, in {shown(path)}")
    return text


def read_proxy_url(path: Path) -> str:
    """Return the URL of the proxy in a file. Raises `UnusableText` with a reason that names the file."""
    text = read_secret(path)
    if not is_proxy_url(text):
        raise UnusableText(f"expected {PROXY_EXPECTED}, in {shown(path)}")
    return text


def shown(path: Path) -> str:
    """Name the file, unless that may be the secret itself, in the wrong setting: often enough it is."""
    parts = [part for part in (path, *path.parents) if part.parent != part]
    # Not `Path.exists`: before Python 3.12 that raises for a name that is longer than any.
    if _PLAIN_PATH.fullmatch(str(path)) or any(os.path.exists(part) for part in parts):  # noqa: PTH110
        return repr(str(path))
    return "the file (its name may be a secret)"
