"""Each kind of paste, and what the console then shows."""

from collections.abc import Callable

import pytest

from service.sandbox import seed
from tests.integrations.console.conftest import TOKENS, Expect, Gateways, Screen
from tests.passes.make_forged import encoded

HOSTILE = "<img src=x onerror=\"document.title='taken'\">"


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
