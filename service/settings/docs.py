"""Settings as people read them: the values that apply, and the documentation of each setting."""

import ast
import inspect
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Final

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo

from service.secret import Secret
from service.settings.conversion import expectation
from service.settings.games import GameSettings
from service.settings.model import (
    CALLER,
    GAME,
    GROUPS,
    OIDC,
    POLICY,
    CallerSettings,
    PolicySettings,
    Settings,
    fields_of,
)
from service.settings.proofs import OidcSettings
from service.settings.sources import CONFIG, variable


def describe(settings: Settings) -> str:
    """Return one line for each setting with the value that applies; of a secret only whether it is set."""
    return "\n".join(f"{key} = {text}" for key, text in _lines(settings))


def rendered(value: object) -> str:
    """Return a value as TOML would have it, `unset` for none, and of a secret only that it is set."""
    match value:
        case None:
            text = "unset"
        case Secret():
            text = "set"
        case (single,):
            text = rendered(single)
        case tuple():
            text = f"[{', '.join(rendered(item) for item in value)}]"
        case frozenset() if any(isinstance(item, Secret) for item in value):
            text = "set"
        case frozenset():
            ordered = sorted(value, key=lambda item: (isinstance(item, str), item))
            text = f"[{', '.join(rendered(item) for item in ordered)}]"
        case Path():
            text = rendered(str(value))
        case str() if not value.isprintable():
            # Bytes of a path that are not UTF-8.
            text = ascii(value)
        case _:
            text = msgspec.json.encode(value).decode()
    return text


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
    for policy in settings.forward_auth:
        yield from _fields(f"forward_auth.{policy.name}.", policy, POLICY)
    for number, issuer in enumerate(settings.oidc, start=1):
        yield from _fields(f"oidc[#{number}].", issuer, OIDC)


def _fields(prefix: str, struct: object, fields: Mapping[str, FieldInfo]) -> Iterator[tuple[str, str]]:
    for key, field in fields.items():
        yield prefix + key, rendered(getattr(struct, field.name))


class SettingDoc(Struct, frozen=True, kw_only=True):
    """One setting as its documentation describes it; `env` or `toml` is None where it cannot be set there."""

    env: str | None
    toml: str | None
    type: str
    default: str
    doc: str


_CONFIG: Final = SettingDoc(
    env=CONFIG,
    toml=None,
    type="a path",
    default="unset",
    doc="The TOML file with the rest of the configuration; `--config` beats it. Default: unset, none is read.",
)


def documented_settings() -> list[SettingDoc]:
    """Return every setting there is, in the order of the structs, the tables of the file last."""
    return [
        _CONFIG,
        *_documented(Settings, fields_of(Settings), "", in_environment=True),
        *(
            doc
            for group, struct in GROUPS.items()
            for doc in _documented(struct, fields_of(struct), f"{group}.", in_environment=True)
        ),
        *_documented(GameSettings, GAME, "games.<slug>.", in_environment=False),
        *_documented(CallerSettings, CALLER, "callers[].", in_environment=False),
        *_documented(PolicySettings, POLICY, "forward_auth.<policy>.", in_environment=False),
        *_documented(OidcSettings, OIDC, "oidc[].", in_environment=False),
    ]


def _documented(
    struct: type[Struct], fields: Mapping[str, FieldInfo], prefix: str, *, in_environment: bool
) -> list[SettingDoc]:
    docs = _strings_under_fields(struct)
    return [
        SettingDoc(
            env=variable(prefix + key) if in_environment else None,
            toml=prefix + key,
            type=expectation(field.type),
            default="required" if field.default is NODEFAULT else rendered(field.default),
            doc=docs[field.name],
        )
        for key, field in fields.items()
    ]


def _strings_under_fields(struct: type[Struct]) -> dict[str, str]:
    """Return the string under each field of a struct; Python itself forgets them, its source does not."""
    (definition,) = ast.parse(inspect.getsource(struct)).body
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    docs: dict[str, str] = {}
    for field, below in pairwise(body):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split())
    return docs
