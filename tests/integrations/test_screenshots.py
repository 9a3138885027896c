"""The pages as a browser really shows them: with their style, and as docs/ has them."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest
from msgspec import Struct

from tests.docs.pages import ROOT
from tests.integrations.processes import Gateway
from tests.integrations.screenshots import PAGES, SIZE, photograph

WARNING_PAPER: Final = bytes.fromhex("fff3df")
"""The colour behind the word SANDBOX, from pages.css."""


class Picture(Struct, frozen=True):
    """A PNG: its size in pixels, and its colours, each as three bytes."""

    size: tuple[int, int]
    colours: frozenset[bytes]


def read_picture(file: Path) -> Picture:
    """Read a PNG as Chromium writes them: eight bits each of red, green, blue, perhaps opacity; not interlaced."""
    content = file.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    at, packed, size, channels = 8, b"", (0, 0), 0
    while at < len(content):
        length, kind = struct.unpack(">I4s", content[at : at + 8])
        chunk = content[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            *size_read, bits, colour_type, _, _, interlaced = struct.unpack(">IIBBBBB", chunk)
            assert (bits, interlaced) == (8, 0)
            size, channels = (size_read[0], size_read[1]), {2: 3, 6: 4}[colour_type]
        elif kind == b"IDAT":
            packed += chunk
        at += length + 12
    return Picture(size, _colours(zlib.decompress(packed), size, channels))


def _colours(filtered: bytes, size: tuple[int, int], channels: int) -> frozenset[bytes]:
    """Undo the filters of each row (PNG, 9.2) and return the colours."""
    width = size[0] * channels
    above = bytearray(width)
    colours = set()
    for start in range(0, len(filtered), width + 1):
        kind, row = filtered[start], bytearray(filtered[start + 1 : start + 1 + width])
        for at in range(width):
            left = row[at - channels] if at >= channels else 0
            corner = above[at - channels] if at >= channels else 0
            row[at] = (row[at] + _predicted(kind, left, above[at], corner)) % 256
        colours |= {bytes(row[at : at + 3]) for at in range(0, width, channels)}
        above = row
    return frozenset(colours)


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    match kind:
        case 0:
            return 0
        case 1:
            return left
        case 2:
            return above
        case 3:
            return (left + above) // 2
    distance = {left: abs(above - corner), above: abs(left - corner), corner: abs(left + above - 2 * corner)}
    return min((left, above, corner), key=distance.__getitem__)


@pytest.mark.parametrize(("name", "path"), PAGES.items(), ids=PAGES)
def test_page_has_its_style(
    gateway: Gateway, tmp_path: Path, seen: Callable[[str], None], name: str, path: str
) -> None:
    """The browser takes the style from the gateway itself, under the page's own policy; docs/ has a picture of it."""
    photograph(f"{gateway.address}{path}", tmp_path / "page.png")

    picture, shown = read_picture(tmp_path / "page.png"), read_picture(ROOT / f"docs/pages/{name}.png")

    seen(f"{len(picture.colours)} colours")
    assert picture.size == shown.size == SIZE
    assert WARNING_PAPER in picture.colours & shown.colours
