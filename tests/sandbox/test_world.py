"""The world: its changes, and the changes that it refuses."""

import pytest

from service.sandbox import seed
from service.sandbox.world import SandboxError, World
from service.sandbox.world_content import PurchaseKind
from tests.clock import START, FakeClock


@pytest.fixture
def world(clock: FakeClock) -> World:
    """The seeded world."""
    return World(seed.WORLD, now=clock.now)


def test_the_seed_holds_together(world: World) -> None:
    """Every key, purchase and owner names something that there is."""
    assert {key.game_id for key in world.keys.values()} <= set(world.games)
    assert {key.owner_id for key in world.keys.values() if key.owner_id is not None} <= set(world.accounts)
    assert {game for purchase in world.purchases.values() for game in purchase.game_ids} <= set(world.games)


def test_the_seed_has_keys_of_every_length(world: World) -> None:
    """18, 20 and 40 characters have been seen at itch.io."""
    assert {len(text) for text in world.keys} == {18, 20, 40}


def test_every_address_is_an_example(world: World) -> None:
    """Every address of the seed is reserved for examples."""
    addresses = [email for account in world.accounts.values() for email in account.emails]

    assert all(email.endswith("@example.com") for email in addresses)


def test_a_minted_key_works(world: World) -> None:
    """A minted key is found at once, and its date is now."""
    key = world.mint_key(seed.GAME_ID, user_id=seed.STRANGER_ID)

    assert world.key_claimed_by(seed.GAME_ID, seed.STRANGER_ID) == key
    assert world.key_named(seed.GAME_ID, key.text) == key
    assert (len(key.text), key.created_at) == (40, START)


def test_minted_keys_are_the_same_in_every_run(world: World, clock: FakeClock) -> None:
    """Two worlds with the same history have the same keys."""
    mine = [world.mint_key(seed.GAME_ID).text for _ in range(3)]

    another = World(seed.WORLD, now=clock.now)

    assert [another.mint_key(seed.GAME_ID).text for _ in range(3)] == mine
    assert len(set(mine)) == 3


@pytest.mark.parametrize("text", ["short", "x" * 65, "not/allowed/here", "new-line-at-end\n", ""])
def test_a_key_must_look_like_one(world: World, text: str) -> None:
    """The store's keys are letters, digits, underscores and hyphens."""
    with pytest.raises(SandboxError, match="10 to 64 letters"):
        world.mint_key(seed.GAME_ID, text=text)


def test_a_key_exists_once(world: World) -> None:
    """The same text cannot be minted again."""
    with pytest.raises(SandboxError, match="exists already"):
        world.mint_key(seed.GAME_ID, text=seed.REVOKED_KEY)


def test_a_key_needs_a_game_and_a_purchase_that_exist(world: World) -> None:
    """A key for an unknown game or purchase is refused."""
    with pytest.raises(SandboxError, match="no such game"):
        world.mint_key(77)
    with pytest.raises(SandboxError, match="no such purchase"):
        world.mint_key(seed.GAME_ID, purchase_id=77)


def test_users_are_made_on_the_spot(world: World) -> None:
    """A key, a claim and a purchase may name users that are not there yet; each has an address of its own."""
    world.mint_key(seed.GAME_ID, user_id=77)
    world.claim_key(seed.UNCLAIMED_KEY, 78)
    bought = world.buy([seed.GAME_ID], user_id=79)

    assert [world.accounts[user_id].username for user_id in (77, 78, 79)] == ["user-77", "user-78", "user-79"]
    assert world.linked_addresses("user-79@example.com") == (bought.email,)
    assert world.purchases_by(seed.GAME_ID, world.accounts[79].emails) == [bought]


def test_claiming_gives_a_key_its_owner(world: World) -> None:
    """A claimed key is not found by the address that it was sent to."""
    world.claim_key(seed.UNCLAIMED_KEY, seed.STRANGER_ID)

    found = world.key_named(seed.GAME_ID, seed.UNCLAIMED_KEY)
    assert found is not None
    assert found.owner_id == seed.STRANGER_ID
    assert world.key_sent_to(seed.GAME_ID, seed.UNCLAIMED_KEY_EMAIL) is None


