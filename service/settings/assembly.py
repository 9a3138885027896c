"""From values as they were given to the frozen structs."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec.structs import FieldInfo

from service.settings.mistakes import Mistakes
from service.settings.model import (
    CALLER,
    GAME,
    GROUPS,
    SINGLE,
    SLUG,
    SLUG_EXPECTED,
    CallerSettings,
    GameSettings,
    Settings,
    fields_of,
)
from service.settings.toml_file import Table, TomlFile
from service.settings.values import Given, Misfit, convert, expectation


def assemble(given: Mapping[str, Given], file: TomlFile, mistakes: Mistakes) -> Settings:
    """Return the settings; where a value does not fit, its default stands in and the mistake is noted.

    A game or a caller with a mistake in it is left out.
    """
    values = _convert_all(given, SINGLE, mistakes)
    groups: dict[str, Any] = {
        group: struct(**_attributes(values, fields_of(struct), prefix=f"{group}.")) for group, struct in GROUPS.items()
    }
    return Settings(
        **_attributes(values, fields_of(Settings)),
        **groups,
        games=tuple(_games(file, mistakes)),
        callers=tuple(_callers(file, mistakes)),
    )


def _games(file: TomlFile, mistakes: Mistakes) -> Iterator[GameSettings]:
    for table in file.games:
        values = _entry(table, GAME, file, mistakes, unusable="games")
        if not re.fullmatch(SLUG, table.key):
            mistakes.add(f"{table.where} in {file.name} is no slug: expected {SLUG_EXPECTED}", unusable="games")
        elif values is not None:
            yield GameSettings(slug=table.key, **values)


def _callers(file: TomlFile, mistakes: Mistakes) -> Iterator[CallerSettings]:
    for table in file.callers:
        values = _entry(table, CALLER, file, mistakes, unusable="callers")
        if values is not None:
            yield CallerSettings(**values)


def _entry(
    table: Table, fields: Mapping[str, FieldInfo], file: TomlFile, mistakes: Mistakes, *, unusable: str
) -> dict[str, Any] | None:
    values = _convert_all(table.values, fields, mistakes, unusable=unusable)
    lacking = [key for key, field in fields.items() if field.required and key not in table.values]
    for key in lacking:
        expected = expectation(fields[key].type)
        mistakes.add(f"{table.where}.{key} in {file.name} is missing: expected {expected}", unusable=unusable)
    if lacking or len(values) < len(table.values):
        return None
    return _attributes(values, fields)


def _convert_all(
    given: Mapping[str, Given],
    fields: Mapping[str, FieldInfo],
    mistakes: Mistakes,
    *,
    unusable: str | None = None,
) -> dict[str, Any]:
    values = {}
    for key, one in given.items():
        try:
            values[key] = convert(one, fields[key].type)
        except Misfit as misfit:
            mistakes.add(str(misfit), unusable=unusable or key)
    return values


def _attributes(values: Mapping[str, Any], fields: Mapping[str, FieldInfo], prefix: str = "") -> dict[str, Any]:
    return {field.name: values[prefix + key] for key, field in fields.items() if prefix + key in values}
