"""A world from a file: read as it is shown, and every mistake in a line of its own."""

from pathlib import Path

import msgspec
import pytest

from service.errors import SettingsError
from service.sandbox import seed
from service.sandbox.world import World
from service.sandbox.world_content import PurchaseKind
from service.sandbox.world_file import LARGEST_FILE, MOST_RECORDS, read_world
from tests.clock import FakeClock
from tests.gateways import X_MOON, LogLines, opened, settings_from


def mistakes_in(file: Path, text: str | bytes) -> list[str]:
    """Return the lines for a file with that text, without its name."""
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SettingsError) as caught:
        read_world(file)
    return [mistake.replace(str(file), "world") for mistake in caught.value.mistakes]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The file of a world."""
    return tmp_path / "world.json"


def test_a_world_is_read_as_it_is_shown(file: Path, clock: FakeClock) -> None:
    """The world that a file of its own words makes is the same, changes included."""
    world = World(seed.WORLD, now=clock.now)
    world.buy([3, 4], user_id=77, kind=PurchaseKind.BUNDLE, with_key=True)
    world.revoke_key(seed.OWNER_KEY)
    file.write_bytes(msgspec.json.encode(world.content()))

    again = World(read_world(file), now=clock.now)

    assert again.content() == world.content()


def test_a_world_needs_little(file: Path, clock: FakeClock) -> None:
    """Ids, addresses, dates and users that are not given are made up."""
    file.write_text(
        '{"games": [{"id": 7, "slug": "my-game"}],'
        ' "keys": [{"key": "a-key-of-mine", "game_id": 7, "user_id": 1}],'
        ' "purchases": [{"game_id": [7], "user_id": 2}, {"game_id": [8], "email": "eve@example.com"}]}'
    )

    world = World(read_world(file, configured={8}), now=clock.now)

    assert world.key_claimed_by(7, 1) == world.keys["a-key-of-mine"]
    assert [purchase.email for purchase in world.purchases.values()] == ["user-2@example.com", "eve@example.com"]
    assert sorted(world.accounts) == [1, 2, seed.SELLER_ID]


def test_every_mistake_in_a_record_has_its_line(file: Path) -> None:
    """Each with a pointer to it."""
    assert mistakes_in(
        file,
        '{"users": [{"id": 1, "username": "a"}, {"id": "q", "username": "b"}],'
        ' "keys": [{"key": "short", "game_id": 1}, {"key": "a-key-of-mine"}, {"key": "a-key-of-mine", "game": 3}],'
        ' "purchases": [{"game_id": [3, "x"]}]}',
    ) == [
        "world: /users/1/id: Expected `int`, got `str`",
        r"world: /keys/0/key: Expected `str` matching regex '^[A-Za-z0-9_-]{10,64}\\Z'",
        "world: /keys/1/game_id: Object missing required field `game_id`",
        "world: /keys/2/game: Object contains unknown field `game`",
        "world: /purchases/0/game_id/1: Expected `int`, got `str`",
    ]


def test_every_contradiction_has_its_line(file: Path) -> None:
    """Ids that exist twice, and those that are named and not there."""
    assert mistakes_in(
        file,
        '{"users": [{"id": 1, "username": "a", "emails": ["a@x.example"]},'
        ' {"id": 1, "username": "a"}, {"id": 2, "username": "c", "emails": ["A@x.example"]}],'
        ' "games": [{"id": 7, "slug": "one"}, {"id": 7, "slug": "one"}],'
        ' "keys": [{"key": "a-key-of-mine", "game_id": 8}, {"key": "a-key-of-mine", "game_id": 7, "purchase_id": 4}],'
        ' "purchases": [{"game_id": [7, 8]}, {"purchase_id": 9, "game_id": [7], "user_id": 1},'
        ' {"purchase_id": 9, "game_id": [7], "user_id": 1}],'
        ' "channels": [{"game_id": 7, "channel": "mac"}, {"game_id": 8, "channel": "mac"},'
        ' {"game_id": 7, "channel": "mac"}]}',
    ) == [
        "world: /users/1/id: the same as in /users/0",
        "world: /users/1/username: the same as in /users/0",
        "world: /users/2/emails: the same as in /users/0",
        "world: /games/1/id: the same as in /games/0",
        "world: /games/1/slug: the same as in /games/0",
        "world: /keys/1/key: the same as in /keys/0",
        "world: /purchases/2/purchase_id: the same as in /purchases/1",
        "world: /channels/2/channel: the same as in /channels/0",
        "world: /keys/0/game_id: there is no such game",
        "world: /keys/1/purchase_id: there is no such purchase",
        "world: /channels/1/game_id: there is no such game",
        "world: /purchases/0/game_id: there is no such game",
        "world: /purchases/0/game_id: only a bundle holds several games",
        "world: /purchases/0: a purchase needs an email or a user_id",
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "world: /: Input data was truncated"),
        ('{"users": {}}', "world: /users: Expected `array`, got `object`"),
        ('{"faults": []}', "world: /faults: Object contains unknown field `faults`"),
        (b'{"users": [{"id": 1, "username": "\xff"}]}', "world: /users/0: it is not UTF-8"),
        ("[" * 100_000, "world: /: Expected `object`, got `array`"),
        (" " * (LARGEST_FILE + 1), f"the world in world is larger than {LARGEST_FILE} bytes"),
        (
            '{"users": [' + "1," * MOST_RECORDS + "1]}",
            f"world: it has {MOST_RECORDS + 1} records: {MOST_RECORDS} are allowed",
        ),
    ],
    ids=["empty", "no list", "unknown", "bytes", "nest", "large", "many"],
)
def test_what_is_no_world_has_one_line(file: Path, text: str | bytes, line: str) -> None:
    """A file that cannot be a world."""
    assert mistakes_in(file, text) == [line]


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The line says what the system says."""
    with pytest.raises(SettingsError, match="cannot be read: No such file or directory"):
        read_world(tmp_path / "nowhere.json")


