"""Each button of the console about a player, and the rights that it needs."""

import pytest

from service.sandbox import seed
from tests.integrations.console.conftest import Expect, Gateways, Screen

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


@pytest.mark.parametrize(
    ("caller", "buttons"),
    [
        ("support", set()),
        (
            "moderator",
            {f"{word} for {days}" for word in ("Let in", "Keep out") for days in ("1 day", "7 days", "30 days")},
        ),
        ("operator", {"Ask itch.io now", "Forget what is known"}),
    ],
)
def test_each_sees_the_buttons_of_its_rights(
    gateway: Gateways, screen: Screen, expect: Expect, caller: str, buttons: set[str]
) -> None:
    screen.open(gateway, caller)

    result = screen.look_up("2007")

    shown = set(result.locator(".act button").all_text_contents())
    assert buttons <= shown
    assert ("Forget what is known" in shown, "Let in for 7 days" in shown) == (
        caller == "operator",
        caller != "support",
    )


@pytest.mark.parametrize("days", [1, 7, 30])
@pytest.mark.parametrize("word", ["grant", "ban"])
def test_a_player_is_let_in_or_kept_out_for_a_while(
    gateway: Gateways, screen: Screen, expect: Expect, word: str, days: int
) -> None:
    page = screen.open(gateway, "moderator")
    player = 2007 if word == "grant" else 1994
    result = screen.look_up(str(player))

    result.get_by_label("Ticket and why").fill(f"ticket {HOSTILE}")
    result.locator(f"[data-word={word}-{days}]").click()
    if word == "ban":
        page.get_by_role("dialog").get_by_role("button", name="Keep out").click()

    expect(page.locator("#overrides")).to_contain_text(f"moderator: ticket {HOSTILE}")
    expect(page.locator("#message")).to_contain_text("Let in for" if word == "grant" else "Kept out for")
    expect(page.locator("#result-title")).to_have_text("Let in" if word == "grant" else "Not let in")
    assert gateway.allows(player) is (word == "grant")
    (held,) = gateway.ask("GET", "/admin/overrides?game=3", caller="support")[1]
    assert (held["user_id"], held["word"]) == (player, word)

    page.get_by_role("button", name="Take back").click()

    expect(page.locator("#overrides")).to_contain_text("Nobody at the moment")
    taken = f"Taken back: itch.io user {player} is no longer {'let in' if word == 'grant' else 'kept out'}."
    expect(page.locator("#message")).to_contain_text(taken)
    assert gateway.allows(player) is (word != "grant")


def test_keeping_out_is_asked_about_once_more(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """It is not done by one wrong click, nor by Enter twice."""
    page = screen.open(gateway, "moderator")
    keep_out = screen.look_up("1994").locator("[data-word=ban-7]")

    keep_out.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("Keep itch.io user 1994 out of x-moon for 7 days?")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(keep_out).to_be_focused()
    keep_out.click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)

    assert screen.sent("/admin/overrides") == []
    assert gateway.allows(1994)


