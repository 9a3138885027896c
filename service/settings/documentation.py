"""What the structs say about each setting, so that a test can hold the written documentation to it."""

import ast
import inspect
from collections.abc import Mapping
from itertools import pairwise
from typing import Final

from msgspec import NODEFAULT, Struct
from msgspec.structs import FieldInfo

from service.settings.description import rendered
from service.settings.environment import CONFIG, variable
from service.settings.model import CALLER, GAME, GROUPS, CallerSettings, GameSettings, Settings, fields_of
from service.settings.values import expectation


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
    """Return every setting there is, in the order of the structs, games and callers last."""
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
