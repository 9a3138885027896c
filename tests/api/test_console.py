"""The console as a browser gets it: its files, where they are, and how long they may be kept."""

import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from service.http.application import Listener
from service.ownership import Method
from tests.api.conftest import Open
from tests.api.test_pages import Reader
from tests.gateways import X_MOON, Asker, caller_lines, client_of, pointing_at

FIRST_PAINT = ("/console", "/console/style.css", "/console/script.js")
SCRIPTS = ("/console/script.js", "/console/players.js", "/console/sandbox.js")
FILES = {
    "/console": "text/html; charset=utf-8",
    "/console/style.css": "text/css; charset=utf-8",
    **dict.fromkeys(SCRIPTS, "text/javascript; charset=utf-8"),
}
SUPPORT = "ogw_a-token-of-support-00000000000000000000000"
CALLERS = X_MOON + caller_lines("support", SUPPORT, rights='["support"]')


@pytest.mark.parametrize("path", FILES)
async def test_browser_is_told_to_load_and_show_nothing_else(gateway: Asker, path: str) -> None:
    """No foreign origin, no inline script, no page around it, no form that leads away, no text that becomes markup."""
    response = await gateway.http.get(path)

    policy = [part.strip() for part in response.headers["content-security-policy"].split(";")]
    assert response.headers.get_list("content-type") == [FILES[path]]
    assert policy == [
        "default-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
    assert (response.headers["x-content-type-options"], response.headers["referrer-policy"]) == (
        "nosniff",
        "no-referrer",
    )


async def test_page_has_no_script_or_style_of_its_own(gateway: Asker) -> None:
    """A style and a script are all that it loads by itself."""
    page = Reader((await gateway.http.get("/console")).text)
    named = page.values("for") + page.values("aria-labelledby") + page.values("aria-describedby")

    assert "style" not in page.tags
    assert [name for name, _ in page.attributes if name.startswith("on") or name in {"style", "action"}] == []
    assert {*page.values("src"), *page.values("href")} == {"/console/style.css", "/console/script.js"}
    assert len(set(page.values("id"))) == len(page.values("id"))
    assert set(named) <= set(page.values("id"))


async def test_browsers_do_not_offer_to_save_the_token(gateway: Asker) -> None:
    """They offer it for a typed password, even with "off", but not for a code that is good once (WHATWG HTML)."""
    page = Reader((await gateway.http.get("/console")).text)

    assert page.values("autocomplete").count("one-time-code") == 1
    assert page.values("type").count("password") == 1


@pytest.mark.parametrize("path", SCRIPTS)
async def test_script_sets_every_text_as_text_and_keeps_nothing(gateway: Asker, path: str) -> None:
    """The ways to markup, to a browser's memory and to an address are not in it."""
    script = (await gateway.http.get(path)).text

    assert re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(", script) == []
    assert re.findall(r"localStorage|sessionStorage|indexedDB|cookie|history\.|location", script) == []


async def test_script_has_a_name_for_each_method(gateway: Asker) -> None:
    """None is shown as `undefined`."""
    script = (await gateway.http.get("/console/players.js")).text

    [names] = re.findall(r"const METHODS = \{(.*?)\};", script)
    assert set(re.findall(r"(\w+): ", names)) == set(Method)


@pytest.mark.parametrize(("paths", "most"), [(FIRST_PAINT, 30_000), ((*FIRST_PAINT, "/console/players.js"), 50_000)])
async def test_files_are_small(gateway: Asker, paths: tuple[str, ...], most: int) -> None:
    """The first paint is one round trip for each of three files, on a slow line, too; then comes one more."""
    sizes = [len((await gateway.http.get(path)).content) for path in paths]

    assert sum(sizes) < most


@pytest.mark.parametrize("path", SCRIPTS)
async def test_script_loads_only_files_that_there_are(gateway: Asker, path: str) -> None:
    """A mistyped name would show only when a person signs in."""
    script = (await gateway.http.get(path)).text
    named = re.findall(r'"(/console/[^"]*)"', script) + [
        f"/console/{name}" for name in re.findall(r'"\./([^"]*)"', script)
    ]

    assert set(named) <= set(FILES)


@pytest.mark.parametrize("path", FILES)
async def test_file_is_kept_and_asked_for_anew(gateway: Asker, path: str) -> None:
    """A browser that has the file gets 304 without a body, and the whole file after an update."""
    first = await gateway.http.get(path)
    etag = first.headers["etag"]

    same = await gateway.http.get(path, headers={"if-none-match": f'"other", W/{etag}'})
    other = await gateway.http.get(path, headers={"if-none-match": '"other"'})

    assert first.headers.get_list("cache-control") == ["no-cache"]
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    assert "content-length" not in same.headers
    assert (other.status_code, other.content) == (200, first.content)


@pytest.mark.parametrize("path", FILES)
async def test_head_is_get_without_a_body(gateway: Asker, path: str) -> None:
    """RFC 9110 9.3.2."""
    head, get = await gateway.http.head(path), await gateway.http.get(path)

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(get.content))
    assert head.headers["etag"] == get.headers["etag"]


@pytest.mark.parametrize("path", FILES)
@pytest.mark.parametrize(
    ("toml", "sandbox", "status"),
    [
        (pointing_at("http://127.0.0.1:1"), False, 404),
        ("console = true\n" + pointing_at("http://127.0.0.1:1"), False, 200),
        ("console = false\n", True, 404),
        ("", True, 200),
    ],
)
async def test_console_is_off_unless_it_is_set(
    open_with: Open, toml: str, path: str, status: int, *, sandbox: bool
) -> None:
    """The sandbox alone has it without being told."""
    gateway = await open_with(toml + X_MOON, sandbox=sandbox)

    assert (await gateway.http.get(path)).status_code == status


class Ports:
    """Clients of a gateway with a port for operations."""

    def __init__(self, questions: httpx.AsyncClient, operations: httpx.AsyncClient) -> None:
        self.questions = questions
        self.operations = operations

    async def statuses(self, path: str) -> tuple[int, int]:
        """Return the status at the port for questions, and at that for operations."""
        headers = {"authorization": f"Bearer {SUPPORT}"}
        questions = await self.questions.get(path, headers=headers)
        return questions.status_code, (await self.operations.get(path, headers=headers)).status_code


@pytest.fixture
async def ports(open_with: Open, request: pytest.FixtureRequest) -> AsyncIterator[Ports]:
    """The ports of a gateway in front of the sandbox; the test may say how it is configured."""
    gateway = await open_with(getattr(request, "param", CALLERS))
    async with AsyncExitStack() as stack:
        kinds = (Listener.QUESTIONS, Listener.OPERATIONS)
        yield Ports(*[await stack.enter_async_context(client_of(gateway.gateway, kind)) for kind in kinds])


@pytest.mark.parametrize("path", [*FILES, "/console/", "/%63onsole", "/console?x=1"])
async def test_console_is_on_the_port_for_operations_alone(ports: Ports, path: str) -> None:
    """Game servers reach the port for questions; support need not."""
    assert await ports.statuses(path) == (404, 200)


@pytest.mark.parametrize("path", ["/admin/state", "/admin/overrides?game=3", "/sandbox/clock"])
async def test_the_console_acts_on_its_own_port(ports: Ports, path: str) -> None:
    """The page may ask no other origin, so what it asks is there, too."""
    assert await ports.statuses(path) == (200, 200)


@pytest.mark.parametrize("ports", ["console = false\n" + CALLERS], indirect=True)
@pytest.mark.parametrize("path", ["/admin/state", "/admin/overrides?game=3", "/sandbox/clock"])
async def test_without_a_console_nothing_is_added_to_the_port_for_operations(ports: Ports, path: str) -> None:
    """A port that was open to a whole network stays harmless."""
    assert await ports.statuses(path) == (200, 404)


async def test_the_port_for_operations_asks_for_tokens(ports: Ports) -> None:
    """Administration there is as it is elsewhere."""
    assert (await ports.operations.get("/admin/state")).status_code == 401
    assert (await ports.operations.post("/admin/invalidate", json={"game": 3})).status_code == 401
    assert (await ports.operations.post("/verify/user", json={"game": 3, "user_id": 1994})).status_code == 404
