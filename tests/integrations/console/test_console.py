"""The console in a real Chromium: each kind of paste, each button, every hand and eye that uses it."""

import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from service.sandbox import seed
from tests.integrations.console.conftest import TOKENS, Gateways, Screen
from tests.passes.make_forged import encoded

Expect = Callable[[Any], Any]

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


# Signing in.


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


# What may be pasted.


def test_a_support_code_is_found_however_it_is_written(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    screen.open(gateway, "support")
    code = gateway.refuse(2007)

    for pasted in [code, code.lower(), f" “{code}”", f"Hi! My support code is {code}, please help."]:
        result = screen.look_up(pasted)
        expect(result).to_contain_text("This is a support code, about x-moon.")
        expect(result).to_contain_text("Not let in")
        expect(result.locator(".advice")).to_contain_text("should open the game once")


def _jwt(gateway: Gateways) -> str:
    return str(gateway.ask("POST", "/sandbox/jwts", {"user_id": 1994})[1]["jwt"])


@pytest.mark.parametrize(
    ("pasted", "is_a"),
    [
        (seed.OWNER_KEY, ("a download key", "Let in")),
        (f'"{seed.OWNER_KEY}".', ("a download key", "Let in")),
        (f"https://leafo.itch.io/x-moon/download/{seed.OWNER_KEY}", ("a download link", "Let in")),
        (f"leafo.itch.io/x-moon/download/{seed.OWNER_KEY}", ("a download link", "Let in")),
        (f"\u201c{seed.OWNER_KEY}\u201d", ("a download key", "Let in")),
        (_jwt, ("a JWT of the itch.io app", "Let in")),
        ("bea@example.com", ("an e-mail address", "Let in")),
        ("1994", ("an itch.io user number", "Let in")),
        ("\u00ab1994\u00bb", ("an itch.io user number", "Let in")),
        ("\u201e1994\u201c", ("an itch.io user number", "Let in")),
        ("\u00ad\u202a1994\u202c", ("an itch.io user number", "Let in")),
        ("2007", ("an itch.io user number", "Not let in")),
        ("sandbox-revoked-key-0000000000000000003x", ("a download key", "Not let in")),
    ],
)
def test_each_kind_is_recognised_and_asked_about(
    gateway: Gateways, screen: Screen, expect: Expect, pasted: str | Callable[[Gateways], str], is_a: tuple[str, str]
) -> None:
    kind, says = is_a
    page = screen.open(gateway, "operator")
    text = pasted if isinstance(pasted, str) else pasted(gateway)

    result = screen.look_up(text)
    expect(result).to_contain_text(f"This is {kind}, about x-moon.")
    expect(result).to_contain_text("Nothing is known")
    with page.expect_response("**/admin/explain"):
        page.get_by_role("button", name="Ask itch.io now").click()

    expect(page.locator("#result-title")).to_have_text(says)
    assert [text in one.url for one in screen.asked] == [False] * len(screen.asked)


@pytest.mark.parametrize(
    ("pasted", "words"),
    [
        (TOKENS["operator"], "It is a secret"),
        (encoded('{"alg":"RS256","kid":"k","typ":"ownership-pass+jwt"}') + ".e30.c2ln", "This is a pass, a secret"),
        ("https://leafo.itch.io/x-moon", "the address of a page"),
        ("https://example.com/download/YWKse5jeAeuZ8w3a", "nothing that we know"),
        ("hello there", "nothing that we know"),
        (HOSTILE, "nothing that we know"),
        ("0", "nothing that we know"),
        ("{}", "nothing that we know"),
        ("'; --", "nothing that we know"),
        ("a" * 70_000, "nothing that we know"),
    ],
)
def test_what_is_nothing_that_we_know_is_sent_nowhere(
    gateway: Gateways, screen: Screen, expect: Expect, pasted: str, words: str
) -> None:
    page = screen.open(gateway, "support")

    page.get_by_label("Paste what the player sent you").fill(pasted)
    page.get_by_role("button", name="Look up", exact=True).click()

    expect(page.locator("#result")).to_contain_text(words)
    expect(page.locator("#result-title")).to_be_focused()
    page.locator("#pasted").fill("")
    assert screen.sent("/admin/explain") == []


def test_a_code_that_is_not_remembered_is_said_in_words(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "support")

    page.get_by_label("Paste what the player sent you").fill("01M7Y5ND2JBT5AEVTRV7N33BJ6")
    page.keyboard.press("Enter")

    expect(page.locator("#message")).to_contain_text("No refusal with this support code is remembered")
    expect(page.locator("#message")).to_contain_text("mistyped")
    expect(page.locator("#message")).to_contain_text("the player was let in")


def test_looking_asks_the_store_nothing(gateway: Gateways, screen: Screen) -> None:
    screen.open(gateway, "operator")
    before = gateway.ask("GET", "/sandbox/requests")[1]["total"]

    screen.look_up("2007")

    assert gateway.ask("GET", "/sandbox/requests")[1]["total"] == before


def test_refusals_lead_to_their_codes(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """The one that is shown is not listed once more."""
    page = screen.open(gateway, "support")
    first = gateway.refuse(2007)
    gateway.ask("POST", "/sandbox/clock", {"advance_seconds": 300})
    second = gateway.refuse(2007)
    result = screen.look_up(second)
    expect(result.get_by_role("button", name="Look up the support code")).to_have_text([first])

    result.get_by_role("button", name=f"Look up the support code {first}").click()

    expect(page.locator("#pasted")).to_have_value(first)
    expect(result.get_by_role("button", name="Look up the support code")).to_have_text([second])


def test_a_refusal_of_late_is_the_verdict(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """Although nothing counts any more of what was known then."""
    page = screen.open(gateway, "support")
    code = gateway.refuse(2007)
    gateway.ask("POST", "/sandbox/clock", {"advance_seconds": 76})

    result = screen.look_up("2007")

    expect(page.locator("#result-title")).to_have_text("Not let in")
    expect(result.locator(".advice")).to_contain_text("should open the game once")
    expect(result).to_contain_text("Asked by")
    result.locator("summary").click()
    expect(result.locator("details")).to_contain_text(code)


def test_times_go_on(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """Also while the gateway cannot be asked."""
    screen.page.clock.install()
    page = screen.open(gateway, "support")
    result = screen.look_up(gateway.refuse(2007))
    expect(result).to_contain_text("second")
    page.context.set_offline(True)

    page.clock.fast_forward(5 * 60_000)

    expect(result).to_contain_text("Looked up 5 minutes ago.")
    expect(result.locator("dd").filter(has_text="(5 minutes ago)").first).to_be_visible()
    page.context.set_offline(False)


def test_another_game_is_chosen(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "operator")

    page.get_by_label("Game", exact=True).select_option("sun-garden")
    result = screen.look_up("2008")
    result.get_by_role("button", name="Ask itch.io now").click()

    expect(page.locator("#result-title")).to_have_text("Let in")
    expect(result).to_contain_text("about sun-garden")


@pytest.mark.parametrize("button", ["#ask-now", "#forget", "[data-word=grant-1]", "[data-word=ban-1]"])
def test_a_button_is_about_the_player_beside_it(gateway: Gateways, screen: Screen, expect: Expect, button: str) -> None:
    """Player and game in the form are others by then."""
    page = screen.open(gateway, "operator")
    result = screen.look_up("2007")

    page.get_by_label("Paste what the player sent you").fill("1994")
    page.get_by_label("Game", exact=True).select_option("sun-garden")
    with page.expect_response("**/admin/explain") as explained:
        result.locator(button).click()
        if "ban" in button:
            page.get_by_role("dialog").get_by_role("button", name="Keep out").click()

    asked = explained.value.request.post_data_json
    assert (asked["user_id"], asked["game"]) == (2007, 3)
    expect(page.locator("#result-title")).to_be_focused()
    expect(result).to_contain_text("about x-moon")


# What may be done.


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


# When something fails.


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


# The sandbox.


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


# Every hand and eye.


def test_a_keyboard_is_enough(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway)
    expect(page.get_by_label("Your token")).to_be_focused()
    page.keyboard.type(TOKENS["moderator"])
    page.keyboard.press("Enter")
    expect(page.get_by_label("Paste what the player sent you")).to_be_focused()
    page.keyboard.type("2007")
    page.keyboard.press("Enter")
    expect(page.locator("#result-title")).to_be_focused()
    for _ in range(20):
        page.keyboard.press("Tab")
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", page.evaluate("document.activeElement.outerHTML")
        if page.evaluate("document.activeElement.dataset.word") == "grant-7":
            break

    page.keyboard.press("Enter")

    expect(page.locator("#overrides")).to_contain_text("itch.io user 2007")
    assert gateway.allows(2007)


def test_everything_has_a_name_for_a_screen_reader(open_gateway: Gateways, screen: Screen) -> None:
    page = screen.open(open_gateway)
    screen.look_up("2007")

    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, select, section, [role=region], [role=group], fieldset")]
        .filter((one) => one.checkVisibility())
        .filter((one) => !(one.labels && one.labels.length) && !one.getAttribute("aria-label")
          && !one.getAttribute("aria-labelledby") && !one.querySelector("legend") && !one.textContent.trim())
        .map((one) => one.outerHTML)"""
    )

    assert unnamed == []
    assert page.locator("html").get_attribute("lang") == "en"
    said = page.get_by_role("status").evaluate_all("all => all.map((one) => one.id)")
    assert said == ["message", "sandbox-message"]
    assert "heading" in page.locator("main").aria_snapshot()


LOOKS = [
    {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    for width in (320, 1000)
    for scheme in ("light", "dark")
]
_CONTRASTS = """(() => {
  const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    context.clearRect(0, 0, 1, 1);
    context.fillStyle = colour;
    context.fillRect(0, 0, 1, 1);
    return [...context.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((one) => one / 255)
    .map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
    .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
  const behind = (one) => {
    for (let place = one; place; place = place.parentElement) {
      const colour = rgb(getComputedStyle(place).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")]
    .filter((one) => one.checkVisibility())
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .map((one) => {
      const [ink, paper] = [light(rgb(getComputedStyle(one).color)), light(behind(one))];
      return [(Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05), one.textContent];
    })
    .sort(([one], [other]) => one - other)[0];
})()"""


@pytest.mark.parametrize("screen", LOOKS, indirect=True, ids=["narrow", "narrow-dark", "wide", "wide-dark"])
def test_it_fits_and_can_be_read(
    open_gateway: Gateways, screen: Screen, expect: Expect, seen: Callable[[str], None]
) -> None:
    """No sideways scrolling, and the contrast of all text is at least 4.5, as WCAG 2.2 AA has it."""
    page = screen.open(open_gateway)
    open_gateway.refuse(2007)
    screen.look_up("2007")
    page.get_by_role("button", name="Let in for 30 days").click()
    expect(page.locator("#overrides")).to_contain_text("2007")
    page.locator("[data-word=ban-30]").click()

    contrast, text = page.evaluate(_CONTRASTS)
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")

    seen(f"contrast {contrast:.1f}")
    assert (wider, contrast >= 4.5) == (0, True), text


def test_a_heading_that_is_read_out_has_no_frame(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """It has the focus for screen readers, and does nothing."""
    page = screen.open(gateway, "support")
    page.get_by_label("Paste what the player sent you").fill("2007")
    page.keyboard.press("Enter")
    expect(page.locator("#result-title")).to_be_focused()

    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "none"


@pytest.mark.parametrize("screen", LOOKS, indirect=True, ids=["narrow", "narrow-dark", "wide", "wide-dark"])
def test_a_message_covers_nothing(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    page = screen.open(gateway, "moderator")
    screen.look_up("2007").get_by_role("button", name="Let in for 1 day").click()
    expect(page.locator("#message")).to_contain_text("Let in for 1 day")

    covered = page.evaluate(
        """(() => {
          const message = document.getElementById("message").getBoundingClientRect();
          return [...document.querySelectorAll("input, select, button, h2, p, li")]
            .filter((one) => one.id !== "message" && one.checkVisibility())
            .map((one) => [one.outerHTML, one.getBoundingClientRect()])
            .filter(([, one]) => one.top < message.bottom && one.bottom > message.top)
            .map(([text]) => text);
        })()"""
    )

    assert covered == []


@pytest.mark.parametrize("screen", [{"viewport": {"width": 320, "height": 700}}], indirect=True)
def test_on_a_telephone_the_box_is_seen_at_once(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """In an outage, too, when the first row has most to say."""
    gateway.ask("PUT", "/sandbox/faults", {"name": "outage"})
    gateway.ask("POST", "/verify/user", {"game": 3, "user_id": 2007})

    page = screen.open(gateway, "support")

    expect(page.locator("#state")).to_contain_text("Gave no answer")
    expect(page.get_by_label("Paste what the player sent you")).to_be_in_viewport(ratio=1)
    assert page.evaluate("scrollY") == 0


# What a browser lets nobody do with it.


@pytest.mark.parametrize(
    "act",
    [
        "document.body.innerHTML = '<b>x</b>'",
        "document.body.insertAdjacentHTML('beforeend', '<b>x</b>')",
        "document.createElement('script').text = '1'",
        "new Image().setAttribute('onerror', '1')",
    ],
)
def test_a_text_cannot_become_markup_or_a_script(gateway: Gateways, screen: Screen, act: str) -> None:
    """Even if the script of the page had a mistake."""
    page = screen.open(gateway, "support")

    told = page.evaluate(f"() => {{ try {{ {act}; return 'done'; }} catch (refused) {{ return refused.name; }} }}")

    assert told == "TypeError"
    screen.mistakes.clear()


def test_no_other_script_and_no_other_origin(gateway: Gateways, screen: Screen, foreign: str) -> None:
    """Even if a proxy on the way, or a mistake of ours, put them into the page."""
    page = screen.page
    added = "<script>document.title = 'taken'</script><style>body { display: none }</style>"
    added += "<img src=x onerror=\"document.title = 'taken'\">"
    added += f"<img src='{foreign}/x.png'><script src='{foreign}/x.js'></script>"

    def spoil(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, body=response.text().replace("<main>", f"<main>{added}"))

    page.route("**/console", spoil)
    with page.expect_event("requestfinished", lambda sent: "/admin/state" in sent.url):
        screen.open(gateway)

    assert page.title() == "Console of the ownership gateway"
    assert page.get_by_role("heading", name="Sign in").is_visible()
    assert len([one for one in screen.mistakes if "Content Security Policy" in one]) >= 5
    screen.mistakes.clear()
    screen.asked = [one for one in screen.asked if not one.url.startswith(foreign)]


@pytest.fixture
def foreign(gateway: Gateways) -> Iterator[str]:
    """The address of a foreign page that shows the console in a frame."""

    class Framing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer with the page."""
            body = f'<!doctype html><title>foreign</title><iframe src="{gateway.address}/console"></iframe>'.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Framing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://localhost:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_no_page_shows_it_in_a_frame(gateway: Gateways, chromium: Any, foreign: str) -> None:
    """A click on what is not seen is a click that was not meant."""
    page = chromium.new_page()
    told: list[str] = []
    page.on("console", lambda message: told.append(message.text))

    page.goto(foreign)
    (frame,) = page.frames[1:]
    frame.wait_for_load_state()

    assert frame.locator("#sign-in").count() == 0
    assert any("frame-ancestors" in one for one in told)
    page.close()


def test_the_first_paint_needs_three_files(gateway: Gateways, screen: Screen, expect: Expect) -> None:
    """One round trip for each; a second visit fetches none of them again."""
    page = screen.open(gateway)
    expect(page.get_by_label("Your token")).to_be_focused()
    files = [one.url.removeprefix(gateway.address) for one in screen.asked if "/console" in one.url]
    screen.asked.clear()

    page.reload()
    page.get_by_label("Your token").wait_for()
    again = page.evaluate(
        """performance.getEntriesByType("resource")
        .filter((one) => one.name.includes("/console/")).map((one) => one.transferSize)"""
    )

    assert sorted(files) == ["/console", "/console/script.js", "/console/style.css"]
    assert [size < 1000 for size in again] == [True, True], again


def test_the_panel_of_the_sandbox_is_loaded_only_where_there_is_one(
    gateway: Gateways, screen: Screen, expect: Expect
) -> None:
    """A gateway in front of itch.io, as far as the page can tell."""

    def without_sandbox(route: Any) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"sandbox": False})

    page = screen.page
    page.route("**/admin/state", without_sandbox)
    screen.open(gateway, "operator")
    screen.look_up("2007")

    loaded = {one.url.removeprefix(gateway.address) for one in screen.asked if "/console" in one.url}
    assert loaded == {"/console", "/console/style.css", "/console/script.js", "/console/players.js"}
    expect(page.locator("#sandbox, #sandbox-banner").filter(visible=True)).to_have_count(0)
    assert screen.sent("/sandbox/world") == []


# For docs/.


@pytest.mark.parametrize(
    ("screen", "name"),
    [
        ({"viewport": {"width": 860, "height": 1180}, "color_scheme": "light"}, "refused"),
        ({"viewport": {"width": 860, "height": 1100}, "color_scheme": "dark"}, "outage"),
        ({"viewport": {"width": 320, "height": 900}, "color_scheme": "light"}, "narrow"),
        ({"viewport": {"width": 860, "height": 1100}, "color_scheme": "light"}, "sandbox"),
    ],
    indirect=["screen"],
)
def test_pictures(request: pytest.FixtureRequest, screen: Screen, expect: Expect, name: str, tmp_path: Path) -> None:
    """They are kept where `CONSOLE_PICTURES` says."""
    if name == "sandbox":
        page = screen.open(request.getfixturevalue("open_gateway"))
        place = page.locator("#sandbox")
        expect(place).to_contain_text("Amos")
    else:
        gateway: Gateways = request.getfixturevalue("gateway")
        page = screen.open(gateway, "operator" if name == "outage" else "moderator")
        code = gateway.refuse(2007)
        if name == "outage":
            gateway.ask("PUT", "/sandbox/faults", {"name": "outage"})
            screen.look_up("2001")
            page.get_by_role("button", name="Ask itch.io now").click()
            expect(page.locator("#state")).to_contain_text("Gave no answer")
        else:
            screen.look_up(code)
        place = page
        page.evaluate("scrollTo(0, 0)")
    page.evaluate("document.activeElement.blur()")
    directory = Path(os.environ.get("CONSOLE_PICTURES", tmp_path))
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / f"{name}.png"

    place.screenshot(path=file)

    assert 0 < file.stat().st_size < 150_000
