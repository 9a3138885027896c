"""The files of a game: documents made by the schemas of uploads and builds, and each oddity of the wire."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import GameNotAccessible, GatewayCredentialRefused, NoAnswer, SourceProtocolError
from service.itch.uploads import WireBuild, WireUpload, read_uploads
from service.ownership import LARGEST_ID, GameId
from tests.clock import FakeClock
from tests.itch.rig import Script, build

ID: Final = st.integers(1, LARGEST_ID)
TEXT: Final = st.text(max_size=20)
PLATFORMS: Final = ("windows", "linux", "osx")
DATE: Final = st.sampled_from(["2026-03-04T05:06:07.000000000Z", "2026-03-04 05:06:07"])

# By the schemas of `build` and `upload`, with the names of the wire; words that are not among theirs will come.
BUILDS: Final = st.fixed_dictionaries(
    {
        "id": ID,
        "state": st.sampled_from(["started", "queued", "processing", "completed", "failed", "archived"]),
        "version": st.integers(1, 10_000),
    },
    optional={
        "upload_id": ID,
        "parent_build_id": st.sampled_from([-1, 0, 7]),
        "user_version": TEXT,
        "files": st.sampled_from([{}, [{"id": 1, "type": "archive", "sub_type": "default", "state": "uploaded"}]]),
        "created_at": DATE,
        "updated_at": DATE,
    },
)
UPLOADS: Final = st.fixed_dictionaries(
    {"id": ID, "filename": TEXT},
    optional={
        "storage": st.sampled_from(["hosted", "build", "external", "torrent"]),
        "host": TEXT,
        "display_name": TEXT,
        "size": st.integers(0),
        "channel_name": TEXT,
        "build": BUILDS,
        "build_id": ID,
        "type": st.sampled_from(["default", "html", "soundtrack", "book", "other", "hologram"]),
        "preorder": st.booleans(),
        "demo": st.booleans(),
        "platforms": st.one_of(
            st.just({}), st.dictionaries(st.sampled_from(PLATFORMS), st.sampled_from(["all", "386", "amd64"]))
        ),
        "traits": st.one_of(
            st.just({}), st.lists(st.sampled_from(["p_windows", "p_linux", "demo", "preorder", "new"]))
        ),
        "created_at": DATE,
    },
)


@given(st.lists(UPLOADS))
def test_documents_by_the_schemas(rows: list[dict[str, Any]]) -> None:
    """All are read, in their order, and nothing in them is changed."""
    read = read_uploads({"uploads": rows or {}})

    assert [one.id for one in read] == [row["id"] for row in rows]
    for upload, row in zip(read, rows, strict=True):
        traits = row.get("traits") or []
        assert (upload.filename, upload.type) == (row["filename"], row.get("type"))
        assert (upload.channel, upload.storage) == (row.get("channel_name"), row.get("storage"))
        assert upload.demo == (bool(row.get("demo")) or "demo" in traits)
        assert upload.preorder == (bool(row.get("preorder")) or "preorder" in traits)
        assert set(upload.platforms) == {*row.get("platforms", {}), *(one[2:] for one in traits if one[:2] == "p_")}
        _check_build(upload.build, row)


def _check_build(found: WireBuild | None, row: Mapping[str, Any]) -> None:
    given_build = row.get("build")
    if given_build is None:
        assert found == (WireBuild(row["build_id"]) if "build_id" in row else None)
        return
    assert found == WireBuild(
        id=given_build["id"],
        state=given_build["state"],
        version=given_build["version"],
        user_version=given_build.get("user_version"),
        created_at=datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC) if "created_at" in given_build else None,
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"id": "7"}, WireUpload(7, "")),
        ({"id": 7, "filename": "a", "build": {}}, WireUpload(7, "a")),
        ({"id": 7, "filename": "a", "build": None, "build_id": None, "traits": None}, WireUpload(7, "a")),
        ({"id": 7, "filename": "a", "build": {}, "build_id": 8}, WireUpload(7, "a", build=WireBuild(8))),
        ({"id": 7, "filename": 5, "type": 6, "traits": [5, "p_osx"]}, WireUpload(7, "", platforms=("osx",))),
        ({"id": 7, "filename": "a", "platforms": {"linux": "", "osx": "all"}}, WireUpload(7, "a", platforms=("osx",))),
        ({"id": 7, "filename": "a", "platforms": ["linux"]}, WireUpload(7, "a")),
        ({"id": 7, "filename": "a", "demo": "true"}, WireUpload(7, "a")),
    ],
)
def test_oddities(row: dict[str, Any], expected: WireUpload) -> None:
    """A field that cannot be understood is left out, and the rest is shown."""
    assert read_uploads({"uploads": [row]}) == [expected]


@pytest.mark.parametrize("body", [{}, {"uploads": None}, {"uploads": 5}, {"uploads": [5]}, {"uploads": [{"id": 0}]}])
def test_what_is_no_list_of_uploads(body: dict[str, Any]) -> None:
    """It is no answer, and not an empty one."""
    with pytest.raises(SourceProtocolError):
        read_uploads(body)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(400, json={"errors": ["invalid game"]}), GameNotAccessible),
        (httpx.Response(403, json={"errors": ["invalid key"]}), GatewayCredentialRefused),
        (httpx.Response(200, json={"uploads": None}), SourceProtocolError),
    ],
)
async def test_refusals(clock: FakeClock, answer: httpx.Response, error: type[NoAnswer]) -> None:
    """They are those of every question with the seller's key."""
    rig = build(clock=clock, transport=Script(answer).transport)

    with pytest.raises(error):
        await rig.source.uploads(GameId(3))