def test_more_mistakes_than_a_person_reads(file: Path) -> None:
    """Twenty lines, and the number of the others."""
    lines = mistakes_in(file, '{"users": [' + "1," * 99 + "1]}")

    assert (len(lines), lines[-1]) == (21, "world: 80 more mistakes")


def test_the_largest_world_is_answered_from(file: Path, clock: FakeClock) -> None:
    """A hundred thousand records make no look-up slower: each is found by its name."""
    half = MOST_RECORDS // 2
    file.write_bytes(
        msgspec.json.encode(
            {
                "games": [{"id": 3, "slug": "x"}],
                "keys": [{"key": f"key-number-{n}", "game_id": 3, "user_id": n} for n in range(1, half)],
                "purchases": [{"game_id": [3], "user_id": n} for n in range(half, 2 * half)],
            }
        )
    )

    world = World(read_world(file), now=clock.now)

    assert world.key_claimed_by(3, half - 1) == world.keys[f"key-number-{half - 1}"]
    assert len(world.purchases_by(3, world.account(half).emails)) == 1


async def test_configured_games_exist(tmp_path: Path, clock: FakeClock) -> None:
    """The sandbox has each configured game, and a world of the studio's own beside them."""
    settings = settings_from(tmp_path, X_MOON + "[games.my-game]\nid = 700\n")
    async with opened(settings, clock=clock, log=LogLines()) as gateway:
        gateway.sandbox.world.mint_key(700, user_id=1)

        assert (await gateway.user(1, game="my-game")).json()["outcome"] == "owned"
        assert [game.id for game in gateway.sandbox.world.games.values()] == [3, 4, 5, 700]


async def test_slugs_are_known_without_configuration(tmp_path: Path, clock: FakeClock) -> None:
    """The slugs of the sandbox's games, also of those that were added, and any id."""
    async with opened(settings_from(tmp_path, ""), clock=clock, log=LogLines()) as gateway:
        await gateway.http.post("/sandbox/games", json={"id": 700, "slug": "my-game"})
        gateway.sandbox.world.mint_key(700, user_id=1)

        answers = [await gateway.user(seed.OWNER_ID, game=game) for game in ("x-moon", "sun-garden", 3, "nowhere")]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 404]
        assert [answer.json().get("game_id") for answer in answers] == [3, 4, 3, None]
        assert (await gateway.user(1, game="my-game")).json()["outcome"] == "owned"