@pytest.mark.parametrize(
    ("text", "user_id", "message"),
    [
        (seed.OWNER_KEY, seed.STRANGER_ID, "claimed already"),
        (seed.REVOKED_KEY, seed.STRANGER_ID, "revoked"),
        ("no-such-key", seed.STRANGER_ID, "no such download key"),
    ],
)
def test_what_cannot_be_claimed(world: World, text: str, user_id: int, message: str) -> None:
    """Claimed, revoked and unknown keys stay as they are."""
    with pytest.raises(SandboxError, match=message):
        world.claim_key(text, user_id)


def test_a_revoked_key_is_gone(world: World) -> None:
    """A revoked key is found neither by text nor by user."""
    world.revoke_key(seed.OWNER_KEY)

    assert world.key_named(seed.GAME_ID, seed.OWNER_KEY) is None
    assert world.key_claimed_by(seed.GAME_ID, seed.OWNER_ID) is None


def test_a_purchase_by_user_goes_to_the_first_address(world: World) -> None:
    """A purchase by a user is listed under the user's first address."""
    purchase = world.buy([seed.GAME_ID], user_id=seed.STRANGER_ID)

    assert world.purchases_by(seed.GAME_ID, [seed.STRANGER_EMAIL]) == [purchase]


def test_a_purchase_can_bring_a_key_to_an_account(world: World) -> None:
    """A key that comes with a known user's purchase is claimed."""
    purchase = world.buy([seed.GAME_ID], user_id=seed.STRANGER_ID, with_key=True)

    key = world.key_claimed_by(seed.GAME_ID, seed.STRANGER_ID)
    assert key is not None
    assert key.purchase_id == purchase.id


def test_a_purchase_can_bring_a_key_to_an_address(world: World) -> None:
    """A key that comes with a purchase by address alone is unclaimed."""
    world.buy([seed.GAME_ID], email="new@example.com", with_key=True)

    assert world.key_sent_to(seed.GAME_ID, "new@example.com") is not None


def test_a_refund_takes_the_purchase_and_its_keys(world: World) -> None:
    """After a refund neither purchase nor key is reported."""
    purchase = world.buy([seed.GAME_ID], user_id=seed.STRANGER_ID, with_key=True)

    world.refund(purchase.id)

    assert world.key_claimed_by(seed.GAME_ID, seed.STRANGER_ID) is None
    assert world.purchases_by(seed.GAME_ID, [seed.STRANGER_EMAIL]) == []


def test_only_what_was_bought_can_be_refunded(world: World) -> None:
    """A refund needs an existing purchase."""
    with pytest.raises(SandboxError, match="no such purchase"):
        world.refund(1)


@pytest.mark.parametrize(
    ("game_ids", "kind", "message"),
    [
        ([77], PurchaseKind.GAME, "no such game"),
        ([3, 3], PurchaseKind.BUNDLE, "each game once"),
        ([3, 4], PurchaseKind.GAME, "only a bundle"),
    ],
)
def test_what_cannot_be_bought(world: World, game_ids: list[int], kind: PurchaseKind, message: str) -> None:
    """A purchase is of games that exist, and only a bundle of several."""
    with pytest.raises(SandboxError, match=message):
        world.buy(game_ids, email="new@example.com", kind=kind)


def test_somebody_must_buy(world: World) -> None:
    """A purchase without an address is refused."""
    with pytest.raises(SandboxError, match="an email or a user_id"):
        world.buy([seed.GAME_ID])


def test_a_bundle_holds_several_games(world: World) -> None:
    """A bundle is a purchase of each of its games."""
    world.buy([3, 4], email="new@example.com", kind=PurchaseKind.BUNDLE)

    assert len(world.purchases_by(4, ["new@example.com"])) == 1


def test_reset_forgets_every_change(world: World) -> None:
    """A reset restores the seeded world."""
    world.revoke_key(seed.OWNER_KEY)
    world.refund(11561)
    world.mint_key(seed.GAME_ID)

    world.reset()

    assert tuple(world.keys.values()) == seed.KEYS
    assert tuple(world.purchases.values()) == seed.PURCHASES
