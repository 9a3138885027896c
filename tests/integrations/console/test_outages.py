"""The console while the store or the gateway gives no answer."""

from tests.integrations.console.conftest import Expect, Gateways, Screen


def test_an_outage_shows_in_words(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "operator")
    gateway.ask("PUT", "/sandbox/faults", {"name": "outage"})
    screen.look_up("2007")

    page.get_by_role("button", name="Ask itch.io now").click()

    expect(page.locator("#result-title")).to_have_text("Not decided")
    store = page.locator("#state li").filter(has_text="itch.io").first
    expect(store).to_contain_text("Gave no answer")
    expect(store).to_contain_text("It shows a page for people")


def test_an_outage_says_how_old_it_is(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """itch.io may be well again long before it is asked again: the box is red, and says when it was seen."""
    gateway.ask("PUT", "/sandbox/faults", {"name": "outage"})
    assert gateway.ask("POST", "/verify/user", {"game": 3, "user_id": 2007})[0] == 503
    gateway.ask("POST", "/sandbox/clock", {"advance_seconds": 600})

    page = screen.open(gateway, "support")

    store = page.locator("#state li").filter(has_text="itch.io").first
    expect(store).to_contain_text("Gave no answer")
    expect(store).to_contain_text("When last asked, 10 minutes ago.")


def test_undecided_answers_are_counted(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    gateway.ask("PUT", "/sandbox/faults", {"name": "outage"})
    assert gateway.ask("POST", "/verify/user", {"game": 3, "user_id": 2007})[0] == 503

    page = screen.open(gateway, "support")

    expect(page.locator("#state")).to_contain_text("1 of 1 not decided")


def test_a_gateway_that_is_away_is_said_in_words(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "support")
    page.context.set_offline(True)

    page.get_by_label("Paste what the player sent you").fill("2007")
    page.keyboard.press("Enter")

    expect(page.locator("#message")).to_contain_text("The gateway does not answer")
    page.context.set_offline(False)
    screen.look_up("2007")


def test_a_gateway_that_is_back_is_seen_without_a_click(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    screen.page.clock.install()
    page = screen.open(gateway, "support")
    page.context.set_offline(True)
    page.clock.fast_forward(10_000)
    expect(page.locator("#message")).to_contain_text("The gateway does not answer")

    page.context.set_offline(False)
    page.clock.fast_forward(10_000)

    expect(page.locator("#message")).to_have_text("")
