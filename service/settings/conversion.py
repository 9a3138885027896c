"""From a value as it was given to a value of its type, or to one line that says what was expected."""

import os
import re
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Any, Final, TypeVar, Union, get_args, get_origin
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import inspect

from service.mail_url import EXPECTED as MAIL_EXPECTED
from service.mail_url import read_mail_url
from service.ownership import Mailbox
from service.secret import (
    HubToken,
    MailUrl,
    PassKeys,
    ProxyUrl,
    RedeemSecret,
    RedisUrl,
    SealingSecret,
    Secret,
    SellerKey,
)
from service.secret_text import (
    KEY_EXPECTED,
    PROXY_EXPECTED,
    REDEEM_EXPECTED,
    UnusableText,
    cleaned,
    is_key,
    is_proxy_url,
    is_redeem_secret,
    stripped,
)

AnyTable = TypeVar("AnyTable", bound=msgspec.Struct)

_SHOWN: Final = 60
"""Characters of a value that a line repeats: enough to recognise it."""

_WIDEST_INTEGER: Final = 64
"""Bits; Python refuses to print the longest integers, which TOML can hold."""


class RawValue:
    """A value as it was given, and in `written` the name of its setting in the operator's words.

    A `textual` value comes from a place that knows text only: there "5" is a number, too.
    """

    # No struct: the repr of one would show secrets.

    __slots__ = ("textual", "value", "written")

    def __init__(self, value: object, *, written: str, textual: bool) -> None:
        self.value = value
        self.written = written
        self.textual = textual


class Misfit(Exception):  # noqa: N818 - it names what the value is
    """A value that does not fit its setting. The text is a whole line for the operator; `quiet` repeats no value."""

    def __init__(self, line: str, *, quiet: str | None = None) -> None:
        super().__init__(line)
        self.quiet = quiet or line


