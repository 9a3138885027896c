"""Signing in to the console, and out of it."""

import pytest

from tests.integrations.console.conftest import TOKENS, Expect, Gateways, Screen


def test_a_stranger_sees_nothing_but_the_sign_in(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway)

    expect(page.get_by_label("Your token")).to_be_focused()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    assert page.locator("#signed-in, #sandbox, #sandbox-banner, #sign-out").filter(visible=True).count() == 0
    assert page.locator("#state li, #world *, #overrides *").count() == 0


@pytest.mark.parametrize(
    ("token", "words"),
    [
        ("ogw_another", "does not know this token"),
        (TOKENS["lobby"], "your token lacks the right support"),
        ("ünïcode", "does not know this token"),
    ],
)
def test_a_token_that_is_no_good_is_said_in_words(
    gateway: Gateways, screen: Screen, expect: Expect, token: str, words: str
) -> None:
    page = screen.open(gateway)

    page.get_by_label("Your token").fill(token)
    page.get_by_role("button", name="Sign in").click()

    expect(page.locator("#message")).to_contain_text(words)
    expect(page.get_by_label("Your token")).to_have_value("")
    assert not page.locator("#signed-in").is_visible()


def test_the_token_is_gone_with_the_page(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "support")

    page.reload()

    expect(page.get_by_label("Your token")).to_be_visible()
    assert not page.locator("#signed-in").is_visible()


def test_signing_out_leaves_nothing(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "operator")
    screen.look_up("2007")

    page.get_by_role("button", name="Sign out").click()

    expect(page.locator("#message")).to_have_text("You are signed out.")
    assert not page.locator("#signed-in").is_visible()
    assert page.locator("#result *, #state *, #overrides *").count() == 0
    assert page.locator("#pasted").input_value() == ""


def test_the_sandbox_without_callers_asks_for_no_token(open_gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(open_gateway)

    expect(page.get_by_label("Paste what the player sent you")).to_be_focused()
    expect(page.get_by_text("Nothing here is real")).to_be_visible()
    expect(page.get_by_role("heading", name="The sandbox")).to_be_visible()
