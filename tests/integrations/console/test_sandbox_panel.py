"""The panel of the sandbox in the console."""

import pytest

from tests.integrations.console.conftest import Expect, Gateways, Screen

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.mark.parametrize(
    ("choice", "tile"),
    [
        ("It is out of order", "Gave no answer"),
        ("It asks us to slow down", "Asks us to wait"),
        ("It refuses the seller\u2019s key", "Was refused"),
        ("It is too slow", "Gave no answer"),
    ],
)
def test_each_fault_is_switched_on_and_off(
    open_gateway: Gateways, screen: Screen, expect: Expect, choice: str, tile: str
) -> None:
    page = screen.open(open_gateway)
    page.get_by_label(choice).check()
    expect(page.locator("#sandbox-message")).to_contain_text(choice)
    screen.look_up("2007")
    page.get_by_role("button", name="Ask itch.io now").click()
    expect(page.locator("#state")).to_contain_text(tile)

    page.get_by_label("It answers as ever").check()

    expect(page.locator("#sandbox-message")).to_contain_text("It answers as ever")
    page.get_by_role("button", name="Ask itch.io now").click()
    expect(page.locator("#result-title")).to_have_text("Not let in")
    assert open_gateway.ask("GET", "/sandbox/faults")[1] == {"faults": []}


@pytest.mark.parametrize(("button", "seconds"), [("A minute", 60), ("An hour", 3600), ("A day", 86_400)])
def test_time_passes(open_gateway: Gateways, screen: Screen, expect: Expect, button: str, seconds: int) -> None:
    page = screen.open(open_gateway)

    page.get_by_role("button", name=button).click()

    expect(page.locator("#sandbox-message")).to_have_text(f"{button} has passed.")
    expect(page.locator("#clock")).to_contain_text("ahead")
    assert open_gateway.ask("GET", "/sandbox/clock")[1]["ahead_seconds"] == seconds


def test_it_begins_again(open_gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(open_gateway)
    screen.look_up("2007").locator("[data-word=grant-7]").click()
    expect(page.locator("#overrides")).to_contain_text("itch.io user 2007")

    page.get_by_role("button", name="Reset").click()

    expect(page.locator("#sandbox-message")).to_contain_text("Everything is as at the start")
    expect(page.locator("#overrides")).to_contain_text("Nobody at the moment")
    assert not page.locator("#result").is_visible()


def test_who_owns_what_is_seen_and_changed(open_gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(open_gateway)
    bea = page.locator("#world tr").filter(has_text="Bea")
    amos = page.locator("#world tr").filter(has_text="Amos")

    bea.get_by_role("button", name="Refund").click()
    expect(bea).to_contain_text("refunded")
    amos.get_by_role("button", name="Revoke").first.click()
    expect(amos).to_contain_text("revoked")
    bea.get_by_role("button", name="Look up").click()

    expect(page.locator("#pasted")).to_have_value("2001")
    expect(page.locator("#result")).to_contain_text("itch.io user number")
    page.get_by_role("button", name="Ask itch.io now").click()
    expect(page.locator("#result-title")).to_have_text("Not let in")
    page.get_by_label("It is out of order").check()
    expect(page.locator("#requests")).to_contain_text("user_id=2001")


def test_what_changes_by_itself_is_renewed(open_gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """The last requests and the time, without a click; and the list says while there is more of it below."""
    screen.page.clock.install()
    page = screen.open(open_gateway)
    requests = page.locator("#requests")
    assert "user_id=2003" not in requests.inner_text()
    for user in range(2001, 2010):
        open_gateway.ask("POST", "/verify/user", {"game": 3, "user_id": user})

    page.clock.fast_forward(10_000)

    expect(requests).to_contain_text("user_id=2003")
    expect(requests).to_have_class("scroll cut")
    requests.evaluate("one => one.scrollTo(0, one.scrollHeight)")
    expect(requests).to_have_class("scroll")


def test_hostile_names_are_text(open_gateway: Gateways, screen: Screen, expect: Expect) -> None:
    user = {"id": 7, "username": "ada", "display_name": HOSTILE, "emails": [f"{HOSTILE}@example.com"]}
    open_gateway.ask("POST", "/sandbox/users", user)
    open_gateway.ask("POST", "/sandbox/games", {"id": 700, "slug": "my-game", "title": HOSTILE})
    open_gateway.ask("POST", "/sandbox/keys", {"game_id": 700, "user_id": 7, "key": "a-key-for-ada"})

    page = screen.open(open_gateway)
    page.locator("#game").select_option("700")
    screen.look_up("a-key-for-ada")
    page.get_by_role("button", name="Ask itch.io now").click()

    expect(page.locator("#world")).to_contain_text(f"7 · {HOSTILE}")
    expect(page.locator("#result")).to_contain_text(f"about {HOSTILE}")
    assert page.locator("img").count() == 0
    assert page.title() == "Console of the ownership gateway"
