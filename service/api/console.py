"""The console: a page for support, its style and its script, written by hand and served as they are.

The page acts with the token of the person who uses it, so the browser is told to run, load and show nothing else in it.
"""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from service.api.paths import CONSOLE_PATH

STYLE_PATH: Final = f"{CONSOLE_PATH}/style.css"
SCRIPT_PATH: Final = f"{CONSOLE_PATH}/script.js"

_HEADERS: Final = {
    # No form leads anywhere, and no text can become markup, even by a mistake in the script.
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class _File(Struct, frozen=True):
    """A file of the console, and the headers that go with it."""

    body: bytes
    media_type: str
    headers: Mapping[str, str]

    def response(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return the file, or 304 to a browser that has it already."""
        etag = self.headers["etag"]
        known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
        if etag in known:
            return Response(b"", status_code=304, headers=self.headers)
        return Response(self.body, headers=self.headers, media_type=self.media_type)


def _read(name: str, media_type: str) -> _File:
    body = files("service.api").joinpath("console", name).read_bytes()
    return _File(body, media_type, _HEADERS | {"etag": f'"{sha256(body).hexdigest()[:32]}"'})


def create_console() -> list[HTTPRouteHandler]:
    """Return the page and its two files, which are read now."""
    page = _read("page.html", "text/html")
    style = _read("style.css", "text/css")
    script = _read("script.js", "text/javascript")

    @get(CONSOLE_PATH, sync_to_thread=False)
    def show_console(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return the page."""
        return page.response(request)

    @get(STYLE_PATH, sync_to_thread=False)
    def show_console_style(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return its style."""
        return style.response(request)

    @get(SCRIPT_PATH, sync_to_thread=False)
    def show_console_script(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return its script."""
        return script.response(request)

    return [show_console, show_console_style, show_console_script]
