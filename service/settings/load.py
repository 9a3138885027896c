"""The order in which settings come together.

1. Read the TOML file, the environment and the command line; the later beat the earlier.
2. Read the secrets that stand in files, and look whether OpenSSL can read the certificates that it is to trust.
3. Convert every value; where one does not fit, note the mistake and go on.
4. Look for contradictions between the settings that are usable.
5. Refuse with every mistake at once, or return.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import FieldInfo, replace

from service.errors import SettingsError
from service.settings.checks import CHECKS, Check, remote_callers_have_tokens, there_is_a_source
from service.settings.conversion import Misfit, Mistakes, RawValue, convert, convert_table, expectation
from service.settings.games import GameSettings
from service.settings.model import (
    CALLER,
    GAME,
    GROUPS,
    OIDC,
    POLICY,
    SECRET_FILES_OF_GAME,
    SINGLE,
    CallerSettings,
    PolicySettings,
    Settings,
    fields_of,
)
from service.settings.names import Names
from service.settings.proofs import MOST_ISSUERS, OidcSettings
from service.settings.sources import (
    CONFIG,
    FileContent,
    RawTable,
    TomlFile,
    check_trusted_certificates,
    read_content,
    read_environment,
    read_flags,
    read_secret_files,
    read_toml,
    with_secrets,
)
from service.settings.values import POLICY as POLICY_NAME
from service.settings.values import POLICY_EXPECTED, SLUG, SLUG_EXPECTED

_NO_FILE: Final = "the TOML file"
_SECRETS_OF_GAME: Final = {*SECRET_FILES_OF_GAME, *SECRET_FILES_OF_GAME.values()}


READ_AGAIN: Final = (
    "games.*",
    "callers[]",
    "forward_auth.*",
    "log.level",
    "the file of itch.api_key_file",
    "the file of itch.next_api_key_file",
    "the file of itch.proxy_file",
    "the file of redis.url_file: user and password",
    "the file of passes.key_file",
    "the file of relay.token_file",
    "the file of games.<slug>.redeem_secret_file",
    "the file of games.<slug>.next_redeem_secret_file",
    "the file of relay.ca_file",
)
"""All that a running gateway reads again, in words for the operator."""


class Reread(Struct, frozen=True):
    """The result of reading the file again.

    `settings` are those that hold from now on; `changed` names what is another among them, and `needs_restart` the
    settings that differ and hold only after a restart.
    """

    settings: Settings
    changed: tuple[str, ...]
    needs_restart: tuple[str, ...]


class SettingsReader:
    """Reads the settings of one process: all at its start, and later, from the same places, what is read again.

    `config_file` beats the environment's word for it. `flags` are those of the command line by their dotted key, None
    where a flag was not used.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        config_file: Path | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> None:
        self._environ = environ
        self._config_file = config_file
        self._flags = flags or {}
        self._outside_file: dict[str, RawValue] = {}
        self._secrets: dict[str, RawValue] = {}
        self.content: FileContent | None = None
        """The file as it was read at start; None where no file is named."""

    def read(self, *, require_source: bool = True, require_callers: bool = True) -> Settings:
        """Return settings without a mistake in them. Raises `SettingsError` with all mistakes otherwise.

        A command that asks no store does without a source, one that does not listen without callers.
        """
        mistakes = Mistakes()

        # 1.
        file = self._read_file(mistakes)
        self._outside_file = {
            **read_environment(self._environ, mistakes),
            **read_flags(self._flags, mistakes),
        }
        given = (file.single if file is not None else {}) | self._outside_file

        # 2.
        self._secrets = read_secret_files(given, mistakes)
        given |= self._secrets
        check_trusted_certificates(self._environ, mistakes)

        # 3.
        settings = _build(given, file or TomlFile(_NO_FILE), mistakes)

        # 4. While the file cannot be read, settings that it may hold must not be reported as missing.
        if file is not None:
            needed: dict[Check, bool] = {there_is_a_source: require_source, remote_callers_have_tokens: require_callers}
            checks = [(check, needs) for check, needs in CHECKS if needed.get(check, True)]
            _check(settings, Names(given, file_name=file.name), checks, mistakes)

        # 5.
        if mistakes.lines:
            raise SettingsError(mistakes.lines)
        return settings

    def read_again(self, content: FileContent, running: Settings) -> Reread:
        """Return what holds from now on. Raises `SettingsError` with all mistakes, whose lines repeat no value.

        The file is checked as a whole, as at a start, and once more beside the settings that stay.
        """
        mistakes = Mistakes(quiet=True)
        file = read_toml(content, mistakes)
        if file is None:
            raise SettingsError(mistakes.lines)
        given = file.single | self._outside_file
        given |= read_secret_files(given, mistakes, known=self._secrets)
        settings = _build(given, file, mistakes)
        names = Names(given, file_name=file.name, quiet=True)
        if file.is_empty:
            mistakes.add(f"{file.name} is empty", unusable="callers")
        if running.callers and not settings.callers and mistakes.leave_usable({"callers"}):
            mistakes.add(f"{file.name} has no [[callers]] any more: without any, everybody may ask; keep one at least")
        if running.games and not settings.games and not file.is_empty and mistakes.leave_usable({"games"}):
            # Without any, all games may be asked about, by the rules of none: a file that was cut must not say that.
            mistakes.add(f"{file.name} has no [games] any more: keep one at least, or restart to go without")
        _check(settings, names, CHECKS, mistakes)
        log = replace(running.log, level=settings.log.level)
        applied = replace(
            running, games=settings.games, callers=settings.callers, forward_auth=settings.forward_auth, log=log
        )
        needs_restart = tuple(_differing(settings, applied))
        if needs_restart and not mistakes.lines:
            _check(applied, names, CHECKS, mistakes)
        if mistakes.lines:
            raise SettingsError(mistakes.lines)
        return Reread(applied, tuple(_changed(running, applied)), needs_restart)

    def _read_file(self, mistakes: Mistakes) -> TomlFile | None:
        """Return what the file holds, nothing where none is named; None when that cannot be known."""
        named = self._environ.get(CONFIG)
        if self._config_file is None and not named:
            return TomlFile(_NO_FILE)
        try:
            path: Path = self._config_file or convert(RawValue(named, written=CONFIG, textual=True), Path)
        except Misfit as misfit:
            mistakes.add(misfit)
            return None
        self.content = read_content(path)
        return read_toml(self.content, mistakes)


