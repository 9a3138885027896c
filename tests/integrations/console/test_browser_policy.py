"""Scripts, frames and other origins: a browser lets none of them do anything with the console."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.integrations.console.conftest import Expect, Gateways, Screen


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
