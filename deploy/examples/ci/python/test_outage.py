"""An outage of itch.io, as the players of a game meet it."""

from conftest import Gateway


def test_owner_keeps_playing_in_an_outage_and_is_out_after_a_day(gateway: Gateway) -> None:
    """What was proven before holds for a day; nobody new is let in meanwhile."""
    for user_id in (7, 8):
        gateway.sandbox("POST", "/keys", {"game_id": 700, "user_id": user_id})
    assert gateway.ask("user", user_id=7)["outcome"] == "owned"

    gateway.fault("outage")
    gateway.pass_time(hours=23)
    assert gateway.ask("user", user_id=7)["outcome"] == "owned"
    assert gateway.ask("user", user_id=8)["outcome"] == "unknown"

    gateway.pass_time(hours=1)
    assert gateway.ask("user", user_id=7)["outcome"] == "unknown"

    gateway.mend()
    assert [gateway.ask("user", user_id=user_id)["outcome"] for user_id in (7, 8)] == ["owned", "owned"]
