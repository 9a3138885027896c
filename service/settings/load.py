"""The order in which settings come together.

1. Read the TOML file, the environment and the command line; the later beat the earlier.
2. Read the secrets that stand in files.
3. Convert every value; where one does not fit, note the mistake and go on.
4. Look for contradictions between the settings that are usable.
5. Refuse with every mistake at once, or return.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeAlias

from service.errors import SettingsError
from service.settings import service_checks, table_checks
from service.settings.assembly import assemble
from service.settings.environment import CONFIG, read_environment
from service.settings.mistakes import Mistakes, did_you_mean, unknown
from service.settings.model import SINGLE, Settings
from service.settings.names import Names
from service.settings.secret_files import read_secret_files
from service.settings.toml_file import TomlFile, read_toml
from service.settings.values import Given, Misfit, convert

_NO_FILE: Final = "the TOML file"

_Check: TypeAlias = Callable[[Settings, Names], Iterator[str]]

_CHECKS: Final[tuple[tuple[_Check, set[str]], ...]] = (
    (service_checks.nobody_may_ask_from_afar, {"host", "unix_socket", "callers"}),
    (service_checks.there_is_a_source, {"sandbox"}),
    (service_checks.sandbox_stands_alone, {"sandbox"}),
    (service_checks.base_url_is_safe, {"itch.base_url", "itch.dialect"}),
    (service_checks.redis_is_sealed, {"redis.url", "secret"}),
    (service_checks.secrets_differ, {"itch.api_key", "itch.next_api_key", "secret"}),
    (service_checks.operations_have_a_place, {"host", "port", "unix_socket", "operations.host", "operations.port"}),
    (table_checks.ids_name_one_game, set()),
    (table_checks.grace_outlasts_freshness, set()),
    (table_checks.nobody_is_granted_and_banned, set()),
    (table_checks.callers_differ, set()),
    (table_checks.callers_have_tokens, set()),
    (table_checks.callers_name_games_that_exist, {"games"}),
)
"""Each check, and the settings without which it would find what is not there."""


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
        **_read_flags(overrides or {}, mistakes),
    }

    # 2.
    given |= read_secret_files(given, mistakes)

    # 3.
    settings = assemble(given, file or TomlFile(_NO_FILE), mistakes)

    # 4. Without the file nobody knows what would have stood in it.
    if file is not None:
        waived: set[_Check] = set()
        waived |= set() if require_source else {service_checks.there_is_a_source}
        waived |= set() if require_callers else {service_checks.nobody_may_ask_from_afar}
        names = Names(given, file_name=file.name)
        for check, needs in _CHECKS:
            if check not in waived and mistakes.leave_usable(needs):
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
        path: Path = config_file or convert(Given(named, written=CONFIG, textual=True), Path)
    except Misfit as misfit:
        mistakes.add(str(misfit))
        return None
    return read_toml(path, mistakes)


def _read_flags(overrides: Mapping[str, object], mistakes: Mistakes) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for key, value in overrides.items():
        flag = "--" + key.replace(".", "-").replace("_", "-")
        if key not in SINGLE:
            mistakes.add(unknown(flag, did_you_mean(key, SINGLE)))
        elif value is not None:
            given[key] = Given(value, written=flag, textual=True)
    return given
