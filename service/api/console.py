"""The console: a page for support, its style and its scripts, written by hand and served as they are.

The page acts with the token of the person who uses it, so the browser is told to run, load and show nothing else in it.
"""

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from typing import Final

from litestar import Response, get
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from service.api.paths import CONSOLE_PATH
from service.api.routes import AnyRequest, has_already

FILES: Final[Mapping[str, tuple[str, str]]] = {
    CONSOLE_PATH: ("page.html", "text/html"),
    f"{CONSOLE_PATH}/style.css": ("style.css", "text/css"),
    f"{CONSOLE_PATH}/script.js": ("script.js", "text/javascript"),
    f"{CONSOLE_PATH}/players.js": ("players.js", "text/javascript"),
    f"{CONSOLE_PATH}/sandbox.js": ("sandbox.js", "text/javascript"),
}
"""By each path the file and its media type. A browser asks for the first three; the scripts load the others."""

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

    def response(self, request: AnyRequest) -> Response[bytes]:
        """Return the file, or 304 to a browser that has it already."""
        if has_already(request, self.headers["etag"]):
            return Response(b"", status_code=304, headers=self.headers)
        return Response(self.body, headers=self.headers, media_type=self.media_type)


def _read(name: str, media_type: str) -> _File:
    body = files("service.api").joinpath("console", name).read_bytes()
    return _File(body, media_type, _HEADERS | {"etag": f'"{sha256(body).hexdigest()[:32]}"'})


def _serve(path: str, file: _File) -> HTTPRouteHandler:
    @get(path, sync_to_thread=False)
    def show(request: AnyRequest) -> Response[bytes]:
        """Return the file."""
        return file.response(request)

    return show


def create_console() -> list[HTTPRouteHandler]:
    """Return the page and its files, which are read now."""
    return [_serve(path, _read(name, media_type)) for path, (name, media_type) in FILES.items()]
