"""`games`: ids, slugs and titles, and lines for the configuration."""

import json
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.cli.exits import Exit
from service.sandbox.seed import FOREIGN_SELLER_ID, SELLER_KEY
from service.sandbox.world_content import Game
from service.settings import load_settings
from tests.cli.conftest import Upstream
from tests.cli.terminals import run, run_in_background


def add_game(store: Upstream, number: int, slug: str, title: str) -> None:
    """Let the seller have one more game."""
    world = store.sandbox.world
    world.games[number] = Game(
        number, slug, title, world.seller.id, "", datetime(2026, 1, 1, tzinfo=UTC), min_price_cents=0
    )


def toml_of(stdout: str) -> str:
    """Return what is printed below the table."""
    return stdout.partition("\n\n")[2]


def test_it_prints_a_table() -> None:
    """One line a game."""
    result = run("games", "--sandbox")

    assert result.exit_code == Exit.OK
    assert result.stdout.splitlines()[:3] == [
        "ID  SLUG        TITLE",
        " 3  x-moon      X-Moon",
        " 4  sun-garden  Sun Garden",
    ]


def test_its_lines_configure_the_games(tmp_path: Path) -> None:
    """Paste and serve."""
    file = tmp_path / "gateway.toml"
    file.write_text(toml_of(run("games", "--sandbox").stdout))

    settings = load_settings({}, config_file=file, require_source=False)

    assert [(game.slug, game.id) for game in settings.games] == [("x-moon", 3), ("sun-garden", 4)]


def test_it_speaks_json() -> None:
    """For programs."""
    result = run("games", "--sandbox", "--json")

    assert json.loads(result.stdout)[0] == {
        "id": 3,
        "slug": "x-moon",
        "title": "X-Moon",
        "url": "https://leafo.itch.io/x-moon",
    }


@pytest.mark.parametrize("dialect", ["current", "server-side"])
async def test_it_asks_the_configured_store(store: Upstream, dialect: str) -> None:
    """In either dialect."""
    base_url = store.base_url + ("/api/1" if dialect == "server-side" else "")
    variables = store.variables | {
        "OWNERSHIP_GATEWAY_ITCH__BASE_URL": base_url,
        "OWNERSHIP_GATEWAY_ITCH__DIALECT": dialect,
    }

    result = await run_in_background("games", environ=variables)

    assert "x-moon" in result.stdout


async def test_titles_cannot_act_on_the_terminal(store: Upstream) -> None:
    """A game's title is printed without control characters."""
    add_game(store, 6, "evil", "\x1b[2Jevil\n[games.worse]\nid = 7")

    result = await run_in_background("games", environ=store.variables, color=True)

    assert "\x1b" not in result.stdout
    assert "worse" not in tomllib.loads(toml_of(result.stdout))["games"]


async def test_every_game_gets_a_usable_slug_of_its_own(store: Upstream) -> None:
    """Two accounts may call theirs the same, and a number is no slug."""
    add_game(store, 6, "x-moon", "X-Moon, again")
    add_game(store, 7, "2048", "2048")

    result = await run_in_background("games", environ=store.variables)

    assert tomllib.loads(toml_of(result.stdout))["games"] == {
        "game-3": {"id": 3},
        "sun-garden": {"id": 4},
        "game-6": {"id": 6},
        "game-7": {"id": 7},
    }


async def test_no_games_are_said_to_be_none(store: Upstream) -> None:
    """A seller without games gets an explanation and no configuration to paste."""
    world = store.sandbox.world
    world.games = {game.id: game for game in world.games.values() if game.seller_id == FOREIGN_SELLER_ID}

    result = await run_in_background("games", environ=store.variables)

    assert (result.exit_code, result.stdout) == (Exit.OK, "")
    assert "sees no game" in result.stderr


async def test_a_silent_store_is_no_answer(store: Upstream) -> None:
    """An empty list would be a lie."""
    store.befall(status=503)

    result = await run_in_background("games", environ=store.variables)

    assert (result.exit_code, result.stdout) == (Exit.UNKNOWN, "")
    assert result.stderr.startswith("error: itch.io is throttling us")


async def test_callers_and_a_public_address_do_not_matter(store: Upstream) -> None:
    """This command does not listen."""
    result = await run_in_background("games", environ=store.variables | {"OWNERSHIP_GATEWAY_HOST": "0.0.0.0"})  # noqa: S104

    assert result.exit_code == Exit.OK


async def test_the_key_is_not_printed(store: Upstream, capfd: pytest.CaptureFixture[str]) -> None:
    """The debug level does not show it either."""
    variables = store.variables | {"OWNERSHIP_GATEWAY_LOG__LEVEL": "debug"}

    result = await run_in_background("games", environ=variables, real_streams=True)

    logged = capfd.readouterr().err
    assert "credential_accepted" in logged
    assert SELLER_KEY not in result.output + logged
