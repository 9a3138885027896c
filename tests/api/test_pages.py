"""The pages for a person with a browser."""

import re
from html.parser import HTMLParser

import httpx
import pytest

from service.api.openapi import describe_api
from service.sandbox import seed
from tests.api.conftest import Open
from tests.gateways import X_MOON, Asker, befall, caller_lines

pytestmark = pytest.mark.asyncio(loop_scope="module")

PAGES = ["/", "/docs"]
VOID = {"meta", "link", "input"}


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """The gateway of this module."""
    return shared


class Reader(HTMLParser):
    """Reads a page strictly: each element is closed where it must be, and no id stands twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count it as open."""
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close the one that is open."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """Return the values of an attribute."""
        return [value for key, value in self.attributes if key == name]


@pytest.mark.parametrize("path", PAGES)
async def test_page_is_plain_and_from_here_alone(gateway: Asker, path: str) -> None:
    """No script, no style of its own, nothing from elsewhere; and browsers are told so."""
    response = await gateway.http.get(path)
    page = Reader(response.text)

    assert (response.status_code, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert not page.tags & {"script", "style", "img", "iframe", "form", "base", "object"}
    assert {"src", "style", "action"} & {name for name, _ in page.attributes} == set()
    assert [name for name, _ in page.attributes if name.startswith("on")] == []
    assert all(re.match(r"/[^/]|/$", link) for link in page.values("href"))
    assert len(set(page.values("id"))) == len(page.values("id"))


@pytest.mark.parametrize("path", PAGES)
async def test_every_link_of_a_page_leads_somewhere(gateway: Asker, path: str) -> None:
    """Style, pages and places in them are there."""
    for link in set(Reader((await gateway.http.get(path)).text).values("href")):
        there, _, place = link.partition("#")
        answer = await gateway.http.get(there)

        assert answer.status_code == 200, link
        assert not place or place in Reader(answer.text).values("id"), link


async def test_style_comes_as_what_it_is(gateway: Asker) -> None:
    """Browsers take it for nothing else, and it is for light and dark, and for narrow windows."""
    response = await gateway.http.get("/docs/style.css")

    assert (response.headers["content-type"], response.headers["x-content-type-options"]) == (
        "text/css; charset=utf-8",
        "nosniff",
    )
    assert "prefers-color-scheme: dark" in response.text
    assert "url(" not in response.text


async def test_first_page_says_how_the_gateway_is_and_how_to_ask(gateway: Asker) -> None:
    """A newcomer finds state and first question there, the one that the sandbox answers."""
    page = " ".join(Reader((await gateway.http.get("/")).text).texts)

    assert "POST /verify/download-key" in page
    assert seed.OWNER_KEY in page
    for word in ["ready", "source", "credential", "redis", "disabled"]:
        assert word in page


@pytest.mark.asyncio(loop_scope="function")
async def test_first_page_says_why_something_is_lost(open_with: Open) -> None:
    """As health does: the state of a part, and the cause beside it."""
    gateway = await open_with(X_MOON)
    befall(gateway.sandbox, status=500)
    await gateway.key(seed.MEDIUM_KEY)

    texts = Reader((await gateway.http.get("/")).text).texts

    assert {"unavailable", "server_error"} <= set(texts)


async def test_docs_have_all_that_the_description_has(gateway: Asker) -> None:
    """Every operation, status, schema and field of the description stands on the page."""
    page = Reader((await gateway.http.get("/docs")).text)
    text = " ".join(page.texts)
    described = httpx.Response(200, content=describe_api()).json()

    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.texts
            assert set(operation["responses"]) <= set(page.texts)
    for name, schema in described["components"]["schemas"].items():
        assert name in page.values("id")
        assert set(schema.get("properties", ())) <= set(page.texts)
    assert "`" not in re.sub("`ITCHIO", "", text)


@pytest.mark.parametrize("path", PAGES)
async def test_sandbox_is_named_in_large(gateway: Asker, path: str) -> None:
    """A person cannot take the sandbox for the store."""
    assert "SANDBOX" in Reader((await gateway.http.get(path)).text).texts


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("path", PAGES)
async def test_gateway_of_the_real_store_is_not_called_a_sandbox(open_with: Open, path: str) -> None:
    """A control: the word would frighten an operator."""
    toml = '[itch]\napi_key = "a-seller-key-of-a-test"\nbase_url = "http://127.0.0.1:9"\n' + X_MOON
    gateway = await open_with(toml, sandbox=False)

    assert "SANDBOX" not in (await gateway.http.get(path)).text


@pytest.mark.asyncio(loop_scope="function")
async def test_state_is_for_operators_alone_where_they_have_a_port(open_with: Open) -> None:
    """The first page then says what runs, and no more than questions would."""
    gateway = await open_with(X_MOON + "[operations]\nport = 9999\n")

    texts = Reader((await gateway.http.get("/")).text).texts

    assert "version" in texts
    assert {"credential", "redis", "ready"} & set(texts) == set()


@pytest.mark.asyncio(loop_scope="function")
@pytest.mark.parametrize("path", [*PAGES, "/docs/style.css"])
async def test_pages_need_no_caller(open_with: Open, path: str) -> None:
    """They hold nothing that the repository does not."""
    gateway = await open_with(X_MOON + caller_lines("lobby", "ogw_token-of-a-test"))

    assert (await gateway.http.get(path)).status_code == 200


@pytest.mark.parametrize(
    "path",
    [*PAGES, "/docs/style.css", "/openapi.json", "/livez", "/readyz", "/metrics", "/version", "/sandbox", "/nowhere"],
)
async def test_head_is_answered_as_get(gateway: Asker, path: str) -> None:
    """The same status and fields, without the body."""
    head, got = await gateway.http.head(path), await gateway.http.get(path)

    assert (head.status_code, head.content) == (got.status_code, b"")
    # Their values may change from one request to the next.
    assert set(head.headers) == set(got.headers)
    assert head.headers["content-type"] == got.headers["content-type"]
