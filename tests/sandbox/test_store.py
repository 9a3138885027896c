"""The store's answers about download keys, purchases and the seller, in both dialects."""

from typing import Any

import httpx
import pytest

from service.sandbox import seed
from service.sandbox.state import Sandbox

KEYS = "/games/3/download_keys"
PURCHASES = "/games/3/purchases"
OLD_KEYS = "/api/1/key/game/3/download_keys"
OLD_PURCHASES = "/api/1/key/game/3/purchases"


async def ask(client: httpx.AsyncClient, path: str, **query: str | int) -> tuple[int, Any]:
    """Return the status and the JSON of an answer."""
    answer = await client.get(path, params=query)
    assert answer.headers["x-sandbox"] == "ownership-gateway"
    assert answer.headers["content-type"] == "application/json"
    return answer.status_code, answer.json()


async def test_a_claimed_key_names_its_owner(seller: httpx.AsyncClient) -> None:
    """A key that an account has claimed shows that account."""
    status, content = await ask(seller, KEYS, download_key=seed.OWNER_KEY)

    assert status == 200
    assert content == {
        "download_key": {
            "id": 124,
            "key": seed.OWNER_KEY,
            "game_id": 3,
            "created_at": "2014-02-28T00:25:09.000000000Z",
            "downloads": 74,
            "owner": {
                "id": 1994,
                "username": "amos",
                "display_name": "Amos",
                "url": "https://amos.itch.io",
                "developer": False,
                "gamer": True,
                "press_user": False,
            },
        }
    }


async def test_slashes_are_escaped(seller: httpx.AsyncClient) -> None:
    """Slashes in the store's JSON are escaped."""
    answer = await seller.get("/profile")

    assert rb"https:\/\/leafo.itch.io" in answer.content


async def test_an_unclaimed_key_has_no_owner(seller: httpx.AsyncClient) -> None:
    """A key without an owner lacks the field."""
    _, content = await ask(seller, KEYS, download_key=seed.UNCLAIMED_KEY)

    assert "owner" not in content["download_key"]


async def test_the_older_dialect_writes_dates_without_a_zone(seller: httpx.AsyncClient) -> None:
    """Dates of the older dialect have no zone."""
    status, content = await ask(seller, OLD_KEYS, download_key=seed.OWNER_KEY)

    assert status == 200
    assert content["download_key"]["created_at"] == "2014-02-28 00:25:09"


@pytest.mark.parametrize("key", [seed.REVOKED_KEY, seed.OTHER_GAME_KEY, seed.OWNER_KEY.lower(), ""])
@pytest.mark.parametrize(("path", "expected_status"), [(KEYS, 400), (OLD_KEYS, 200)])
async def test_keys_that_do_not_work_are_all_invalid(
    seller: httpx.AsyncClient, key: str, path: str, expected_status: int
) -> None:
    """Unknown, revoked and another game's keys answer alike; the older dialect refuses with 200."""
    status, content = await ask(seller, path, download_key=key)

    assert (status, content) == (expected_status, {"errors": ["invalid download key"]})


async def test_one_key_is_shown_of_several(seller: httpx.AsyncClient) -> None:
    """A player with two keys gets one object."""
    _, content = await ask(seller, KEYS, user_id=seed.SHORT_KEY_OWNER_ID)

    assert content["download_key"]["key"] == seed.SHORT_KEY


@pytest.mark.parametrize(
    "user_id",
    [seed.BUYER_ID, seed.BUNDLE_BUYER_ID, seed.STRANGER_ID, seed.OTHER_GAME_OWNER_ID, seed.REFUNDED_ID, 10**18, -1],
)
@pytest.mark.parametrize(("path", "expected_status"), [(KEYS, 400), (OLD_KEYS, 200)])
async def test_users_without_a_key(seller: httpx.AsyncClient, user_id: int, path: str, expected_status: int) -> None:
    """Players without a key for this game have none, also if they bought it."""
    status, content = await ask(seller, path, user_id=user_id)

    assert (status, content) == (expected_status, {"errors": ["no download key found"]})


async def test_a_key_is_found_by_the_address_it_was_sent_to(seller: httpx.AsyncClient) -> None:
    """An address finds a key that no account has claimed."""
    _, content = await ask(seller, KEYS, email=seed.UNCLAIMED_KEY_EMAIL.upper())

    assert content["download_key"]["key"] == seed.UNCLAIMED_KEY


