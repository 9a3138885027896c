"""Two hundred tests of a made-up studio: each of 25 stories with eight players, in any order."""

from typing import Any

import pytest
from conftest import Gateway

pytestmark = pytest.mark.parametrize("player", range(100, 108))

MY_GAME = 700
MY_WEB_GAME = 701
DAY_HOURS = 24


def key_for(gateway: Gateway, **key: object) -> str:
    """Return the text of a new download key for my-game."""
    text: str = gateway.sandbox("POST", "/keys", {"game_id": MY_GAME, **key})["key"]
    return text


def jwt_of(gateway: Gateway, player: int, **jwt: object) -> str:
    """Return a JWT as the itch.io app hands it to the game."""
    text: str = gateway.sandbox("POST", "/jwts", {"user_id": player, **jwt})["jwt"]
    return text


def said(answer: dict[str, Any]) -> tuple[bool, str, str]:
    """Return the parts of an answer that a game server goes by."""
    return answer["allowed"], answer["outcome"], answer["reason"]


def test_key(gateway: Gateway, player: int) -> None:
    """A key lets in, and says whose it is."""
    answer = gateway.ask("download-key", download_key=key_for(gateway, user_id=player))

    assert said(answer) == (True, "owned", "download_key")
    assert answer["player"]["id"] == player


def test_key_of_ones_own_text(gateway: Gateway, player: int) -> None:
    """A key with a text that the test chose."""
    key_for(gateway, key=f"key-of-player-{player}")

    assert gateway.ask("download-key", download_key=f"key-of-player-{player}")["player"] is None


def test_wrong_key(gateway: Gateway, player: int) -> None:
    """A key that never was."""
    answer = gateway.ask("download-key", download_key=f"no-key-of-player-{player}")

    assert said(answer) == (False, "not_owned", "invalid_download_key")


def test_malformed_key(gateway: Gateway, player: int) -> None:
    """No key at all: the player should paste another one."""
    assert gateway.ask("download-key", download_key=f"?{player}")["outcome"] == "rejected"


def test_key_of_another_game(gateway: Gateway, player: int) -> None:
    """A key opens its own game alone."""
    key = key_for(gateway, user_id=player)

    assert gateway.ask("download-key", "my-web-game", download_key=key)["outcome"] == "not_owned"


def test_revoked_key(gateway: Gateway, player: int) -> None:
    """A key that was revoked holds no longer than its answer is fresh."""
    key = key_for(gateway, user_id=player)
    assert gateway.ask("download-key", download_key=key)["outcome"] == "owned"
    gateway.sandbox("POST", "/keys/revoke", {"key": key})

    assert gateway.ask("download-key", download_key=key)["outcome"] == "owned"
    gateway.pass_time(hours=2)
    assert gateway.ask("download-key", download_key=key)["outcome"] == "not_owned"


def test_claimed_key(gateway: Gateway, player: int) -> None:
    """A gift is claimed by a player, who owns the game from then on."""
    key = key_for(gateway, email="gift@example.com")
    assert gateway.ask("email", email="gift@example.com")["outcome"] == "owned"
    gateway.sandbox("POST", "/keys/claim", {"key": key, "user_id": player})

    assert gateway.ask("user", user_id=player)["outcome"] == "owned"


def test_jwt(gateway: Gateway, player: int) -> None:
    """The itch.io app says who plays."""
    gateway.sandbox("POST", "/users", {"id": player, "username": f"player-{player}", "display_name": "Ada"})
    key_for(gateway, user_id=player)

    answer = gateway.ask("jwt", jwt=jwt_of(gateway, player))

    assert said(answer) == (True, "owned", "download_key")
    assert answer["player"] == {"id": player, "username": f"player-{player}", "display_name": "Ada"}


def test_jwt_of_a_stranger(gateway: Gateway, player: int) -> None:
    """A player who owns nothing."""
    assert said(gateway.ask("jwt", jwt=jwt_of(gateway, player))) == (False, "not_owned", "no_download_key")


def test_expired_jwt(gateway: Gateway, player: int) -> None:
    """A JWT that expires while the player is remembered."""
    key_for(gateway, user_id=player)
    jwt = jwt_of(gateway, player, lifetime_seconds=60)
    assert gateway.ask("jwt", jwt=jwt)["outcome"] == "owned"

    gateway.pass_time(seconds=61)
    assert said(gateway.ask("jwt", jwt=jwt)) == (False, "rejected", "expired_jwt")


def test_forged_jwt(gateway: Gateway, player: int) -> None:
    """A JWT whose signature is another's."""
    head, claims, _ = jwt_of(gateway, player).split(".")
    signature = jwt_of(gateway, player + 1).rpartition(".")[2]

    assert gateway.ask("jwt", jwt=f"{head}.{claims}.{signature}")["outcome"] == "rejected"


def test_press(gateway: Gateway, player: int) -> None:
    """A press account is let in by its JWT."""
    gateway.sandbox("POST", "/users", {"id": player, "press": True})

    assert said(gateway.ask("jwt", jwt=jwt_of(gateway, player))) == (True, "granted", "press")


def test_bought_with_an_address(gateway: Gateway, player: int) -> None:
    """A purchase, found by the address that paid."""
    gateway.sandbox("POST", "/purchases", {"game_id": MY_GAME, "email": f"p{player}@example.com"})

    assert said(gateway.ask("email", email=f"p{player}@example.com")) == (True, "owned", "purchase")


