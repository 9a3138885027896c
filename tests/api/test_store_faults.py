"""The faults of the store, and the answers to callers during each."""

from datetime import timedelta
from typing import Any

import pytest

from service.sandbox import seed
from tests.gateways import Asker, befall, store_calls

pytestmark = pytest.mark.asyncio(loop_scope="module")

NEW_KEY = seed.MEDIUM_KEY
"""Never looked up while the store is well."""


@pytest.fixture
def gateway(shared: Asker) -> Asker:
    """The gateway of this module, without the faults of the test before."""
    shared.sandbox.begin_again()
    shared.clock.jump(timedelta(minutes=2))
    return shared


FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"status": 429}, "source_rate_limited"),
    ({"status": 429, "retry_after": "nonsense"}, "source_rate_limited"),
    ({"status": 503}, "source_rate_limited"),
    ({"status": 500}, "source_unavailable"),
    ({"status": 502}, "source_unavailable"),
    ({"html_challenge": True}, "source_unavailable"),
    ({"html_challenge": True, "status": 200}, "source_unavailable"),
    ({"truncated": True}, "source_unavailable"),
    ({"redirect": "https://elsewhere.example/"}, "source_protocol"),
    ({"body": "{}"}, "source_protocol"),
    ({"body": "[]"}, "source_protocol"),
    ({"body": "nonsense"}, "source_protocol"),
    ({"body": '{"errors": ["something new"]}'}, "source_protocol"),
    ({"body": '{"errors": ["invalid download key", "and more"]}'}, "source_protocol"),
    ({"body": '{"errors": ["invalid key"]}'}, "gateway_credential"),
    ({"body": '{"errors": ["authentication required"]}'}, "gateway_credential"),
    ({"body": '{"errors": ["api key does not permit `game:view:purchases`"]}'}, "gateway_credential"),
    ({"body": '{"errors": ["invalid game"]}'}, "game_not_accessible"),
    ({"body": "a" * 300_000}, "source_protocol"),
    ({"body": '{"download_key": {"id": 1, "key": "' + NEW_KEY + '", "game_id": 4}}'}, "source_protocol"),
    ({"body": '{"download_key": {"id": 1, "key": "another-key", "game_id": 3}}'}, "source_protocol"),
]


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
async def test_fault_of_the_store_is_neither_yes_nor_no(gateway: Asker, fault: dict[str, Any], reason: str) -> None:
    """A new player gets neither a yes nor a no, during any fault of the store."""
    befall(gateway.sandbox, **fault)

    response = await gateway.key(NEW_KEY)

    body = response.json()
    assert (response.status_code, body["allowed"], body["outcome"], body["reason"]) == (503, False, "unknown", reason)
    assert int(response.headers["retry-after"]) == body["retry_after_seconds"] >= 1


@pytest.mark.parametrize(("fault", "reason"), FAULTS)
async def test_question_that_got_no_answer_is_not_asked_again_at_once(
    gateway: Asker, fault: dict[str, Any], reason: str
) -> None:
    """For a second a crowd gets the same reason, and the store its peace."""
    befall(gateway.sandbox, **fault)
    await gateway.key(NEW_KEY)
    gateway.sandbox.journal.clear()

    response = await gateway.key(NEW_KEY)

    assert (response.status_code, response.json()["reason"]) == (503, reason)
    assert store_calls(gateway.sandbox) == 0
