"""Pages for a person with a browser: what this is, and the API as the description has it.

They have no script, load nothing from elsewhere, and hold no text but the program's own.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any, Final

import msgspec
from litestar import Response, get
from litestar.handlers import HTTPRouteHandler

from service.api.openapi import describe_api
from service.api.operations import Health
from service.api.paths import DESCRIPTION_PATH, PATHS
from service.api.problem_meanings import PROBLEM_MEANINGS, REASON_MEANINGS
from service.ownership import Method

DOCS_PATH: Final = "/docs"
STYLE_PATH: Final = "/docs/style.css"

_HTML: Final = "text/html"
_HEADERS: Final = {
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}
_CODE: Final = re.compile(r"`([^`]*)`")

_Schema = Mapping[str, Any]


def create_pages(
    *, version: str, is_sandbox: Callable[[], bool], health: Callable[[], Health] | None, relay: bool = False
) -> list[HTTPRouteHandler]:
    """Return the pages and their style; without `health` they do not say how the gateway is.

    Those of a `relay` describe no administration.
    """

    @get("/", sync_to_thread=False)
    def show_start() -> Response[str]:
        """Return the first page."""
        return _page("Ownership gateway", _start(version, None if health is None else health()), sandbox=is_sandbox())

    @get(DOCS_PATH, sync_to_thread=False)
    def show_docs() -> Response[str]:
        """Return the API for people."""
        return _page("The API of the ownership gateway", _docs(relay=relay), sandbox=is_sandbox())

    @get(STYLE_PATH, sync_to_thread=False)
    def show_style() -> Response[str]:
        """Return the style of the pages."""
        return Response(_style(), headers=_HEADERS, media_type="text/css")

    return [show_start, show_docs, show_style]


@cache
def _style() -> str:
    return files("service.api").joinpath("pages.css").read_text("utf-8")


def _page(title: str, body: str, *, sandbox: bool) -> Response[str]:
    banner = (
        '<p class="sandbox"><strong>SANDBOX</strong> Nothing here is real: no answer comes from itch.io.</p>'
        if sandbox
        else ""
    )
    text = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="stylesheet" href="{STYLE_PATH}"></head>'
        f"<body><main><h1>{escape(title)}</h1>{banner}{body}</main></body></html>\n"
    )
    return Response(text, headers=_HEADERS, media_type=_HTML)


def _start(version: str, health: Health | None) -> str:
    description = _description(relay=False)
    path = PATHS[Method.DOWNLOAD_KEY]
    question = next(iter(_content(description["paths"][path]["post"]["requestBody"])["examples"].values()))["value"]
    asked = f"POST {path} HTTP/1.1\nContent-Type: application/json\nAuthorization: Bearer ogw_…\n\n{_written(question)}"
    parts = [
        f"<p>{_text(description['info']['summary'])} Game servers ask over HTTP, and this program answers.</p>",
        f"<p>{_text(description['info']['description'])}</p>",
        "<h2>How to ask</h2>",
        f"<pre><code>{escape(asked)}</code></pre>",
        "<p>The token is that of a caller from the configuration; without configured callers none is needed.</p>",
        f'<p><a href="{DOCS_PATH}">The API for people</a>, <a href="{DESCRIPTION_PATH}">the same for programs</a>.</p>',
        "<h2>State</h2>",
        _table(("what", "state"), [("version", _code(version)), *_states(health)]),
    ]
    return "".join(parts)


def _states(health: Health | None) -> list[tuple[str, str]]:
    if health is None:
        return []
    causes: Mapping[str, str] = health.causes or {}
    words = {name: [state, causes[name]] if name in causes else [state] for name, state in health.components.items()}
    return [("gateway", _code(health.status)), *((name, " ".join(map(_code, said))) for name, said in words.items())]


@cache
def _docs(*, relay: bool) -> str:
    description = _description(relay=relay)
    parts = [
        f"<p>{_text(description['info']['description'])}</p>",
        f'<p>Made from <a href="{DESCRIPTION_PATH}">the description for programs</a>, OpenAPI 3.1.</p>',
    ]
    for tag in description["tags"]:
        parts.append(f"<h2>{escape(tag['name'].capitalize())}</h2><p>{_text(tag['description'])}</p>")
        for path, methods in description["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    parts.append(_operation(method.upper(), path, operation))
    parts.append("<h2>Bodies</h2>")
    parts += [_schema(name, schema) for name, schema in description["components"]["schemas"].items()]
    parts.append("<h2>Problems</h2><p>The <code>type</code> of a problem leads here.</p>")
    meanings = {**PROBLEM_MEANINGS, **REASON_MEANINGS}
    parts += [f'<h3 id="{code}">{_code(code)}</h3><p>{_text(meaning)}</p>' for code, meaning in meanings.items()]
    return "".join(parts)


@cache
def _description(*, relay: bool) -> Any:  # noqa: ANN401 - JSON
    return msgspec.json.decode(describe_api(relay=relay))


def _operation(method: str, path: str, operation: _Schema) -> str:
    parts = [f"<h3>{_code(f'{method} {path}')}</h3><p>{_text(operation['summary'])}</p>"]
    if "description" in operation:
        parts.append(f"<p>{_text(operation['description'])}</p>")
    parts += [
        f"<p>{_code(one['name'])} in the {escape(one['in'])}: {_text(one['description'])}</p>"
        for one in operation.get("parameters", ())
    ]
    if "requestBody" in operation:
        content = _content(operation["requestBody"])
        parts.append(f"<p>Body: {_type(content['schema'])}</p>{_examples(content)}")
    rows = []
    for status, response in operation["responses"].items():
        if "content" not in response:
            rows.append((_code(status), _text(response["description"])))
            continue
        content = _content(response)
        rows.append((_code(status), f"{_text(response['description'])} {_type(content['schema'])}{_examples(content)}"))
    parts.append(_table(("status", "answer"), rows))
    return "".join(parts)


def _content(holder: _Schema) -> _Schema:
    content: _Schema = next(iter(holder["content"].values()))
    return content


def _examples(content: _Schema) -> str:
    shown = "".join(
        f"<p>{_code(name)}</p><pre><code>{escape(_written(example['value']))}</code></pre>"
        for name, example in content["examples"].items()
    )
    return f"<details><summary>For example</summary>{shown}</details>"


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _schema(name: str, schema: _Schema) -> str:
    parts = [f'<h3 id="{escape(name)}">{_code(name)}</h3><p>{_text(schema.get("description", ""))}</p>']
    if "properties" not in schema:
        parts.append(f"<p>{_type(schema)}</p>")
        return "".join(parts)
    required = schema.get("required", ())
    parts.append("<dl>")
    for field, kind in schema["properties"].items():
        must = "" if field in required else ", may be absent"
        parts.append(f"<dt>{_code(field)}: {_type(kind)}{must}</dt><dd>{_text(_told(kind))}</dd>")
    parts.append("</dl>")
    return "".join(parts)


def _told(kind: _Schema) -> str:
    """Return the description of a field, which stands at one of its kinds where there are several."""
    return " ".join(str(one["description"]) for one in (kind, *kind.get("anyOf", ())) if "description" in one)


def _type(kind: _Schema) -> str:
    """Return the kinds of value that a schema allows, as HTML."""
    match kind:
        case {"$ref": reference}:
            name = escape(str(reference).rpartition("/")[2])
            return f'<a href="{DOCS_PATH}#{name}">{name}</a>'
        case {"enum": values}:
            return ", ".join(_code(str(value)) for value in values)
        case {"anyOf": kinds} | {"oneOf": kinds}:
            return " or ".join(_type(one) for one in kinds)
        case {"type": "array", "items": items}:
            return f"list of {_type(items)}"
        case {"format": form} if form not in {"int64", "password"}:
            return f"{kind['type']} ({escape(str(form))})"
        case _:
            return f"{escape(str(kind['type']))}{_bounds(kind)}"


def _bounds(kind: _Schema) -> str:
    if "minimum" not in kind:
        return ""
    return f" from {kind['minimum']} to {kind['maximum']}"


def _table(header: tuple[str, str], rows: list[tuple[str, str]]) -> str:
    """Return a table of cells that are HTML already."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _text(text: str) -> str:
    """Return a sentence of the description as HTML: what stands in back-ticks is code."""
    return _CODE.sub(lambda found: f"<code>{found[1]}</code>", escape(text))
