"""A Chromium, and gateways with a console; after each check the browser must be as empty as before it."""

import json
import sys
import urllib.request
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, TypeAlias

import pytest

from tests.gateways import caller_lines
from tests.integrations.processes import Gateway, needed
from tests.redis_server import free_port

_DRIVER: Final = Path(__file__).parents[3] / ".tools" / "console-venv" / "lib"
# Behind all that the project has itself. deploy/check-console.sh has put it there.
sys.path += map(str, _DRIVER.glob("python*/site-packages"))

_ARGUMENTS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""As root there is no sandbox of Chromium's; and it shall ask nobody but the gateway."""

_PATIENCE_MS: Final = 30_000
"""Of a busy machine; nothing that works takes nearly as long."""

Expect: TypeAlias = Callable[[Any], Any]
"""`expect` of Playwright."""

TOKENS: Final = {
    "support": "ogw_a-token-of-support-00000000000000000000000000",
    "moderator": "ogw_a-token-of-a-moderator-00000000000000000000",
    "operator": "ogw_a-token-of-an-operator-00000000000000000000",
    "lobby": "ogw_a-token-of-a-game-server-000000000000000000",
}
_RIGHTS: Final = {
    "support": '["support"]',
    "moderator": '["support", "override"]',
    "operator": '["support", "override", "admin", "verify", "assert:user", "assert:email"]',
    "lobby": '["verify", "assert:user", "assert:email"]',
}
GAMES: Final = "[games.x-moon]\nid = 3\n\n[games.sun-garden]\nid = 4\n"


def _driver() -> Any:
    """Return the driver, which is none of the project's own dependencies."""
    return import_module("playwright.sync_api")


class Gateways:
    """A gateway with a sandbox, asked beside the browser."""

    def __init__(self, gateway: Gateway) -> None:
        self.process = gateway
        self.address = gateway.address

    def ask(self, method: str, path: str, body: object = None, *, caller: str = "lobby") -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"content-type": "application/json", "authorization": f"Bearer {TOKENS[caller]}"}
        request = urllib.request.Request(self.address + path, data, headers, method=method)  # noqa: S310 - our own
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Refusals())
        with opener.open(request, timeout=30) as response:
            content = response.read()
            return response.status, json.loads(content) if content else None

    def refuse(self, user_id: int) -> str:
        """Have a player refused, and return the support code."""
        status, answer = self.ask("POST", "/verify/user", {"game": 3, "user_id": user_id})
        assert (status, answer["allowed"]) == (200, False)
        return str(answer["decision_id"])

    def allows(self, user_id: int) -> bool:
        """Whether a player is let in."""
        return bool(self.ask("POST", "/verify/user", {"game": 3, "user_id": user_id})[1]["allowed"])


class _Refusals(urllib.request.HTTPErrorProcessor):
    """Returns answers of every status."""

    def http_response(self, request: Any, response: Any) -> Any:  # noqa: ARG002 - as urllib has it
        return response


def _serve(directory: Path, toml: str) -> Iterator[Gateways]:
    file = directory / "gateway.toml"
    file.write_text(toml, encoding="utf-8")
    gateway = Gateway(free_port(), directory / "log", {"CONFIG": str(file)})
    try:
        gateway.start()
        yield Gateways(gateway)
    finally:
        gateway.kill()


@pytest.fixture(scope="session")
def _with_callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    callers = "".join(caller_lines(name, token, rights=_RIGHTS[name], rate="1000") for name, token in TOKENS.items())
    yield from _serve(tmp_path_factory.mktemp("callers"), GAMES + callers)


@pytest.fixture(scope="session")
def _without_callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateways]:
    yield from _serve(tmp_path_factory.mktemp("sandbox"), "")


@pytest.fixture
def gateway(_with_callers: Gateways) -> Gateways:
    """A gateway with two games and a caller of each kind, in front of a sandbox as it is at the start."""
    _with_callers.ask("POST", "/sandbox/reset")
    return _with_callers


@pytest.fixture
def open_gateway(_without_callers: Gateways) -> Gateways:
    """A gateway that asks for no token, in front of a sandbox as it is at the start."""
    _without_callers.ask("POST", "/sandbox/reset")
    return _without_callers


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A Chromium with an empty profile."""
    with _driver().sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=needed("chromium"), args=_ARGUMENTS)
        yield browser
        browser.close()


class Screen:
    """One page of a browser. `asked` are the requests that it has sent, `mistakes` what went wrong in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.asked: list[Any] = []
        self.mistakes: list[str] = []
        page.on("request", self._sent)
        page.on("pageerror", lambda error: self.mistakes.append(str(error)))
        page.on("console", self._told)

    def _sent(self, request: Any) -> None:
        self.asked.append(request)

    def _told(self, message: Any) -> None:
        # Chromium tells of every answer that is no success, and of the icon that there is none of.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.mistakes.append(message.text)

    def open(self, gateway: Gateways, caller: str | None = None) -> Any:
        """Open the console, sign in if there is a caller, and return the page."""
        self.page.goto(f"{gateway.address}/console")
        if caller is not None:
            self.page.get_by_label("Your token").fill(TOKENS[caller])
            self.page.get_by_role("button", name="Sign in").click()
            self.page.get_by_text(f"Signed in as {caller}").wait_for()
            self.page.locator("#pasted:focus").wait_for()
        return self.page

    def look_up(self, text: str) -> Any:
        """Paste a text, and return the result once it is there."""
        self.page.get_by_label("Paste what the player sent you").fill(text)
        with self.page.expect_response("**/admin/explain"):
            self.page.get_by_role("button", name="Look up", exact=True).click()
        self.page.locator("#result-title").wait_for()
        return self.page.locator("#result")

    def sent(self, path: str) -> list[Any]:
        """Return the requests to a path."""
        return [request for request in self.asked if request.url.endswith(path)]

    def check_nothing_is_left(self, gateway_addresses: tuple[str, ...]) -> None:
        """Fail if anything went wrong, was asked of others, or is in the browser's memory or the page's address."""
        page = self.page
        assert self.mistakes == []
        assert [one.url for one in self.asked if not one.url.startswith(gateway_addresses)] == []
        kept = "[document.cookie, {...localStorage}, {...sessionStorage}, history.state, window.name]"
        assert page.evaluate(kept) == ["", {}, {}, None, ""]
        assert page.evaluate("indexedDB.databases()") == []
        assert page.context.cookies() == []
        assert page.url.endswith("/console")
        shown = page.content()
        assert [token for token in TOKENS.values() if token in shown] == []
        assert [one.url for one in self.asked for token in TOKENS.values() if token in one.url] == []


@pytest.fixture
def screen(
    chromium: Any, _with_callers: Gateways, _without_callers: Gateways, request: pytest.FixtureRequest
) -> Iterator[Screen]:
    """A page, opened as the test may say. After every check the browser keeps nothing."""
    context = chromium.new_context(**getattr(request, "param", {}))
    context.set_default_timeout(_PATIENCE_MS)
    screen = Screen(context.new_page())
    yield screen
    screen.check_nothing_is_left((_with_callers.address, _without_callers.address))
    context.close()


@pytest.fixture
def expect() -> Expect:
    """Return what waits until something of a page is as it should be."""
    waiting: Callable[[Any], Any] = _driver().expect
    waiting.set_options(timeout=_PATIENCE_MS)  # type: ignore[attr-defined]  # it is an object of the driver
    return waiting
