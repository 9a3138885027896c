"""`games --files`: the files of each game, with the newest build of each channel."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from service.cli.exits import Exit
from service.cli.game_files import table_of
from service.itch.uploads import WireBuild, WireUpload
from service.sandbox.store_endpoints import StoreEndpoint
from service.sandbox.world_content import Channel
from tests.cli.conftest import Upstream
from tests.cli.terminals import run_in_background

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def test_a_table() -> None:
    """Each file is a line, and what was not said is a dash."""
    uploads = [
        WireUpload(
            1,
            "moon.zip",
            type="default",
            channel="windows",
            platforms=("linux", "windows"),
            build=WireBuild(77, "completed", 4, "1.2.3", NOW - timedelta(days=2, hours=1)),
        ),
        WireUpload(2, "try.zip", channel="demo", demo=True, build=WireBuild(9, "a new state", 1, None, NOW)),
        WireUpload(3, "early.zip", preorder=True, type="hologram", build=WireBuild(8)),
        WireUpload(4, "music\x1b[2J.zip", type="soundtrack"),
    ]

    assert list(table_of(uploads, NOW)) == [
        "CHANNEL  FILE                FOR                BUILD  STATE        VERSION  USER VERSION  AGE",
        "windows  moon.zip            linux windows      77     completed    4        1.2.3         2 d",
        "demo     try.zip             demo               9      a new state  1        -             0 h",
        "-        early.zip           preorder hologram  8      -            -        -             -",
        "-        music\\u001b[2J.zip  soundtrack         -      -            -        -             -",
    ]


@pytest.mark.parametrize(
    ("age", "shown"),
    [
        (timedelta(hours=-3), "0 h"),
        (timedelta(minutes=59), "0 h"),
        (timedelta(hours=23, minutes=59), "23 h"),
        (timedelta(days=1), "1 d"),
        (timedelta(days=2, hours=23), "2 d"),
    ],
)
def test_the_age_of_a_build(age: timedelta, shown: str) -> None:
    """Whole days from the first on, whole hours before; a clock that is behind the store's makes no age below zero."""
    [_, row] = table_of([WireUpload(1, "moon.zip", build=WireBuild(7, created_at=NOW - age))], NOW)

    assert row.rpartition("  ")[2] == shown


@pytest.mark.parametrize("dialect", ["current", "server-side"])
async def test_it_lists_the_files(store: Upstream, dialect: str) -> None:
    """In place of the lines for the configuration, in either dialect."""
    store.sandbox.world.push_build(Channel(3, "windows", "1.2.3"))
    store.sandbox.world.push_build(Channel(3, "linux"))
    base_url = store.base_url + ("/api/1" if dialect == "server-side" else "")
    variables = store.variables | {
        "OWNERSHIP_GATEWAY_ITCH__BASE_URL": base_url,
        "OWNERSHIP_GATEWAY_ITCH__DIALECT": dialect,
    }
    result = await run_in_background("games", "--files", environ=variables)

    assert result.exit_code == Exit.OK
    assert result.stdout.partition("\n\n")[2].splitlines() == [
        "x-moon:",
        "  CHANNEL  FILE         FOR  BUILD  STATE      VERSION  USER VERSION  AGE",
        "  windows  windows.zip  -    30010  completed  1        1.2.3         -",
        "  linux    linux.zip    -    30020  completed  1        -             -",
        "sun-garden:",
        "  no files",
    ]


async def test_it_speaks_json(store: Upstream) -> None:
    """Each game has its files; without `--files` it has no such field."""
    store.sandbox.world.push_build(Channel(3, "windows", "1.2.3"))
    plain, files = [
        json.loads((await run_in_background("games", "--json", *more, environ=store.variables)).stdout)
        for more in ([], ["--files"])
    ]

    assert "files" not in plain[0]
    assert (files[0]["files"][0]["channel"], files[0]["files"][0]["build"]["user_version"]) == ("windows", "1.2.3")
    assert files[1]["files"] == []


async def test_a_broken_list_is_no_answer(store: Upstream) -> None:
    """An empty one would be a lie. The message names the game, for there may be many."""
    store.befall(endpoint=StoreEndpoint.UPLOADS, body='{"uploads": 5}', content_type="application/json")
    result = await run_in_background("games", "--files", environ=store.variables)

    assert (result.exit_code, result.stdout) == (Exit.UNKNOWN, "")
    assert result.stderr == "error: the files of game 3: neither uploads nor an error; `doctor` says more\n"
