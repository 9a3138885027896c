"""Settings as a person reads them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec.structs import FieldInfo

from service.secret import Secret
from service.settings.model import CALLER, GAME, GROUPS, Settings, fields_of


def describe(settings: Settings) -> str:
    """Return one line for each setting with the value that applies; of a secret only whether it is set."""
    return "\n".join(f"{key} = {text}" for key, text in _lines(settings))


def rendered(value: object) -> str:
    """Return a value as TOML would have it, `unset` for none, and of a secret only that it is set."""
    match value:
        case None:
            return "unset"
        case Secret():
            return "set"
        case frozenset():
            ordered = sorted(value, key=lambda item: (isinstance(item, str), item))
            return f"[{', '.join(rendered(item) for item in ordered)}]"
        case Path():
            return rendered(str(value))
        case str() if not value.isprintable():
            # Bytes of a path that are not UTF-8.
            return ascii(value)
    return msgspec.json.encode(value).decode()


def _lines(settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _fields("", settings, fields_of(Settings))
    for group, struct in GROUPS.items():
        for key, text in _fields(f"{group}.", getattr(settings, group), fields_of(struct)):
            is_base_url = key == "itch.base_url" and not settings.sandbox
            yield key, rendered(settings.itch.effective_base_url) if is_base_url else text
    for game in settings.games:
        yield from _fields(f"games.{game.slug}.", game, GAME)
    for caller in settings.callers:
        for key, text in _fields(f"callers[{caller.name}].", caller, CALLER):
            yield key, "set" if key.endswith(".token_sha256") else text


def _fields(prefix: str, struct: object, fields: Mapping[str, FieldInfo]) -> Iterator[tuple[str, str]]:
    for key, field in fields.items():
        yield prefix + key, rendered(getattr(struct, field.name))
