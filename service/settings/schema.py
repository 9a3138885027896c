"""Which settings there are, read off the structs, so that no second list can disagree with them."""

from typing import Final, TypeGuard, get_origin

from msgspec import Struct, structs

from service.settings.callers import CallerSettings
from service.settings.games import GameSettings
from service.settings.model import Settings


def fields_of(struct: type[Struct]) -> dict[str, structs.FieldInfo]:
    """Return the single values of a struct by the key the operator writes; not its groups and lists of tables."""
    return {
        field.encode_name: field
        for field in structs.fields(struct)
        if not is_group(field.type) and get_origin(field.type) is not tuple
    }


def is_group(kind: object) -> TypeGuard[type[Struct]]:
    """Whether settings stand below this one."""
    return isinstance(kind, type) and issubclass(kind, Struct)


GROUPS: Final[dict[str, type[Struct]]] = {
    field.encode_name: field.type for field in structs.fields(Settings) if is_group(field.type)
}
"""What stands in a table of its own, once."""

SINGLE: Final[dict[str, structs.FieldInfo]] = fields_of(Settings) | {
    f"{group}.{key}": field for group, struct in GROUPS.items() for key, field in fields_of(struct).items()
}
"""Every setting that exists once, by its dotted key; these the environment can set."""

GAME: Final = {key: field for key, field in fields_of(GameSettings).items() if key != "slug"}
"""What can stand in a game's table, whose name is the slug."""

CALLER: Final = fields_of(CallerSettings)
"""What can stand in a caller's table."""

SECRET_FILES: Final[dict[str, str]] = {key.removesuffix("_file"): key for key in SINGLE if key.endswith("_file")}
"""The key of each secret, and the key that names a file with it."""
