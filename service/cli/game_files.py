"""The files of a game as `games --files` shows them."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from service.cli.terminal import printable
from service.itch.uploads import WireUpload

_HEAD = ("CHANNEL", "FILE", "FOR", "BUILD", "STATE", "VERSION", "USER VERSION", "AGE")
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)


def table_of(uploads: Sequence[WireUpload], now: datetime) -> Iterator[str]:
    """Yield the lines of a table; `-` stands for what there is not, or was not said."""
    if not uploads:
        yield "no files"
        return
    rows = [_HEAD, *(tuple(printable(cell) or "-" for cell in _cells(upload, now)) for upload in uploads)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cells(upload: WireUpload, now: datetime) -> tuple[str, ...]:
    build = upload.build
    marks = [mark for mark, on in (("demo", upload.demo), ("preorder", upload.preorder)) if on]
    kind = [upload.type] if upload.type not in (None, "default") else []
    about = (upload.channel or "", upload.filename, " ".join([*marks, *kind, *upload.platforms]))
    if build is None:
        return (*about, "", "", "", "", "")
    version = "" if build.version is None else str(build.version)
    return (*about, str(build.id), build.state or "", version, build.user_version or "", _age(build.created_at, now))


def _age(at: datetime | None, now: datetime) -> str:
    if at is None:
        return ""
    age = max(now - at, timedelta())
    return f"{age // _DAY} d" if age >= _DAY else f"{age // _HOUR} h"
