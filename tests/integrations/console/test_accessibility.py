"""The console by keyboard, to screen readers, narrow and dark."""

from collections.abc import Callable

import pytest

from tests.integrations.console.conftest import TOKENS, Expect, Gateways, Screen


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
