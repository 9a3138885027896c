"""Pictures of the console, for docs/."""

import os
from pathlib import Path

import pytest

from tests.integrations.console.conftest import Expect, Gateways, Screen


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
