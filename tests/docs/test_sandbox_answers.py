"""The sandbox's page has an answer of each control endpoint, and they are those that are given."""

import json
import re
from pathlib import Path
from typing import Any, Final

from service.sandbox.control import ENDPOINTS
from service.sandbox.store_endpoints import StoreEndpoint
from tests.clock import FakeClock
from tests.docs.pages import blocks, text_of
from tests.gateways import X_MOON, Asker, LogLines, opened, settings_from

REQUESTS: Final[list[tuple[str, str, object]]] = [
    ("GET", "", None),
    ("POST", "/users", {"id": 7, "username": "ada", "display_name": "Ada"}),
    ("POST", "/games", {"id": 700, "slug": "my-game", "title": "My Game"}),
    ("PUT", "/channels", {"game_id": 700, "channel": "windows", "latest": "1.2.3"}),
    ("POST", "/keys", {"game_id": 700, "key": "a-key-for-ada", "email": "ada@example.com"}),
    ("POST", "/keys/claim", {"key": "a-key-for-ada", "user_id": 7}),
    ("POST", "/keys/revoke", {"key": "a-key-for-ada"}),
    ("POST", "/purchases", {"game_id": [700, 3], "user_id": 7, "purchase_type": "bundle"}),
    ("POST", "/purchases/refund", {"purchase_id": 11567}),
    ("POST", "/jwts", {"user_id": 7, "lifetime_seconds": 60}),
    ("POST", "/id-tokens", {"email": "ada@example.com", "nonce": "n-7"}),
    ("POST", "/access-tokens", {"user_id": 7}),
    ("POST", "/access-tokens/revoke", {"access_token": "be1dd2851a7377c86eb5ceeadfccd7d061b9662b"}),
    ("PUT", "/seller-key", {"revoked": False}),
    ("PUT", "/faults", {"name": "outage", "times": 3}),
    ("GET", "/faults", None),
    ("DELETE", "/faults", None),
    ("POST", "/clock", {"advance_seconds": 3700}),
    ("GET", "/clock", None),
    ("GET", "/world", None),
    ("GET", "/requests", None),
    ("GET", "/mails", None),
    ("GET", "/openapi.json", None),
    ("POST", "/reset", None),
]
_LONGEST: Final = 60


def shortened(value: Any) -> Any:
    """Return an answer as the page shows it: of each list of objects the first, and of long texts the beginning."""
    if isinstance(value, dict):
        return {key: shortened(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shortened(one) for one in (value[:1] if value and isinstance(value[0], dict) else value)]
    return value[:_LONGEST] + "…" if isinstance(value, str) and len(value) > _LONGEST else value


def shown(method: str, path: str, body: object, answer: Any) -> str:
    """Return an exchange as the page shows it."""
    asked = f"{method} /sandbox{path}" + ("" if body is None else f" {json.dumps(body)}")
    if path == "/openapi.json":
        answer = dict.fromkeys(answer, "…")
    return f"{asked}\n{json.dumps(shortened(answer), ensure_ascii=False)}\n"


async def exchanges(gateway: Asker) -> list[str]:
    """Return each exchange, in the order of the page."""
    found = []
    for method, path, body in REQUESTS:
        answer = await gateway.http.request(method, f"/sandbox{path}", json=body)
        assert answer.status_code == 200, answer.text
        found.append(shown(method, path, body, answer.json()))
    return found


async def test_answers_are_as_shown(tmp_path: Path) -> None:
    """Each request of the page, sent in its order, has the answer of the page."""
    async with opened(settings_from(tmp_path, X_MOON), clock=FakeClock(), log=LogLines()) as gateway:
        assert blocks("docs/sandbox.md", "http") == await exchanges(gateway)


def test_none_is_left_out() -> None:
    """There is an answer of every endpoint by every method."""
    assert {(method, path) for method, path, _ in REQUESTS} == {
        (method, path) for path, methods in ENDPOINTS.items() for method in methods
    }


def test_faults_may_be_of_every_endpoint() -> None:
    """The page names all of them."""
    page = text_of("docs/sandbox.md")
    named = page.partition("it may name an `endpoint` (")[2].partition(")")[0]

    assert re.findall(r"`(\w+)`", named) == list(StoreEndpoint)