def test_signing_out_ends_what_was_asked(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """Half an hour later another person may sit there."""
    screen.page.clock.install()
    page = screen.open(gateway, "moderator")
    screen.look_up("1994").locator("[data-word=ban-7]").click()
    expect(page.get_by_role("dialog")).to_be_visible()

    page.clock.fast_forward(31 * 60_000)

    expect(page.get_by_label("Your token")).to_be_focused()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert gateway.ask("GET", "/admin/overrides?game=3", caller="support")[1] == []


def test_a_player_that_was_let_in_since_is_not_shown_as_refused(
    gateway: Gateways, screen: Screen, expect: Expect
) -> None:
    """By the support code of the refusal: green, with the end, the one who said so, and what to tell the player."""
    page = screen.open(gateway, "moderator")
    result = screen.look_up(gateway.refuse(2007))
    expect(page.locator("#result-title")).to_have_text("Not let in")

    result.get_by_label("Ticket and why").fill("ticket 301")
    result.get_by_role("button", name="Let in for 7 days").click()

    expect(page.locator("#result-title")).to_contain_text("Was not let in. Let in now until ")
    expect(result).to_have_class("card good")
    expect(result.locator(".advice")).to_contain_text("try again now")
    expect(result).to_contain_text("Let in by")
    expect(result).to_contain_text("moderator")
    expect(result).to_contain_text(": ticket 301")
    assert " UTC" not in result.inner_text()  # dates are of one kind


def test_where_one_gateway_alone_knows_it_is_no_success(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "moderator")

    screen.look_up("2007").get_by_role("button", name="Let in for 1 day").click()

    message = page.locator("#message")
    expect(message).to_contain_text("Let in for 1 day: itch.io user 2007. But only this one gateway knows it")
    expect(message).to_have_class("message open")
    expect(message).to_be_in_viewport()


def test_an_address_is_not_shown_as_something_else(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """The list has no fingerprint; it says how to find the address, and names it while it is the one above."""
    page = screen.open(gateway, "moderator")
    list_ = page.locator("#overrides")
    screen.look_up("nia@example.com").get_by_role("button", name="Let in for 1 day").click()
    expect(list_).to_contain_text("The e-mail address that you looked up")

    screen.look_up("2007").get_by_role("button", name="Let in for 1 day").click()

    expect(list_).to_contain_text("itch.io user 2007")
    expect(list_).to_contain_text("An e-mail address (not kept: paste it above to find it)")
    (by_address,) = [
        one for one in gateway.ask("GET", "/admin/overrides?game=3", caller="support")[1] if not one["user_id"]
    ]
    assert by_address["subject"] not in list_.inner_text()


def test_a_key_is_only_kept_out(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "moderator")
    result = screen.look_up("sandbox-18-chars-k")

    assert result.locator("[data-word^=grant]").count() == 0
    result.locator("[data-word=ban-1]").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep out").click()

    expect(page.locator("#overrides")).to_contain_text("download key")
    asked = {"game": 3, "download_key": "sandbox-18-chars-k"}
    assert gateway.ask("POST", "/verify/download-key", asked)[1]["reason"] == "operator_ban"


@pytest.mark.parametrize(
    ("pasted", "lacks"),
    [
        ("2007", "the right assert:user"),
        ("nia@example.com", "the rights verify and assert:email"),
        (seed.OWNER_KEY, "the right verify"),
    ],
)
def test_a_right_that_is_missing_is_named(
    gateway: Gateways, screen: Screen, expect: Expect, pasted: str, lacks: str
) -> None:
    """Instead of the button that asks itch.io."""
    screen.open(gateway, "moderator")

    result = screen.look_up(pasted)

    expect(result).to_contain_text(f"You cannot ask itch.io now: your token lacks {lacks}.")
    assert result.locator("#ask-now").count() == 0


def test_by_a_support_code_the_player_is_asked_about(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "operator")
    result = screen.look_up(gateway.refuse(2007))

    with page.expect_response("**/admin/explain") as explained:
        result.get_by_role("button", name="Ask itch.io now").click()

    assert explained.value.request.post_data_json == {"user_id": 2007, "game": 3, "ask": True}
    expect(result).to_contain_text("This is an itch.io user number")


def test_after_the_code_of_an_address_it_says_what_to_paste(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """The address is not kept, so there is nothing that a button could act on."""
    page = screen.open(gateway, "operator")
    refused = gateway.ask("POST", "/verify/email", {"game": 3, "email": "nia@example.com"})[1]

    result = screen.look_up(refused["decision_id"])

    expect(result).to_contain_text("The e-mail address itself is not kept.")
    assert result.locator("[data-word], #ask-now, #forget").count() == 0
    result.get_by_role("button", name="Paste it").click()
    expect(page.locator("#pasted")).to_be_focused()


def test_what_is_known_is_forgotten(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "operator")
    assert gateway.allows(1994)
    result = screen.look_up("1994")
    expect(page.locator("#result-title")).to_have_text("Let in")

    result.get_by_role("button", name="Forget what is known").click()

    expect(page.locator("#message")).to_contain_text("Forgotten")
    expect(page.locator("#result-title")).to_have_text("Nothing is known")