async def test_a_claimed_key_is_not_found_by_address(seller: httpx.AsyncClient) -> None:
    """Asking by e-mail misses claimed keys."""
    _, content = await ask(seller, KEYS, email=seed.OWNER_EMAIL)

    assert content == {"errors": ["no download key found"]}


async def test_a_purchase_is_found_by_user(seller: httpx.AsyncClient) -> None:
    """The buyer's purchase, in the current dialect."""
    status, content = await ask(seller, PURCHASES, user_id=seed.BUYER_ID)

    assert status == 200
    assert content == {
        "purchases": [
            {
                "id": 11561,
                "game_id": 3,
                "email": "bea@example.com",
                "created_at": "2014-02-28T00:25:09.000000000Z",
                "donation": False,
                "source": "stripe",
                "currency": "USD",
                "price": "$1.00",
                "sale_rate": 0,
                "purchase_type": "game",
                "status": "complete",
            }
        ]
    }


async def test_the_older_dialect_has_no_purchase_type(seller: httpx.AsyncClient) -> None:
    """Purchases of the older dialect lack `purchase_type`."""
    _, content = await ask(seller, OLD_PURCHASES, user_id=seed.BUYER_ID)

    assert "purchase_type" not in content["purchases"][0]
    assert content["purchases"][0]["created_at"] == "2014-02-28 00:25:09"


async def test_a_bundle_lists_its_games(seller: httpx.AsyncClient) -> None:
    """The row of a bundle has a list of games."""
    _, content = await ask(seller, PURCHASES, user_id=seed.BUNDLE_BUYER_ID)

    assert content["purchases"][0]["purchase_type"] == "bundle"
    assert content["purchases"][0]["game_id"] == [3, 4]


@pytest.mark.parametrize("user_id", [seed.BUNDLE_BUYER_ID, seed.SUB_PRODUCT_BUYER_ID])
async def test_the_older_dialect_knows_only_games(seller: httpx.AsyncClient, user_id: int) -> None:
    """Bundles and sub-products are not listed in the older dialect."""
    _, content = await ask(seller, OLD_PURCHASES, user_id=user_id)

    assert content == {"purchases": {}}


async def test_a_web_purchase_is_a_donation(seller: httpx.AsyncClient) -> None:
    """A purchase that comes without a key says so."""
    _, content = await ask(seller, PURCHASES, email=seed.WEB_BUYER_EMAIL)

    assert content["purchases"][0]["donation"] is True


async def test_a_sub_product_is_listed_as_one(seller: httpx.AsyncClient) -> None:
    """A sub-product has its own `purchase_type`."""
    _, content = await ask(seller, PURCHASES, user_id=seed.SUB_PRODUCT_BUYER_ID)

    assert content["purchases"][0]["purchase_type"] == "sub_product"


@pytest.mark.parametrize("email", [seed.LINKED_BUYER_EMAIL, seed.LINKED_BUYER_OTHER_EMAIL])
async def test_purchases_follow_linked_addresses(seller: httpx.AsyncClient, email: str) -> None:
    """Either address finds what one of them bought, also with a plus sign in it."""
    _, content = await ask(seller, PURCHASES, email=email)

    assert [row["id"] for row in content["purchases"]] == [11565]


@pytest.mark.parametrize("query", [{"user_id": seed.STRANGER_ID}, {"user_id": 77}, {"email": "no@example.com"}])
async def test_an_empty_list_is_an_empty_object(seller: httpx.AsyncClient, query: dict[str, str | int]) -> None:
    """An empty list of purchases is `{}`."""
    assert await ask(seller, PURCHASES, **query) == (200, {"purchases": {}})


async def test_claimed_keys_have_no_purchase(seller: httpx.AsyncClient) -> None:
    """The owner of a claimed key bought nothing."""
    assert await ask(seller, PURCHASES, user_id=seed.OWNER_ID) == (200, {"purchases": {}})


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("5", "invalid game"),
        ("77", "invalid game_id"),
        ("0", "invalid game_id"),
        ("9" * 20, "invalid game_id"),
        ("9" * 5000, "game_id must be an integer"),
        ("x-moon", "game_id must be an integer"),
        ("%D9%A3", "game_id must be an integer"),
    ],
)
@pytest.mark.parametrize("kind", ["download_keys", "purchases"])
async def test_games_that_are_not_ours(seller: httpx.AsyncClient, game: str, message: str, kind: str) -> None:
    """Foreign and unknown games, and ids that are no number, each have an error string."""
    assert await ask(seller, f"/games/{game}/{kind}", user_id=1994) == (400, {"errors": [message]})
    assert await ask(seller, f"/api/1/key/game/{game}/{kind}", user_id=1994) == (200, {"errors": [message]})


