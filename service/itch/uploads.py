"""The files of a game as the store lists them for people to look at: read tolerantly, for no decision rests on them.

Two spellings of one thing are both taken: `traits` such as `p_windows`, `demo` and `preorder`, or `platforms` and
booleans; empty ones arrive as `{}`. States and types that are not known are kept as they came.
"""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from service.errors import SourceProtocolError
from service.itch.classification import JsonObject
from service.itch.dialect import read_date
from service.itch.wire import read_id, read_list, read_text

_PLATFORM = "p_"


class WireBuild(Struct, frozen=True):
    """The newest build of an upload; what is None was not said. `version` counts from 1 within the upload."""

    id: int
    state: str | None = None
    version: int | None = None
    user_version: str | None = None
    created_at: datetime | None = None


class WireUpload(Struct, frozen=True):
    """A file of a game; one that was pushed to a channel has builds."""

    id: int
    filename: str
    display_name: str | None = None
    storage: str | None = None
    type: str | None = None
    channel: str | None = None
    platforms: tuple[str, ...] = ()
    demo: bool = False
    preorder: bool = False
    build: WireBuild | None = None


def read_uploads(body: JsonObject) -> list[WireUpload]:
    """Return the uploads of a game. Raises `SourceProtocolError` when the list, or the id of one, cannot be read."""
    rows = read_list(body.get("uploads"))
    if rows is None:
        raise SourceProtocolError("neither uploads nor an error")
    return [_upload(row) for row in rows]


def _upload(row: object) -> WireUpload:
    number = read_id(row.get("id")) if isinstance(row, dict) else None
    if not isinstance(row, dict) or number is None:
        raise SourceProtocolError("an upload without a usable id")
    traits = {trait for trait in read_list(row.get("traits")) or [] if isinstance(trait, str)}
    return WireUpload(
        id=number,
        filename=read_text(row.get("filename")) or "",
        display_name=read_text(row.get("display_name")),
        storage=read_text(row.get("storage")),
        type=read_text(row.get("type")),
        channel=read_text(row.get("channel_name")),
        platforms=tuple(sorted({*_platforms(row.get("platforms")), *_of_traits(traits)})),
        demo="demo" in traits or row.get("demo") is True,
        preorder="preorder" in traits or row.get("preorder") is True,
        build=_build(row),
    )


def _of_traits(traits: set[str]) -> Iterator[str]:
    return (trait.removeprefix(_PLATFORM) for trait in traits if trait.startswith(_PLATFORM))


def _platforms(value: object) -> Iterator[str]:
    """Yield the platforms in an object that says of each which of its architectures."""
    return (name for name, one in value.items() if one) if isinstance(value, dict) else iter(())


def _build(row: JsonObject) -> WireBuild | None:
    """Return the newest build, None before the first; some answers have no more of it than its id."""
    value = row.get("build")
    build: JsonObject = value if isinstance(value, dict) else {}
    number = read_id(build.get("id")) or read_id(row.get("build_id"))
    if number is None:
        return None
    return WireBuild(
        id=number,
        state=read_text(build.get("state")),
        version=read_id(build.get("version")),
        user_version=read_text(build.get("user_version")),
        created_at=read_date(build.get("created_at")),
    )