def test_bundle(gateway: Gateway, player: int) -> None:
    """A bundle whose buyer has never opened the game, so that there is no key yet."""
    bundle = {"game_id": [MY_GAME, MY_WEB_GAME], "user_id": player, "purchase_type": "bundle"}
    gateway.sandbox("POST", "/purchases", bundle)

    assert said(gateway.ask("user", user_id=player)) == (True, "owned", "bundle_purchase")
    assert gateway.ask("user", "my-web-game", user_id=player)["outcome"] == "owned"


def test_web_purchase(gateway: Gateway, player: int) -> None:
    """A paid web game, which only a game that accepts it takes for owned."""
    for game_id in (MY_GAME, MY_WEB_GAME):
        gateway.sandbox("POST", "/purchases", {"game_id": game_id, "user_id": player, "donation": True})

    assert said(gateway.ask("user", "my-web-game", user_id=player)) == (True, "owned", "web_purchase")
    assert gateway.ask("user", user_id=player)["outcome"] == "not_owned"


def test_refund(gateway: Gateway, player: int) -> None:
    """A player who gets the money back is out once the answer is not fresh any more."""
    bought = gateway.sandbox("POST", "/purchases", {"game_id": MY_GAME, "user_id": player, "with_key": True})
    assert gateway.ask("user", user_id=player)["outcome"] == "owned"
    gateway.sandbox("POST", "/purchases/refund", {"purchase_id": bought["purchase_id"]})

    assert gateway.ask("user", user_id=player, max_age=0)["outcome"] == "not_owned"


def test_ban_by_the_file(gateway: Gateway, player: int) -> None:
    """An account in `ban_user_ids` stays out even if it owns the game; others do not."""
    for user_id in (666, player):
        key_for(gateway, user_id=user_id)

    assert said(gateway.ask("jwt", jwt=jwt_of(gateway, 666))) == (False, "banned", "operator_ban")
    assert gateway.ask("jwt", jwt=jwt_of(gateway, player))["outcome"] == "owned"


def test_grant_by_the_file(gateway: Gateway, player: int) -> None:
    """An account in `grant_user_ids` is let in even while the store is away."""
    gateway.fault("outage")

    assert said(gateway.ask("user", user_id=1)) == (True, "granted", "operator_grant")
    assert gateway.ask("user", user_id=player)["outcome"] == "unknown"


def test_buys_while_waiting(gateway: Gateway, player: int) -> None:
    """A no is repeated for 45 seconds; then the purchase is seen."""
    assert gateway.ask("user", user_id=player)["outcome"] == "not_owned"
    key_for(gateway, user_id=player)

    assert gateway.ask("user", user_id=player)["outcome"] == "not_owned"
    gateway.pass_time(seconds=46)
    assert gateway.ask("user", user_id=player)["outcome"] == "owned"


def test_outage(gateway: Gateway, player: int) -> None:
    """A new player waits for the end of an outage, not a second longer."""
    key_for(gateway, user_id=player)
    gateway.fault("outage")
    assert said(gateway.ask("user", user_id=player)) == (False, "unknown", "source_unavailable")

    gateway.mend()
    assert gateway.ask("user", user_id=player)["outcome"] == "owned"


def test_end_of_grace(gateway: Gateway, player: int) -> None:
    """An owner plays on in an outage, for a day."""
    key_for(gateway, user_id=player)
    gateway.ask("user", user_id=player)
    gateway.fault("outage")

    gateway.pass_time(hours=DAY_HOURS - 1)
    assert gateway.ask("user", user_id=player)["stale"] is True
    gateway.pass_time(hours=1)
    assert gateway.ask("user", user_id=player)["outcome"] == "unknown"


def test_throttled(gateway: Gateway, player: int) -> None:
    """A store that is asked too much says when to come back, and is asked again then."""
    key_for(gateway, user_id=player)
    gateway.fault("throttle")
    answer = gateway.ask("user", user_id=player)
    assert (answer["reason"], answer["retry_after_seconds"]) == ("source_rate_limited", 7)

    gateway.mend()
    assert gateway.ask("user", user_id=player)["outcome"] == "owned"


def test_slow(gateway: Gateway, player: int) -> None:
    """A store that answers after the deadline keeps the player waiting, and the test not."""
    key_for(gateway, user_id=player)
    gateway.fault("slow")
    assert gateway.ask("user", user_id=player)["outcome"] == "unknown"

    gateway.mend()
    assert gateway.ask("user", user_id=player)["outcome"] == "owned"


def test_seller_key_revoked(gateway: Gateway, player: int) -> None:
    """With a dead API key nobody new is let in, until there is a good one."""
    key_for(gateway, user_id=player)
    gateway.sandbox("PUT", "/seller-key", {"revoked": True})
    assert gateway.ask("user", user_id=player)["reason"] == "gateway_credential"

    gateway.sandbox("PUT", "/seller-key", {"revoked": False})
    assert gateway.ask("user", user_id=player)["outcome"] == "owned"


def test_two_players_in_one_request(gateway: Gateway, player: int) -> None:
    """A lobby asks about all its players at once."""
    key_for(gateway, user_id=player)
    items = [{"id": str(n), "method": "user", "game": "my-game", "user_id": player + n} for n in range(2)]

    _, answer = gateway._send("POST", "/verify/batch", {"items": items})  # noqa: SLF001 - the fixture's own

    assert [result["decision"]["outcome"] for result in answer["results"]] == ["owned", "not_owned"]
