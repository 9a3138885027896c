"""Settings as they stand in environment variables, the TOML file, files of secrets, and flags."""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import FieldInfo

from service.secret_text import UnusableText, read_pem, read_secret
from service.secret_text import shown as shown_path
from service.settings.conversion import Misfit, Mistakes, RawValue, convert, shown
from service.settings.model import (
    CALLER,
    GAME,
    GROUPS,
    OIDC,
    POLICY,
    SECRET_FILES,
    SECRET_FILES_OF_GAME,
    SINGLE,
    Settings,
    fields_of,
)
from service.settings.toml_text import parse_toml

# Environment variables.

_PREFIX: Final = "OWNERSHIP_GATEWAY_"

CONFIG: Final = f"{_PREFIX}CONFIG"
"""The variable that names the TOML file."""


def variable(key: str) -> str:
    """Return the environment variable that sets a dotted key."""
    return _PREFIX + key.replace(".", "__").upper()


_KEYS: Final = {variable(key): key for key in SINGLE}

_ONLY_IN_TOML: Final = {
    "GAMES": "games stand in the TOML file only, as [games.<slug>]",
    "CALLERS": "callers stand in the TOML file only, as [[callers]]",
    "FORWARD_AUTH": "policies stand in the TOML file only, as [forward_auth.<policy>]",
    "OIDC": "issuers stand in the TOML file only, as [[oidc]]",
}


def read_environment(environ: Mapping[str, str], mistakes: Mistakes) -> dict[str, RawValue]:
    """Return the values of variables with our prefix. An empty variable sets nothing, as Compose and Helm expect."""
    given: dict[str, RawValue] = {}
    for name, text in sorted(environ.items()):
        if not name.upper().startswith(_PREFIX) or name == CONFIG or _is_service_link(name, environ):
            continue
        if name not in _KEYS:
            mistakes.add(_unknown(name))
        elif text:
            given[_KEYS[name]] = RawValue(text, written=name, textual=True)
    return given


def _unknown(name: str) -> str:
    first = name.upper().removeprefix(_PREFIX).split("__")[0]
    if first in _ONLY_IN_TOML:
        return f"{_printable(name)} cannot be set: {_ONLY_IN_TOML[first]}"
    # Without the prefix: it is so long that every name would resemble every other.
    known = [known.removeprefix(_PREFIX) for known in [*_KEYS, CONFIG]]
    meant = did_you_mean(name.upper().removeprefix(_PREFIX), known)
    return unknown(_printable(name), _PREFIX + meant if meant else None)


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)


_HOST_OF_SERVICE: Final = "_SERVICE_HOST"

_REST_OF_LINK: Final = re.compile(
    r"_SERVICE_HOST|_SERVICE_PORT(_[A-Z0-9_]+)?|_PORT|_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?"
)

_TARGET_OF_LINK: Final = re.compile("(tcp|udp|sctp)://")


def _is_service_link(name: str, environ: Mapping[str, str]) -> bool:
    """Whether Kubernetes made the variable, because a Service of the namespace has a name like ours.

    For a Service `ownership-gateway` every pod gets `OWNERSHIP_GATEWAY_PORT=tcp://10.0.0.7:8080` and more, unless its
    spec says `enableServiceLinks: false`.
    https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
    """
    services = [one.removesuffix(_HOST_OF_SERVICE) for one in environ if one.endswith(_HOST_OF_SERVICE)]
    if not any(name.startswith(one) and _REST_OF_LINK.fullmatch(name, len(one)) for one in services):
        return False
    return name not in _KEYS or _TARGET_OF_LINK.match(environ[name]) is not None


# Flags of the command line.


def read_flags(flags: Mapping[str, object], mistakes: Mistakes) -> dict[str, RawValue]:
    """Return the values of flags that were used, by the dotted keys of their settings."""
    given: dict[str, RawValue] = {}
    for key, value in flags.items():
        flag = "--" + key.replace(".", "-").replace("_", "-")
        if key not in SINGLE:
            mistakes.add(unknown(flag, did_you_mean(key, SINGLE)))
        elif value is not None:
            given[key] = RawValue(value, written=flag, textual=True)
    return given


# The TOML file.

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POSITION: Final = re.compile(r"\(at (line \d+, column \d+|end of document)\)\Z")
_TABLES: Final = ("games", "callers", "forward_auth", "oidc")


class RawTable:
    """One game, caller, policy or issuer as it stands in the file, without what is no setting.

    `where` is its name in mistakes.
    """

    def __init__(self, key: str, where: str, table: Mapping[str, Any], *, file_name: str) -> None:
        self.key = key
        self.where = where
        self.table = table
        self._file_name = file_name

    def with_values(self, table: Mapping[str, Any]) -> "RawTable":
        """Return it with other values."""
        return RawTable(self.key, self.where, table, file_name=self._file_name)

    def values(self) -> dict[str, RawValue]:
        """Return each value with its name in mistakes."""
        return {
            key: RawValue(value, written=f"{self.where}.{key} in {self._file_name}", textual=False)
            for key, value in self.table.items()
        }


