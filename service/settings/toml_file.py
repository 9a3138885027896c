"""Settings from the TOML file."""

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from service.settings.mistakes import Mistakes, did_you_mean, unknown
from service.settings.model import CALLER, GAME, GROUPS, SINGLE, Settings, fields_of
from service.settings.values import Given, shown

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_POSITION: Final = re.compile(r"\(at (line \d+, column \d+|end of document)\)\Z")
_TABLES: Final = ("games", "callers")


class Table:
    """One game or one caller as it stands in the file; `where` is what a line calls it."""

    def __init__(self, key: str, where: str) -> None:
        self.key = key
        self.where = where
        self.values: dict[str, Given] = {}


class TomlFile:
    """What stands in the file: settings that exist once, and the tables of games and callers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.single: dict[str, Given] = {}
        self.games: list[Table] = []
        self.callers: list[Table] = []


def read_toml(path: Path, mistakes: Mistakes) -> TomlFile | None:
    """Return what the file holds; None when that cannot be known because it is no TOML."""
    document = _parse(path, mistakes)
    return None if document is None else _Reader(path.name, mistakes).read(document)


def _parse(path: Path, mistakes: Mistakes) -> dict[str, Any] | None:
    try:
        # Some editors begin a UTF-8 file with a byte order mark.
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        mistakes.add(f"the configuration file {str(path)!r} cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        mistakes.add(f"{path.name} is not UTF-8 text")
    except tomllib.TOMLDecodeError as error:
        # Only the position: the parser's own words may repeat what stands there.
        position = _POSITION.search(str(error))
        mistakes.add(f"{path.name} is not TOML{f': look at {position[1]}' if position else ''}")
    except (ValueError, RecursionError):
        mistakes.add(f"{path.name} holds a number too long or a nesting too deep")
    return None


class _Reader:
    def __init__(self, name: str, mistakes: Mistakes) -> None:
        self._file = TomlFile(name)
        self._mistakes = mistakes

    def read(self, document: Mapping[str, Any]) -> TomlFile:
        for key, value in document.items():
            if key == "games":
                self._read_games(value)
            elif key == "callers":
                self._read_callers(value)
            elif key in GROUPS:
                table = self._dict(key, value, unusable=key) or {}
                values = self._values(f"{key}.", table, fields_of(GROUPS[key]), elsewhere=SINGLE)
                self._file.single |= {f"{key}.{name}": given for name, given in values.items()}
            else:
                elsewhere = [*SINGLE, *GROUPS, *_TABLES]
                self._file.single |= self._values("", {key: value}, fields_of(Settings), elsewhere=elsewhere)
        return self._file

    def _read_games(self, value: object) -> None:
        for slug, item in (self._dict("games", value, unusable="games") or {}).items():
            game = Table(slug, f"games.{_quoted(slug)}")
            table = self._dict(game.where, item, unusable="games")
            if table is not None:
                game.values = self._values(f"{game.where}.", table, GAME)
                self._file.games.append(game)

    def _read_callers(self, value: object) -> None:
        if not isinstance(value, list):
            self._expect("callers", value, "one [[callers]] table for each caller", unusable="callers")
            return
        for number, item in enumerate(value, start=1):
            name = item.get("name") if isinstance(item, dict) else None
            label = name if isinstance(name, str) and _BARE_KEY.fullmatch(name) else f"#{number}"
            caller = Table(label, f"callers[{label}]")
            table = self._dict(caller.where, item, unusable="callers")
            if table is not None:
                caller.values = self._values(f"{caller.where}.", table, CALLER)
                self._file.callers.append(caller)

    def _dict(self, where: str, value: object, *, unusable: str) -> dict[str, Any] | None:
        if isinstance(value, dict):
            return value
        self._expect(where, value, "a table", unusable=unusable)
        return None

    def _expect(self, where: str, value: object, expected: str, *, unusable: str) -> None:
        kind = "a list" if isinstance(value, list) else "a table" if isinstance(value, dict) else "a single value"
        self._mistakes.add(f"{where} in {self._file.name} is {kind}: expected {expected}", unusable=unusable)

    def _values(
        self, prefix: str, table: Mapping[str, Any], known: Iterable[str], *, elsewhere: Iterable[str] = ()
    ) -> dict[str, Given]:
        """Return what the table sets. What it does not know was perhaps meant for `elsewhere`, by its dotted key."""
        given: dict[str, Given] = {}
        for key, value in table.items():
            written = f"{prefix}{_quoted(key)} in {self._file.name}"
            if key in known:
                given[key] = Given(value, written=written, textual=False)
                continue
            names = elsewhere or [prefix + one for one in known]
            self._mistakes.add(unknown(written, did_you_mean(prefix + key, names)))
        return given


def _quoted(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else shown(key)