def load_settings(
    environ: Mapping[str, str],
    *,
    config_file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    require_source: bool = True,
    require_callers: bool = True,
) -> Settings:
    """Return settings that are read once; see `SettingsReader`."""
    reader = SettingsReader(environ, config_file=config_file, flags=flags)
    return reader.read(require_source=require_source, require_callers=require_callers)


def _check(settings: Settings, names: Names, checks: Iterable[tuple[Check, set[str]]], mistakes: Mistakes) -> None:
    for check, needs in checks:
        if mistakes.leave_usable(needs):
            mistakes.lines.extend(check(settings, names))


def _differing(settings: Settings, applied: Settings) -> Iterator[str]:
    """Yield the dotted keys of the settings that hold from start to end and differ."""
    for group in ("", *GROUPS):
        one, other = (getattr(of, group) if group else of for of in (settings, applied))
        for key, field in fields_of(type(one)).items():
            if getattr(one, field.name) != getattr(other, field.name):
                yield f"{group}.{key}" if group else key
    if settings.oidc != applied.oidc:
        yield "oidc"


def _changed(before: Settings, after: Settings) -> Iterator[str]:
    """Yield the names of games, callers and policies that have come, gone, or are different."""
    if before.log.level != after.log.level:
        yield "log.level"
    yield from _differing_names(_tables(before), _tables(after))


def _tables(settings: Settings) -> dict[str, Struct]:
    games: dict[str, Struct] = {f"games.{game.slug}": game for game in settings.games}
    policies: dict[str, Struct] = {f"forward_auth.{policy.name}": policy for policy in settings.forward_auth}
    return games | {f"callers[{caller.name}]": caller for caller in settings.callers} | policies


def _differing_names(before: dict[str, Struct], after: dict[str, Struct]) -> Iterator[str]:
    yield from (name for name in before | after if before.get(name) != after.get(name))


def _build(given: Mapping[str, RawValue], file: TomlFile, mistakes: Mistakes) -> Settings:
    """Return the settings; where a value does not fit, its default stands in and the mistake is noted.

    A game, a caller or a policy with a mistake in it is left out.
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
        forward_auth=tuple(_policies(file, mistakes)),
        oidc=tuple(_issuers(file, mistakes)),
    )


def _games(file: TomlFile, mistakes: Mistakes) -> Iterator[GameSettings]:
    for raw in file.games:
        # Most games have none, and there may be thousands of games.
        table = with_secrets(raw, mistakes) if raw.table.keys() & _SECRETS_OF_GAME else raw
        game = convert_table(table.table, GameSettings, slug=table.key)
        if game is None:
            _note_misfits(table, GAME, file, mistakes, unusable="games")
        if not re.fullmatch(SLUG, table.key):
            mistakes.add(f"{table.where} in {file.name} is no slug: expected {SLUG_EXPECTED}", unusable="games")
        elif game is not None:
            yield game


def _callers(file: TomlFile, mistakes: Mistakes) -> Iterator[CallerSettings]:
    for table in file.callers:
        caller = convert_table(table.table, CallerSettings)
        if caller is None:
            _note_misfits(table, CALLER, file, mistakes, unusable="callers")
        else:
            yield caller


def _policies(file: TomlFile, mistakes: Mistakes) -> Iterator[PolicySettings]:
    for table in file.policies:
        policy = convert_table(table.table, PolicySettings, name=table.key)
        if policy is None:
            _note_misfits(table, POLICY, file, mistakes, unusable="forward_auth")
        if not re.fullmatch(POLICY_NAME, table.key):
            line = f"{table.where} in {file.name} is no name of a policy: expected {POLICY_EXPECTED}"
            mistakes.add(line, unusable="forward_auth")
        elif policy is not None:
            yield policy


def _issuers(file: TomlFile, mistakes: Mistakes) -> Iterator[OidcSettings]:
    if len(file.issuers) > MOST_ISSUERS:
        mistakes.add(f"{file.name} has {len(file.issuers)} [[oidc]] tables: expected at most {MOST_ISSUERS}")
    for table in file.issuers:
        issuer = convert_table(table.table, OidcSettings)
        if issuer is None:
            _note_misfits(table, OIDC, file, mistakes, unusable="oidc")
        else:
            yield issuer


def _note_misfits(
    table: RawTable, fields: Mapping[str, FieldInfo], file: TomlFile, mistakes: Mistakes, *, unusable: str
) -> None:
    _convert_all(table.values(), fields, mistakes, unusable=unusable)
    for key, field in fields.items():
        if field.required and key not in table.table:
            expected = expectation(field.type)
            mistakes.add(f"{table.where}.{key} in {file.name} is missing: expected {expected}", unusable=unusable)


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
            mistakes.add(misfit, unusable=unusable or key)
    return values


def _attributes(values: Mapping[str, Any], fields: Mapping[str, FieldInfo], prefix: str = "") -> dict[str, Any]:
    return {field.name: values[prefix + key] for key, field in fields.items() if prefix + key in values}
