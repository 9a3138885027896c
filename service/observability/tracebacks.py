"""Exceptions as log data: what was raised and where, no local variables, and no words of others.

Messages of foreign exceptions carry URLs, bodies and arguments. They are left out; only our own exceptions, whose words
we choose, are quoted.
"""

from collections.abc import Iterator
from errno import errorcode
from traceback import walk_tb
from types import TracebackType
from typing import Any, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from service.errors import GatewayError
from service.observability.redaction import cleaned_text

MOST_FRAMES: Final = 20
"""Of a deeper traceback, the outermost and the innermost halves: what began it, and where it broke."""

MOST_EXCEPTIONS: Final = 10
"""A group may hold thousands, mostly alike."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
Relation = Literal["cause", "context", "member"]


class Raised(Struct, frozen=True):
    """One exception; `relation` is its relation to the one before it."""

    type: str
    frames: tuple[str, ...]
    message: str | UnsetType = UNSET
    errno: str | UnsetType = UNSET
    relation: Relation | UnsetType = UNSET

    def __str__(self) -> str:
        """Return the exception as lines for a person."""
        relation = "" if self.relation is UNSET else f"{self.relation}: "
        said = "".join(f": {word}" for word in (self.message, self.errno) if word is not UNSET)
        return "\n".join([f"{relation}{self.type}{said}", *(f"  {frame}" for frame in self.frames)])


def describe(exc_info: ExcInfo) -> list[Raised]:
    """Return the exception, then those it came from and those in it, nearest first."""
    _, error, traceback = exc_info
    found: list[Raised] = []
    seen: set[int] = set()
    waiting: list[tuple[BaseException, TracebackType | None, Relation | UnsetType]] = [(error, traceback, UNSET)]
    while waiting and len(found) < MOST_EXCEPTIONS:
        error, traceback, relation = waiting.pop(0)
        if id(error) in seen:
            continue
        seen.add(id(error))
        found.append(
            Raised(
                type=_name_of(type(error)),
                frames=_frames(traceback),
                message=cleaned_text(str(error)) if isinstance(error, GatewayError) else UNSET,
                errno=_errno(error),
                relation=relation,
            )
        )
        waiting.extend((other, other.__traceback__, how) for other, how in _related(error))
    return found


def _related(error: BaseException) -> Iterator[tuple[BaseException, Relation]]:
    if isinstance(error, BaseExceptionGroup):
        for member in error.exceptions:
            yield member, "member"
    if error.__cause__ is not None:
        yield error.__cause__, "cause"
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__, "context"


def _frames(traceback: TracebackType | None) -> tuple[str, ...]:
    frames = [
        f"{frame.f_globals.get('__name__', '?')}:{line} in {frame.f_code.co_qualname}"
        for frame, line in walk_tb(traceback)
    ]
    if len(frames) > MOST_FRAMES:
        half = MOST_FRAMES // 2
        frames[half:-half] = [f"... {len(frames) - MOST_FRAMES} more ..."]
    return tuple(frames)


def _name_of(kind: type[Any]) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _errno(error: BaseException) -> str | UnsetType:
    """The symbol of an operating system error: of its whole message, the one part that cannot be a secret."""
    if isinstance(error, OSError) and error.errno is not None:
        return errorcode.get(error.errno, UNSET)
    return UNSET