class TomlFile:
    """The contents of the file: settings that exist once, and the tables of games, callers, policies and issuers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.single: dict[str, RawValue] = {}
        self.games: list[RawTable] = []
        self.callers: list[RawTable] = []
        self.policies: list[RawTable] = []
        self.issuers: list[RawTable] = []

    @property
    def is_empty(self) -> bool:
        """Whether no setting stands in it."""
        return not (self.single or self.games or self.callers or self.policies or self.issuers)


class FileContent(Struct, frozen=True):
    """The bytes of the configuration file, or None and why they cannot be read."""

    path: Path
    content: bytes | None
    why: str = ""


def read_content(path: Path) -> FileContent:
    """Return what the file holds. Never fails."""
    try:
        return FileContent(path, path.read_bytes())
    except OSError as error:
        return FileContent(path, None, error.strerror or "it fails")


def read_toml(file: FileContent, mistakes: Mistakes) -> TomlFile | None:
    """Return what the file says; None when that cannot be known because it is no TOML."""
    document = _parse(file, mistakes)
    return None if document is None else _Reader(file.path.name, mistakes).read(document)


def _parse(file: FileContent, mistakes: Mistakes) -> dict[str, Any] | None:
    name = file.path.name
    if file.content is None:
        mistakes.add(f"the configuration file {str(file.path)!r} cannot be read: {file.why}")
        return None
    try:
        # Some editors begin a UTF-8 file with a byte order mark.
        return parse_toml(file.content.decode("utf-8-sig"))
    except UnicodeDecodeError:
        mistakes.add(f"{name} is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        # Only the position: the parser's own words may repeat what stands there.
        position = _POSITION.search(str(error))
        mistakes.add(f"{name} is not TOML{f': look at {position[1]}' if position else ''}")
    except (ValueError, RecursionError):
        mistakes.add(f"{name} holds a number too long or a nesting too deep")
    return None


class _Reader:
    def __init__(self, name: str, mistakes: Mistakes) -> None:
        self._file = TomlFile(name)
        self._mistakes = mistakes

    def read(self, document: Mapping[str, Any]) -> TomlFile:
        for key, value in document.items():
            if key == "games":
                self._file.games += self._named(key, value, GAME)
            elif key == "callers":
                self._file.callers += self._listed(key, value, CALLER, expected="one [[callers]] table for each caller")
            elif key == "forward_auth":
                self._file.policies += self._named(key, value, POLICY)
            elif key == "oidc":
                self._file.issuers += self._listed(key, value, OIDC, expected="one [[oidc]] table for each issuer")
            elif key in GROUPS:
                table = self._dict(key, value, unusable=key) or {}
                values = self._values(f"{key}.", table, fields_of(GROUPS[key]), elsewhere=SINGLE)
                self._file.single |= {f"{key}.{name}": given for name, given in values.items()}
            else:
                elsewhere = [*SINGLE, *GROUPS, *_TABLES]
                self._file.single |= self._values("", {key: value}, fields_of(Settings), elsewhere=elsewhere)
        return self._file

    def _named(self, group: str, value: object, known: Mapping[str, object]) -> Iterator[RawTable]:
        """Yield the tables of a group, each of which has a name of its own."""
        for name, item in (self._dict(group, value, unusable=group) or {}).items():
            where = f"{group}.{_quoted(name)}"
            table = self._dict(where, item, unusable=group)
            if table is not None:
                yield self._table(name, where, table, known)

    def _listed(self, group: str, value: object, known: Mapping[str, object], *, expected: str) -> Iterator[RawTable]:
        """Yield the tables of a list, each called by the `name` in it, or else by its number."""
        if not isinstance(value, list):
            self._expect(group, value, expected, unusable=group)
            return
        for number, item in enumerate(value, start=1):
            name = item.get("name") if isinstance(item, dict) and "name" in known else None
            label = name if isinstance(name, str) and _BARE_KEY.fullmatch(name) else f"#{number}"
            where = f"{group}[{label}]"
            table = self._dict(where, item, unusable=group)
            if table is not None:
                yield self._table(label, where, table, known)

    def _dict(self, where: str, value: object, *, unusable: str) -> dict[str, Any] | None:
        if isinstance(value, dict):
            return value
        self._expect(where, value, "a table", unusable=unusable)
        return None

    def _expect(self, where: str, value: object, expected: str, *, unusable: str) -> None:
        kind = "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a single value"
        self._mistakes.add(f"{where} in {self._file.name} is {kind}: expected {expected}", unusable=unusable)

    def _table(self, key: str, where: str, table: Mapping[str, Any], known: Mapping[str, object]) -> RawTable:
        unknown = table.keys() - known.keys()
        if unknown:
            self._values(f"{where}.", {name: table[name] for name in table if name in unknown}, known)
            table = {name: value for name, value in table.items() if name not in unknown}
        return RawTable(key, where, table, file_name=self._file.name)

    def _values(
        self, prefix: str, table: Mapping[str, Any], known: Iterable[str], *, elsewhere: Iterable[str] = ()
    ) -> dict[str, RawValue]:
        """Return the values of the table. An unknown key may be a misspelt one of `elsewhere`, dotted keys."""
        given: dict[str, RawValue] = {}
        for key, value in table.items():
            written = f"{prefix}{_quoted(key)} in {self._file.name}"
            if key in known:
                given[key] = RawValue(value, written=written, textual=False)
                continue
            names = elsewhere or [prefix + one for one in known]
            self._mistakes.add(unknown(written, did_you_mean(prefix + key, names)))
        return given


def _quoted(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else shown(key)


# Files of secrets, as orchestrators mount them.

_IN_PEM: Final = frozenset({"passes.key"})
"""The secrets that have more than one line."""


def read_secret_files(
    given: Mapping[str, RawValue], mistakes: Mistakes, *, known: Mapping[str, RawValue] | None = None
) -> dict[str, RawValue]:
    """Return the secrets that stand in files, each called by the setting that names its file.

    Those that are `known` are not read again.
    """
    return _read_files(given, SECRET_FILES, SINGLE, mistakes, known=known)


def with_secrets(game: RawTable, mistakes: Mistakes) -> RawTable:
    """Return a game with its secrets, read and taken out of what is around them; without them if one is unusable."""
    given = game.values()
    found = {key: given[key] for key in SECRET_FILES_OF_GAME if key in given}
    before = len(mistakes.lines)
    found |= _read_files(given, SECRET_FILES_OF_GAME, GAME, mistakes, unusable="games")
    secrets: dict[str, object] = {}
    for key, raw in found.items():
        try:
            secrets[key] = convert(raw, GAME[key].type)
        except Misfit as misfit:
            mistakes.add(misfit, unusable="games")
    if len(mistakes.lines) == before:
        return game.with_values({**game.table, **secrets})
    of_secrets = {*SECRET_FILES_OF_GAME, *SECRET_FILES_OF_GAME.values()}
    return game.with_values({key: value for key, value in game.table.items() if key not in of_secrets})


def _read_files(
    given: Mapping[str, RawValue],
    files: Mapping[str, str],
    fields: Mapping[str, FieldInfo],
    mistakes: Mistakes,
    *,
    known: Mapping[str, RawValue] | None = None,
    unusable: str | None = None,
) -> dict[str, RawValue]:
    secrets: dict[str, RawValue] = {}
    for key, file_key in files.items():
        if file_key not in given:
            continue
        file = given[file_key]
        if key in given:
            mistakes.add(f"{given[key].written} and {file.written} are both set: keep one", unusable=unusable or key)
            continue
        if known is not None and key in known:
            secrets[key] = known[key]
            continue
        try:
            path: Path = convert(file, Path)
            read = read_pem if key in _IN_PEM else read_secret
            secrets[key] = _read_secret(path, file.written, fields[key].type, read=read)
        except Misfit as misfit:
            mistakes.add(misfit, unusable=unusable or key)
    return secrets


def _read_secret(path: Path, written: str, kind: object, *, read: Callable[[Path], str]) -> RawValue:
    try:
        secret = RawValue(read(path), written=written, textual=True)
    except UnusableText as unusable:
        raise Misfit(f"{written} cannot be used: {unusable}") from None
    try:
        convert(secret, kind)
    except Misfit as misfit:
        raise Misfit(f"{misfit}, in {shown_path(path)}") from None
    return secret


# Files of others that we depend on.

TRUSTED: Final = "SSL_CERT_FILE"
"""OpenSSL's variable for the certificates that are trusted in place of the system's."""


def check_trusted_certificates(environ: Mapping[str, str], mistakes: Mistakes) -> None:
    """Note where the certificates to be trusted cannot be read: OpenSSL says nothing, and then trusts no server."""
    if TRUSTED not in environ:
        return
    import ssl  # noqa: PLC0415 - few set the variable, and all starts would wait for the import

    path = Path(environ[TRUSTED])
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        mistakes.add(f"{TRUSTED} cannot be used: {shown_path(path)} holds no certificates in PEM format")
    except OSError as error:
        mistakes.add(f"{TRUSTED} cannot be used: reading {shown_path(path)} fails: {error.strerror}")
    except ValueError:
        mistakes.add(f"{TRUSTED} cannot be used: no file has such a name")


# Names that are no setting.

_TELLING: Final = 3
"""Characters; the beginning of a name says nothing when it is shorter."""


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that was probably meant: one that goes on like it, or else resembles it."""
    known = list(known)
    longer = [one for one in known if len(name) >= _TELLING and one.startswith(name)]
    return next(iter(longer or get_close_matches(name, known, n=1)), None)


def unknown(name: str, meant: str | None) -> str:
    """Say that nothing is called so. The value stays out of it: it may be a secret under a misspelt name."""
    return f"{name} is not a setting" + (f"; did you mean {meant}?" if meant else "")
