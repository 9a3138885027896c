"""The order in which settings come together.

1. Read the TOML file, the environment and the command line; the later beat the earlier.
2. Read the secrets that stand in files, and look whether OpenSSL can read the certificates that it is to trust.
3. Convert every value; where one does not fit, note the mistake and go on.
4. Look for contradictions between the settings that are usable.
5. Refuse with every mistake at once, or return.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec.structs import FieldInfo

from service.errors import SettingsError
from service.settings.checks import CHECKS, Check, Names, remote_callers_have_tokens, there_is_a_source
from service.settings.conversion import Misfit, Mistakes, RawValue, convert, expectation
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
from service.settings.sources import (
    CONFIG,
    RawTable,
    TomlFile,
    check_trusted_certificates,
    read_environment,
    read_flags,
    read_secret_files,
    read_toml,
)

_NO_FILE: Final = "the TOML file"


def load_settings(
    environ: Mapping[str, str],
    *,
    config_file: Path | None = None,
    overrides: Mapping[str, object] | None = None,
    require_source: bool = True,
    require_callers: bool = True,
) -> Settings:
    """Return settings without a mistake in them. Raises `SettingsError` with all mistakes otherwise.

    `config_file` beats the environment's word for it. `overrides` are command-line flags by their dotted key, None
    where a flag was not used. A command that asks no store does without a source, one that does not listen without
    callers.
    """
    mistakes = Mistakes()

    # 1.
    file = _read_file(environ, config_file, mistakes)
    given = {
        **(file.single if file is not None else {}),
        **read_environment(environ, mistakes),
        **read_flags(overrides or {}, mistakes),
    }

    # 2.
    given |= read_secret_files(given, mistakes)
    check_trusted_certificates(environ, mistakes)

    # 3.
    settings = _build(given, file or TomlFile(_NO_FILE), mistakes)

    # 4. While the file cannot be read, settings that it may hold must not be reported as missing.
    if file is not None:
        needed: dict[Check, bool] = {there_is_a_source: require_source, remote_callers_have_tokens: require_callers}
        names = Names(given, file_name=file.name)
        for check, needs in CHECKS:
            if needed.get(check, True) and mistakes.leave_usable(needs):
                mistakes.lines.extend(check(settings, names))

    # 5.
    if mistakes.lines:
        raise SettingsError(mistakes.lines)
    return settings


def _read_file(environ: Mapping[str, str], config_file: Path | None, mistakes: Mistakes) -> TomlFile | None:
    """Return what the file holds, nothing where none is named; None when that cannot be known."""
    named = environ.get(CONFIG)
    if config_file is None and not named:
        return TomlFile(_NO_FILE)
    try:
        path: Path = config_file or convert(RawValue(named, written=CONFIG, textual=True), Path)
    except Misfit as misfit:
        mistakes.add(str(misfit))
        return None
    return read_toml(path, mistakes)


def _build(given: Mapping[str, RawValue], file: TomlFile, mistakes: Mistakes) -> Settings:
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
    table: RawTable, fields: Mapping[str, FieldInfo], file: TomlFile, mistakes: Mistakes, *, unusable: str
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
    given: Mapping[str, RawValue],
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