class Mistakes:
    """One readable line for each mistake, and the settings that are unusable because of it.

    A check that builds on an unusable setting would only find the consequences of a mistake already named. `quiet`
    lines repeat no value: those of a gateway that runs go into its log.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.lines: list[str] = []
        self.quiet = quiet
        self._unusable: set[str] = set()

    def add(self, line: str | Misfit, *, unusable: str | None = None) -> None:
        """Add a line, and the key of the setting that has no usable value because of it."""
        self.lines.append(line.quiet if self.quiet and isinstance(line, Misfit) else str(line))
        if unusable is not None:
            self._unusable.add(unusable)

    def leave_usable(self, keys: Iterable[str]) -> bool:
        """Whether all of these settings have the value that the operator meant."""
        return self._unusable.isdisjoint(keys)


def convert(given: RawValue, kind: object) -> Any:  # noqa: ANN401 - of the kind asked for, which only the caller knows
    """Return the value as that kind. Raises `Misfit`, which never repeats what may be a secret."""
    plain = _without_none(kind)
    raw = _as_list(given) if _is_list_or_one(plain) else given.value
    if isinstance(raw, str) and isinstance(plain, type) and issubclass(plain, Secret):
        try:
            raw = stripped(raw) if plain is PassKeys else cleaned(raw)
        except UnusableText as unusable:
            raise Misfit(f"{given.written} cannot be used: {unusable}") from None
    try:
        value = msgspec.convert(raw, plain, strict=not given.textual, dec_hook=_read_custom)
    except (ValueError, OverflowError):
        # The cause would repeat the value.
        raise _misfit(given, plain) from None
    if isinstance(value, frozenset | tuple) and isinstance(raw, list) and len(set(value)) != len(raw):
        raise _misfit(given, plain)
    return value


def convert_table(table: Mapping[str, object], kind: type[AnyTable], **named: object) -> AnyTable | None:
    """Return a table of the file as that struct, in one step; None where something in it does not fit.

    `named` are fields that do not stand in the table. Then `convert` says of each value whether it fits, which takes
    several times as long: there may be thousands of tables.
    """
    try:
        made = msgspec.convert({**table, **named}, kind, dec_hook=_read_custom)
    except (ValueError, OverflowError):
        return None
    lists = [(key, len(value)) for key, value in table.items() if isinstance(value, list)]
    return made if all(len(getattr(made, key)) == length for key, length in lists) else None


@cache  # msgspec takes 100 µs to describe a type, and there are thousands of callers
def _is_list_or_one(kind: object) -> bool:
    match inspect.type_info(kind):
        case inspect.Metadata(type=inspect.VarTupleType()):
            return True
    return False


def _as_list(given: RawValue) -> object:
    """Return one text as a list; where there is only text, commas part the items of a list."""
    match given.value:
        case str(text) if given.textual:
            return [item.strip() for item in text.split(",")]
        case str(text):
            return [text]
    return given.value


@cache
def _without_none(kind: object) -> Any:  # noqa: ANN401 - a type, which has no type that msgspec and mypy agree on
    """Return the type of a field that is set."""
    if get_origin(kind) not in {Union, UnionType}:
        return kind
    return next(part for part in get_args(kind) if part is not NoneType)


def expectation(kind: object) -> str:
    """Complete the sentence "expected ..."."""
    match inspect.type_info(_without_none(kind)):
        case inspect.Metadata(extra={"expected": str(words)}):
            return words
        case inspect.BoolType():
            return "true or false"
        case inspect.EnumType(cls=choices):
            return f"one of {', '.join(choice.value for choice in choices)}"
        case inspect.CustomType(cls=cls):
            return _EXPECTED.get(cls, "a path")
        case inspect.IntType() | inspect.FloatType() as number:
            return _range(number)
        case other:
            raise AssertionError(other)


def _is_quiet(kind: object) -> bool:
    """Whether values of the kind must not be repeated: secrets, and settings that secrets are put into by mistake."""
    match inspect.type_info(_without_none(kind)):
        case inspect.Metadata(extra={"quiet": True}) | inspect.CustomType():
            return True
    return False


def shown(value: object) -> str:
    """Return the value as a person may recognise it in a line."""
    match value:
        case str():
            text = repr(value)
        case bool():
            text = str(value).lower()
        case dict():
            text = "a table"
        case list() if any(isinstance(item, list | dict) for item in value):
            text = "a list"
        case list():
            text = f"[{', '.join(shown(item) for item in value)}]"
        case int() if value.bit_length() > _WIDEST_INTEGER:
            text = "a very large number"
        case _:
            text = str(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _range(number: inspect.IntType | inspect.FloatType) -> str:
    name = "a whole number" if isinstance(number, inspect.IntType) else "a number"
    if number.gt is not None:
        return f"{name} above {number.gt}, at most {number.le}"
    return f"{name} from {number.ge} to {number.le}"


def _misfit(given: RawValue, kind: object) -> Misfit:
    quiet = f"{given.written} cannot be used: expected {expectation(kind)}"
    if _is_quiet(kind):
        return Misfit(quiet)
    return Misfit(f"{given.written} is {shown(given.value)}: expected {expectation(kind)}", quiet=quiet)


def _read_custom(kind: type[Any], value: object) -> object:
    """Build paths and secrets, which msgspec does not know. It turns a `ValueError` from here into its own."""
    if isinstance(value, kind):
        return value
    if not isinstance(value, str) or not value:
        raise ValueError
    if kind is Mailbox:
        return _mailbox(value)
    if issubclass(kind, Secret):
        if not _is_usable(kind, value):
            raise ValueError
    elif b"\0" in os.fsencode(value):
        raise ValueError
    return kind(value)


def _mailbox(text: str) -> Mailbox:
    # Most configurations have no address, and the tables of international names are large.
    from service.credentials import read_email  # noqa: PLC0415
    from service.errors import BadQuestion  # noqa: PLC0415

    try:
        return read_email(text, pointer="").mailbox
    except BadQuestion:
        raise ValueError from None


# Secrets and URLs.


_REDIS_SCHEMES: Final = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)


_VISIBLE: Final = re.compile(r"[!-\[\]-~]+")
"""Printable ASCII but the backslash: some readers of URLs take it for a slash, and so see another host."""


_SHORTEST_SEALING_SECRET: Final = 32
"""128 bits in hexadecimal digits."""


_EXPECTED: Final[dict[type[Secret], str]] = {
    SellerKey: KEY_EXPECTED,
    HubToken: KEY_EXPECTED,
    ProxyUrl: PROXY_EXPECTED,
    SealingSecret: f"at least {_SHORTEST_SEALING_SECRET} characters of text",
    RedeemSecret: REDEEM_EXPECTED,
    PassKeys: "one to four RSA private keys of 2048 to 4096 bits in PEM, not encrypted, as new-pass-key prints them",
    MailUrl: MAIL_EXPECTED,
    RedisUrl: f"a URL that begins with {', '.join(f'{scheme}://' for scheme in _REDIS_SCHEMES)}",
}
"""Completes the sentence "expected ..."."""


_FORMS: Final[dict[type[Secret], Callable[[str], bool]]] = {
    SellerKey: is_key,
    HubToken: is_key,
    RedeemSecret: is_redeem_secret,
    ProxyUrl: is_proxy_url,
}


def _is_usable(kind: type[Secret], text: str) -> bool:
    """Whether the text can be a secret of that kind."""
    if kind in _FORMS:
        return _FORMS[kind](text)
    if kind is SealingSecret:
        return len(text) >= _SHORTEST_SEALING_SECRET and _is_encodable(text)
    if kind is MailUrl:
        return read_mail_url(MailUrl(text)) is not None
    if kind is PassKeys:
        from service.pass_pem import holds_signing_keys  # noqa: PLC0415 - off until configured: not even imported

        return holds_signing_keys(text)
    return _is_redis_url(text)


def _is_encodable(text: str) -> bool:
    # Bytes of the environment that are not UTF-8 arrive as lone surrogates, which no hash takes.
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_redis_url(text: str) -> bool:
    """Whether the text is a URL of one of the forms that the Redis tier understands."""
    parts = split_url(text)
    if parts is None or parts.scheme not in _REDIS_SCHEMES:
        return False
    return bool(parts.path.strip("/")) if parts.scheme == "unix" else bool(parts.netloc.rpartition("@")[2])


def split_url(url: str) -> SplitResult | None:
    """Return the parts of a URL; None for text that is none."""
    if not _VISIBLE.fullmatch(url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None
