"""Secrets from files, as orchestrators mount them."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from service.settings.mistakes import Mistakes
from service.settings.model import SECRET_FILES, SINGLE
from service.settings.values import Given, Misfit, convert

_LARGEST: Final = 64 * 1024
"""Bytes; no secret is longer, and a device given by mistake never ends."""


_PLAIN_PATH: Final = re.compile(r"(?:/[A-Za-z0-9._-]{1,31})+")
"""What may be a path although nothing of it exists, and is no secret: those are longer, or end in `=`."""


def read_secret_files(given: Mapping[str, Given], mistakes: Mistakes) -> dict[str, Given]:
    """Return the secrets that stand in files, each called by the setting that names its file."""
    secrets: dict[str, Given] = {}
    for key, file_key in SECRET_FILES.items():
        if file_key not in given:
            continue
        file = given[file_key]
        if key in given:
            mistakes.add(f"{given[key].written} and {file.written} are both set: keep one", unusable=key)
            continue
        try:
            path: Path = convert(file, Path)
            secrets[key] = _read_secret(path, file.written, SINGLE[key].type)
        except Misfit as misfit:
            mistakes.add(str(misfit), unusable=key)
    return secrets


def _read_secret(path: Path, written: str, kind: object) -> Given:
    secret = Given(_read(path, written), written=written, textual=True)
    try:
        convert(secret, kind)
    except Misfit as misfit:
        raise Misfit(f"{misfit}, in {_shown(path)}") from None
    return secret


def _read(path: Path, written: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise Misfit(f"{written} cannot be used: reading {_shown(path)} fails: {error.strerror}") from None
    if len(raw) > _LARGEST:
        raise Misfit(f"{written} cannot be used: {_shown(path)} is larger than {_LARGEST} bytes")
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Misfit(f"{written} cannot be used: {_shown(path)} is not UTF-8 text") from None
    if not text:
        raise Misfit(f"{written} cannot be used: {_shown(path)} is empty")
    return text


def _shown(path: Path) -> str:
    """Name the file, unless that may be the secret itself, in the wrong setting: often enough it is."""
    parts = [part for part in (path, *path.parents) if part.parent != part]
    # Not `Path.exists`: before Python 3.12 that raises for a name that is longer than any.
    if _PLAIN_PATH.fullmatch(str(path)) or any(os.path.exists(part) for part in parts):  # noqa: PTH110
        return repr(str(path))
    return "the file (its name may be a secret)"