@pytest.mark.parametrize("path", [KEYS, PURCHASES])
@pytest.mark.parametrize("user_id", ["", "amos", "1.5", "1e3", "9" * 5000])
async def test_a_user_id_is_an_integer(seller: httpx.AsyncClient, path: str, user_id: str) -> None:
    """A user id that is no integer is refused."""
    assert await ask(seller, path, user_id=user_id) == (400, {"errors": ["user_id must be an integer"]})


@pytest.mark.parametrize(
    ("path", "message"),
    [(KEYS, "missing download_key, user_id or email"), (PURCHASES, "missing email or user_id")],
)
async def test_a_question_needs_a_subject(seller: httpx.AsyncClient, path: str, message: str) -> None:
    """Without any parameter there is nothing to look up."""
    assert await ask(seller, path) == (400, {"errors": [message]})


@pytest.mark.parametrize("path", ["/profile", "/api/1/key/me"])
async def test_the_sellers_profile(seller: httpx.AsyncClient, path: str) -> None:
    """A seller key belongs to the developer."""
    status, content = await ask(seller, path)

    assert status == 200
    assert (content["user"]["id"], content["user"]["developer"]) == (29789, True)


async def test_the_sellers_games(seller: httpx.AsyncClient) -> None:
    """Only the seller's own, with an empty object where there are no earnings."""
    _, content = await ask(seller, "/profile/games")

    assert [(game["id"], game["url"]) for game in content["games"]] == [
        (3, "https://leafo.itch.io/x-moon"),
        (4, "https://leafo.itch.io/sun-garden"),
    ]
    assert content["games"][0]["created_at"] == "2013-03-03T23:02:14.000000000Z"
    assert content["games"][0]["earnings"][0]["amount_formatted"] == "$50.47"
    assert content["games"][1]["earnings"] == {}


async def test_the_sellers_games_in_the_older_dialect(seller: httpx.AsyncClient) -> None:
    """The older dialect has another address, other dates and platform fields."""
    _, content = await ask(seller, "/api/1/key/my-games")

    assert content["games"][0]["published_at"] == "2013-03-03 23:02:14"
    assert content["games"][0]["p_windows"] is True


@pytest.mark.parametrize("path", ["/credentials/info", "/api/1/key/credentials/info"])
async def test_an_unscoped_key_may_do_everything(seller: httpx.AsyncClient, path: str) -> None:
    """An unscoped key has no end, and scopes above all that the gateway needs."""
    assert await ask(seller, path) == (200, {"scopes": ["profile", "game"]})


@pytest.mark.parametrize(
    "path",
    ["/", "/games", "/games/3", "/games/3/builds", "/games//download_keys", "/api/1/key", "/api/1/key/nothing", "/x"],
)
async def test_unknown_addresses(seller: httpx.AsyncClient, path: str) -> None:
    """An unknown address is a 404 in both dialects."""
    assert await ask(seller, path) == (404, {"errors": ["invalid api endpoint"]})


async def test_unknown_versions(seller: httpx.AsyncClient) -> None:
    """Versions of the older API other than 1 are unknown."""
    assert await ask(seller, "/api/2/key/me") == (404, {"errors": ["invalid api version: 2"]})


async def test_only_get_is_known(seller: httpx.AsyncClient) -> None:
    """Methods other than GET are unknown."""
    answer = await seller.post("/profile")

    assert (answer.status_code, answer.json()) == (404, {"errors": ["invalid api endpoint"]})


async def test_the_last_of_two_parameters_counts(seller: httpx.AsyncClient) -> None:
    """A parameter given twice is read as the later one."""
    answer = await seller.get(f"{KEYS}?user_id=1&user_id={seed.OWNER_ID}")

    assert answer.status_code == 200


async def test_a_world_with_no_games_lists_an_empty_object(seller: httpx.AsyncClient, sandbox: Sandbox) -> None:
    """An empty list of games is `{}`."""
    sandbox.world.games.clear()

    assert await ask(seller, "/profile/games") == (200, {"games": {}})
