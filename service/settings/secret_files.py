"""Secrets from files, as orchestrators mount them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from service.errors import SettingsError
from service.secret import SellerKey
from service.settings.mistakes import Mistakes
from service.settings.schema import SECRET_FILES
from service.settings.values import Given, Misfit, convert

_LARGEST: Final = 64 * 1024
"""Bytes; no secret is longer, and a device given by mistake never ends."""


def read_seller_key(path: Path) -> SellerKey:
    """Return the API key that the file holds now. Raises `SettingsError` when it holds none."""
    name = "the API key file"
    try:
        text = _read(path, name)
        key: SellerKey = convert(Given(text, written=name, textual=True), SellerKey)
    except Misfit as misfit:
        raise SettingsError([str(misfit)]) from None
    return key


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
            secrets[key] = Given(_read(path, file.written), written=file.written, textual=True)
        except Misfit as misfit:
            mistakes.add(str(misfit), unusable=key)
    return secrets


def _read(path: Path, written: str) -> str:
    # The path is not repeated: often enough it is the secret itself, in the wrong setting.
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as error:
        raise Misfit(f"{written} cannot be used: reading the file fails: {error.strerror}") from None
    if len(raw) > _LARGEST:
        raise Misfit(f"{written} cannot be used: the file is larger than {_LARGEST} bytes")
    try:
        text = raw.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise Misfit(f"{written} cannot be used: the file is not UTF-8 text") from None
    if not text:
        raise Misfit(f"{written} cannot be used: the file is empty")
    return text
